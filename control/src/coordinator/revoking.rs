//! Somebody's rights end: sessions, calls and media, at once.
//!
//! Orders to the relays come first among the outputs, before any record that later outputs wait
//! for: whoever is suspended must not go on speaking while a disk is slow.

use super::{Coordinator, Output};
use crate::calls::{Call, Event, State};
use crate::clock::Now;
use crate::sessions::{Revocation, Session};
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::terminal::{CallEnd, CallEnded};
use std::collections::BTreeSet;

impl Coordinator {
    pub(super) fn revoke(&mut self, revocation: &Revocation, now: Now) {
        self.revoked.note(revocation, now.since_start);
        let sessions = self.sessions.of_whom(revocation.whom);
        // Whoever stays is told of none of them any more.
        for session in &sessions {
            self.sessions.remove(session.id);
            self.presences.unwatch(session);
        }
        let mut lost = Vec::new();
        for call in self.calls_of_any(&sessions) {
            lost.extend(
                self.calls.get(call).into_iter().flat_map(|call| heard_of(call, &sessions)),
            );
            self.happen(call, Event::Suspended, now);
        }
        for (session, call) in lost {
            self.say(session, CallEnded { call, reason: CallEnd::Suspended });
        }
        for session in &sessions {
            self.out.push(Output::End(session.id, revocation.why));
            self.announce(session);
        }
        let follows = std::mem::take(&mut self.out);
        self.flush_fleet(now);
        self.out.extend(follows);
    }

    fn calls_of_any(&self, sessions: &[Session]) -> BTreeSet<CallId> {
        sessions.iter().flat_map(|session| self.calls_of(session)).collect()
    }
}

/// Which of `sessions` take part in a call and know it.
fn heard_of(call: &Call, sessions: &[Session]) -> Vec<(SessionId, CallId)> {
    if call.state() == State::Inviting {
        return Vec::new();
    }
    let members = call.members().iter().map(|member| member.session);
    let ended = members.filter(|member| sessions.iter().any(|session| session.id == *member));
    ended.map(|member| (member, call.id())).collect()
}
