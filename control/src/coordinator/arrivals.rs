//! Sessions come and go.

use super::{Arrival, Coordinator, Output, Rejection, retry_after_ms};
use crate::calls::Event;
use crate::clock::Now;
use crate::sessions::{Admission, Session};
use kakehashi_wire::id::SessionId;
use kakehashi_wire::terminal::{Refusal, SessionEnd, SignedIn};

impl Coordinator {
    pub(super) fn arrived(&mut self, arrival: Arrival, now: Now) {
        let Arrival { session: id, request, account, login, display, role, device, .. } = arrival;
        if self.revoked.ends(account, device, arrival.epochs) {
            let reason = Refusal::BadCredentials;
            let rejection = Rejection { reason, retry_after_ms: retry_after_ms(reason) };
            self.out.push(Output::Arrival(id, Err(rejection)));
            return;
        }
        let session = Session { id, account, login, display, role, device, since: now.wall };
        if let Err(reason) = self.may_sign_in(&session, &arrival.software, now) {
            let rejection = Rejection { reason, retry_after_ms: retry_after_ms(reason) };
            self.out.push(Output::Arrival(id, Err(rejection)));
            return;
        }
        let verdict = match self.sessions.admit(session.clone()) {
            Admission::New => Ok(()),
            Admission::Replaces(older) => {
                self.out.push(Output::End(older.id, SessionEnd::Replaced));
                self.presences.unwatch(&older);
                self.member_detached(&older, Event::MemberLost, now);
                Ok(())
            }
            Admission::Elsewhere => Err(Refusal::SignedInElsewhere),
            Admission::Full => Err(Refusal::Busy),
        };
        let rejection = |reason| Rejection { reason, retry_after_ms: retry_after_ms(reason) };
        self.out.push(Output::Arrival(id, verdict.map_err(rejection)));
        if verdict.is_ok() {
            let (tenant, account) = (session.account.tenant, session.account.account);
            self.say(
                id,
                SignedIn {
                    request,
                    session: id,
                    tenant,
                    account,
                    display: session.display.clone(),
                    must_change_password: false,
                    role,
                },
            );
            self.tell_missed(&session);
            self.announce(&session);
            self.ring_also(&session);
        }
    }

    pub(super) fn gone(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.remove(id) else { return };
        self.presences.unwatch(&session);
        self.member_detached(&session, Event::MemberLost, now);
        self.announce(&session);
    }

    pub(super) fn sign_out(&mut self, id: SessionId, now: Now) {
        self.gone(id, now);
        self.out.push(Output::End(id, SessionEnd::SignedOut));
    }

    /// Everybody is told, in good order. Relays drop the legs when they connect to the next node.
    pub(super) fn stop(&mut self, now: Now) {
        let calls: Vec<_> = self.calls.iter().map(|call| call.id()).collect();
        for call in calls {
            self.happen(call, Event::Stop, now);
        }
        let sessions: Vec<_> = self.sessions.iter().cloned().collect();
        for session in &sessions {
            self.sessions.remove(session.id);
            self.presences.unwatch(session);
            self.out.push(Output::End(session.id, SessionEnd::NodeStopping));
        }
    }
}
