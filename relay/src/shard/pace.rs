//! How eagerly a shard looks for packets.
//!
//! ```text
//!      more         work or nothing
//!      +---+        +------+
//!      v   |        v      |
//!      Hot +------> Wait --+-----------> Sleep
//!         no more          100 ms of nothing
//! ```
//! Hot takes turns without waiting; each costs two system calls, however many packets it moves.
//! Wait sleeps in our own ring: one call more, but the executor's timers stand still meanwhile.
//! Sleep hands the core to the executor: a few more system calls a wake-up, and none at all while
//! nothing comes.
//!
//! A wait gathers if turns follow each other closely: then a moment's patience saves a wake-up for
//! each packet. Where they are further apart there is nothing to gather, and the patience would
//! only cost its timer.

use super::clock::Moment;
use core::time::Duration;

/// The longest wait in our ring. Orders end it, so only the executor's timers, the housekeeping,
/// are ever late by it.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Turns that found work and are at most so far apart make the next wait gather.
pub(crate) const GATHER_WITHIN: Duration = Duration::from_micros(100);

/// Silence after which a shard sleeps: longer than a voice stream's 20 ms, so that one call's
/// packets never pay for waking the executor.
const SLEEP_AFTER: Duration = Duration::from_millis(100);

/// What a shard does at the end of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Takes the next turn at once.
    Hot,
    /// Waits in its ring for [`TICK`] at most.
    Wait,
    /// Sleeps in the executor until its bell rings.
    Sleep,
}

/// What a turn found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Something, and more is there already.
    More,
    /// Something, and nothing more yet.
    Work,
    /// Nothing; the last work was so long ago.
    Nothing(Duration),
}

impl Pace {
    /// What follows a turn.
    #[must_use]
    pub(crate) fn next(self, found: Found) -> Self {
        match (self, found) {
            (_, Found::More) => Self::Hot,
            (_, Found::Work) | (Self::Hot, Found::Nothing(_)) => Self::Wait,
            (_, Found::Nothing(quiet)) if quiet >= SLEEP_AFTER => Self::Sleep,
            (_, Found::Nothing(_)) => Self::Wait,
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

    const TABLE: &str = "\
Hot   more -> Hot  work -> Wait  quiet -> Wait  silent -> Wait
Wait  more -> Hot  work -> Wait  quiet -> Wait  silent -> Sleep
Sleep more -> Hot  work -> Wait  quiet -> Wait  silent -> Sleep
";

    #[test]
    fn the_transitions_are_these() {
        let table: String = [Pace::Hot, Pace::Wait, Pace::Sleep]
            .map(|state| {
                format!(
                    "{:5} more -> {:?}  work -> {:?}  quiet -> {:?}  silent -> {:?}\n",
                    format!("{state:?}"),
                    state.next(Found::More),
                    state.next(Found::Work),
                    state.next(Found::Nothing(Duration::from_millis(1))),
                    state.next(Found::Nothing(SLEEP_AFTER)),
                )
            })
            .concat();
        assert_eq!(table, TABLE);
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
