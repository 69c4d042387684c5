//! What sessions ask for.

use super::{Coordinator, Request};
use crate::calls::{Call, Event, Member, Step};
use crate::clock::Now;
use crate::placement::choose;
use crate::policy::{CallFacts, Callee, acceptable, may_call};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{AccountId, CallId, RequestId, SessionId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{Accept, Refusal, ReportQuality};

/// Legs a call between two terminals has at each relay.
pub(super) const LEGS: u32 = 2;

/// Which member may do something to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
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
            Request::Accept(accept) => self.accept(id, accept, now),
            Request::Reject(ask) => {
                self.act((id, ask.request, ask.call), By::Callee, Event::Reject, now);
            }
            Request::Cancel(ask) => {
                self.act((id, ask.request, ask.call), By::Caller, Event::Cancel, now);
            }
            Request::HangUp(ask) => {
                self.act((id, ask.request, ask.call), By::Either, Event::HangUp, now);
            }
            Request::PasswordChanged(request) => self.password_changed(id, request, now),
            Request::Refuse(request, reason) => self.refuse(id, request, reason),
            Request::Report(report) => self.report(id, &report),
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
        let Some(callee) = self.sessions.of(callee) else { return Err(Refusal::NotAvailable) };
        let members = [Member::new(session, streams), Member::new(callee, Vec::new())];
        let accounts = members.each_ref().map(|member| member.account);
        let call = Call::new(self.fresh_call_id(), request, members, now);
        self.write(call.record());
        self.calls.insert(call);
        for account in accounts {
            self.announce_account(account);
        }
        Ok(())
    }

    fn facts(&self, session: &Session, callee: Option<AccountId>, now: Now) -> CallFacts {
        let busy = |account| self.calls.of(account).is_some();
        let callee = callee.map(|account| {
            let account = AccountKey { tenant: session.account.tenant, account };
            let is_there = self.sessions.of(account).is_some();
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

    fn accept(&mut self, id: SessionId, ask: Accept, now: Now) {
        let Accept { request, call, streams } = ask;
        if !acceptable(&streams) {
            self.refuse(id, request, Refusal::BadRequest);
            return;
        }
        let step = self.act((id, request, call), By::Callee, Event::Accept, now);
        if matches!(step, Some(Step::To(_))) {
            self.prepare(call, streams, now);
        }
    }

    /// Lets a member's wish happen to its call, and answers it.
    fn act(
        &mut self,
        (session, request, call): (SessionId, RequestId, CallId),
        by: By,
        event: Event,
        now: Now,
    ) -> Option<Step> {
        // Of another's call, or another tenant's, is said what is said of none.
        let allowed = self.calls.get(call).map_or(Err(Refusal::NoSuchCall), |call| {
            let nth = call.members().iter().position(|member| member.session == session);
            match (nth, by) {
                (None, _) => Err(Refusal::NoSuchCall),
                (Some(0), By::Callee) | (Some(1), By::Caller) => Err(Refusal::BadRequest),
                _ => Ok(()),
            }
        });
        if let Err(reason) = allowed {
            self.refuse(session, request, reason);
            return None;
        }
        let at = self.out.len();
        let step = self.happen(call, event, now)?;
        match step {
            Step::Refuse(reason) => self.refuse(session, request, reason),
            // Behind the record it promises, before what follows from it.
            _ => self.answer_done_at(at, session, request),
        }
        Some(step)
    }

    fn report(&mut self, session: SessionId, report: &ReportQuality) {
        if let Some(call) = self.calls.get_mut(report.call) {
            call.report(session, report);
        }
    }
}
