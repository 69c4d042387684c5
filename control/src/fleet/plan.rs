//! What one relay should hold, what it is known to hold, and the difference as orders.
//!
//! **Wishes and answers in, orders out; no socket, no clock.** Each order carries a generation
//! that was never used before. A link that breaks loses whatever was under way; the next one
//! begins with [`Plan::link_up`], which forgets nothing that is wanted and keeps nothing that is
//! not. So the relay ends up with exactly the wanted legs, whatever was lost or repeated.

use super::{Generations, Standing, WantedLeg};
use crate::capacity::{BATCHES_FOR_REMOVALS, BATCHES_IN_FLIGHT_MAX};
use kakehashi_wire::id::{CallId, Epoch, Generation, Incarnation, LegId, ShardIndex, Term};
use kakehashi_wire::limits::ORDERS_PER_BATCH_MAX;
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    LegStream, Order, OrderResult, Outcome, RESYNC_LEGS_MAX, RemoveLeg, Resync, Subscription,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Where a leg is between wish and answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// To install.
    Missing,
    /// Install is under way.
    Installing(Generation),
    /// Held; to be told what it receives.
    Unsubscribed,
    /// That is under way; held.
    Subscribing(Generation),
    /// Held; to renew at that time.
    InForce(Duration),
    /// To renew.
    Ageing,
    /// Renewal is under way; held.
    Renewing(Generation),
    /// The relay said no.
    Refused(Outcome),
    /// Held, but the relay will not do with it what it should: to remove.
    Unfit(Outcome),
    /// Removal of an unfit leg is under way.
    Discarding(Generation, Outcome),
    /// To remove.
    Unwanted,
    /// Removal is under way.
    Removing(Generation),
}

/// Which orders go first: a leg that must go carries media that nobody should get any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Urgency {
    Removal,
    Usual,
}

impl Phase {
    /// How much its order hurries; `None` if no order is due.
    fn urgency(self) -> Option<Urgency> {
        match self {
            Self::Unwanted | Self::Unfit(_) => Some(Urgency::Removal),
            Self::Missing | Self::Unsubscribed | Self::Ageing => Some(Urgency::Usual),
            _ => None,
        }
    }
}

struct Entry {
    leg: WantedLeg,
    phase: Phase,
    /// The life it has at the relay, while the relay is thought to hold it.
    epoch: Option<Epoch>,
    /// In this life the relay has been told what the leg receives.
    subscribed: bool,
    /// Where its relay was told last that its terminal is seen.
    told: Host,
    /// When its life there is to be extended.
    renew_at: Duration,
}

impl Entry {
    fn new(leg: WantedLeg) -> Self {
        Self {
            leg,
            phase: Phase::Missing,
            epoch: None,
            subscribed: false,
            told: Host::UNKNOWN,
            renew_at: Duration::ZERO,
        }
    }

    /// Where a leg goes that the relay holds and that is not due for renewal for its age.
    fn settled(&self) -> Phase {
        match self.subscribed {
            false => Phase::Unsubscribed,
            true if self.told != self.leg.seen_at => Phase::Ageing,
            true => Phase::InForce(self.renew_at),
        }
    }
}

/// One relay's plan.
pub struct Plan {
    legs: BTreeMap<LegId, Entry>,
    /// How many of them are on each shard.
    on_shard: BTreeMap<ShardIndex, u32>,
    /// Legs that need an order, the most urgent first.
    todo: BTreeSet<(Urgency, LegId)>,
    /// When legs in force are to be renewed.
    renewals: BTreeSet<(Duration, LegId)>,
    /// When each unanswered batch was made.
    in_flight: VecDeque<Duration>,
    incarnation: Option<Incarnation>,
    linked: bool,
    lifetime: Duration,
}

impl Plan {
    /// An empty plan whose legs live for `lifetime` without renewal.
    pub fn new(lifetime: Duration) -> Self {
        Self {
            legs: BTreeMap::new(),
            on_shard: BTreeMap::new(),
            todo: BTreeSet::new(),
            renewals: BTreeSet::new(),
            in_flight: VecDeque::new(),
            incarnation: None,
            linked: false,
            lifetime,
        }
    }

    /// The relay should hold this leg.
    pub fn want(&mut self, leg: WantedLeg) {
        let (id, shard) = (leg.leg, leg.shard);
        self.forget(id);
        *self.on_shard.entry(shard).or_default() += 1;
        self.legs.insert(id, Entry::new(leg));
        self.todo.insert((Urgency::Usual, id));
    }

    /// The same, of a leg that another node wanted; if the relay was known to hold it, in that
    /// life, it is renewed and not begun again.
    pub fn adopt(&mut self, leg: WantedLeg, epoch: Option<Epoch>) {
        let id = leg.leg;
        self.want(leg);
        if let Some(entry) = self.legs.get_mut(&id).filter(|_| epoch.is_some()) {
            entry.epoch = epoch;
            self.enter(id, Phase::Ageing);
        }
    }

    /// The relay should no longer hold this leg.
    pub fn release(&mut self, leg: LegId) {
        if !self.linked {
            // The next link begins with the list of what is wanted.
            self.forget(leg);
        } else if self.legs.contains_key(&leg) {
            self.enter(leg, Phase::Unwanted);
        }
    }

    /// A leg should receive these streams from now on.
    pub fn resubscribe(&mut self, leg: LegId, subscriptions: Vec<Subscription>) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        entry.leg.subscriptions = Some(subscriptions);
        entry.subscribed = false;
        match entry.phase {
            // What is under way says what it should have received before, or nothing of it.
            Phase::Subscribing(_) | Phase::InForce(_) | Phase::Ageing | Phase::Renewing(_) => {
                self.enter(leg, Phase::Unsubscribed);
            }
            // It is said when the leg is there.
            Phase::Missing | Phase::Installing(_) | Phase::Unsubscribed => {}
            Phase::Refused(_) | Phase::Unfit(_) | Phase::Discarding(..) => {}
            Phase::Unwanted | Phase::Removing(_) => {}
        }
    }

    /// The terminal of a leg is seen there now: the next renewal, which is due at once, says so.
    pub fn see(&mut self, leg: LegId, seen_at: Host) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        entry.leg.seen_at = seen_at;
        // Any other leg is told with what comes next, or when it has settled.
        if let Phase::InForce(_) | Phase::Renewing(_) = entry.phase {
            let phase = entry.settled();
            self.enter(leg, phase);
        }
    }

    /// How a leg stands.
    pub fn standing(&self, leg: LegId) -> Standing {
        let Some(entry) = self.legs.get(&leg) else { return Standing::Unwanted };
        match entry.phase {
            Phase::Missing | Phase::Installing(_) => Standing::Waiting,
            // Until the relay knows what a leg receives, the leg would get more than it should.
            Phase::Unsubscribed | Phase::Subscribing(_) => Standing::Waiting,
            Phase::Ageing | Phase::Renewing(_) if !entry.subscribed => Standing::Waiting,
            Phase::InForce(_) | Phase::Ageing | Phase::Renewing(_) => Standing::InForce,
            Phase::Refused(outcome) | Phase::Unfit(outcome) => Standing::Refused(outcome),
            Phase::Discarding(_, outcome) => Standing::Refused(outcome),
            Phase::Unwanted | Phase::Removing(_) => Standing::Unwanted,
        }
    }

    /// The life a leg has at the relay; `None` while the relay is not known to hold it.
    pub fn epoch(&self, leg: LegId) -> Option<Epoch> {
        self.legs.get(&leg)?.epoch
    }

    /// A stream of a leg has wrapped so often: later installs say so.
    pub fn raise_rollover(&mut self, leg: LegId, said: LegStream) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        let stream = entry.leg.streams.iter_mut().find(|stream| stream.ssrc == said.ssrc);
        if let Some(stream) = stream {
            stream.rollover = stream.rollover.max(said.rollover);
        }
    }

    /// A link began. Returns what to say first in `term`: the wanted legs in pieces that cover all
    /// numbers.
    pub fn link_up(&mut self, incarnation: Incarnation, term: Term) -> Vec<Resync> {
        self.incarnation = Some(incarnation);
        self.linked = true;
        self.in_flight.clear();
        let legs = self.legs.iter().map(|(leg, entry)| (*leg, entry.phase, entry.epoch));
        for (leg, phase, epoch) in legs.collect::<Vec<_>>() {
            let same_life = epoch.is_some_and(|epoch| epoch.incarnation == incarnation);
            match phase {
                Phase::Unwanted | Phase::Removing(_) => self.forget(leg),
                // Installing it again would make the relay forget the terminal's address.
                Phase::Unsubscribed
                | Phase::Subscribing(_)
                | Phase::InForce(_)
                | Phase::Ageing
                | Phase::Renewing(_)
                    if same_life =>
                {
                    self.enter(leg, Phase::Ageing);
                }
                Phase::Refused(outcome) | Phase::Unfit(outcome) | Phase::Discarding(_, outcome) => {
                    self.enter(leg, Phase::Refused(outcome))
                }
                _ => self.enter(leg, Phase::Missing),
            }
        }
        let refused = |entry: &Entry| matches!(entry.phase, Phase::Refused(_));
        let kept = self.legs.iter().filter(|(_, entry)| !refused(entry));
        resync(term, kept.map(|(leg, _)| *leg).collect())
    }

    /// The link broke; whatever was under way is lost.
    pub fn link_down(&mut self) {
        self.linked = false;
        self.in_flight.clear();
    }

    /// The next batch of orders, empty if there is nothing to say or too much is unanswered.
    pub fn orders(&mut self, now: Duration, generations: &mut Generations) -> Vec<Order> {
        let mut batch = Vec::new();
        if !self.linked {
            return batch;
        }
        self.note_due_renewals(now);
        while batch.len() < ORDERS_PER_BATCH_MAX {
            let Some((urgency, leg)) = self.todo.first().copied() else { break };
            if !self.has_room_for(urgency) {
                break;
            }
            let Some(generation) = generations.draw() else { break };
            self.todo.remove(&(urgency, leg));
            batch.extend(self.order(leg, generation));
        }
        if !batch.is_empty() {
            self.in_flight.push_back(now);
        }
        batch
    }

    /// The relay answered one batch. Returns the calls of legs whose standing changed.
    pub fn answered(&mut self, results: &[OrderResult], now: Duration) -> Vec<CallId> {
        self.in_flight.pop_front();
        results.iter().filter_map(|result| self.result(result, now)).collect()
    }

    /// When the plan wants to be asked for [`orders`](Self::orders) again.
    pub fn next_renewal(&self) -> Option<Duration> {
        self.renewals.first().map(|(at, _)| *at).filter(|_| self.linked)
    }

    /// When the oldest unanswered batch was made.
    pub fn unanswered_since(&self) -> Option<Duration> {
        self.in_flight.front().copied()
    }

    /// The calls that have legs here.
    pub fn calls(&self) -> BTreeSet<CallId> {
        self.legs.values().map(|entry| entry.leg.call).collect()
    }

    /// Legs a shard holds or has been told to hold, as far as is known.
    pub fn legs_on(&self, shard: ShardIndex) -> u32 {
        self.on_shard.get(&shard).copied().unwrap_or(0)
    }

    /// Whether another batch may go although earlier ones are unanswered.
    fn has_room_for(&self, urgency: Urgency) -> bool {
        let most = match urgency {
            Urgency::Removal => BATCHES_IN_FLIGHT_MAX + BATCHES_FOR_REMOVALS,
            Urgency::Usual => BATCHES_IN_FLIGHT_MAX,
        };
        self.in_flight.len() < most
    }

    fn order(&mut self, leg: LegId, generation: Generation) -> Option<Order> {
        let lifetime_ms = u32::try_from(self.lifetime.as_millis()).unwrap_or(u32::MAX);
        let entry = self.legs.get_mut(&leg)?;
        let (phase, order) = match entry.phase {
            Phase::Missing => {
                (entry.subscribed, entry.told) = (true, entry.leg.seen_at);
                (Phase::Installing(generation), entry.leg.install(generation, lifetime_ms))
            }
            Phase::Unsubscribed => {
                (Phase::Subscribing(generation), entry.leg.subscribe(generation))
            }
            Phase::Ageing => {
                entry.told = entry.leg.seen_at;
                (Phase::Renewing(generation), entry.leg.renew(generation, lifetime_ms))
            }
            Phase::Unwanted => {
                (Phase::Removing(generation), Order::Remove(RemoveLeg { leg, generation }))
            }
            Phase::Unfit(outcome) => {
                let order = Order::Remove(RemoveLeg { leg, generation });
                (Phase::Discarding(generation, outcome), order)
            }
            _ => return None,
        };
        entry.phase = phase;
        Some(order)
    }

    fn result(&mut self, result: &OrderResult, now: Duration) -> Option<CallId> {
        let entry = self.legs.get_mut(&result.leg)?;
        let asked = match entry.phase {
            Phase::Installing(asked) | Phase::Subscribing(asked) | Phase::Renewing(asked) => asked,
            Phase::Removing(asked) | Phase::Discarding(asked, _) => asked,
            _ => return None,
        };
        if asked != result.generation {
            return None;
        }
        let (call, outcome) = (entry.leg.call, result.outcome);
        let holds = matches!(outcome, Outcome::Applied | Outcome::Unchanged);
        // Renewed after a third of its life: two more chances before it ends.
        let renew_at = now + self.lifetime / 3;
        let (phase, is_news) = match entry.phase {
            Phase::Installing(_) if holds => {
                // What another node had the relay hold before goes on as the life it has.
                let incarnation = self.incarnation?;
                entry.epoch = Some(Epoch { incarnation, generation: result.life });
                entry.renew_at = renew_at;
                (entry.settled(), true)
            }
            Phase::Installing(_) => (Phase::Refused(outcome), true),
            Phase::Subscribing(_) if holds => {
                entry.subscribed = true;
                (entry.settled(), true)
            }
            Phase::Renewing(_) if holds => {
                entry.renew_at = renew_at;
                (entry.settled(), false)
            }
            // A leg the relay lost is installed again; the call goes on meanwhile.
            Phase::Renewing(_) => (Phase::Missing, false),
            Phase::Subscribing(_) if outcome == Outcome::NoSuchLeg => (Phase::Missing, false),
            Phase::Subscribing(_) => (Phase::Unfit(outcome), true),
            Phase::Discarding(_, outcome) => (Phase::Refused(outcome), false),
            _ => {
                self.forget(result.leg);
                return None;
            }
        };
        self.enter(result.leg, phase);
        is_news.then_some(call)
    }

    fn note_due_renewals(&mut self, now: Duration) {
        while let Some((at, leg)) = self.renewals.first().copied() {
            if at > now {
                break;
            }
            self.enter(leg, Phase::Ageing);
        }
    }

    /// Changes a leg's phase and keeps the two indices true.
    fn enter(&mut self, leg: LegId, phase: Phase) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        if let Phase::InForce(at) = entry.phase {
            self.renewals.remove(&(at, leg));
        }
        if let Some(urgency) = entry.phase.urgency() {
            self.todo.remove(&(urgency, leg));
        }
        entry.phase = phase;
        if matches!(phase, Phase::Missing | Phase::Refused(_)) {
            entry.epoch = None;
        }
        if let Some(urgency) = phase.urgency() {
            self.todo.insert((urgency, leg));
        }
        if let Phase::InForce(at) = phase {
            self.renewals.insert((at, leg));
        }
    }

    fn forget(&mut self, leg: LegId) {
        let Some(entry) = self.legs.remove(&leg) else { return };
        if let Some(urgency) = entry.phase.urgency() {
            self.todo.remove(&(urgency, leg));
        }
        if let Phase::InForce(at) = entry.phase {
            self.renewals.remove(&(at, leg));
        }
        if let Some(count) = self.on_shard.get_mut(&entry.leg.shard) {
            *count = count.saturating_sub(1);
        }
    }
}

/// `keep`, which is sorted, in pieces whose ranges cover every number exactly once.
fn resync(term: Term, keep: Vec<LegId>) -> Vec<Resync> {
    let mut first = LegId(0);
    let mut pieces = Vec::new();
    let mut rest = keep.as_slice();
    while rest.len() > RESYNC_LEGS_MAX {
        let (piece, others) = rest.split_at(RESYNC_LEGS_MAX);
        let last = LegId(others[0].0 - 1);
        pieces.push(Resync { term, first, last, keep: piece.to_vec() });
        first = others[0];
        rest = others;
    }
    pieces.push(Resync { term, first, last: LegId(u64::MAX), keep: rest.to_vec() });
    pieces
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
