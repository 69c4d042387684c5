//! How eagerly a shard looks for packets.
//!
//! ```text
//!    more                 work, busy                 work or nothing
//!   +-----+               +--------+                    +------+
//!   |     v               |        v                    |      v
//!   +--- Hot <-- more -- Linger <--+     work, light    +---- Wait
//!         |                |  nothing         |                ^
//!         +----------------+------------------+----------------+
//! ```
//! Hot takes the next turn at once. Linger takes it too, but the receive that begins it sleeps in
//! the socket until a packet comes or a few milliseconds are over. Wait sleeps in our own ring,
//! where a packet, an order or a tick ends it.
//!
//! A wait in the ring costs a call, a poll and its completion more than a receive that sleeps:
//! much for one packet, so a shard under load lingers, and pays two system calls a turn. Only
//! packets end that sleep, so it is short, and a shard without load does not begin it: it wakes
//! four times a second and does nothing else.

use super::clock::Moment;
use core::time::Duration;

/// The longest wait. Packets and orders end it, so only the housekeeping and the end of the shard
/// are ever late by it.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Turns with work that are at most so far apart make a shard busy: the next packet comes most
/// often before a lingering receive gives up.
pub(crate) const BUSY_WITHIN: Duration = Duration::from_millis(1);

/// What a shard does at the end of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Takes the next turn at once.
    Hot,
    /// Takes the next turn when a packet comes, but soon in any case.
    Linger,
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

/// How closely turns with work follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Load {
    /// Within [`BUSY_WITHIN`].
    Busy,
    /// Further apart.
    Light,
}

impl Load {
    /// The load when `apart` lies between two turns with work.
    pub(crate) fn of(apart: Duration) -> Self {
        if apart <= BUSY_WITHIN { Self::Busy } else { Self::Light }
    }
}

impl Pace {
    /// What follows a turn.
    #[must_use]
    pub(crate) fn after(found: Found, load: Load) -> Self {
        match (found, load) {
            (Found::More, _) => Self::Hot,
            (Found::Work, Load::Busy) => Self::Linger,
            (Found::Work, Load::Light) | (Found::Nothing, _) => Self::Wait,
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
        let row = |load| {
            [Found::More, Found::Work, Found::Nothing]
                .map(|found| format!("{found:?} -> {:?}", Pace::after(found, load)))
                .join(", ")
        };
        let busy = Load::of(BUSY_WITHIN);
        assert_eq!(row(busy), "More -> Hot, Work -> Linger, Nothing -> Wait");
        let light = Load::of(BUSY_WITHIN + Duration::from_nanos(1));
        assert_eq!(row(light), "More -> Hot, Work -> Wait, Nothing -> Wait");
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
