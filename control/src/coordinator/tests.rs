//! Tests of the core: whole calls without a socket, a disk or a clock.

mod asking;
mod calls;
mod desks;
mod devices;
mod holding;
mod lanes;
mod mending;
mod missed;
mod presence;
mod random;
mod resuming;
mod rounds;
mod several;
mod store;
mod suspension;
mod take_over;
mod tenants;
mod wraps;

use super::*;
use crate::calls::State;
use crate::fleet::Generations;
use crate::lives::Sealer;
use crate::missed::MissedList;
use crate::pki::CellSecret;
use crate::policy::Isolation;
use crate::records::RecordState;
use crate::sessions::{AccountKey, Epochs};
use kakehashi_wire::id::{
    AccountId, DeviceId, Generation, Incarnation, RelayId, ShardIndex, TenantId,
};
use kakehashi_wire::media::{Codec, Host, StreamKind, StreamOffer};
use kakehashi_wire::relay::{
    InstallLeg, Order, OrderResult, OrdersDone, Outcome, Outdated, RelayHeartbeat, ShardOffer,
    Subscription, ToRelay,
};
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::secret::Suite;
use kakehashi_wire::terminal::{
    Accept, AddDesk, AddMember, Cancel, ChooseLayer, EndWrapUp, HangUp, Hold, InviteDesk, Listen,
    Merge, Missed, Mute, Reject, ReportQuality, Role, SetAway, Share,
};
use kakehashi_wire::terminal::{CallEnd, CallReady, PresenceEntry, PresenceState};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Somebody to call, of no role in particular.
pub(super) fn called(account: u64) -> Called {
    Called { account: AccountId(account), role: Role::Store }
}

pub(super) const AUDIO: StreamOffer = StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus };

/// How long sessions are kept without a connection.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// What seals live calls.
pub(super) fn sealer() -> Sealer {
    Sealer::new(&CellSecret::new([5; 32]), Entropy::system())
}

/// An address for each number.
pub(super) fn host(number: u64) -> Host {
    std::net::IpAddr::from([10, 0, (number >> 8) as u8, number as u8]).into()
}

/// A played relay: holds what it is told to hold, answers when asked to.
#[derive(Default)]
pub(super) struct PlayedRelay {
    pub(super) held: BTreeMap<LegIdOf, InstallLeg>,
    /// What legs were told to receive; the others receive everything.
    pub(super) receives: BTreeMap<LegIdOf, Vec<Subscription>>,
    pub(super) unanswered: Vec<Vec<Order>>,
    pub(super) refuses: Option<Outcome>,
}

/// In which the node orders.
pub(super) const TERM: Term = Term(5);

pub(super) type LegIdOf = u64;

/// How all relays behave.
pub(super) struct Relays {
    pub(super) answer: bool,
    /// They say everything twice.
    pub(super) repeat: bool,
}

/// How long before its removal a played relay sent on media of a leg last.
pub(super) const SILENT_MS: u32 = 7;

/// What comes of a core beside what terminals and relays are told.
#[derive(Default)]
pub(super) struct Noted {
    /// What relays told of other nodes.
    pub(super) newer_terms: Vec<Term>,
    /// Messages of presence that watchers were told.
    pub(super) pushed: usize,
    /// The first number of each session.
    firsts: BTreeMap<SessionId, SessionId>,
    /// What became of the media of those whose rights ended.
    pub(super) removed: Vec<(Revocation, MediaEnd)>,
    /// What the nodes of sessions, by their first numbers, keep of agents, and since when.
    pub(super) agents: BTreeMap<SessionId, (AgentOrder, Duration)>,
    /// The same numbers of those at which nobody sits.
    pub(super) away: BTreeSet<SessionId>,
}

/// The core with everything around it played.
pub(super) struct World {
    pub(super) core: Coordinator,
    pub(super) now: Now,
    pub(super) relays: BTreeMap<LinkId, PlayedRelay>,
    /// What each session was told and nobody looked at.
    pub(super) told: BTreeMap<SessionId, Vec<ToTerminal>>,
    pub(super) ended: BTreeMap<SessionId, SessionEnd>,
    pub(super) verdicts: BTreeMap<SessionId, Result<(), Rejection>>,
    pub(super) disk: BTreeMap<CallId, CallRecord>,
    /// What is kept of live calls, sealed as in the store.
    pub(super) lives: BTreeMap<(TenantId, CallId), Vec<u8>>,
    /// What was kept before of calls whose newest state nobody waited for.
    pub(super) unsure: BTreeMap<(TenantId, CallId), Option<Vec<u8>>>,
    /// The desks of tenants as the store has them.
    pub(super) desks: BTreeMap<TenantId, DeskList>,
    pub(super) disk_full: bool,
    pub(super) relays_are: Relays,
    /// Which life relays that connect are in.
    pub(super) life: u64,
    /// How many cores have taken over.
    pub(super) starts: u64,
    /// In which epochs sign-ins are let in.
    pub(super) epochs: Epochs,
    /// In which role, and running what.
    pub(super) role: Role,
    pub(super) software: &'static str,
    /// Why something was refused.
    pub(super) reasons: Vec<(Act, Reason)>,
    /// Calls that are carried without the protection they are to have.
    pub(super) unprotected: Vec<CallId>,
    pub(super) missed: HashMap<AccountKey, MissedList>,
    pub(super) noted: Noted,
    /// Where relays that connect are; the others are nowhere in particular.
    pub(super) sites: BTreeMap<u32, &'static str>,
    requests: u32,
}

impl World {
    pub(super) fn new(relays: u32) -> Self {
        Self::with(relays, Isolation::None)
    }

    pub(super) fn with(relays: u32, isolation: Isolation) -> Self {
        let media = MediaFacts { suite: Suite::AeadAes128Gcm, isolation, leg_rate_max_kbps: 8_000 };
        let (no_answer, grace) = (Duration::from_secs(45), GRACE);
        let settings = Settings { no_answer, grace, media };
        let fleet = Fleet::new(TERM, Generations::new(1..1_000_000), Duration::from_secs(3600));
        let mut world = Self {
            core: Coordinator::new(settings, Entropy::system(), fleet),
            now: Now::default(),
            relays: BTreeMap::new(),
            told: BTreeMap::new(),
            ended: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            disk: BTreeMap::new(),
            lives: BTreeMap::new(),
            unsure: BTreeMap::new(),
            desks: BTreeMap::new(),
            disk_full: false,
            role: Role::Store,
            software: "ours 1.0.0",
            reasons: Vec::new(),
            unprotected: Vec::new(),
            relays_are: Relays { answer: true, repeat: false },
            life: 1,
            starts: 0,
            epochs: Epochs { tenant: 1, account: 1, devices: 1 },
            missed: HashMap::new(),
            noted: Noted::default(),
            sites: BTreeMap::new(),
            requests: 0,
        };
        for relay in 1..=relays {
            world.link_up(relay);
        }
        world
    }

    pub(super) fn link_up(&mut self, relay: u32) {
        self.link_up_with(relay, PlayedRelay::default());
    }

    /// A relay connects that holds legs already.
    pub(super) fn link_up_with(&mut self, relay: u32, played: PlayedRelay) {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5000 + relay as u16));
        let shard = ShardOffer { shard: ShardIndex(0), address: address.into(), legs_max: 1000 };
        let hello = Hello {
            relay: RelayId(relay),
            incarnation: Incarnation(self.life),
            software: "played".into(),
            site: self.sites.get(&relay).copied().unwrap_or_default().into(),
            shards: vec![shard],
        };
        let link = LinkId(relay.into());
        self.relays.insert(link, played);
        self.input(Input::LinkUp(link, hello));
    }

    pub(super) fn link_down(&mut self, relay: u32) {
        let link = LinkId(relay.into());
        self.relays.remove(&link);
        self.input(Input::LinkDown(link));
    }

    /// The link of a relay breaks, and the relay lives on.
    pub(super) fn link_cut(&mut self, relay: u32) -> PlayedRelay {
        let played = self.relays.remove(&LinkId(relay.into())).unwrap_or_default();
        self.link_down(relay);
        played
    }

    /// A relay's process starts again.
    pub(super) fn restart(&mut self, relay: u32) {
        self.link_down(relay);
        self.life += 1;
        self.link_up(relay);
    }

    pub(super) fn relay(&self, relay: u32) -> &PlayedRelay {
        &self.relays[&LinkId(relay.into())]
    }

    /// One input, and all that follows from it without time passing.
    pub(super) fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            for input in std::mem::take(&mut inputs) {
                let outputs = self.core.handle(input, self.now);
                self.note_unsure(&outputs);
                for output in outputs {
                    inputs.extend(self.carry(output));
                }
            }
            if self.relays_are.answer {
                inputs.extend(self.relay_answers());
            }
        }
    }

    fn keep(&mut self, kept: &Kept) -> Option<Input> {
        let key = (kept.tenant, kept.call);
        self.lives.insert(key, sealer().seal(kept).unwrap());
        // What is acknowledged is not lost with the node.
        kept.tells.map(|since| {
            self.unsure.remove(&key);
            Input::Kept(kept.call, since)
        })
    }

    fn carry(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Arrival(session, verdict) => {
                self.verdicts.insert(session, verdict);
                None
            }
            Output::Say(session, message) => {
                self.told.entry(session).or_default().push(message);
                None
            }
            Output::Push(sessions, presence) => {
                self.noted.pushed += sessions.len();
                for session in sessions {
                    self.told.entry(session).or_default().push(presence.clone().into());
                }
                None
            }
            Output::Remember(session, agent) => {
                let first = self.noted.firsts[&session];
                self.noted.agents.insert(first, (agent, self.now.since_start));
                None
            }
            Output::NewerTerm(term) => {
                self.noted.newer_terms.push(term);
                None
            }
            Output::Missed(deed) => {
                let news = deed.clone().done(self.missed.entry(deed.account).or_default());
                news.map(Input::Missed)
            }
            Output::Refused(_, act, reason) => {
                self.reasons.push((act, reason));
                None
            }
            Output::Removed(of, end) => {
                self.noted.removed.push((of, end));
                None
            }
            Output::Unprotected(call, _) => {
                self.unprotected.push(call);
                None
            }
            Output::End(session, reason) => {
                self.ended.insert(session, reason);
                None
            }
            Output::Write(write) if self.disk_full => Some(Input::WriteFailed(write)),
            Output::Keep(kept) if self.disk_full => Some(Input::KeepFailed(kept.call)),
            Output::Keep(kept) => self.keep(&kept),
            Output::Write(write) => {
                let call = write.record().call;
                let goes_on = matches!(&write, Write::Put(record) if record.ended.is_none());
                if !goes_on {
                    self.lives.remove(&(write.record().tenant, call));
                }
                match write {
                    Write::Put(record) => self.disk.insert(call, record),
                    Write::Forget(_) => self.disk.remove(&call),
                };
                Some(Input::Written(call))
            }
            Output::Link(ToLink::Say(link, message)) => {
                self.relay_hears(link, message);
                None
            }
            Output::Link(ToLink::Close(link, _)) => {
                self.relays.remove(&link).map(|_| Input::LinkDown(link))
            }
        }
    }

    fn relay_hears(&mut self, link: LinkId, message: ToRelay) {
        let Some(relay) = self.relays.get_mut(&link) else { return };
        match message {
            ToRelay::Orders(orders) => relay.unanswered.push(orders.orders),
            ToRelay::Resync(piece) => relay.held.retain(|leg, _| {
                !(piece.first.0..=piece.last.0).contains(leg)
                    || piece.keep.iter().any(|keep| keep.0 == *leg)
            }),
            ToRelay::Welcome(_) | ToRelay::NodeHeartbeat(_) => {}
        }
    }

    /// The relays answer what they were told.
    fn relay_answers(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (link, relay) in &mut self.relays {
            for batch in std::mem::take(&mut relay.unanswered) {
                let results: Vec<_> = batch.iter().map(|order| relay.apply(order)).collect();
                for _ in 0..=usize::from(self.relays_are.repeat) {
                    let results = results.clone();
                    inputs.push(Input::LinkSaid(*link, OrdersDone { results }.into()));
                }
            }
        }
        inputs
    }

    pub(super) fn answer_relay(&mut self, relay: u32) {
        let link = LinkId(relay.into());
        let mut inputs = self.relay_answers_of(link);
        inputs.drain(..).for_each(|input| self.input(input));
    }

    fn relay_answers_of(&mut self, link: LinkId) -> Vec<Input> {
        let relay = self.relays.get_mut(&link).unwrap();
        let batches = std::mem::take(&mut relay.unanswered);
        let answer = |batch: Vec<Order>| {
            let results = batch.iter().map(|order| relay.apply(order)).collect();
            Input::LinkSaid(link, OrdersDone { results }.into())
        };
        batches.into_iter().map(answer).collect()
    }

    /// Time passes; the core is woken whenever it asked to be.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now.since_start + time;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= until) {
            self.now.since_start = at.max(self.now.since_start);
            self.input(Input::Tick);
        }
        self.now.since_start = until;
    }

    pub(super) fn sign_in(&mut self, session: u64, tenant: u64, account: u64, device: u64) {
        self.arrive(session, (tenant, account, device), None, false);
    }

    /// The terminal of the session that began as `first` comes back, as session `session`.
    pub(super) fn resume(&mut self, session: u64, of: (u64, u64, u64), first: u64) {
        self.arrive(session, of, Some(SessionId(first)), false);
    }

    /// A node says that it has the terminal of the session that began as `first`, as session
    /// `session`.
    pub(super) fn hand_over(&mut self, session: u64, of: (u64, u64, u64), first: u64) {
        self.arrive(session, of, Some(SessionId(first)), true);
    }

    fn arrive(
        &mut self,
        session: u64,
        (tenant, account, device): (u64, u64, u64),
        resumes: Option<SessionId>,
        is_handed_over: bool,
    ) {
        let request = self.request();
        let account = AccountKey { tenant: TenantId(tenant), account: AccountId(account) };
        let login = format!("login-{}", account.account.0);
        let display = format!("Display {}", account.account.0);
        let (session, device) = (SessionId(session), DeviceId(device));
        let (role, epochs) = (self.role, self.epochs);
        let (software, token) = (self.software.to_owned(), ResumeToken::none());
        let first = resumes.unwrap_or(session);
        self.noted.firsts.insert(session, first);
        let agent = self.noted.agents.get(&first).filter(|_| is_handed_over);
        let agent = agent.map(|(agent, since)| {
            let passed = (self.now.since_start - *since).as_millis();
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            AgentOrder { wrap_up_ms: agent.wrap_up_ms.saturating_sub(passed), ..agent.clone() }
        });
        let arrival = Arrival {
            session,
            request,
            account,
            login,
            display,
            role,
            device,
            software,
            epochs,
            token,
            resumes,
            is_handed_over,
            is_away: is_handed_over && self.noted.away.contains(&first),
            seen_at: host(session.0),
            agent,
        };
        self.input(Input::Arrived(arrival));
    }

    pub(super) fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(super) fn ask(&mut self, session: u64, request: Request) {
        self.input(Input::Asked(SessionId(session), request));
    }

    /// Invites; the new call if it rings.
    pub(super) fn invite(&mut self, session: u64, account: u64) -> Result<CallId, Refusal> {
        let request = self.request();
        self.ask(session, Request::Invite(request, Some(called(account)), vec![AUDIO]));
        for message in self.take(session) {
            match message {
                ToTerminal::Ringing(it) if it.request == request => return Ok(it.call),
                ToTerminal::Refused(it) if it.request == request => return Err(it.reason),
                _ => {}
            }
        }
        panic!("an invitation was not answered");
    }

    pub(super) fn accept(&mut self, session: u64, call: CallId) -> RequestId {
        let request = self.request();
        self.ask(session, Request::Accept(Accept { request, call, streams: vec![AUDIO] }));
        request
    }

    pub(super) fn hang_up(&mut self, session: u64, call: CallId) -> RequestId {
        let request = self.request();
        self.ask(session, Request::HangUp(HangUp { request, call }));
        request
    }

    /// What a session was told since it was last asked.
    pub(super) fn take(&mut self, session: u64) -> Vec<ToTerminal> {
        self.told.remove(&SessionId(session)).unwrap_or_default()
    }

    /// The same without missed calls, as short text.
    pub(super) fn heard(&mut self, session: u64) -> Vec<String> {
        let mut told = self.take(session);
        told.retain(|message| !matches!(message, ToTerminal::MissedCalls(_)));
        told.iter().map(short).collect()
    }

    pub(super) fn ready(&mut self, session: u64) -> Option<CallReady> {
        self.take(session).into_iter().find_map(|message| match message {
            ToTerminal::CallReady(ready) => Some(ready),
            _ => None,
        })
    }

    /// Nothing of any call is left anywhere.
    pub(super) fn assert_clean(&mut self) {
        self.relays_are.answer = true;
        self.input(Input::Tick);
        assert_eq!(self.core.calls.iter().count(), 0);
        assert_eq!(self.core.ssrcs.in_use(), 0);
        assert!(self.lives.is_empty(), "kept although it is over");
        for relay in self.relays.values() {
            assert!(relay.held.is_empty());
        }
        for record in self.disk.values() {
            assert_eq!(record.state, RecordState::Ended);
        }
    }
}

impl PlayedRelay {
    fn apply(&mut self, order: &Order) -> OrderResult {
        let (leg, generation) = match order {
            Order::Install(it) => (it.leg, it.generation),
            Order::Renew(it) => (it.leg, it.generation),
            Order::Remove(it) => (it.leg, it.generation),
            Order::Subscribe(it) => (it.leg, it.generation),
        };
        let silent_ms = match order {
            Order::Remove(_) if self.held.contains_key(&leg.0) => Some(SILENT_MS),
            _ => None,
        };
        let outcome = match (order, self.refuses) {
            // What it holds has its room.
            (Order::Install(_), Some(outcome)) if !self.held.contains_key(&leg.0) => outcome,
            (Order::Install(it), _) => {
                self.held.insert(leg.0, it.clone());
                match &it.receives {
                    Some(streams) => drop(self.receives.insert(leg.0, streams.clone())),
                    None => drop(self.receives.remove(&leg.0)),
                }
                Outcome::Applied
            }
            (Order::Subscribe(it), _) if self.held.contains_key(&leg.0) => {
                self.receives.insert(leg.0, it.streams.clone());
                Outcome::Applied
            }
            (Order::Renew(it), _) if self.held.contains_key(&leg.0) => {
                self.held.entry(leg.0).and_modify(|held| held.seen_at = it.seen_at);
                Outcome::Applied
            }
            (Order::Renew(_) | Order::Subscribe(_), _) => Outcome::NoSuchLeg,
            (Order::Remove(_), _) => {
                self.held.remove(&leg.0);
                Outcome::Applied
            }
        };
        let life = self.held.get(&leg.0).map_or(Generation(0), |held| held.generation);
        OrderResult { leg, generation, outcome, life, silent_ms }
    }
}

pub(super) fn short(message: &ToTerminal) -> String {
    match message {
        ToTerminal::Refused(it) => format!("Refused {:?}", it.reason),
        ToTerminal::CallEnded(it) => format!("CallEnded {:?}", it.reason),
        ToTerminal::Incoming(it) if it.desk.is_empty() => format!("Incoming {}", it.login),
        ToTerminal::Incoming(it) => format!("Incoming {} {}", it.login, it.desk),
        ToTerminal::Queued(it) => format!("Queued {}", it.position),
        ToTerminal::QueueNews(it) if it.overflow => format!("QueueNews {} overflow", it.position),
        ToTerminal::QueueNews(it) => format!("QueueNews {}", it.position),
        ToTerminal::Presence(it) => {
            let entries = it.entries.iter().map(|e| format!(" {}={:?}", e.login, e.state));
            format!("Presence{}", entries.collect::<String>())
        }
        other => other.name().to_owned(),
    }
}
