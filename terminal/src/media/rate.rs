//! Bits a second of a growing byte count. Pure.

use core::time::Duration;

/// The rate over the last measured interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    bytes_before: u64,
    bits_per_second: u64,
}

impl Rate {
    /// Ends an interval of length `since` at a total of `bytes`.
    pub(super) fn measure(&mut self, bytes: u64, since: Duration) {
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let bits = bytes.saturating_sub(self.bytes_before).saturating_mul(8_000_000);
        self.bits_per_second = bits.checked_div(micros).unwrap_or(0);
        self.bytes_before = bytes;
    }

    /// The last interval's rate.
    pub(super) fn bits_per_second(&self) -> u64 {
        self.bits_per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_stands_for_itself() {
        let mut rate = Rate::default();
        rate.measure(1_000, Duration::from_secs(1));
        assert_eq!(rate.bits_per_second(), 8_000);
        rate.measure(1_500, Duration::from_millis(500));
        assert_eq!(rate.bits_per_second(), 8_000);
        rate.measure(1_500, Duration::ZERO);
        assert_eq!(rate.bits_per_second(), 0);
    }
}
