//! Sessions come and go.

use super::{Arrival, Coordinator, Output, Rejection, retry_after_ms};
use crate::calls::{Call, Event};
use crate::clock::Now;
use crate::sessions::{Admission, Session};
use kakehashi_wire::id::{CallId, RequestId, SessionId};
use kakehashi_wire::terminal::{CallEnd, Refusal, SessionEnd, SignedIn};

impl Coordinator {
    pub(super) fn arrived(&mut self, arrival: Arrival, now: Now) {
        let Arrival { session: id, request, account, login, display, device, epochs } = arrival;
        if self.revoked.ends(account, device, epochs) {
            let reason = Refusal::BadCredentials;
            let rejection = Rejection { reason, retry_after_ms: retry_after_ms(reason) };
            self.out.push(Output::Arrival(id, Err(rejection)));
            return;
        }
        let session = Session { id, account, login, display, device, since: now.wall };
        let verdict = match self.sessions.admit(session.clone()) {
            Admission::New => Ok(()),
            Admission::Replaces(older) => {
                self.out.push(Output::End(older.id, SessionEnd::Replaced));
                self.presences.unwatch(&older);
                self.leave_calls(&older, now);
                Ok(())
            }
            Admission::Elsewhere => Err(Refusal::SignedInElsewhere),
            Admission::Full => Err(Refusal::Busy),
        };
        let rejection = |reason| Rejection { reason, retry_after_ms: retry_after_ms(reason) };
        self.out.push(Output::Arrival(id, verdict.map_err(rejection)));
        if verdict.is_ok() {
            let (tenant, account) = (session.account.tenant, session.account.account);
            let display = session.display.clone();
            let must_change_password = false;
            let signed_in =
                SignedIn { request, session: id, tenant, account, display, must_change_password };
            self.say(id, signed_in);
            self.announce(&session);
        }
    }

    pub(super) fn gone(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.remove(id) else { return };
        self.presences.unwatch(&session);
        self.leave_calls(&session, now);
        self.announce(&session);
    }

    pub(super) fn sign_out(&mut self, id: SessionId, now: Now) {
        self.gone(id, now);
        self.out.push(Output::End(id, SessionEnd::SignedOut));
    }

    /// What was granted with the old password ends with it.
    pub(super) fn password_changed(&mut self, id: SessionId, request: RequestId, now: Now) {
        self.done(id, request);
        self.gone(id, now);
        self.out.push(Output::End(id, SessionEnd::PasswordChanged));
    }

    /// Everybody is told, in good order. Relays drop the legs when they connect to the next node.
    pub(super) fn stop(&mut self, now: Now) {
        let calls: Vec<_> = self.calls.iter().map(|call| call.id()).collect();
        for call in calls {
            self.end_call(call, CallEnd::ControlRestarted, now);
        }
        let sessions: Vec<_> = self.sessions.iter().cloned().collect();
        for session in &sessions {
            self.sessions.remove(session.id);
            self.presences.unwatch(session);
            self.out.push(Output::End(session.id, SessionEnd::NodeStopping));
        }
    }

    /// A session that ends takes its account out of its calls.
    fn leave_calls(&mut self, session: &Session, now: Now) {
        for call in self.calls_of(session) {
            self.happen(call, Event::MemberLost, now);
        }
    }

    /// The calls that a session takes part in.
    pub(super) fn calls_of(&self, session: &Session) -> Vec<CallId> {
        let takes_part = |call: &&Call| call.members().iter().any(|m| m.session == session.id);
        self.calls.of(session.account).filter(takes_part).map(Call::id).into_iter().collect()
    }
}
