//! Random lives of a small node: whatever happens, every request is answered exactly once, nobody
//! speaks in two calls, tenants stay apart, keys stay where they belong, whatever is lost both ends
//! agree in the end, and nothing is left when all calls are over.

mod desks;
mod ends;
mod sessions;
mod take_over;

use super::*;
use crate::calls::Standing;
use crate::calls::{limits, subscriptions};
use crate::capacity::{CALL_MEMBERS_MAX, CALLS_PER_ACCOUNT_MAX};
use crate::desks::RingOrder;
use crate::sessions::Whom;
use kakehashi_wire::id::{Epoch, LegId, MemberId, RelayId};
use kakehashi_wire::secret::MasterKey;
use kakehashi_wire::terminal::Layer;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug)]
enum Act {
    SignIn(usize),
    /// The last one once more, as if an answer had been lost.
    Again,
    Leave(usize),
    /// Its terminal is seen elsewhere.
    Move(usize, u64),
    /// Its connection is lost.
    Lose(usize),
    /// It comes back, if it was ever there.
    Resume(usize),
    /// It hears nothing of what the next act brings, and its connection is lost after that.
    Deafen(usize),
    /// Somebody listens to the `nth` call.
    Listen(usize, usize),
    /// The link of a relay breaks, and what was under way was done or not.
    Cut(u32, bool),
    /// Whether relays say everything twice.
    Repeat(bool),
    /// An account, or one device, or the whole tenant is suspended, and active again at once.
    Suspend(usize, u8),
    Watch(usize),
    Away(usize, bool),
    Missed(usize, u64),
    Invite {
        from: usize,
        to: u64,
        streams: usize,
    },
    AtDesk(desks::AtDesk),
    /// Something about the `nth` call that was ever made, by anybody.
    On {
        who: usize,
        nth: usize,
        what: u8,
    },
    /// Brings somebody into the `nth` call.
    Add {
        who: usize,
        nth: usize,
        to: u64,
        then_leave: bool,
    },
    /// Joins the `nth` call and another.
    Merge {
        who: usize,
        nth: usize,
        with: usize,
        then_leave: bool,
    },
    /// An operator ends the `nth` call that was ever made.
    EndCall(usize),
    Wait(u64),
    Disk(bool),
    RelaysAnswer(bool),
    TakeOver(take_over::TakeOver),
    LinkDown(u32),
    LinkUp(u32),
    Restart(u32),
    Refuse {
        relay: u32,
        refuses: bool,
    },
}

const ACCOUNTS: usize = 8;

/// Each account has so many devices; a slot is one of them.
const DEVICES: usize = 2;

/// Most acts are of people who call each other while all is well: a node without disk or relays
/// refuses everything.
fn act() -> impl Strategy<Value = Act> {
    let slot = 0..ACCOUNTS * DEVICES;
    let rarely = || prop::bool::weighted(0.2);
    // Accept, hold, hang up, or anything.
    let what = prop_oneof![8 => Just(0_u8), 4 => Just(5), 1 => Just(3), 6 => 0_u8..13];
    prop_oneof![
        10 => slot.clone().prop_map(Act::SignIn),
        15 => Just(Act::Again),
        2 => slot.clone().prop_map(Act::Leave),
        6 => (slot.clone(), 0_u64..4).prop_map(|(slot, to)| Act::Move(slot, 40_000 + to)),
        8 => slot.clone().prop_map(Act::Lose),
        12 => slot.clone().prop_map(Act::Resume),
        10 => slot.clone().prop_map(Act::Deafen),
        12 => (slot.clone(), 0_usize..4).prop_map(|(who, nth)| Act::Listen(who, nth)),
        6 => (1_u32..3, any::<bool>()).prop_map(|(relay, was_done)| Act::Cut(relay, was_done)),
        2 => any::<bool>().prop_map(Act::Repeat),
        2 => (slot.clone(), prop_oneof![4 => 0_u8..2, 1 => Just(2)])
            .prop_map(|(slot, what)| Act::Suspend(slot, what)),
        2 => (0_usize..4).prop_map(Act::EndCall),
        2 => slot.clone().prop_map(Act::Watch),
        2 => (slot.clone(), any::<bool>()).prop_map(|(slot, away)| Act::Away(slot, away)),
        2 => (slot.clone(), 0_u64..2).prop_map(|(slot, seen)| Act::Missed(slot, seen)),
        50 => (slot.clone(), 0_u64..9, prop_oneof![4 => Just(1_usize), 1 => 0_usize..3])
            .prop_map(|(from, to, streams)| Act::Invite { from, to, streams }),
        120 => (slot.clone(), 0_usize..4, what)
            .prop_map(|(who, nth, what)| Act::On { who, nth, what }),
        50 => (slot.clone(), 0_usize..4, 0_u64..8, any::<bool>())
            .prop_map(|(who, nth, to, then_leave)| Act::Add { who, nth, to, then_leave }),
        40 => (slot, 0_usize..4, 0_usize..4, any::<bool>())
            .prop_map(|(who, nth, with, then_leave)| Act::Merge { who, nth, with, then_leave }),
        40 => desks::at_desk(0..ACCOUNTS * DEVICES).prop_map(Act::AtDesk),
        10 => (0_u64..2_000).prop_map(Act::Wait),
        3 => (0_u64..60_000).prop_map(Act::Wait),
        3 => rarely().prop_map(Act::Disk),
        6 => take_over::take_over(0..ACCOUNTS * DEVICES).prop_map(Act::TakeOver),
        8 => rarely().prop_map(|silent| Act::RelaysAnswer(!silent)),
        2 => (1_u32..4).prop_map(Act::LinkDown),
        6 => (1_u32..4).prop_map(Act::LinkUp),
        1 => (1_u32..4).prop_map(Act::Restart),
        4 => (1_u32..4, rarely())
            .prop_map(|(relay, refuses)| Act::Refuse { relay, refuses }),
    ]
}

struct Life {
    world: World,
    sessions: [Option<u64>; ACCOUNTS * DEVICES],
    /// The first number of the last session of each device.
    firsts: [Option<u64>; ACCOUNTS * DEVICES],
    next_session: u64,
    calls: Vec<CallId>,
    asked: HashMap<RequestId, SessionId>,
    answered: BTreeSet<RequestId>,
    isolation: Isolation,
    /// Lives of legs that sessions were told of.
    lives: HashSet<(SessionId, Epoch)>,
    /// Who was told to ring and of what, and not of its end.
    ringing: HashSet<(SessionId, CallId)>,
    declines: HashMap<RequestId, CallId>,
    last: Option<Act>,
    /// The keys of each round that members were told of.
    keys: Vec<((CallId, u32), MasterKey)>,
    /// The last round of a call that a session was told of.
    rounds: HashMap<(SessionId, CallId), u32>,
    revision: u64,
    /// Which slot's each session was.
    slots: HashMap<SessionId, usize>,
    views: [ends::View; ACCOUNTS * DEVICES],
    wishes: HashMap<RequestId, ends::Wish>,
    /// Who hears nothing more over its connection.
    deaf: Option<usize>,
    /// Legs of whoever was suspended.
    barred: Vec<(RelayId, LegId)>,
}

fn account(slot: usize) -> usize {
    slot / DEVICES
}

/// Accounts 0 to 6 are of tenant 1, the others of tenant 2.
fn tenant(account: usize) -> u64 {
    if account < 7 { 1 } else { 2 }
}

/// A request about a call, of the kind with this number.
fn about(request: RequestId, call: CallId, what: u8) -> Request {
    match what {
        0 => Request::Accept(Accept { request, call, streams: vec![AUDIO] }),
        1 => Request::Reject(Reject { request, call }),
        2 => Request::Cancel(Cancel { request, call }),
        3 => Request::HangUp(HangUp { request, call }),
        4 => Request::Accept(Accept { request, call, streams: Vec::new() }),
        5 | 6 => Request::Hold(Hold { request, call, on: what == 5 }),
        7 | 8 => Request::Mute(Mute { request, call, on: what == 7 }),
        9 | 10 => Request::Share(Share { request, call, on: what == 9 }),
        _ => {
            let (member, layer) = (MemberId(what - 11), Layer::None);
            Request::ChooseLayer(ChooseLayer { request, call, member, layer })
        }
    }
}

impl Life {
    fn new(isolation: Isolation) -> Self {
        Self {
            world: World::with(3, isolation),
            sessions: [None; ACCOUNTS * DEVICES],
            firsts: [None; ACCOUNTS * DEVICES],
            next_session: 1,
            calls: Vec::new(),
            asked: HashMap::new(),
            answered: BTreeSet::new(),
            isolation,
            lives: HashSet::new(),
            ringing: HashSet::new(),
            declines: HashMap::new(),
            last: None,
            keys: Vec::new(),
            rounds: HashMap::new(),
            revision: 0,
            slots: HashMap::new(),
            views: Default::default(),
            wishes: HashMap::new(),
            deaf: None,
            barred: Vec::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Again => {
                if let Some(last) = self.last.clone() {
                    self.act(&last);
                }
            }
            Act::SignIn(slot) => self.sign_in(slot),
            Act::Lose(slot) => self.lose(slot),
            Act::Resume(slot) => self.resume(slot),
            Act::Deafen(slot) => self.deaf = Some(slot),
            Act::Listen(who, nth) => self.listen(who, nth),
            Act::Cut(relay, was_done) => self.cut(relay, was_done),
            Act::Repeat(on) => self.world.relays_are.repeat = on,
            Act::Leave(slot) => {
                if let Some(session) = self.sessions[slot].take() {
                    self.world.input(Input::Gone(SessionId(session)));
                }
            }
            Act::Move(slot, to) => {
                if let Some(session) = self.sessions[slot] {
                    self.world.ask(session, Request::Moved(host(to)));
                }
            }
            Act::Suspend(slot, what) => self.suspend(slot, what),
            Act::Watch(slot) => self.watch(slot),
            Act::Away(slot, away) => {
                self.ask(slot, |request, _| Request::Away(SetAway { request, away }));
            }
            Act::Missed(slot, seen_until_ms) => {
                self.ask(slot, |request, _| Request::Missed(Missed { request, seen_until_ms }));
            }
            Act::Invite { from, to, streams } => {
                let callee = self.same_tenant(from, to);
                let streams = vec![AUDIO; streams];
                self.ask(from, |request, _| Request::Invite(request, callee, streams));
            }
            Act::AtDesk(ref act) => self.act_at_desk(act),
            Act::On { who, nth, what } => self.do_about((who, nth), what),
            Act::Add { who, nth, to, then_leave } => {
                self.add((who, nth), to, then_leave);
            }
            Act::Merge { who, nth, with, then_leave } => {
                let Some((call, with)) = self.call(nth).zip(self.call(with)) else { return };
                let who = self.party(who, call, false);
                let build = |request, ()| Request::Merge(Merge { request, call, with, then_leave });
                self.ask(who, build);
            }
            Act::EndCall(nth) => self.end_call(nth),
            Act::Wait(ms) => self.world.wait(Duration::from_millis(ms)),
            Act::Disk(full) => self.world.disk_full = full,
            Act::RelaysAnswer(answer) => {
                self.world.relays_are.answer = answer;
                self.world.input(Input::Tick);
            }
            Act::TakeOver(ref act) => self.take_over(act),
            Act::LinkDown(relay) => self.world.link_down(relay),
            Act::LinkUp(relay) => self.world.link_up(relay),
            Act::Restart(relay) => self.world.restart(relay),
            Act::Refuse { relay, refuses } => {
                if let Some(relay) = self.world.relays.get_mut(&LinkId(relay.into())) {
                    relay.refuses = refuses.then_some(Outcome::NoRoom);
                }
            }
        }
    }

    fn do_about(&mut self, (who, nth): (usize, usize), what: u8) {
        let Some(call) = self.call(nth) else { return };
        let decline = what == 1;
        let who = self.party(who, call, what < 2);
        let wish = match what {
            0 | 4 => Some(ends::Wish::In(call)),
            1..4 => Some(ends::Wish::Out(call)),
            _ => None,
        };
        let request = self.wish(who, wish, |request, _| about(request, call, what));
        if let Some(request) = request.filter(|_| decline) {
            self.declines.insert(request, call);
        }
    }

    fn listen(&mut self, who: usize, nth: usize) {
        let Some(call) = self.call(nth) else { return };
        let (wish, streams) = (Some(ends::Wish::In(call)), vec![AUDIO]);
        self.wish(who, wish, |request, ()| Request::Listen(Listen { request, call, streams }));
    }

    fn watch(&mut self, slot: usize) {
        let known = (0..ACCOUNTS).filter(|a| tenant(*a) == tenant(account(slot))).map(|account| {
            KnownAccount {
                account: AccountId(account as u64),
                login: format!("login-{account}"),
                display: String::new(),
            }
        });
        let known = known.collect();
        self.ask(slot, |request, _| Request::Watch(request, known));
    }

    fn add(&mut self, (who, nth): (usize, usize), to: u64, then_leave: bool) {
        let Some(call) = self.call(nth) else { return };
        let who = self.party(who, call, false);
        let callee = self.same_tenant(who, to);
        let login = format!("login-{to}");
        self.ask(who, |request, ()| {
            Request::AddMember(AddMember { request, call, login, then_leave }, callee)
        });
    }

    /// The `nth` of the latest live calls, or of those that are over.
    fn call(&self, nth: usize) -> Option<CallId> {
        let lives = |id: &&CallId| self.world.core.calls.contains(**id);
        let live = self.calls.iter().rev().filter(lives).nth(nth % 3);
        live.filter(|_| nth < 3).or_else(|| self.calls.iter().rev().nth(nth)).copied()
    }

    /// All but the last slots stand for sessions that have to do with the call, those that ring if
    /// it is to be taken, if there are any: most of what strangers ask is refused alike.
    fn party(&self, slot: usize, call: CallId, takes: bool) -> usize {
        let call = self.world.core.calls.get(call).filter(|_| slot + 2 < self.sessions.len());
        let members = call.into_iter().flat_map(|call| call.members());
        let asked = members.filter(|member| member.rings() == takes && !member.has_left());
        let sessions: Vec<_> = asked.flat_map(|member| member.sessions()).collect();
        let session = sessions.get(slot % sessions.len().max(1)).map(|session| session.0);
        self.sessions.iter().position(|id| session.is_some() && *id == session).unwrap_or(slot)
    }

    /// The gate finds accounts of the session's tenant only.
    fn same_tenant(&self, slot: usize, to: u64) -> Option<Called> {
        let same = to < ACCOUNTS as u64 && tenant(to as usize) == tenant(account(slot));
        same.then(|| called(to))
    }

    fn end_call(&mut self, nth: usize) {
        if let Some(call) = self.call(nth) {
            self.world.input(Input::EndCall(call));
        }
    }

    fn ask(
        &mut self,
        slot: usize,
        request: impl FnOnce(RequestId, ()) -> Request,
    ) -> Option<RequestId> {
        self.wish(slot, None, request)
    }

    /// Asks for something whose answer alone may say what comes of it.
    fn wish(
        &mut self,
        slot: usize,
        wish: Option<ends::Wish>,
        request: impl FnOnce(RequestId, ()) -> Request,
    ) -> Option<RequestId> {
        let session = self.sessions[slot]?;
        if self.world.core.detached.has(SessionId(session)) {
            return None;
        }
        let id = self.world.request();
        self.wishes.extend(wish.map(|wish| (id, wish)));
        self.asked.insert(id, SessionId(session));
        self.world.ask(session, request(id, ()));
        Some(id)
    }

    /// No round has a key of another, so that who leaves cannot open what comes after and who
    /// joins not what was before; and rounds go forward.
    fn check_round(&mut self, session: SessionId, ready: &CallReady) -> Result<(), TestCaseError> {
        let round = (ready.call, ready.round);
        let senders = ready.senders.iter().filter_map(|sender| sender.key.as_ref());
        for key in senders.chain([&ready.key]) {
            let other = self.keys.iter().any(|(of, known)| *of != round && known == key);
            prop_assert!(!other, "a key of another round");
            self.keys.push((round, key.clone()));
        }
        let before = self.rounds.insert((session, ready.call), ready.round);
        prop_assert!(before.is_none_or(|before| before < ready.round), "a round twice");
        Ok(())
    }

    fn check_keys(&mut self, session: SessionId, ready: &CallReady) -> Result<(), TestCaseError> {
        let sealed = self.isolation == Isolation::PerLeg;
        prop_assert!(ready.senders.iter().all(|sender| sender.key.is_none() == sealed));
        prop_assert!(ready.paths.iter().all(|path| path.downlink.is_some() == sealed));
        let epochs = ready.paths.iter().filter_map(|path| Some(path.downlink.as_ref()?.epoch));
        for epoch in epochs.filter(|epoch| *epoch != Epoch::NONE) {
            prop_assert!(self.lives.insert((session, epoch)), "a life was told of twice");
        }
        Ok(())
    }

    /// Looks at everything that was said.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let of_tenant = |entries: &[PresenceEntry], tenant_id: u64| {
            entries.iter().all(|entry| {
                let account: usize = entry.login["login-".len()..].parse().unwrap();
                tenant(account) == tenant_id
            })
        };
        for (session, messages) in std::mem::take(&mut self.world.told) {
            self.hear(session, &messages);
            for message in messages {
                self.note_ringing(session, &message)?;
                let answers = match &message {
                    ToTerminal::Done(it) => Some(it.request),
                    ToTerminal::Refused(it) => Some(it.request),
                    ToTerminal::Ringing(it) => {
                        self.calls.push(it.call);
                        Some(it.request)
                    }
                    ToTerminal::Queued(it) => {
                        self.calls.push(it.call);
                        Some(it.request)
                    }
                    ToTerminal::CallReady(it) => {
                        self.check_keys(session, it)?;
                        self.check_round(session, it)?;
                        None
                    }
                    ToTerminal::PathRenewed(it) => {
                        prop_assert!(
                            self.lives.insert((session, it.epoch)),
                            "a life was told of twice"
                        );
                        None
                    }
                    ToTerminal::PathsChanged(it) => {
                        let known = self.rounds.get(&(session, it.call));
                        prop_assert_eq!(known, Some(&it.round), "of a round nobody knows");
                        let relays: BTreeSet<_> = it.paths.iter().map(|path| path.relay).collect();
                        prop_assert_eq!(relays.len(), it.paths.len(), "a relay twice");
                        prop_assert!((1..=2).contains(&it.paths.len()));
                        None
                    }
                    ToTerminal::Presence(it) => {
                        let one = of_tenant(&it.entries, 1) || of_tenant(&it.entries, 2);
                        prop_assert!(one, "tenants are mixed");
                        None
                    }
                    _ => None,
                };
                if let Some(request) = answers {
                    prop_assert_eq!(self.asked.get(&request), Some(&session));
                    prop_assert!(self.answered.insert(request), "answered twice");
                }
            }
        }
        self.check_members()?;
        self.check_legs()?;
        self.check_desks()?;
        self.check_kept()?;
        self.check_received()
    }

    /// A device that rings is told once to begin and once to stop.
    fn note_ringing(
        &mut self,
        session: SessionId,
        message: &ToTerminal,
    ) -> Result<(), TestCaseError> {
        match message {
            ToTerminal::Incoming(it) => {
                prop_assert!(self.ringing.insert((session, it.call)), "rings twice");
            }
            ToTerminal::Taken(it) => {
                prop_assert!(self.ringing.remove(&(session, it.call)), "did not ring");
            }
            ToTerminal::CallEnded(it) => {
                self.ringing.remove(&(session, it.call));
            }
            // It has the call, whatever that becomes.
            ToTerminal::CallReady(it) => {
                self.ringing.remove(&(session, it.call));
            }
            ToTerminal::Done(it) => {
                if let Some(call) = self.declines.get(&it.request) {
                    prop_assert!(self.ringing.remove(&(session, *call)), "declined nothing");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Relays that have answered everything were told what each member receives now, and where its
    /// terminal is seen.
    fn check_received(&self) -> Result<(), TestCaseError> {
        let relays = &self.world.relays;
        if relays.values().any(|relay| !relay.unanswered.is_empty()) {
            return Ok(());
        }
        for call in self.world.core.calls.iter() {
            let rounds = [call.rounds().current(), call.rounds().coming()].into_iter().flatten();
            let members = |media| (0..call.members().len()).map(move |nth| (media, nth));
            for (media, nth) in rounds.flat_map(members) {
                let everything = limits(call.members(), media, nth).is_none();
                let streams = subscriptions(call.members(), media, nth);
                let places = 0..call.members().len();
                let sources: Vec<_> =
                    places.flat_map(|nth| media.streams(nth)).map(|stream| stream.ssrc).collect();
                let sent = |it: &&Subscription| sources.contains(&it.source);
                for (relay, leg) in media.legs_of(nth) {
                    let relay = relays.get(&LinkId(relay.0.into()));
                    let Some(relay) = relay.filter(|it| it.held.contains_key(&leg.0)) else {
                        continue;
                    };
                    let session = call.members()[nth].session();
                    let session = session.and_then(|it| self.world.core.sessions.get(it));
                    let seen_at = session.map_or(Host::UNKNOWN, |session| session.seen_at);
                    prop_assert_eq!(relay.held[&leg.0].seen_at, seen_at, "let in elsewhere");
                    match relay.receives.get(&leg.0) {
                        // Of a leg that is gone nothing comes, whatever is subscribed.
                        Some(told) => {
                            let told: Vec<_> = told.iter().filter(|it| sent(it)).copied().collect();
                            prop_assert_eq!(told, streams.clone());
                        }
                        None => prop_assert!(everything, "receives too much"),
                    }
                }
            }
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), TestCaseError> {
        let core = &self.world.core;
        let mut members = BTreeSet::new();
        for call in core.calls.iter() {
            let rings = matches!(call.state(), State::Inviting | State::Ringing);
            let waits = rings || call.state() == State::Queued;
            if call.state() != State::Connected {
                let session = call.callee().and_then(|callee| callee.session());
                prop_assert_eq!(session.is_none(), waits);
            }
            let there = call.members().iter().filter(|member| !member.has_left());
            prop_assert!(there.clone().count() <= CALL_MEMBERS_MAX);
            prop_assert!(waits || call.is_alive(), "somebody is alone");
            for member in there {
                prop_assert_eq!(member.account.tenant, call.tenant());
                if !member.holds() {
                    prop_assert!(members.insert(member.account), "speaks in two calls");
                }
                let calls = core.calls.all_of(member.account).count();
                prop_assert!(calls <= CALLS_PER_ACCOUNT_MAX, "in too many calls");
                prop_assert!(!member.sessions().is_empty(), "a call without a member");
                for session in member.sessions() {
                    let session = core.sessions.get(session);
                    prop_assert_eq!(session.map(|session| session.account), Some(member.account));
                }
            }
        }
        for (session, id) in &self.ringing {
            // Whoever is away hears of it when it is back.
            let there = core.sessions.get(*session).filter(|it| !core.detached.has(it.id));
            let Some(session) = there else { continue };
            let standing = core.calls.get(*id).and_then(|call| call.standing(session));
            let Some((_, Standing::Rings | Standing::Takes)) = standing else {
                return Err(TestCaseError::fail("a device rings for nothing"));
            };
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_life_keeps_its_promises(
        sealed: bool,
        acts in prop::collection::vec(act(), 0..400),
    ) {
        let isolation = if sealed { Isolation::PerLeg } else { Isolation::None };
        let mut life = Life::new(isolation);
        life.let_listen();
        (0..ACCOUNTS * DEVICES).for_each(|slot| life.act(&Act::SignIn(slot)));
        for tenant in [1, 2] {
            life.act_at_desk(&desks::AtDesk::Set(tenant, Some(RingOrder::LongestIdle)));
        }
        for act in &acts {
            life.act(act);
            if !matches!(act, Act::Again) {
                life.last = Some(act.clone());
            }
            life.check()?;
            if !matches!(act, Act::Deafen(_)) {
                life.lose_the_deaf();
            }
        }
        life.mend()?;
        life.check_views()?;
        life.check_nothing_hangs()?;
        // Requests of sessions that lived on are all answered.
        for (request, session) in &life.asked {
            let lives = life.world.core.sessions.get(*session).is_some();
            prop_assert!(!lives || life.answered.contains(request), "never answered");
        }
        // Everybody leaves: nothing is left.
        for slot in 0..ACCOUNTS * DEVICES {
            life.act(&Act::Leave(slot));
        }
        life.world.wait(Duration::from_secs(10));
        life.world.assert_clean();
    }
}
