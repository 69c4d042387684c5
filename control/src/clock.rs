//! The one place of this crate that reads a clock.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, for records that people read. Nothing is ordered by it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// A point in time as the pure parts see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Time since the node started; never goes back. All deadlines are in it.
    pub since_start: Duration,
    /// What people's clocks say.
    pub wall: UnixMs,
}

/// Hands out [`Now`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts here.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Now {
        Now { since_start: self.start.elapsed(), wall: UnixMs::now() }
    }
}

impl UnixMs {
    /// What the machine's clock says; 0 if it stands before 1970.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
