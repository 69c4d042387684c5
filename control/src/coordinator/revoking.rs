//! Somebody's rights end, or an operator ends a call: sessions, calls and media, at once.
//!
//! Orders to the relays come first among the outputs, before any record that later outputs wait
//! for: whoever is suspended must not go on speaking while a disk is slow.

use super::{Coordinator, Output};
use crate::calls::{Call, Event, Standing, State};
use crate::clock::Now;
use crate::sessions::{Revocation, Session};
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::terminal::{CallEnd, CallEnded, SessionEnd};

impl Coordinator {
    pub(super) fn revoke(&mut self, revocation: &Revocation, now: Now) {
        self.revoked.note(revocation, now.since_start);
        let sessions = self.sessions.of_whom(revocation.whom);
        // Whoever stays is told of none of them any more.
        for session in &sessions {
            self.sessions.remove(session.id);
            self.let_go(session);
        }
        // Said by the standing before any of them leaves: they may be in one call.
        let heard: Vec<_> = sessions.iter().flat_map(|session| self.heard_of(session)).collect();
        let (event, reason) = match revocation.why {
            SessionEnd::Suspended => (Event::Suspended, CallEnd::Suspended),
            _ => (Event::RightsChanged, CallEnd::RightsChanged),
        };
        for session in &sessions {
            self.member_detached(session, event, now);
        }
        for (session, call) in heard {
            self.say(session, CallEnded { call, reason });
        }
        for session in &sessions {
            self.out.push(Output::End(session.id, revocation.why));
            self.announce(session);
        }
        self.tell_relays_first(now);
    }

    /// An operator or administrator ends a call.
    pub(super) fn end_by_operator(&mut self, call: CallId, now: Now) {
        self.happen(call, Event::Operator, now);
        self.tell_relays_first(now);
    }

    /// Puts what the relays are to do before everything that was decided.
    fn tell_relays_first(&mut self, now: Now) {
        let follows = std::mem::take(&mut self.out);
        self.flush_fleet(now);
        self.out.extend(follows);
    }

    /// The calls that a session takes part in and knows of.
    fn heard_of(&self, session: &Session) -> Vec<(SessionId, CallId)> {
        let knows = |call: &&Call| {
            let standing = call.standing(session).map(|(_, standing)| standing);
            let takes_part = matches!(standing, Some(Standing::Takes | Standing::Rings));
            takes_part && call.state() != State::Inviting
        };
        let calls = self.calls.all_of(session.account).filter(knows);
        calls.map(|call| (session.id, call.id())).collect()
    }
}
