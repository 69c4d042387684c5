//! Random days at a few desks: nobody is skipped, no call is lost or given twice.

use super::super::{Agent, RingOrder};
use super::*;
use kakehashi_wire::terminal::PresenceState;
use proptest::prelude::*;

const TENANT: TenantId = TenantId(1);
const NAMES: [&str; 3] = ["a", "b", "c"];
const AGENTS: u64 = 5;

fn key(nth: usize) -> DeskId {
    DeskId { tenant: TENANT, name: NAMES[nth].into() }
}

fn account(agent: u64) -> AccountKey {
    AccountKey { tenant: TENANT, account: AccountId(agent) }
}

/// Three desks that overflow in a circle, each with some of the agents.
fn desks(orders: [RingOrder; 3]) -> Vec<Desk> {
    let desk = |nth: usize| {
        let agents = (0..AGENTS).filter(|agent| agent % 3 != nth as u64);
        let agent = |agent| Agent { account: AccountId(agent), login: String::new() };
        let after_s = 10 + 10 * nth as u32;
        Desk {
            agents: agents.map(agent).collect(),
            order: orders[nth],
            queue_max: 4,
            overflow: Some(Overflow { desk: NAMES[(nth + 1) % 3].into(), after_s }),
            wait_max_s: 100,
            ..Desk::new(NAMES[nth].into())
        }
    };
    (0..3).map(desk).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Enter(usize),
    /// The nth ringing call is answered by one of its agents.
    Answer(usize, usize),
    /// The nth ringing call is let pass.
    Pass(usize),
    /// The nth call of all is given up.
    Leave(usize),
    /// An agent is free, or is not.
    Free(u64, bool),
    Wait(u64),
    /// The desks are written again, without the nth.
    Set(usize),
    /// Another lead takes over, which hears of the agents in this order.
    TakeOver(Vec<u64>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_usize..3).prop_map(Act::Enter),
        4 => (0_usize..4, 0_usize..5).prop_map(|(nth, agent)| Act::Answer(nth, agent)),
        2 => (0_usize..4).prop_map(Act::Pass),
        1 => (0_usize..9).prop_map(Act::Leave),
        5 => (0..AGENTS, any::<bool>()).prop_map(|(agent, free)| Act::Free(agent, free)),
        3 => (1_u64..30).prop_map(Act::Wait),
        1 => (0_usize..9).prop_map(Act::Set),
        1 => Just((0..AGENTS).collect::<Vec<_>>()).prop_shuffle().prop_map(Act::TakeOver),
    ]
}

struct Day {
    desks: Desks,
    orders: Vec<RingOrder>,
    /// The desks as they were written last.
    written: Vec<Desk>,
    term: u64,
    /// When each agent became free, in turns of its own.
    idle: HashMap<u64, usize>,
    turns: usize,
    now: Duration,
    next: u64,
    revision: u64,
    free: BTreeSet<u64>,
    /// Calls in the order in which they came, and where they rang.
    calls: Vec<CallId>,
    ringing: BTreeMap<CallId, Vec<u64>>,
    moves: HashMap<CallId, usize>,
}

impl Day {
    fn new(orders: Vec<RingOrder>) -> Self {
        Self {
            desks: Desks::new(Term(1)),
            orders,
            written: Vec::new(),
            term: 1,
            idle: HashMap::new(),
            turns: 0,
            now: Duration::from_secs(100_000),
            next: 0,
            revision: 0,
            free: BTreeSet::new(),
            calls: Vec::new(),
            ringing: BTreeMap::new(),
            moves: HashMap::new(),
        }
    }

    /// Whose turn it would be at each desk.
    fn turns(&self) -> Vec<Vec<AccountId>> {
        let free = |agent: AccountId| self.free.contains(&agent.0);
        let idle = |agent: AccountId| self.desks.idle_since(account(agent.0));
        self.desks.lanes.values().map(|lane| lane.pick(free, idle)).collect()
    }

    /// Another lead takes over, with calls at once and agents as they are handed over.
    fn take_over(&mut self, order: &[u64]) {
        let turns = self.turns();
        self.term += 1;
        let older = std::mem::replace(&mut self.desks, Desks::new(Term(self.term)));
        let gone = self.desks.set(TENANT, Revision(self.revision), self.written.clone());
        assert!(gone.is_empty());
        for call in &self.calls {
            let (place, ages) = older.place(*call, self.now).unwrap();
            self.desks.restore(*call, place.clone(), ages, self.now);
        }
        for agent in order {
            let known = older.agent(account(*agent)).unwrap();
            assert!(self.desks.restore_agent(account(*agent), &known));
            assert_eq!(self.desks.agent(account(*agent)), Some(known));
            let state = match (self.free.contains(agent), self.rings_at(*agent)) {
                (true, _) => PresenceState::Waiting,
                (false, true) => PresenceState::Ringing,
                (false, false) => PresenceState::InCall,
            };
            self.desks.noticed(account(*agent), PresenceState::Offline, state);
        }
        assert_eq!(self.turns(), turns, "whose turn it is");
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::TakeOver(ref order) => self.take_over(order),
            Act::Enter(nth) => {
                let free = |_: AccountKey| true;
                if self.desks.staff(&key(nth), free).is_some_and(|staff| staff.has_room) {
                    self.next += 1;
                    let call = CallId(self.next);
                    self.desks.enter(key(nth), call, self.now);
                    assert!(self.desks.wait(call, self.now));
                    self.calls.push(call);
                }
            }
            Act::Answer(nth, agent) => {
                let Some(call) = self.ringing.keys().nth(nth).copied() else { return };
                let agents = self.ringing[&call].clone();
                let winner = agents[agent % agents.len()];
                self.over(call);
                // Who only rang is free again; who answered is not.
                for loser in agents.into_iter().filter(|agent| *agent != winner) {
                    self.set_free(loser, PresenceState::Ringing);
                }
            }
            Act::Pass(nth) => {
                let Some(call) = self.ringing.keys().nth(nth).copied() else { return };
                self.ringing.remove(&call);
                assert!(self.desks.wait(call, self.now));
            }
            Act::Leave(nth) => {
                if let Some(call) = self.calls.get(nth).copied() {
                    for agent in self.ringing.get(&call).cloned().unwrap_or_default() {
                        self.set_free(agent, PresenceState::Ringing);
                    }
                    self.over(call);
                }
            }
            Act::Free(agent, true) if !self.rings_at(agent) => {
                if !self.free.contains(&agent) {
                    self.set_free(agent, PresenceState::InCall);
                }
            }
            Act::Free(agent, _) => {
                self.free.remove(&agent);
            }
            Act::Wait(seconds) => self.wait(seconds),
            Act::Set(without) => {
                self.revision += 1;
                let orders = [self.orders[0], self.orders[1], self.orders[2]];
                let mut desks = desks(orders);
                if without < desks.len() {
                    desks.remove(without);
                }
                self.written.clone_from(&desks);
                for call in self.desks.set(TENANT, Revision(self.revision), desks) {
                    for agent in self.ringing.get(&call).cloned().unwrap_or_default() {
                        self.set_free(agent, PresenceState::Ringing);
                    }
                    self.over(call);
                }
            }
        }
    }

    fn over(&mut self, call: CallId) {
        assert!(self.desks.leave(call, self.now).is_some());
        assert!(self.desks.leave(call, self.now).is_none(), "given twice");
        self.calls.retain(|other| *other != call);
        self.ringing.remove(&call);
    }

    fn set_free(&mut self, agent: u64, before: PresenceState) {
        self.free.insert(agent);
        if before != PresenceState::Ringing {
            self.turns += 1;
            self.idle.insert(agent, self.turns);
        }
        self.desks.noticed(account(agent), before, PresenceState::Waiting);
    }

    fn rings_at(&self, agent: u64) -> bool {
        self.ringing.values().any(|agents| agents.contains(&agent))
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        for call in self.calls.clone() {
            if self.ringing.contains_key(&call) {
                continue;
            }
            if self.desks.patience(call, self.now).is_some_and(|at| at > self.now) {
                let entered = self.desks.places[&call].entered;
                assert!(self.now >= entered);
            }
            if self.desks.gives_up(call, self.now) {
                self.over(call);
            } else if self.desks.overflow(call, self.now) {
                *self.moves.entry(call).or_default() += 1;
            }
        }
    }

    /// All offers that there are, each checked.
    fn offer(&mut self) -> Result<(), TestCaseError> {
        loop {
            let free = self.free.clone();
            let is_free = |account: AccountKey| free.contains(&account.account.0);
            let Some(offer) = self.desks.next_offer(is_free) else { break };
            let desk = self.desks.desk(&offer.key).unwrap().clone();
            prop_assert!(!self.ringing.contains_key(&offer.call), "given twice");
            prop_assert!(self.calls.contains(&offer.call), "a call that is over");
            // Nobody who came earlier waits at this desk.
            let earlier = self.calls.iter().take_while(|call| **call != offer.call);
            for call in earlier.filter(|call| !self.ringing.contains_key(*call)) {
                prop_assert_ne!(&self.desks.places[call].key, &offer.key, "a call was skipped");
            }
            let could = desk.agents.iter().map(|agent| agent.account.0);
            let could: Vec<_> = could.filter(|agent| free.contains(agent)).collect();
            let agents: Vec<_> = offer.agents.iter().map(|agent| agent.0).collect();
            match desk.order {
                RingOrder::RingAll => prop_assert_eq!(&agents, &could),
                RingOrder::LongestIdle => {
                    let idle = |agent: &u64| self.idle.get(agent).copied().unwrap_or(0);
                    let longest = could.iter().copied().min_by_key(idle);
                    prop_assert_eq!(&agents, &Vec::from_iter(longest));
                }
                RingOrder::RoundRobin => {
                    prop_assert!(agents.len() == 1 && could.contains(&agents[0]));
                }
            }
            for agent in &agents {
                prop_assert!(self.free.remove(agent));
            }
            self.ringing.insert(offer.call, agents);
        }
        Ok(())
    }

    /// Every call stands in one queue; who waits although somebody is free has no agent there.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut queued: Vec<_> = self.desks.lanes.values().flat_map(Lane::calls).collect();
        queued.sort_unstable();
        let mut calls = self.calls.clone();
        calls.sort_unstable();
        prop_assert_eq!(queued, calls, "a call is lost or stands twice");
        for (call, place) in &self.desks.places {
            let lane = &self.desks.lanes[&place.key];
            prop_assert!(lane.calls().any(|other| other == *call));
            prop_assert!(lane.calls().count() <= lane.desk.queue_max as usize);
            prop_assert!(lane.calls().collect::<Vec<_>>().is_sorted(), "in the order they came");
            let mut agents = lane.desk.agents.iter();
            let anybody = agents.any(|agent| self.free.contains(&agent.account.0));
            prop_assert!(place.stage == Stage::Rings || !anybody, "passed over: {call:?}");
        }
        for moves in self.moves.values() {
            prop_assert!(*moves < NAMES.len(), "overflow has an end");
        }
        Ok(())
    }
}

fn order() -> impl Strategy<Value = RingOrder> {
    prop_oneof![Just(RingOrder::LongestIdle), Just(RingOrder::RoundRobin), Just(RingOrder::RingAll)]
}

proptest! {
    #[test]
    fn every_day_ends_with_nobody_skipped_lost_or_given_twice(
        orders in prop::collection::vec(order(), 3),
        acts in prop::collection::vec(act(), 0..200),
    ) {
        let mut day = Day::new(orders);
        day.act(&Act::Set(9));
        for act in &acts {
            day.act(act);
            day.offer()?;
            day.check()?;
        }
        // Whoever still waits gives up in the end, and nothing is left.
        for call in day.ringing.keys().copied().collect::<Vec<_>>() {
            prop_assert!(day.desks.wait(call, day.now));
        }
        day.ringing.clear();
        day.wait(1000);
        prop_assert!(day.calls.is_empty() && day.desks.places.is_empty());
    }
}

#[test]
fn agents_take_turns() {
    for order in [RingOrder::LongestIdle, RingOrder::RoundRobin] {
        let mut desks = Desks::new(Term(1));
        let agent = |account| Agent { account: AccountId(account), login: String::new() };
        let agents = (0..3).map(agent).collect();
        let desk = Desk { order, agents, ..Desk::new("a".into()) };
        desks.set(TENANT, Revision(1), vec![desk]);
        for agent in 0..3 {
            desks.noticed(account(agent), PresenceState::Offline, PresenceState::Waiting);
        }
        let mut turns = Vec::new();
        for call in (1..=6).map(CallId) {
            desks.enter(key(0), call, Duration::ZERO);
            desks.wait(call, Duration::ZERO);
            let offer = desks.next_offer(|_| true).unwrap();
            turns.push(offer.agents[0].0);
            desks.leave(call, Duration::ZERO);
            let agent = account(offer.agents[0].0);
            desks.noticed(agent, PresenceState::InCall, PresenceState::Waiting);
        }
        assert_eq!(turns, [0, 1, 2, 0, 1, 2], "{order:?}");
    }
}

#[test]
fn callers_are_told_of_their_places_once_a_second_at_most() {
    let second = Duration::from_secs;
    let mut desks = Desks::new(Term(1));
    desks.set(TENANT, Revision(1), self::desks([RingOrder::LongestIdle; 3]));
    let there = |_: AccountKey| true;
    let mut told = Vec::new();
    for call in (1..=4).map(CallId) {
        desks.enter(key(0), call, Duration::ZERO);
        assert_eq!(desks.tell(call, there), None, "before it waits nothing is said");
        desks.wait(call, Duration::ZERO);
        told.extend(desks.tell(call, there));
    }
    let positions = told.iter().map(|told| told.position).collect::<Vec<_>>();
    assert_eq!(positions, [1, 2, 3, 4]);
    assert!(told.iter().all(|told| told.wait_ms == 0 && !told.overflow), "nothing is known yet");
    assert!(!desks.staff(&key(0), there).unwrap().has_room);
    desks.note_occupied(&key(0), second(50));
    desks.leave(CallId(1), second(5));
    assert_eq!(desks.next_news(), Some(second(5)));
    assert_eq!(desks.due_news(second(5)).unwrap(), [2, 3, 4].map(CallId));
    // 50 s and 10 of wrap-up, three agents.
    let expected = Told { position: 2, wait_ms: 40_000, overflow: false };
    assert_eq!(desks.tell(CallId(3), there), Some(expected));
    assert_eq!(desks.tell(CallId(3), there), None, "no news");
    desks.leave(CallId(2), second(5));
    assert_eq!(desks.next_news(), Some(second(6)));
    assert_eq!(desks.due_news(second(5)), None);
    assert!(desks.overflow(CallId(4), second(10)) && !desks.overflow(CallId(4), second(10)));
    let moved = desks.tell(CallId(4), there).unwrap();
    assert_eq!((moved.position, moved.overflow), (1, true));
    assert_eq!(desks.leave(CallId(4), second(12)).unwrap().key, key(1));
}

#[test]
fn an_older_list_changes_nothing() {
    let mut desks = Desks::new(Term(1));
    let list = || self::desks([RingOrder::LongestIdle; 3]);
    desks.set(TENANT, Revision(7), list());
    desks.set(TENANT, Revision(6), Vec::new());
    assert!(desks.desk(&key(0)).is_some());
    desks.set(TENANT, Revision(8), Vec::new());
    assert!(desks.desk(&key(0)).is_none());
    let nobody = desks.staff(&key(0), |_| true);
    assert_eq!(nobody, None);
    desks.set(TENANT, Revision(9), list());
    let foreign = DeskId { tenant: TenantId(2), ..key(0) };
    assert_eq!(desks.staff(&foreign, |_| true), None, "another tenant's desk is none");
    assert!(!desks.staff(&key(0), |_| false).unwrap().is_there);
    assert!(desks.staff(&key(0), |it| it == account(0)).unwrap().is_there, "by overflow");
}
