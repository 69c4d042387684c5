//! What sessions ask for.

use super::{Coordinator, Request};
use crate::calls::{CALLEE, CALLER, Call, Event, Member, Standing, Step};
use crate::clock::Now;
use crate::placement::choose;
use crate::policy::{CallFacts, Callee, acceptable, may_call};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{AccountId, CallId, RequestId, SessionId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{Refusal, ReportQuality};

/// Legs a call between two terminals has at each relay.
pub(super) const LEGS: u32 = 2;

/// Which member may do something to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Caller,
    Callee,
    Either,
}

impl Coordinator {
    pub(super) fn asked(&mut self, id: SessionId, request: Request, now: Now) {
        // A session that was ended meanwhile has been told so; nothing it said after counts.
        let Some(session) = self.sessions.get(id).cloned() else { return };
        match request {
            Request::SignOut => self.sign_out(id, now),
            Request::Watch(request, accounts) => {
                self.presences.watch(&session);
                self.done(id, request);
                for page in self.all_presence(session.account.tenant, accounts) {
                    self.say(id, page);
                }
            }
            Request::Invite(request, callee, streams) => {
                if let Err(reason) = self.invite(&session, request, callee, streams, now) {
                    self.refuse(id, request, reason);
                }
            }
            Request::Accept(accept) => self.accept(&session, accept, now),
            Request::Reject(ask) => self.reject(&session, ask, now),
            Request::Cancel(ask) => {
                self.act((&session, ask.request, ask.call), By::Caller, Event::Cancel, now);
            }
            Request::HangUp(ask) => {
                self.act((&session, ask.request, ask.call), By::Either, Event::HangUp, now);
            }
            Request::PasswordChanged(request) => self.password_changed(&session, request, now),
            Request::Refuse(request, reason) => self.refuse(id, request, reason),
            Request::Report(report) => self.report(id, &report),
            Request::Hold(ask) => self.hold(&session, ask, now),
            Request::Mute(ask) => self.mute(&session, ask, now),
            Request::Share(ask) => self.share(&session, ask, now),
            Request::ChooseLayer(ask) => self.choose_layer(&session, ask, now),
            Request::Away(ask) => self.set_away(&session, ask),
        }
    }

    /// Admits, decides and records an invitation; it rings when the record is on disk.
    fn invite(
        &mut self,
        session: &Session,
        request: RequestId,
        callee: Option<AccountId>,
        streams: Vec<StreamOffer>,
        now: Now,
    ) -> Result<(), Refusal> {
        if !acceptable(&streams) {
            return Err(Refusal::BadRequest);
        }
        let callee = may_call(&self.facts(session, callee, now))?;
        if !self.calls.has_room() {
            return Err(Refusal::Busy);
        }
        let callee = Member::called(self.sessions.of(callee)).ok_or(Refusal::NotAvailable)?;
        let id = self.fresh_call_id();
        let call = Call::new((id, request), Member::calling(session, streams), callee, now);
        self.write(call.record());
        self.calls.insert(call);
        self.announce_members(id);
        Ok(())
    }

    fn facts(&self, session: &Session, callee: Option<AccountId>, now: Now) -> CallFacts {
        let busy = |account| self.calls.of(account).is_some();
        let callee = callee.map(|account| {
            let account = AccountKey { tenant: session.account.tenant, account };
            let is_there = self.sessions.is_there(account);
            Callee { account, is_there, is_busy: busy(account) }
        });
        CallFacts {
            caller: session.account,
            caller_is_busy: busy(session.account),
            callee,
            relay_ready: choose(&self.fleet.candidates(now.since_start), LEGS).is_some(),
        }
    }

    fn fresh_call_id(&self) -> CallId {
        loop {
            let id = CallId(self.entropy.nonzero());
            if !self.calls.contains(id) {
                return id;
            }
        }
    }

    /// Lets a member's wish happen to its call, and answers it.
    pub(super) fn act(
        &mut self,
        (session, request, call): (&Session, RequestId, CallId),
        by: By,
        event: Event,
        now: Now,
    ) -> Option<Step> {
        if let Err(reason) = self.permitted(session, call, by) {
            self.refuse(session.id, request, reason);
            return None;
        }
        let at = self.out.len();
        let step = self.happen(call, event, now)?;
        match step {
            Step::Refuse(reason) => self.refuse(session.id, request, reason),
            // Behind the record it promises, before what follows from it.
            _ => self.answer_done_at(at, session.id, request),
        }
        Some(step)
    }

    /// Whether a session may do something to a call that `by` may do.
    pub(super) fn permitted(&self, session: &Session, call: CallId, by: By) -> Result<(), Refusal> {
        // Of another's call, or another tenant's, is said what is said of none.
        let standing = self.calls.get(call).and_then(|call| call.standing(session));
        match (standing.ok_or(Refusal::NoSuchCall)?, by) {
            // The account has answered on another device, or this one has declined.
            ((CALLEE, Standing::Aside), By::Callee) => Err(Refusal::TooLate),
            ((_, Standing::Aside), _) => Err(Refusal::NoSuchCall),
            ((CALLER, _), By::Callee) | ((CALLEE, _), By::Caller) => Err(Refusal::BadRequest),
            _ => Ok(()),
        }
    }

    fn report(&mut self, session: SessionId, report: &ReportQuality) {
        if let Some(call) = self.calls.get_mut(report.call) {
            call.report(session, report);
        }
    }
}
