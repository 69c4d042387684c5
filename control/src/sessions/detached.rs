//! Sessions whose connection is lost and that wait for their terminal to come back. Pure.

use crate::capacity::OVER_KEPT_MAX;
use kakehashi_wire::id::SessionId;
use kakehashi_wire::terminal::CallEnded;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The sessions without a connection.
#[derive(Debug, Default)]
pub struct Detached {
    sessions: HashMap<SessionId, Waiting>,
    /// When each is over.
    ends: BTreeSet<(Duration, SessionId)>,
}

#[derive(Debug)]
struct Waiting {
    until: Duration,
    over: Vec<CallEnded>,
}

impl Detached {
    /// `session` has no connection and is kept until that time.
    pub fn detach(&mut self, session: SessionId, until: Duration) {
        self.attach(session);
        self.sessions.insert(session, Waiting { until, over: Vec::new() });
        self.ends.insert((until, session));
    }

    /// `session` is back, or over. Returns which calls ended for it meanwhile; `None` if it did
    /// not wait.
    pub fn attach(&mut self, session: SessionId) -> Option<Vec<CallEnded>> {
        let Waiting { until, over } = self.sessions.remove(&session)?;
        self.ends.remove(&(until, session));
        Some(over)
    }

    /// Whether `session` has no connection.
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Keeps the end of a call for when `session` is back. It need not be there for the terminal to
    /// know that the call is over, only for why, so the latest few are enough.
    pub fn keep(&mut self, session: SessionId, ended: CallEnded) {
        let Some(waiting) = self.sessions.get_mut(&session) else { return };
        if waiting.over.len() >= OVER_KEPT_MAX {
            waiting.over.remove(0);
        }
        waiting.over.push(ended);
    }

    /// A session that has waited long enough, if there is one.
    pub fn due(&self, now: Duration) -> Option<SessionId> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, session)| *session)
    }

    /// When the next session has waited long enough.
    pub fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::CallId;
    use kakehashi_wire::terminal::CallEnd;

    const MS: Duration = Duration::from_millis(1);

    fn ended(call: u64) -> CallEnded {
        CallEnded { call: CallId(call), reason: CallEnd::HungUp }
    }

    #[test]
    fn a_session_waits_until_its_time_and_hears_what_ended() {
        let mut detached = Detached::default();
        let (first, second) = (SessionId(2), SessionId(1));
        detached.keep(first, ended(0));
        detached.detach(first, 20 * MS);
        detached.detach(second, 30 * MS);
        detached.keep(first, ended(1));
        assert_eq!((detached.next_end(), detached.due(19 * MS)), (Some(20 * MS), None));
        assert_eq!(detached.due(30 * MS), Some(first));
        assert_eq!(detached.attach(first), Some(vec![ended(1)]));
        assert_eq!((detached.attach(first), detached.has(first)), (None, false));
        assert_eq!((detached.due(30 * MS), detached.has(second)), (Some(second), true));
        assert_eq!(detached.attach(second), Some(Vec::new()));
        assert_eq!(detached.next_end(), None);
    }

    #[test]
    fn losing_it_again_begins_the_wait_anew() {
        let mut detached = Detached::default();
        detached.detach(SessionId(1), 20 * MS);
        detached.detach(SessionId(1), 40 * MS);
        assert_eq!((detached.due(39 * MS), detached.next_end()), (None, Some(40 * MS)));
    }

    #[test]
    fn the_latest_ends_are_kept() {
        let mut detached = Detached::default();
        detached.detach(SessionId(1), MS);
        let ends = OVER_KEPT_MAX as u64 + 3;
        (0..ends).for_each(|call| detached.keep(SessionId(1), ended(call)));
        let kept = detached.attach(SessionId(1)).unwrap();
        assert_eq!((kept.len(), kept.last()), (OVER_KEPT_MAX, Some(&ended(ends - 1))));
    }
}
