//! Sessions come and go.

use super::{Arrival, Coordinator, Output, rejected};
use crate::calls::Event;
use crate::clock::Now;
use crate::sessions::{Admission, Session};
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{Refusal, SessionEnd, SignedIn};

impl Coordinator {
    pub(super) fn arrived(&mut self, arrival: Arrival, now: Now) {
        let Arrival { session: id, account, device, epochs, resumes, .. } = arrival;
        if self.revoked.ends(account, device, epochs) {
            let is_resumed = resumes.is_some();
            let reason = if is_resumed { Refusal::Expired } else { Refusal::BadCredentials };
            return self.turn_away(id, reason);
        }
        let is_handed_over = arrival.is_handed_over;
        let Arrival { login, display, role, software, agent, is_away, seen_at, .. } = arrival;
        let (first, since) = (resumes.unwrap_or(id), now.wall);
        let session =
            Session { id, first, account, login, display, role, device, epochs, since, seen_at };
        let older = self.sessions.of(account).find(|older| older.device == device).cloned();
        let older = older.filter(|_| resumes.is_some());
        if older.as_ref().is_some_and(|older| older.first != first) {
            // The device has signed in anew since.
            return self.turn_away(id, Refusal::Expired);
        }
        if is_handed_over && older.as_ref().is_some_and(|older| !self.detached.has(older.id)) {
            // Its node was cut off and knows a connection that its terminal has given up since. If
            // it was not so, the terminal comes back.
            return self.turn_away(id, Refusal::Expired);
        }
        // Whoever goes on with a session was let in already.
        if older.is_none()
            && !is_handed_over
            && let Err(reason) = self.may_sign_in(&session, &software, now)
        {
            return self.turn_away(id, reason);
        }
        self.remembered(account, agent.as_ref().filter(|_| is_handed_over), now);
        let Arrival { request, token, .. } = arrival;
        match resumes {
            Some(_) => self.resume((&session, older), request, token),
            None => self.begin(&session, request, token, now),
        }
        if is_handed_over && is_away && self.sessions.of(account).next().is_some() {
            // Nobody was offered a call since.
            self.presences.set_away(account, true);
        }
        self.announce_account(account);
    }

    fn begin(&mut self, session: &Session, request: RequestId, token: ResumeToken, now: Now) {
        match self.sessions.admit(session.clone()) {
            Admission::New => {}
            Admission::Replaces(older) => {
                self.out.push(Output::End(older.id, SessionEnd::Replaced));
                self.let_go(&older);
                self.member_detached(&older, Event::MemberLost, now);
            }
            Admission::Elsewhere => return self.turn_away(session.id, Refusal::SignedInElsewhere),
            Admission::Full => return self.turn_away(session.id, Refusal::Busy),
        }
        self.out.push(Output::Arrival(session.id, Ok(())));
        let signed_in = SignedIn {
            request,
            session: session.id,
            tenant: session.account.tenant,
            account: session.account.account,
            display: session.display.clone(),
            must_change_password: false,
            role: session.role,
            token,
            grace_ms: self.grace_ms(),
        };
        self.say(session.id, signed_in);
        self.tell_missed(session);
        self.announce(session);
        self.ring_also(session);
    }

    pub(super) fn turn_away(&mut self, id: SessionId, reason: Refusal) {
        self.out.push(Output::Arrival(id, Err(rejected(reason))));
    }

    pub(super) fn grace_ms(&self) -> u32 {
        u32::try_from(self.settings.grace.as_millis()).unwrap_or(u32::MAX)
    }

    /// Nothing more is told to a session that is over.
    pub(super) fn let_go(&mut self, session: &Session) {
        self.presences.unwatch(session);
        self.detached.attach(session.id);
    }

    pub(super) fn gone(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.remove(id) else { return };
        self.let_go(&session);
        self.member_detached(&session, Event::MemberLost, now);
        self.announce(&session);
    }

    pub(super) fn sign_out(&mut self, id: SessionId, now: Now) {
        self.gone(id, now);
        self.out.push(Output::End(id, SessionEnd::SignedOut));
    }

    /// Everybody is told, in good order. Sessions and calls stay as they are: the node that starts
    /// next takes the calls up.
    pub(super) fn stop(&mut self) {
        let sessions = self.sessions.iter().map(|session| session.id);
        self.out.extend(sessions.map(|id| Output::End(id, SessionEnd::NodeStopping)));
    }
}
