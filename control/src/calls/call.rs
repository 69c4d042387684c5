//! One call: its state, its members, its media. Dispatches, decides nothing by itself. Who takes
//! part in it while it goes on is in `call/together.rs`, what members hear of its media in
//! `call/told.rs`.

mod together;
mod told;

pub use together::{Apart, Entered, Merging};

use super::{
    Answers, AtDesk, Brought, CallMedia, DeskAsk, Event, Member, MemberEvent, Rounds, Standing,
    State, Step, limits, step, subscriptions,
};
use crate::clock::{Now, UnixMs};
use crate::fleet::WantedLeg;
use crate::records::{CallRecord, RecordState};
use crate::sessions::{AccountKey, Registry, Session};
use kakehashi_wire::id::{CallId, LegId, MemberId, RelayId, RequestId, SessionId, TenantId};
use kakehashi_wire::media::{Host, StreamOffer};
use kakehashi_wire::relay::Subscription;
use kakehashi_wire::terminal::{Members, Refusal, ReportQuality};
use rkyv::rancor::Source;
use rkyv::with::Skip;
use std::time::Duration;

/// Where the caller stands among the members.
pub const CALLER: usize = 0;

/// Where who was called stands among the members.
pub const CALLEE: usize = 1;

/// What a member receives, and over which legs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    legs: Vec<(RelayId, LegId)>,
    streams: Vec<Subscription>,
}

impl Received {
    /// What each relay is to be told.
    pub fn at_each_relay(self) -> impl Iterator<Item = ((RelayId, LegId), Vec<Subscription>)> {
        let Self { legs, streams } = self;
        legs.into_iter().map(move |leg| (leg, streams.clone()))
    }
}

/// An invitation that crossed the call's own: who was called has called the caller.
pub struct Crossing {
    /// Whose it is.
    pub session: SessionId,
    /// Its request.
    pub request: RequestId,
    /// What it offers to send.
    pub streams: Vec<StreamOffer>,
}

/// How long things last from when a call was taken up.
#[derive(Clone, Copy)]
pub struct Restart {
    /// Whoever was called rings.
    pub rings: Duration,
    /// The relays have, before the call is looked at.
    pub attend: Duration,
    /// A round that is over stays.
    pub kept: Duration,
}

/// A call between accounts of one tenant.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
// A call that is to become part of another is inside it: the bounds end there.
#[rkyv(serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: Source))]
#[rkyv(deserialize_bounds(__D::Error: Source))]
#[rkyv(bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: Source)))]
pub struct Call {
    id: CallId,
    state: State,
    /// The caller first, then who was called, then who was added. Who has left keeps its place.
    members: Vec<Member>,
    /// If a desk was called: until an agent answers, the caller is the only member.
    desk: Option<AtDesk>,
    /// If a member has asked a desk for one more.
    asks: Option<DeskAsk>,
    invite: RequestId,
    rounds: Rounds,
    /// Whoever calls back before it rings calls again.
    #[rkyv(with = Skip)]
    crossing: Option<Crossing>,
    #[rkyv(omit_bounds)]
    merging: Option<Box<Merging>>,
    /// The calls that became part of this one, the latest last.
    absorbed: Vec<CallId>,
    /// When the present state began.
    #[rkyv(with = Skip)]
    entered: Duration,
    // For the record.
    started: UnixMs,
    answered: Option<UnixMs>,
}

impl Call {
    /// An invitation that was found to be allowed.
    pub fn new(
        (id, invite): (CallId, RequestId),
        caller: Member,
        callee: Member,
        now: Now,
    ) -> Self {
        Self { members: vec![caller, callee], ..Self::to_nobody(id, invite, now) }
    }

    /// The same, of a desk.
    pub fn to_desk(
        (id, invite): (CallId, RequestId),
        caller: Member,
        desk: String,
        now: Now,
    ) -> Self {
        let desk = Some(AtDesk::new(desk));
        Self { members: vec![caller], desk, ..Self::to_nobody(id, invite, now) }
    }

    fn to_nobody(id: CallId, invite: RequestId, now: Now) -> Self {
        Self {
            id,
            state: State::Inviting,
            members: Vec::new(),
            desk: None,
            asks: None,
            invite,
            rounds: Rounds::default(),
            crossing: None,
            merging: None,
            absorbed: Vec::new(),
            entered: now.since_start,
            started: now.wall,
            answered: None,
        }
    }

    /// Lets `event` happen.
    pub fn apply(&mut self, event: Event, now: Now) -> Step {
        let step = step(self.state, event);
        let next = match step {
            Step::To(state) => state,
            Step::End(_) | Step::Withdraw(_) => State::Ended,
            Step::Refuse(_) | Step::Stay => return step,
        };
        self.state = next;
        self.entered = now.since_start;
        match next {
            State::Preparing => {
                self.answered = Some(now.wall);
                self.apply_to(|nth| nth == CALLEE, MemberEvent::Accept, now.wall);
            }
            State::Ended => self.apply_to(|_| true, MemberEvent::Leave, now.wall),
            State::Inviting | State::Queued | State::Ringing | State::Connected => {}
        }
        step
    }

    fn apply_to(&mut self, which: impl Fn(usize) -> bool, event: MemberEvent, at: UnixMs) {
        for (_, member) in self.members.iter_mut().enumerate().filter(|(nth, _)| which(*nth)) {
            // The member's table refuses only what members ask for.
            let _moved = member.apply(event, at);
        }
    }

    /// Its number.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// When its present state began.
    pub fn entered(&self) -> Duration {
        self.entered
    }

    /// When it was taken.
    pub fn answered(&self) -> Option<UnixMs> {
        self.answered
    }

    /// The invitation's request.
    pub fn invite(&self) -> RequestId {
        self.invite
    }

    /// The members: the caller, who was called, then who was added.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Who calls.
    pub fn caller(&self) -> &Member {
        &self.members[CALLER]
    }

    /// Who is called; `None` if it is a desk and no agent has answered.
    pub fn callee(&self) -> Option<&Member> {
        self.members.get(CALLEE)
    }

    /// What it is at a desk, if it was one that was called.
    pub fn desk(&self) -> Option<&AtDesk> {
        self.desk.as_ref()
    }

    /// The same, to change it.
    pub fn desk_mut(&mut self) -> Option<&mut AtDesk> {
        self.desk.as_mut()
    }

    /// The desk that one of its members has asked for somebody.
    pub fn asks(&self) -> Option<&DeskAsk> {
        self.asks.as_ref()
    }

    /// The same, to change it.
    pub fn asks_mut(&mut self) -> Option<&mut DeskAsk> {
        self.asks.as_mut()
    }

    /// It asks the desk of this name from now on, for the member that `brought` says.
    pub fn ask_desk(&mut self, desk: String, brought: Brought) {
        self.asks = Some(DeskAsk { at: AtDesk::new(desk), brought, due: None });
    }

    /// It asks no desk any more.
    pub fn take_asks(&mut self) -> Option<DeskAsk> {
        self.asks.take()
    }

    /// Where it stands at a desk now: for somebody who is to come into it, or to be taken at all.
    pub fn at_desk_mut(&mut self) -> Option<&mut AtDesk> {
        match &mut self.asks {
            Some(asks) => Some(&mut asks.at),
            None => self.desk.as_mut(),
        }
    }

    /// The agents of a desk that it rings at.
    pub fn agents(&self) -> &[Member] {
        let at = self.asks.as_ref().map(|asks| &asks.at).or(self.desk.as_ref());
        at.map(AtDesk::agents).unwrap_or_default()
    }

    /// Whether it rings at an account.
    pub fn rings_at(&self, account: AccountKey) -> bool {
        let member = self.place_of(account).map(|nth| &self.members[nth]);
        member.is_some_and(Member::rings)
            || self.agents().iter().any(|agent| agent.account == account)
    }

    /// Because of whom it rings at an account, and for which desk.
    pub fn rung_by(&self, account: AccountKey) -> (&Member, Option<&str>) {
        let (asks, desk) = (self.asks.as_ref(), self.desk.as_ref());
        if let Some(asks) = asks.filter(|asks| asks.at.rings_at(account)) {
            return (&self.members[asks.brought.by], Some(asks.at.called()));
        }
        if let Some(desk) = desk.filter(|desk| desk.rings_at(account)) {
            return (self.caller(), Some(desk.called()));
        }
        let brought = self.place_of(account).and_then(|nth| self.members[nth].brought());
        (&self.members[brought.map_or(CALLER, |brought| brought.by)], None)
    }

    /// The members, and the agents that it rings at.
    pub fn everybody(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().chain(self.agents())
    }

    /// The account of the member at `nth`, and who rang there in vain; `None` if it has answered or
    /// has left before.
    pub fn missed_by(&self, nth: usize) -> Option<(AccountKey, String)> {
        let member = self.members.get(nth).filter(|member| member.is_unanswered())?;
        let by = member.brought().map_or(CALLER, |brought| brought.by);
        Some((member.account, self.members[by].login.clone()))
    }

    /// The sessions at which it is to ring before anybody has taken it.
    pub fn ringing(&self) -> Vec<SessionId> {
        self.everybody().skip(CALLEE).flat_map(Member::sessions).collect()
    }

    /// The sessions of the agents that it rings at.
    pub fn ringing_agents(&self) -> Vec<SessionId> {
        self.agents().iter().flat_map(Member::sessions).collect()
    }

    /// The tenant of all members.
    pub fn tenant(&self) -> TenantId {
        self.caller().account.tenant
    }

    /// The place of an account among the members who have not left.
    pub fn place_of(&self, account: AccountKey) -> Option<usize> {
        self.members.iter().rposition(|member| member.account == account && !member.has_left())
    }

    /// Where the account of `session` stands among the members, and what the session has to do with
    /// the call; `None` if the account has no part in it. An agent that rings would be the next.
    pub fn standing(&self, session: &Session) -> Option<(usize, Standing)> {
        if let Some(nth) = self.place_of(session.account) {
            return Some((nth, self.members[nth].standing(session.id)));
        }
        let agent = self.agents().iter().find(|agent| agent.account == session.account)?;
        Some((self.members.len(), agent.standing(session.id)))
    }

    /// Whether `account` has it on hold.
    pub fn is_held_by(&self, account: AccountKey) -> bool {
        self.place_of(account).is_some_and(|nth| self.members[nth].holds())
    }

    /// `session` rings too if its account is called and has not taken the call; whether it does.
    pub fn ring_also(&mut self, session: &Session) -> bool {
        if self.at_desk_mut().is_some_and(|at| at.ring_also(session)) {
            return true;
        }
        let nth = self.place_of(session.account).filter(|nth| self.members[*nth].rings());
        nth.is_some_and(|nth| {
            self.members[nth].ring(session.id);
            true
        })
    }

    /// `session` of the member at `nth` rings no more; `true` if others do.
    pub fn stop_ringing(&mut self, nth: usize, session: SessionId) -> bool {
        self.members[nth].stop_ringing(session);
        !self.members[nth].sessions().is_empty()
    }

    /// The agent of `session` has answered and is a member from now on: who was called, or who was
    /// asked for.
    pub fn agent_answers(&mut self, session: SessionId, at: UnixMs) {
        let brought = self.asks.as_ref().map(|asks| asks.brought);
        let agent = self.at_desk_mut().and_then(|desk| desk.answered_by(session));
        if let Some(mut agent) = agent {
            if let Some(brought) = brought {
                agent.come(brought);
            }
            // It rang, so it can take the call.
            let _moved = agent.apply(MemberEvent::Accept, at);
            self.members.push(agent);
        }
    }

    /// Whoever became a member last answers for a desk.
    pub fn answers_for(&mut self, desk: String, since: Duration) {
        if let Some(agent) = self.members.last_mut() {
            agent.answer_for(Some(Answers { desk, since }));
        }
    }

    /// For which desk the member at `nth` answers in this call, if it is still part of it.
    pub fn answers(&self, nth: usize) -> Option<&Answers> {
        self.members[nth].answers()
    }

    /// `session` of the member at `nth` has the call, offering `streams`. Returns the account's
    /// other sessions that rang.
    pub fn answered_by(
        &mut self,
        nth: usize,
        session: SessionId,
        streams: Vec<StreamOffer>,
    ) -> Vec<SessionId> {
        self.members[nth].answer(session, streams)
    }

    /// Keeps an invitation that crosses this one until it rings; `false` if another waits already.
    pub fn cross(&mut self, crossing: Crossing) -> bool {
        let is_first = self.crossing.is_none();
        self.crossing.get_or_insert(crossing);
        is_first
    }

    /// The invitation that waits for this one to ring.
    pub fn take_crossing(&mut self) -> Option<Crossing> {
        self.crossing.take()
    }

    /// `session`, which has the call, is without a connection; `true` if that is news.
    pub fn lose(&mut self, session: &Session) -> bool {
        if let Some(merging) = &mut self.merging {
            merging.with_mut().lose(session);
        }
        self.members.iter_mut().any(|member| member.lose(session.id))
    }

    /// Session `older` of a member is `session` from now on, with a connection; `true` if it has
    /// the call and had none.
    pub fn succeed(&mut self, older: &Session, session: &Session) -> bool {
        if let Some(merging) = &mut self.merging {
            merging.with_mut().succeed(older, session);
        }
        if let Some(at) = self.at_desk_mut() {
            at.succeed(older, session);
        }
        let nth = self.place_of(session.account);
        nth.is_some_and(|nth| self.members[nth].succeed(older.id, session.id))
    }

    /// The media of all rounds.
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// The same, to change it.
    pub fn rounds_mut(&mut self) -> &mut Rounds {
        &mut self.rounds
    }

    /// All media there is, and whose: also that of a call which is to become part of this one.
    pub fn all_media(&self) -> impl Iterator<Item = (&Self, &CallMedia)> {
        let own = self.rounds.all().map(move |media| (self, media));
        let with = self.merging.iter().map(|merging| merging.with());
        own.chain(with.flat_map(|with| with.rounds.all().map(move |media| (with, media))))
    }

    /// All its legs as the relays should hold them, each told explicitly what it receives: what was
    /// said last is not known for sure.
    pub fn wanted_again(&self, sessions: &Registry) -> Vec<(RelayId, WantedLeg)> {
        let mut wanted = Vec::new();
        for (call, media) in self.all_media() {
            for (place, seat) in media.seats().enumerate() {
                for (nth, mut leg) in call.seen_at(sessions, media.wanted_at(place)) {
                    leg.subscriptions = Some(subscriptions(&call.members, media, nth));
                    wanted.push((seat.relay, leg));
                }
            }
        }
        wanted
    }

    /// Another core has taken the call up at `now`. It has been in its state for `age`; what runs
    /// out runs anew.
    pub fn restart(&mut self, now: Duration, age: Duration, times: Restart) {
        let Restart { rings, attend, kept } = times;
        self.entered = now.saturating_sub(age);
        self.members.iter_mut().for_each(|member| member.restart(now, now + rings));
        self.rounds.restart(now, now + attend, now + kept);
        if let Some(merging) = &mut self.merging {
            merging.with_mut().restart(now, age, times);
        }
    }

    /// The call that is to become part of this one.
    pub fn merges_with(&self) -> Option<&Self> {
        self.merging.as_ref().map(|merging| merging.with())
    }

    /// All legs of the coming round as the relays should hold them.
    pub fn wanted(&self, sessions: &Registry) -> Vec<(RelayId, WantedLeg)> {
        let Some(media) = self.rounds.coming() else { return Vec::new() };
        let mut wanted = Vec::new();
        for (place, seat) in media.seats().enumerate() {
            for (nth, mut leg) in self.seen_at(sessions, media.wanted_at(place)) {
                leg.subscriptions = limits(&self.members, media, nth);
                wanted.push((seat.relay, leg));
            }
        }
        wanted
    }

    /// The legs of the round in force at its `place`th relay as that should hold them.
    pub fn wanted_at(&self, place: usize, sessions: &Registry) -> Vec<WantedLeg> {
        let Some(media) = self.rounds.current() else { return Vec::new() };
        let limited = self.seen_at(sessions, media.wanted_at(place)).map(|(nth, leg)| {
            let subscriptions = limits(&self.members, media, nth);
            WantedLeg { subscriptions, ..leg }
        });
        limited.collect()
    }

    /// Legs of members, with where the terminals of their sessions are seen.
    fn seen_at(
        &self,
        sessions: &Registry,
        legs: Vec<(usize, WantedLeg)>,
    ) -> impl Iterator<Item = (usize, WantedLeg)> {
        let session = |nth: usize| self.members.get(nth)?.session();
        let seen_at = move |nth| sessions.get(session(nth)?).map(|session| session.seen_at);
        legs.into_iter().map(move |(nth, leg)| {
            let seen_at = seen_at(nth).unwrap_or(Host::UNKNOWN);
            (nth, WantedLeg { seen_at, ..leg })
        })
    }

    /// The legs of the member that takes part in `session`, at all its relays.
    pub fn legs_of(&self, session: &Session) -> Vec<(RelayId, LegId)> {
        let theirs = self.all_media().flat_map(|(call, media)| {
            let part = call.standing(session).filter(|(_, it)| *it == Standing::Takes);
            part.map(|(nth, _)| media.legs_of(nth)).unwrap_or_default()
        });
        theirs.collect()
    }

    /// What each member receives, in the round in force and in the coming one.
    pub fn received(&self) -> Vec<Received> {
        let members = 0..self.members.len();
        let rounds = [self.rounds.current(), self.rounds.coming()].into_iter().flatten();
        let of = |media: &CallMedia, nth| Received {
            legs: media.legs_of(nth),
            streams: subscriptions(&self.members, media, nth),
        };
        rounds.flat_map(|media| members.clone().map(move |nth| of(media, nth))).collect()
    }

    /// What its members are told of each other.
    pub fn seen(&self) -> Members {
        let numbers = (0..=u8::MAX).map(MemberId);
        let members = self.members.iter().zip(numbers);
        let members = members.filter_map(|(member, number)| member.seen(number)).collect();
        Members { call: self.id, members }
    }

    /// Changes the member whose account has `session`.
    ///
    /// # Errors
    /// As `change` says, or if there is none.
    pub fn change(
        &mut self,
        session: &Session,
        change: impl FnOnce(&mut Member) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let nth = self.place_of(session.account).ok_or(Refusal::NoSuchCall)?;
        change(&mut self.members[nth])
    }

    /// Lets `event` happen to the member at `nth`.
    ///
    /// # Errors
    /// As the member's table says.
    pub fn change_at(&mut self, nth: usize, event: MemberEvent, at: UnixMs) -> Result<(), Refusal> {
        self.members[nth].apply(event, at)
    }

    /// Notes how media arrived at a member; `false` if the session is none's.
    pub fn report(&mut self, session: SessionId, report: &ReportQuality, now: Now) -> bool {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.session() == Some(session));
        member.map(|member| member.report(report, now)).is_some()
    }

    /// The record of the call as it stands.
    pub fn record(&self) -> CallRecord {
        CallRecord {
            call: self.id,
            tenant: self.tenant(),
            members: self.members.iter().map(Member::party).collect(),
            desk: self.desk.as_ref().map(AtDesk::part),
            state: match self.state {
                State::Inviting | State::Ringing => RecordState::Ringing,
                State::Queued => RecordState::Queued,
                State::Preparing | State::Connected => RecordState::Active,
                State::Ended => RecordState::Ended,
            },
            started: self.started,
            answered: self.answered,
            ended: None,
            reason: None,
        }
    }
}
