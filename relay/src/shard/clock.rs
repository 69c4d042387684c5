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

/// Processor time that the calling thread has used, in the kernel as well.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_uses_time_and_one_that_waits_does_not() {
        let before = thread_time();
        let mut sum = 0_u64;
        while thread_time() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
        let (clock, used) = (Clock::start(), thread_time());
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        assert!(never.recv_timeout(Duration::from_millis(300)).is_err());
        assert!(clock.now().0 >= Duration::from_millis(300));
        assert!(thread_time() - used < Duration::from_millis(100));
    }
}
