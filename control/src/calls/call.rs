//! One call: its state, its two members, its media. Dispatches, decides nothing by itself.

use super::{CallMedia, Event, State, Step, step};
use crate::clock::{Now, UnixMs};
use crate::records::{CallRecord, Party, Quality, RecordState};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{CallId, Epoch, LegId, RelayId, RequestId, SessionId, TenantId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{CallReady, PathRenewed, ReportQuality};
use std::time::Duration;

/// A terminal's part in a call.
pub struct Member {
    /// Through which session.
    pub session: SessionId,
    /// For which account.
    pub account: AccountKey,
    /// Its login ID.
    pub login: String,
    /// Its name for others.
    pub display: String,
    /// What it offers to send.
    pub streams: Vec<StreamOffer>,
    /// What it last reported.
    pub quality: Option<Quality>,
}

impl Member {
    /// The terminal of `session`, offering `streams`.
    pub fn new(session: &Session, streams: Vec<StreamOffer>) -> Self {
        Self {
            session: session.id,
            account: session.account,
            login: session.login.clone(),
            display: session.display.clone(),
            streams,
            quality: None,
        }
    }
}

/// A call between two terminals.
pub struct Call {
    id: CallId,
    state: State,
    /// The caller first.
    members: [Member; 2],
    invite: RequestId,
    media: Option<CallMedia>,
    /// When the present state began.
    entered: Duration,
    // For the record.
    started: UnixMs,
    answered: Option<UnixMs>,
}

impl Call {
    /// An invitation that was found to be allowed.
    pub fn new(id: CallId, invite: RequestId, members: [Member; 2], now: Now) -> Self {
        Self {
            id,
            state: State::Inviting,
            members,
            invite,
            media: None,
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
        if next == State::Preparing {
            self.answered = Some(now.wall);
        }
        step
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

    /// The members, caller first.
    pub fn members(&self) -> &[Member; 2] {
        &self.members
    }

    /// Who calls.
    pub fn caller(&self) -> &Member {
        &self.members[0]
    }

    /// Who is called.
    pub fn callee(&self) -> &Member {
        &self.members[1]
    }

    /// The tenant of all members.
    pub fn tenant(&self) -> TenantId {
        self.caller().account.tenant
    }

    /// What the called side offers to send, known when it takes the call.
    pub fn set_callee_streams(&mut self, streams: Vec<StreamOffer>) {
        self.members[1].streams = streams;
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

    /// What each member is told when the relays are ready; `epoch` is the life of a leg at a relay.
    pub fn ready(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, CallReady)> {
        let logins = self.members.each_ref().map(|member| member.login.as_str());
        let Some(media) = &mut self.media else { return Vec::new() };
        media.note_lives(epoch);
        let members = self.members.iter().enumerate();
        members
            .filter_map(|(nth, member)| Some((member.session, media.ready(nth, self.id, &logins)?)))
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
            let session = self.members.get(life.member)?.session;
            Some((session, PathRenewed { call: self.id, leg, epoch }))
        });
        told.collect()
    }

    /// Notes how media arrived at a member.
    pub fn report(&mut self, session: SessionId, report: &ReportQuality) {
        if let Some(member) = self.members.iter_mut().find(|member| member.session == session) {
            member.quality = Some(Quality {
                packets_sent: report.packets_sent,
                packets_received: report.packets_received,
                packets_lost: report.packets_lost,
                jitter_us: report.jitter_us,
                round_trip_us: report.round_trip_us,
            });
        }
    }

    /// The record of the call as it stands.
    pub fn record(&self) -> CallRecord {
        let party = |member: &Member| Party {
            account: member.account.account,
            login: member.login.clone(),
            quality: member.quality,
        };
        CallRecord {
            call: self.id,
            tenant: self.tenant(),
            caller: party(self.caller()),
            callee: party(self.callee()),
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
