//! How eagerly a shard looks for packets.
//!
//! ```text
//!      more         work or nothing
//!      +---+        +------+
//!      v   |        v      |
//!      Hot +------> Wait --+
//!         no more
//! ```
//! Hot takes turns without waiting; each costs two system calls, however many packets it moves.
//! Wait sleeps in our own ring, where a packet, an order or a tick ends it: one call more. A shard
//! without work wakes four times a second and does nothing else.
//!
//! A wait gathers if turns follow each other closely: then a moment's patience saves a wake-up for
//! each packet. Where they are further apart there is nothing to gather, and the patience would
//! only cost its timer.

use super::clock::Moment;
use core::time::Duration;

/// The longest wait. Packets and orders end it, so only the housekeeping and the end of the shard
/// are ever late by it.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Turns that found work and are at most so far apart make the next wait gather.
pub(crate) const GATHER_WITHIN: Duration = Duration::from_micros(100);

/// What a shard does at the end of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Takes the next turn at once.
    Hot,
    /// Waits in its ring for [`TICK`] at most.
    Wait,
}

/// What a turn found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Something, and more is there already.
    More,
    /// Something, and nothing more yet.
    Work,
    /// Nothing.
    Nothing,
}

impl Pace {
    /// What follows a turn.
    #[must_use]
    pub(crate) fn after(found: Found) -> Self {
        match found {
            Found::More => Self::Hot,
            Found::Work | Found::Nothing => Self::Wait,
        }
    }
}

/// Whether something is due that happens every `period`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every {
    period: Duration,
    last: Moment,
}

impl Every {
    /// Due for the first time one `period` after `now`.
    pub(crate) fn new(period: Duration, now: Moment) -> Self {
        Self { period, last: now }
    }

    /// Whether it is due; if so, the next period begins.
    pub(crate) fn due(&mut self, now: Moment) -> bool {
        let due = now.since(self.last) >= self.period;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transitions_are_these() {
        let table = [Found::More, Found::Work, Found::Nothing]
            .map(|found| format!("{found:?} -> {:?}", Pace::after(found)));
        assert_eq!(table.join(", "), "More -> Hot, Work -> Wait, Nothing -> Wait");
    }

    #[test]
    fn what_is_due_is_due_once_a_period() {
        let at = |ms| Moment(Duration::from_millis(ms));
        let mut every = Every::new(Duration::from_millis(250), at(0));
        let due: Vec<_> =
            [100, 249, 250, 251, 499, 600, 849, 850].map(|ms| every.due(at(ms))).into();
        assert_eq!(due, [false, false, true, false, false, true, false, true]);
    }
}
