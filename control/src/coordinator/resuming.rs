//! Sessions lose their connection, and come back.
//!
//! A session without a connection keeps its place for a while: its calls go on or ring on, and the
//! others see that it reconnects. Whoever resumes it gets another number for it, so that whatever
//! the connection before may still say counts no longer.

use super::devices::incoming;
use super::{Coordinator, Output};
use crate::calls::{Call, Event, Standing, State};
use crate::clock::Now;
use crate::sessions::{Admission, Session};
use kakehashi_wire::id::{CallId, RequestId, SessionId};
use kakehashi_wire::media::Host;
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{CallEnded, Merged, Refusal, Resumed, SessionEnd};

impl Coordinator {
    /// The session's connection is lost.
    pub(super) fn lost(&mut self, id: SessionId, now: Now) {
        if self.settings.grace.is_zero() {
            return self.gone(id, now);
        }
        let Some(session) = self.sessions.get(id).cloned() else { return };
        self.presences.unwatch(&session);
        self.detached.detach(id, now.since_start + self.settings.grace);
        for id in self.calls_with(&session, Standing::Takes) {
            let Some(call) = self.calls.get_mut(id) else { continue };
            if call.state() == State::Inviting {
                // The answer would reach nobody, and nobody could take the call back.
                self.happen(id, Event::MemberLost, now);
            } else if call.lose(&session) {
                self.tell_members(id);
            }
        }
    }

    /// Whoever did not come back in time is gone.
    pub(super) fn look_at_detached(&mut self, now: Now) {
        while let Some(session) = self.detached.due(now.since_start) {
            self.gone(session, now);
        }
    }

    /// The `older` session of the same device goes on as `session`; without one, it begins.
    pub(super) fn resume(
        &mut self,
        (session, older): (&Session, Option<Session>),
        request: RequestId,
        token: ResumeToken,
    ) {
        match self.sessions.admit(session.clone()) {
            Admission::New | Admission::Replaces(_) => {}
            Admission::Elsewhere => return self.turn_away(session.id, Refusal::SignedInElsewhere),
            Admission::Full => return self.turn_away(session.id, Refusal::Busy),
        }
        let (over, back) = match &older {
            Some(older) => self.succeed(older, session),
            None => (Vec::new(), Vec::new()),
        };
        self.out.push(Output::Arrival(session.id, Ok(())));
        let calls = self.calls_with(session, Standing::Takes);
        let mut rings = self.calls_with(session, Standing::Rings);
        rings.retain(|id| self.calls.get(*id).is_some_and(|it| it.state() != State::Inviting));
        let resumed = Resumed {
            request,
            session: session.id,
            token,
            grace_ms: self.grace_ms(),
            calls: calls.iter().filter_map(|id| self.known_as(session, *id)).collect(),
            rings: rings.clone(),
            merged: calls.iter().flat_map(|id| self.absorbed(*id)).collect(),
            over,
        };
        self.say(session.id, resumed);
        for call in calls {
            self.tell_again(session, call, back.contains(&call));
        }
        for id in rings {
            if let Some(call) = self.calls.get(id) {
                let incoming = incoming(call, session.account);
                self.say(session.id, incoming);
            }
        }
        self.tell_missed(session);
        if older.is_none() {
            self.announce(session);
            self.ring_also(session);
        }
    }

    /// By which number the terminal of `session` knows a call.
    fn known_as(&self, session: &Session, id: CallId) -> Option<CallId> {
        let call = self.calls.get(id)?;
        Some(call.known_to(call.place_of(session.account)?))
    }

    fn absorbed(&self, into: CallId) -> Vec<Merged> {
        let absorbed = self.calls.get(into).map(Call::absorbed).unwrap_or_default();
        absorbed.iter().map(|call| Merged { call: *call, into }).collect()
    }

    /// `session` takes the place of the same one with another number. Returns the ends of calls
    /// that were kept for it, and the calls in which it was lost.
    fn succeed(&mut self, older: &Session, session: &Session) -> (Vec<CallEnded>, Vec<CallId>) {
        self.presences.unwatch(older);
        let over = self.detached.attach(older.id).unwrap_or_else(|| {
            // The terminal knew before the node that the connection was lost.
            self.out.push(Output::End(older.id, SessionEnd::Replaced));
            Vec::new()
        });
        let mut back = Vec::new();
        for id in self.calls_of(session) {
            let call = self.calls.get_mut(id);
            if call.is_some_and(|call| call.succeed(older, session)) {
                back.push(id);
            }
        }
        if older.seen_at != session.seen_at {
            self.tell_where(session);
        }
        (over, back)
    }

    /// The terminal of a session is seen at another address.
    pub(super) fn moved(&mut self, id: SessionId, seen_at: Host) {
        if self.sessions.see(id, seen_at)
            && let Some(session) = self.sessions.get(id).cloned()
        {
            self.tell_where(&session);
        }
    }

    /// The relays that hold legs of `session` are to know where its terminal is seen.
    fn tell_where(&mut self, session: &Session) {
        for call in self.calls.all_of(session.account) {
            for (relay, leg) in call.legs_of(session) {
                self.fleet.see(relay, leg, session.seen_at);
            }
        }
    }

    /// All that the terminal of `session` must know of a call it takes part in: what was said of it
    /// before may not have arrived. The others are told if it `is_back`.
    fn tell_again(&mut self, session: &Session, id: CallId, is_back: bool) {
        // Whatever the others are yet to be told of new lives of their legs comes first.
        self.renew_paths(id);
        let Some(call) = self.calls.get(id) else { return };
        // Who is about to come from another call has not heard of this one yet.
        let knows = call.told().contains(&session.id);
        let seen = knows.then(|| call.seen());
        let ready = (call.state() == State::Connected).then(|| call.ready_for(session)).flatten();
        if is_back {
            self.tell_members(id);
        } else if let Some(seen) = seen {
            self.say(session.id, seen);
        }
        if let Some(ready) = ready {
            self.say(session.id, ready);
        }
        if self.hears_of_place(id) == Some(session.id) {
            self.desks.tell_anew(id);
            self.tell_place(id);
        }
    }

    fn calls_with(&self, session: &Session, standing: Standing) -> Vec<CallId> {
        let has = |call: &&Call| call.standing(session).is_some_and(|(_, it)| it == standing);
        self.calls.all_of(session.account).filter(has).map(Call::id).collect()
    }
}
