//! One call: its state, its members, its media. Dispatches, decides nothing by itself.

use super::{
    CallMedia, Event, Member, MemberEvent, Standing, State, Step, limits, step, subscriptions,
};
use crate::clock::{Now, UnixMs};
use crate::fleet::WantedLeg;
use crate::records::{CallRecord, RecordState};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{CallId, Epoch, LegId, MemberId, RelayId, RequestId, SessionId, TenantId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::relay::Subscription;
use kakehashi_wire::terminal::{CallReady, Members, PathRenewed, Refusal, ReportQuality};
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

/// A call between accounts of one tenant.
pub struct Call {
    id: CallId,
    state: State,
    /// The caller first, then who was called.
    members: Vec<Member>,
    invite: RequestId,
    media: Option<CallMedia>,
    crossing: Option<Crossing>,
    /// When the present state began.
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
        Self {
            id,
            state: State::Inviting,
            members: vec![caller, callee],
            invite,
            media: None,
            crossing: None,
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
                self.apply_to(&[CALLEE], MemberEvent::Accept, now.wall);
            }
            State::Connected => self.apply_to(&[CALLER, CALLEE], MemberEvent::Ready, now.wall),
            State::Ended => self.apply_to(&[CALLER, CALLEE], MemberEvent::Leave, now.wall),
            State::Inviting | State::Ringing => {}
        }
        step
    }

    fn apply_to(&mut self, members: &[usize], event: MemberEvent, at: UnixMs) {
        for nth in members {
            // The member's table refuses only what members ask for.
            let _moved = self.members[*nth].apply(event, at);
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

    /// The invitation's request.
    pub fn invite(&self) -> RequestId {
        self.invite
    }

    /// The members: the caller, then who was called.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Who calls.
    pub fn caller(&self) -> &Member {
        &self.members[CALLER]
    }

    /// Who is called.
    pub fn callee(&self) -> &Member {
        &self.members[CALLEE]
    }

    /// The tenant of all members.
    pub fn tenant(&self) -> TenantId {
        self.caller().account.tenant
    }

    /// Where the account of `session` stands among the members, and what the session has to do with
    /// the call; `None` if the account has no part in it.
    pub fn standing(&self, session: &Session) -> Option<(usize, Standing)> {
        let nth = self.members.iter().position(|member| member.account == session.account)?;
        Some((nth, self.members[nth].standing(session.id)))
    }

    /// Whether `account` has it on hold.
    pub fn is_held_by(&self, account: AccountKey) -> bool {
        self.members.iter().any(|member| member.account == account && member.holds())
    }

    /// `session` rings too if its account is called and nobody has taken the call.
    pub fn ring_also(&mut self, session: &Session) -> bool {
        let callee = &mut self.members[CALLEE];
        let rings = callee.account == session.account
            && matches!(self.state, State::Inviting | State::Ringing);
        if rings {
            callee.ring(session.id);
        }
        rings
    }

    /// `session` of the called account rings no more; `true` if others do.
    pub fn stop_ringing(&mut self, session: SessionId) -> bool {
        self.members[CALLEE].stop_ringing(session);
        !self.members[CALLEE].sessions().is_empty()
    }

    /// `session` of the called account has the call, offering `streams`. Returns the account's
    /// other sessions that rang.
    pub fn answered_by(&mut self, session: SessionId, streams: Vec<StreamOffer>) -> Vec<SessionId> {
        self.members[CALLEE].answer(session, streams)
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

    /// The media, once the call is taken.
    pub fn media(&self) -> Option<&CallMedia> {
        self.media.as_ref()
    }

    /// The media, to change its places.
    pub fn media_mut(&mut self) -> Option<&mut CallMedia> {
        self.media.as_mut()
    }

    /// The call has its media.
    pub fn set_media(&mut self, media: CallMedia) {
        self.media = Some(media);
    }

    /// All legs as the relays should hold them, once the call has media.
    pub fn wanted(&self) -> Vec<(RelayId, WantedLeg)> {
        let Some(media) = &self.media else { return Vec::new() };
        let mut wanted = Vec::new();
        for (place, seat) in media.seats().enumerate() {
            for (nth, mut leg) in media.wanted_at(place, self.id).into_iter().enumerate() {
                leg.subscriptions = limits(&self.members, media, nth);
                wanted.push((seat.relay, leg));
            }
        }
        wanted
    }

    /// What each member receives, once the call has media.
    pub fn received(&self) -> Vec<Received> {
        let Some(media) = &self.media else { return Vec::new() };
        let of = |nth| Received {
            legs: media.legs_of(nth),
            streams: subscriptions(&self.members, media, nth),
        };
        (0..self.members.len()).map(of).collect()
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
        let member = self.members.iter_mut().find(|member| member.account == session.account);
        change(member.ok_or(Refusal::NoSuchCall)?)
    }

    /// What each member is told when the relays are ready; `epoch` is the life of a leg at a relay.
    pub fn ready(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, CallReady)> {
        let logins: Vec<_> = self.members.iter().map(|member| member.login.as_str()).collect();
        let Some(media) = &mut self.media else { return Vec::new() };
        media.note_lives(epoch);
        let members = self.members.iter().enumerate();
        members
            .filter_map(|(nth, member)| {
                Some((member.session()?, media.ready(nth, self.id, &logins)?))
            })
            .collect()
    }

    /// What members are told whose sealed legs have another life than they were told of last.
    pub fn renewed(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, PathRenewed)> {
        let Some(media) = &mut self.media else { return Vec::new() };
        let lives = media.note_lives(epoch).into_iter();
        let told = lives.filter_map(|life| {
            let (leg, epoch) = (life.leg, life.epoch);
            let session = self.members.get(life.member)?.session()?;
            Some((session, PathRenewed { call: self.id, leg, epoch }))
        });
        told.collect()
    }

    /// Notes how media arrived at a member.
    pub fn report(&mut self, session: SessionId, report: &ReportQuality) {
        if let Some(member) =
            self.members.iter_mut().find(|member| member.session() == Some(session))
        {
            member.report(report);
        }
    }

    /// The record of the call as it stands.
    pub fn record(&self) -> CallRecord {
        CallRecord {
            call: self.id,
            tenant: self.tenant(),
            members: self.members.iter().map(Member::party).collect(),
            state: match self.state {
                State::Inviting | State::Ringing => RecordState::Ringing,
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
