//! Drives a plan against a model of a relay under loss, repetition, restarts and expiry.

use super::*;
use kakehashi_wire::id::TraceId;
use kakehashi_wire::relay::{LegLane, Subscription};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{IcePassword, MasterKey, Suite};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const LIFETIME: Duration = Duration::from_secs(60);

fn wanted(leg: u64) -> WantedLeg {
    WantedLeg {
        leg: LegId(leg),
        call: CallId(leg / 2),
        trace: TraceId(leg / 2),
        shard: ShardIndex(0),
        key: MasterKey::new(Suite::AeadAes128Gcm, &[1; 32], &[2; 12]),
        relay_password: IcePassword::from_random([3; 24]),
        terminal_password: IcePassword::from_random([4; 24]),
        streams: vec![LegStream { ssrc: ssrc(leg), rollover: 0 }],
        lane: LegLane::Pass,
        rate_kbps: 0,
        subscriptions: subscriptions(leg),
        seen_at: Host::UNKNOWN,
    }
}

fn ssrc(leg: u64) -> Ssrc {
    Ssrc(u32::try_from(leg).unwrap())
}

/// One leg of each call receives what it is told to, the other everything.
fn subscriptions(leg: u64) -> Option<Vec<Subscription>> {
    let other = Subscription { source: ssrc(leg ^ 1), shown_as: ssrc(leg ^ 1) };
    leg.is_multiple_of(2).then(|| vec![other])
}

/// A leg as the model holds it.
struct Held {
    until: Duration,
    epoch: Epoch,
    subscriptions: Option<Vec<Subscription>>,
}

fn subject(order: &Order) -> (LegId, Generation) {
    match order {
        Order::Install(install) => (install.leg, install.generation),
        Order::Renew(renew) => (renew.leg, renew.generation),
        Order::Remove(remove) => (remove.leg, remove.generation),
        Order::Subscribe(subscribe) => (subscribe.leg, subscribe.generation),
    }
}

/// A relay as `wire::relay` describes it.
#[derive(Default)]
struct Model {
    life: u64,
    held: HashMap<LegId, Held>,
    seen: HashMap<LegId, Generation>,
    /// The lives that legs began since this was last looked at.
    begun: Vec<Epoch>,
}

impl Model {
    fn apply(&mut self, orders: &[Order], now: Duration) -> Vec<OrderResult> {
        self.held.retain(|_, held| held.until > now);
        orders.iter().map(|order| self.apply_one(order, now)).collect()
    }

    fn apply_one(&mut self, order: &Order, now: Duration) -> OrderResult {
        let (leg, generation) = subject(order);
        let outcome = self.outcome(order, now);
        let life = self.held.get(&leg).map_or(Generation(0), |held| held.epoch.generation);
        OrderResult { leg, generation, outcome, life, silent_ms: None }
    }

    fn outcome(&mut self, order: &Order, now: Duration) -> Outcome {
        let (leg, generation) = subject(order);
        match self.seen.get(&leg) {
            Some(seen) if *seen == generation => return Outcome::Unchanged,
            Some(seen) if *seen > generation => return Outcome::Stale,
            _ => self.seen.insert(leg, generation),
        };
        let until = now + LIFETIME;
        match (order, self.held.get_mut(&leg)) {
            // The same leg again: its life goes on.
            (Order::Install(it), Some(held)) => {
                (held.until, held.subscriptions) = (until, it.receives.clone());
            }
            (Order::Install(it), None) => {
                let epoch = Epoch { incarnation: Incarnation(self.life), generation };
                self.begun.push(epoch);
                let subscriptions = it.receives.clone();
                self.held.insert(leg, Held { until, epoch, subscriptions });
            }
            (Order::Remove(_), _) => drop(self.held.remove(&leg)),
            (Order::Renew(_), Some(held)) => held.until = until,
            (Order::Subscribe(it), Some(held)) => held.subscriptions = Some(it.streams.clone()),
            (Order::Renew(_) | Order::Subscribe(_), None) => return Outcome::NoSuchLeg,
        }
        Outcome::Applied
    }

    fn resync(&mut self, pieces: &[Resync]) {
        let wanted = |leg: &LegId| {
            pieces.iter().any(|p| (p.first..=p.last).contains(leg) && p.keep.contains(leg))
        };
        self.held.retain(|leg, _| wanted(leg));
    }
}

struct World {
    plan: Plan,
    model: Model,
    generations: Generations,
    now: Duration,
    wished: BTreeSet<LegId>,
    old_batches: Vec<Vec<Order>>,
    /// What legs are to receive that were told anew.
    anew: HashMap<LegId, Vec<Subscription>>,
    /// Every life any leg ever had.
    epochs: HashSet<Epoch>,
}

#[derive(Clone, Debug)]
enum Act {
    Want(u64),
    Release(u64),
    /// A leg is to receive so many streams from now on.
    Resubscribe(u64, u32),
    /// Orders arrive and their answer does.
    Exchange,
    /// Orders arrive, the link breaks before the answer does.
    LoseAnswer,
    /// The link breaks before the orders arrive.
    LoseOrders,
    /// The relay's process restarts.
    Restart,
    /// An old batch arrives once more.
    Repeat(usize),
    /// Time passes.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u64..24).prop_map(Act::Want),
        3 => (0_u64..24).prop_map(Act::Release),
        3 => (0_u64..24, 0_u32..3).prop_map(|(nth, many)| Act::Resubscribe(nth, many)),
        4 => Just(Act::Exchange),
        1 => Just(Act::LoseAnswer),
        1 => Just(Act::LoseOrders),
        1 => Just(Act::Restart),
        1 => any::<usize>().prop_map(Act::Repeat),
        1 => (1_u64..40).prop_map(Act::Wait),
    ]
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            plan: Plan::new(LIFETIME),
            model: Model::default(),
            generations: Generations::new(1..1_000_000),
            now: Duration::ZERO,
            wished: BTreeSet::new(),
            old_batches: Vec::new(),
            anew: HashMap::new(),
            epochs: HashSet::new(),
        };
        world.relink();
        world
    }

    fn relink(&mut self) {
        self.plan.link_down();
        let pieces = self.plan.link_up(Incarnation(self.model.life), Term::ALONE);
        self.model.resync(&pieces);
    }

    fn deliver(&mut self) -> Option<Vec<OrderResult>> {
        let batch = self.plan.orders(self.now, &mut self.generations);
        if batch.is_empty() {
            return None;
        }
        let results = self.model.apply(&batch, self.now);
        self.old_batches.push(batch);
        Some(results)
    }

    fn exchange(&mut self) -> bool {
        let results = self.deliver();
        if let Some(results) = &results {
            self.plan.answered(results, self.now);
        }
        results.is_some()
    }

    fn act(&mut self, act: &Act) {
        match *act {
            // A leg's number is never used twice.
            Act::Want(leg) => {
                let fresh = LegId(leg + 24 * self.old_batches.len() as u64);
                if self.wished.insert(fresh) {
                    self.anew.remove(&fresh);
                    self.plan.want(wanted(fresh.0));
                }
            }
            Act::Release(nth) => {
                let leg = self.wished.iter().nth(nth as usize).copied();
                if let Some(leg) = leg {
                    self.wished.remove(&leg);
                    self.plan.release(leg);
                }
            }
            Act::Resubscribe(nth, many) => {
                let leg = self.wished.iter().nth(nth as usize).copied();
                if let Some(leg) = leg {
                    let stream = |n| Subscription { source: Ssrc(n), shown_as: Ssrc(n) };
                    let streams: Vec<_> = (0..many).map(stream).collect();
                    self.anew.insert(leg, streams.clone());
                    self.plan.resubscribe(leg, streams);
                }
            }
            Act::Exchange => {
                self.exchange();
            }
            Act::LoseAnswer => {
                self.deliver();
                self.relink();
            }
            Act::LoseOrders => {
                self.plan.orders(self.now, &mut self.generations);
                self.relink();
            }
            Act::Restart => {
                let begun = std::mem::take(&mut self.model.begun);
                self.model = Model { life: self.model.life + 1, begun, ..Model::default() };
                self.old_batches.clear();
                self.relink();
            }
            Act::Repeat(nth) => {
                if let Some(batch) = self.old_batches.get(nth % self.old_batches.len().max(1)) {
                    self.model.apply(batch, self.now);
                }
            }
            Act::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
    }

    /// No two lives share an epoch, and nobody is told of another life than the relay's.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for epoch in std::mem::take(&mut self.model.begun) {
            prop_assert!(self.epochs.insert(epoch), "an epoch began twice");
        }
        for (leg, held) in &self.model.held {
            let told = self.plan.epoch(*leg);
            prop_assert!(told.is_none_or(|epoch| epoch == held.epoch), "another life");
            let in_force = self.plan.standing(*leg) == Standing::InForce;
            prop_assert!(!in_force || held.subscriptions == self.receives(*leg));
        }
        Ok(())
    }

    /// What a leg is to receive.
    fn receives(&self, leg: LegId) -> Option<Vec<Subscription>> {
        self.anew.get(&leg).cloned().or_else(|| subscriptions(leg.0))
    }

    fn held(&mut self) -> BTreeSet<LegId> {
        self.model.apply(&[], self.now);
        self.model.held.keys().copied().collect()
    }
}

proptest! {
    #[test]
    fn the_relay_ends_up_with_exactly_the_wanted_legs(
        acts in prop::collection::vec(act(), 0..120)
    ) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
            world.check()?;
        }
        for _ in 0..100 {
            if !world.exchange() {
                break;
            }
        }
        // Legs that ran out while nobody exchanged anything come back at their renewal.
        world.now += LIFETIME / 3;
        while world.exchange() {}
        world.check()?;
        prop_assert_eq!(world.held(), world.wished.clone());
        for leg in &world.wished {
            let held = &world.model.held[leg];
            prop_assert_eq!(world.plan.standing(*leg), Standing::InForce);
            prop_assert_eq!(world.plan.epoch(*leg), Some(held.epoch));
            prop_assert_eq!(&held.subscriptions, &world.receives(*leg));
        }
        prop_assert!(world.plan.legs.len() == world.wished.len(), "nothing else is remembered");
        prop_assert_eq!(world.plan.legs_on(ShardIndex(0)) as usize, world.wished.len());
    }
}

#[test]
fn a_leg_is_renewed_before_it_runs_out() {
    let mut world = World::new();
    world.act(&Act::Want(1));
    world.exchange();
    for _ in 0..30 {
        world.now = world.plan.next_renewal().unwrap();
        assert!(world.exchange());
        assert_eq!(world.held(), world.wished);
    }
}

#[test]
fn a_reconnecting_relay_is_asked_to_renew_and_a_restarted_one_to_install() {
    let mut world = World::new();
    world.act(&Act::Want(1));
    world.exchange();
    world.relink();
    let orders = world.plan.orders(world.now, &mut world.generations);
    assert!(matches!(orders[..], [Order::Renew(_)]));
    world.act(&Act::Restart);
    let orders = world.plan.orders(world.now, &mut world.generations);
    assert!(matches!(orders[..], [Order::Install(_)]));
}

#[test]
fn a_leg_is_installed_again_with_the_wraps_that_were_reported() {
    let mut world = World::new();
    world.act(&Act::Want(1));
    world.exchange();
    let leg = *world.wished.first().unwrap();
    for rollover in [7, 5] {
        world.plan.raise_rollover(leg, LegStream { ssrc: ssrc(leg.0), rollover });
    }
    assert!(!world.exchange(), "a leg in force knows better than anybody");
    world.act(&Act::Restart);
    let orders = world.plan.orders(world.now, &mut world.generations);
    let [Order::Install(install)] = &orders[..] else { panic!("one install") };
    assert_eq!(install.streams, [LegStream { ssrc: ssrc(leg.0), rollover: 7 }]);
}

#[test]
fn a_refusal_stands_until_the_leg_is_released() {
    let mut world = World::new();
    world.act(&Act::Want(1));
    let orders = world.plan.orders(world.now, &mut world.generations);
    let [Order::Install(install)] = &orders[..] else { panic!("one install") };
    let (leg, generation) = (install.leg, install.generation);
    let no = OrderResult {
        leg,
        generation,
        outcome: Outcome::NoRoom,
        life: Generation(0),
        silent_ms: None,
    };
    assert_eq!(world.plan.answered(&[no], world.now), [install.call]);
    assert_eq!(world.plan.standing(install.leg), Standing::Refused(Outcome::NoRoom));
    assert!(!world.exchange());
}

#[test]
fn a_leg_is_told_what_it_receives_with_its_order_and_again_when_that_changes() {
    let mut world = World::new();
    world.plan.want(wanted(2));
    let leg = LegId(2);
    for life in 0..2 {
        assert_eq!(world.plan.epoch(leg), None);
        assert!(world.exchange());
        let epoch = world.plan.epoch(leg).unwrap();
        assert_eq!(epoch.incarnation, Incarnation(world.model.life));
        assert_eq!(world.plan.standing(leg), Standing::InForce);
        if life == 0 {
            assert_eq!(world.model.held[&leg].subscriptions, subscriptions(2));
            world.plan.resubscribe(leg, Vec::new());
            assert_eq!(world.plan.standing(leg), Standing::Waiting);
            assert!(world.exchange());
            assert_eq!(world.plan.standing(leg), Standing::InForce);
        }
        assert_eq!(world.plan.epoch(leg), Some(epoch), "what it receives is no new life");
        assert_eq!(world.model.held[&leg].subscriptions, Some(Vec::new()));
        assert!(!world.exchange());
        world.act(&Act::Restart);
    }
}

#[test]
fn where_a_terminal_is_seen_is_told_at_once_and_holds_up_nothing() {
    let leg = LegId(2);
    let host = |last| Host::from(std::net::IpAddr::from([192, 0, 2, last]));
    let told = |orders: &[Order]| match orders {
        [Order::Install(install)] => install.seen_at,
        [Order::Renew(renew)] => renew.seen_at,
        _ => panic!("one install or renewal"),
    };
    let mut world = World::new();
    world.plan.want(WantedLeg { seen_at: host(1), ..wanted(2) });
    // It moves while it is installed, and while it is renewed for that.
    for at in 1..=3 {
        let batch = world.plan.orders(world.now, &mut world.generations);
        assert_eq!(told(&batch), host(at));
        world.plan.see(leg, host(at + 1));
        let results = world.model.apply(&batch, world.now);
        world.plan.answered(&results, world.now);
        assert_eq!(world.plan.standing(leg), Standing::InForce);
    }
    assert_eq!(told(&world.plan.orders(world.now, &mut world.generations)), host(4));
    // Told once more only because the answer to that is lost.
    world.act(&Act::LoseAnswer);
    assert!(world.exchange());
    assert!(!world.exchange());
    world.plan.see(leg, host(4));
    assert!(!world.exchange(), "no news");
    world.plan.see(LegId(9), host(1));
    assert!(!world.exchange(), "no leg of this relay");
}

#[test]
fn what_changes_while_a_leg_is_installed_is_said_before_it_counts_as_held() {
    let mut world = World::new();
    world.plan.want(wanted(2));
    let batch = world.plan.orders(world.now, &mut world.generations);
    world.plan.resubscribe(LegId(2), Vec::new());
    let results = world.model.apply(&batch, world.now);
    world.plan.answered(&results, world.now);
    assert_eq!(world.plan.standing(LegId(2)), Standing::Waiting);
    assert!(world.exchange());
    assert_eq!(world.plan.standing(LegId(2)), Standing::InForce);
    assert_eq!(world.model.held[&LegId(2)].subscriptions, Some(Vec::new()));
}

#[test]
fn another_nodes_plan_of_the_same_legs_finds_the_lives_they_have() {
    let mut world = World::new();
    for leg in 0..4 {
        world.wished.insert(LegId(leg));
        world.plan.want(wanted(leg));
    }
    world.plan.want(wanted(9));
    while world.exchange() {}
    let epochs = |world: &World| {
        world.wished.iter().map(|leg| world.plan.epoch(*leg).unwrap()).collect::<Vec<_>>()
    };
    let before = epochs(&world);
    // A hold was lifted that only the node before knew of.
    world.plan.resubscribe(LegId(3), Vec::new());
    while world.exchange() {}
    world.plan = Plan::new(LIFETIME);
    for leg in 0..4 {
        world.plan.want(wanted(leg));
    }
    world.relink();
    assert_eq!(world.held(), world.wished, "what the node before wanted more is gone");
    while world.exchange() {}
    assert_eq!(epochs(&world), before, "no leg began another life");
    assert_eq!(world.model.begun.len(), 5);
    assert_eq!(world.model.held[&LegId(3)].subscriptions, None);
}

#[test]
fn a_leg_that_cannot_be_told_what_it_receives_is_taken_away() {
    let mut world = World::new();
    world.plan.want(wanted(2));
    world.exchange();
    world.plan.resubscribe(LegId(2), Vec::new());
    let orders = world.plan.orders(world.now, &mut world.generations);
    let [Order::Subscribe(asked)] = &orders[..] else { panic!("one subscription") };
    let outcome = Outcome::BadOrder;
    let (leg, generation, life) = (asked.leg, asked.generation, Generation(1));
    let no = OrderResult { leg, generation, outcome, life, silent_ms: None };
    assert_eq!(world.plan.answered(&[no], world.now), [CallId(1)]);
    for _ in 0..2 {
        assert_eq!(world.plan.standing(LegId(2)), Standing::Refused(outcome));
        world.exchange();
        assert!(world.held().is_empty(), "it would receive something else");
    }
    world.relink();
    assert!(!world.exchange());
    assert_eq!(world.plan.epoch(LegId(2)), None);
}

#[test]
fn unanswered_batches_are_bounded() {
    let mut world = World::new();
    for leg in 0..1000 {
        world.plan.want(wanted(leg));
    }
    let batches = std::iter::from_fn(|| {
        Some(world.plan.orders(world.now, &mut world.generations)).filter(|b| !b.is_empty())
    });
    assert_eq!(batches.count(), BATCHES_IN_FLIGHT_MAX);
    assert_eq!(world.plan.unanswered_since(), Some(Duration::ZERO));
}

#[test]
fn removals_go_first_and_do_not_wait_for_answers() {
    let mut world = World::new();
    for leg in 100..110 {
        world.plan.want(wanted(leg));
    }
    while world.exchange() {}
    for leg in 0..1000 {
        world.plan.want(wanted(leg));
    }
    let removed = |orders: &[Order]| {
        let legs = orders.iter().filter_map(|order| match order {
            Order::Remove(it) => Some(it.leg.0),
            _ => None,
        });
        legs.collect::<Vec<_>>()
    };
    world.plan.release(LegId(109));
    let batch = world.plan.orders(world.now, &mut world.generations);
    assert_eq!((removed(&batch), batch.len()), (vec![109], ORDERS_PER_BATCH_MAX));
    assert!(matches!(batch[0], Order::Remove(_)), "before everything else");
    while !world.plan.orders(world.now, &mut world.generations).is_empty() {}
    for leg in [105, 107] {
        world.plan.release(LegId(leg));
    }
    let batch = world.plan.orders(world.now, &mut world.generations);
    assert_eq!((removed(&batch), batch.len()), (vec![105, 107], 2), "and nothing else");
    world.plan.release(LegId(106));
    assert!(world.plan.orders(world.now, &mut world.generations).is_empty(), "one batch more");
}

#[test]
fn a_long_list_is_cut_into_ranges_without_gap_or_overlap() {
    for count in [0, 1, RESYNC_LEGS_MAX, RESYNC_LEGS_MAX + 1, 3 * RESYNC_LEGS_MAX + 7] {
        let keep: Vec<_> = (0..count as u64).map(|i| LegId(i * 1000)).collect();
        let pieces = resync(Term::ALONE, keep.clone());
        assert_eq!(pieces[0].first, LegId(0));
        assert_eq!(pieces.last().unwrap().last, LegId(u64::MAX));
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].last.0 + 1, pair[1].first.0);
        }
        for piece in &pieces {
            assert!(piece.keep.len() <= RESYNC_LEGS_MAX);
            assert!(piece.keep.iter().all(|leg| (piece.first..=piece.last).contains(leg)));
        }
        assert_eq!(pieces.into_iter().flat_map(|piece| piece.keep).collect::<Vec<_>>(), keep);
    }
}
