//! The only place of this crate that reads a clock or waits for one.

use core::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until `due`, if that is in the future.
    #[expect(clippy::disallowed_methods, reason = "open-loop pacing waits for the schedule")]
    pub fn wait_until(&self, due: Duration) {
        if let Some(left) = due.checked_sub(self.now()) {
            std::thread::sleep(left);
        }
    }
}

/// Seconds since 1970, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Processor time this thread has used.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or(Duration::ZERO)
}
