//! Somebody's rights end, or an operator ends a call: sessions, calls and media, at once.
//!
//! Orders to the relays come first among the outputs, before any record that later outputs wait
//! for: whoever is suspended must not go on speaking while a disk is slow.

use super::{Coordinator, Output};
use crate::calls::{Call, Event, Standing, State};
use crate::clock::Now;
use crate::fleet::LinkId;
use crate::sessions::{Revocation, Session};
use kakehashi_wire::id::{CallId, LegId, RelayId, SessionId};
use kakehashi_wire::relay::FromRelay;
use kakehashi_wire::terminal::{CallEnd, CallEnded, SessionEnd};
use std::collections::BTreeSet;

impl Coordinator {
    pub(super) fn revoke(&mut self, revocation: &Revocation, now: Now) {
        self.revoked.note(revocation, now.since_start);
        let sessions = self.sessions.of_whom(revocation.whom);
        let legs: BTreeSet<_> =
            sessions.iter().flat_map(|session| self.legs_of_session(session)).collect();
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
        self.removals.begin(*revocation, legs, |relay| self.fleet.is_linked(relay), now);
    }

    /// What a relay says of legs that somebody waits to be gone.
    pub(super) fn note_removals(&mut self, link: LinkId, message: &FromRelay, now: Now) {
        if let (FromRelay::OrdersDone(done), Some(relay)) = (message, self.fleet.at(link)) {
            self.removals.heard(relay, &done.results, now);
        }
    }

    /// Tells whoever waits for legs to be gone.
    pub(super) fn tell_of_removals(&mut self, now: Now) {
        let over = self.removals.over(now.since_start);
        self.out.extend(over.into_iter().map(|(of, end)| Output::Removed(of, end)));
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

    /// The legs, in whichever round, of the calls that a session has taken.
    fn legs_of_session(&self, session: &Session) -> Vec<(RelayId, LegId)> {
        let mut legs = Vec::new();
        for call in self.calls.all_of(session.account) {
            if let Some((nth, Standing::Takes)) = call.standing(session) {
                legs.extend(call.rounds().all().flat_map(|media| media.legs_of(nth)));
            }
        }
        legs
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
