//! The only place of this crate that reads a clock; everything else is handed a [`Moment`].

use core::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const NTP_UNIX_SECONDS: u64 = 2_208_988_800;

/// A point on the monotonic clock: microseconds since its [`Clock`] was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// When the clock was made.
    pub const ZERO: Self = Self(0);

    /// The point `micros` microseconds after the clock was made.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock was made.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The point `later` after this one.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this point; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A 64-bit NTP timestamp (RFC 3550 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The timestamp of a time since the Unix epoch.
    pub fn from_unix(unix: Duration) -> Self {
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        // RFC 3550 4: seconds wrap in 2036; only differences count.
        Self((unix.as_secs().wrapping_add(NTP_UNIX_SECONDS) << 32) | fraction)
    }

    /// The middle 32 bits: 16 of seconds, 16 of fraction (RFC 3550 6.4.1, LSR).
    pub fn middle(self) -> u32 {
        u32::try_from((self.0 >> 16) & 0xffff_ffff).expect("masked to 32 bits")
    }
}

/// Reads monotonic and wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    unix_at_origin: Duration,
}

impl Clock {
    /// A clock that stands at [`Moment::ZERO`].
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Self { origin: Instant::now(), unix_at_origin: unix.unwrap_or_default() }
    }

    /// How far it has come.
    pub fn now(&self) -> Moment {
        Moment::ZERO.plus(self.origin.elapsed())
    }

    /// The timer instant at which [`now`](Self::now) will give `moment`.
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        (self.origin + moment.since(Moment::ZERO)).into()
    }

    /// Wall time since the Unix epoch at [`Moment::ZERO`].
    pub fn unix_at_zero(&self) -> Duration {
        self.unix_at_origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_splits_into_seconds_and_fraction() {
        let time = NtpTime::from_unix(Duration::new(1, 500_000_000));
        assert_eq!(time.0 >> 32, NTP_UNIX_SECONDS + 1);
        assert_eq!(time.0 & 0xffff_ffff, 1 << 31);
        assert_eq!(time.middle() & 0xffff, 1 << 15);
    }

    #[test]
    fn moments_do_not_run_backwards() {
        let early = Moment::from_micros(5);
        let late = early.plus(Duration::from_micros(7));
        assert_eq!(late.since(early), Duration::from_micros(7));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
