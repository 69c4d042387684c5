//! What sessions ask for.

use super::{Coordinator, Request};
use crate::calls::{CALLEE, CALLER, Event, Standing, Step};
use crate::clock::Now;
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, RequestId, SessionId};
use kakehashi_wire::terminal::{Done, Refusal, ReportQuality};

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
        let Some(session) = self.sessions.get(id).cloned() else {
            // But its password is another all the same.
            if let Request::PasswordChanged(_, revocation) = request {
                self.revoke(&revocation, now);
            }
            return;
        };
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
                    let callee = callee.map(|callee| callee.account);
                    self.note_in_vain(&session, callee, reason, now);
                }
            }
            Request::Accept(accept) => self.accept(&session, accept, now),
            Request::Reject(ask) => self.reject(&session, ask, now),
            Request::Cancel(ask) => {
                self.act((&session, ask.request, ask.call), By::Caller, Event::Cancel, now);
            }
            Request::HangUp(ask) if self.rings_at_desk(&session, ask.call) => {
                self.decline_at_desk(&session, (ask.request, ask.call), now);
            }
            Request::HangUp(ask) => {
                self.act((&session, ask.request, ask.call), By::Either, Event::HangUp, now);
            }
            Request::PasswordChanged(request, revocation) => {
                self.done(id, request);
                self.revoke(&revocation, now);
            }
            Request::Refuse(request, reason) => self.refuse(id, request, reason),
            Request::Report(report) => self.report(id, &report, now),
            Request::Hold(ask) => self.hold(&session, ask, now),
            Request::Mute(ask) => self.mute(&session, ask, now),
            Request::Share(ask) => self.share(&session, ask, now),
            Request::ChooseLayer(ask) => self.choose_layer(&session, ask, now),
            Request::AddMember(ask, callee) => self.add_member(&session, (&ask, callee), now),
            Request::AddDesk(ask) => self.add_desk(&session, &ask, now),
            Request::Listen(ask) => self.listen(&session, ask, now),
            Request::Merge(ask) => {
                if let Err(reason) = self.merge(&session, ask, now) {
                    self.refuse(id, ask.request, reason);
                }
            }
            Request::InviteDesk(ask) => {
                let request = ask.request;
                if let Err(reason) = self.invite_desk(&session, ask, now) {
                    self.refuse(id, request, reason);
                }
            }
            Request::EndWrapUp(ask) => self.end_wrap_up(&session, ask),
            Request::Away(ask) => self.set_away(&session, ask),
            Request::Missed(ask) => self.missed(&session, ask),
            Request::Moved(seen_at) => self.moved(id, seen_at),
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
        let nth = match self.permitted(session, call, by) {
            Ok(nth) => nth,
            Err(reason) => {
                self.refuse(session.id, request, reason);
                return None;
            }
        };
        let at = self.out.len();
        let step = match event {
            Event::RejectOne => self.happen(call, event, now)?,
            _ => self.leaves(call, nth, event, now)?,
        };
        match step {
            Step::Refuse(reason) => self.refuse(session.id, request, reason),
            // Behind the record it promises, before what follows from it.
            _ => self.answer_at(at, session.id, Done { request }),
        }
        Some(step)
    }

    /// Whether a session may do something to a call that `by` may do: the place of its account.
    pub(super) fn permitted(
        &self,
        session: &Session,
        call: CallId,
        by: By,
    ) -> Result<usize, Refusal> {
        // Of another's call, or another tenant's, is said what is said of none.
        let standing = self.calls.get(call).and_then(|call| call.standing(session));
        match (standing.ok_or(Refusal::NoSuchCall)?, by) {
            ((CALLER, Standing::Takes), By::Callee) => Err(Refusal::BadRequest),
            // The account has answered, here or on another device, or this one has declined.
            ((CALLEE.., Standing::Takes | Standing::Aside), By::Callee) => Err(Refusal::TooLate),
            ((_, Standing::Aside), _) => Err(Refusal::NoSuchCall),
            ((_, Standing::Rings), By::Caller) => Err(Refusal::BadRequest),
            // One that was called and has called itself may not know whose call it became.
            ((nth, _), _) => Ok(nth),
        }
    }

    fn report(&mut self, session: SessionId, report: &ReportQuality, now: Now) {
        let Some(call) = self.calls.get_aside(report.call) else { return };
        if call.report(session, report, now) {
            self.note_ways(session, report, now);
        }
    }
}
