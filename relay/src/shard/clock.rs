//! The one place that reads a clock; everything else is handed the time.

use crate::tick::Tick;
use core::time::Duration;
use std::time::Instant;

/// A clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "this file reads the clock for the crate")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.start.elapsed())
    }
}

/// A moment of a shard's clock, as fine as the clock is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment(pub(crate) Duration);

impl Moment {
    /// The moment as the pure parts know it.
    pub(crate) fn tick(self) -> Tick {
        Tick(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
    }

    /// Time from `earlier` to this moment, zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
