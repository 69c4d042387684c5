//! Extends the wrapping counters of RTP so that they can be compared and subtracted.

/// Extends 16-bit sequence numbers to 64 bits (RFC 3550 A.1), without ever going below zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceCounter {
    last: Option<u64>,
}

impl SequenceCounter {
    /// The first number lands one cycle up, so that packets from before it still have a place.
    pub const START: u64 = 1 << 16;

    /// A counter whose next number is expected to be near `first`.
    pub fn starting_at(first: u16) -> Self {
        Self { last: Some(Self::START + u64::from(first)) }
    }

    /// The extension of `sequence` nearest to the highest one seen.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let Some(last) = self.last else {
            return *self.last.insert(Self::START + u64::from(sequence));
        };
        // The low 16 bits of `last`, by truncation on purpose.
        let low = (last & 0xffff) as u16;
        let ahead = sequence.wrapping_sub(low);
        let extended = if ahead < 0x8000 {
            last.saturating_add(u64::from(ahead))
        } else {
            last.saturating_sub(u64::from(low.wrapping_sub(sequence)))
        };
        self.last = Some(last.max(extended));
        extended
    }

    /// So many numbers are passed over: the next one lies behind them.
    pub fn advance(&mut self, by: u64) {
        if let Some(last) = &mut self.last {
            *last = last.saturating_add(by);
        }
    }
}

/// Extends 32-bit RTP timestamps to 64 bits, counted from the first one seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampCounter {
    last: Option<(u32, u64)>,
}

impl TimestampCounter {
    /// Clock units since the first timestamp; one from before the first counts as zero.
    pub fn extend(&mut self, timestamp: u32) -> u64 {
        let Some((last, units)) = self.last else {
            self.last = Some((timestamp, 0));
            return 0;
        };
        let ahead = timestamp.wrapping_sub(last);
        if ahead < 0x8000_0000 {
            let extended = units.saturating_add(u64::from(ahead));
            self.last = Some((timestamp, extended));
            extended
        } else {
            units.saturating_sub(u64::from(last.wrapping_sub(timestamp)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_extend_over_the_wrap_and_back() {
        let mut counter = SequenceCounter::default();
        assert_eq!(counter.extend(0xfffe), 0x1_fffe);
        assert_eq!(counter.extend(1), 0x2_0001);
        assert_eq!(counter.extend(0xffff), 0x1_ffff);
        assert_eq!(counter.extend(0x8000), 0x2_8000);
        assert_eq!(counter.extend(0x7fff), 0x2_7fff);
        let mut counter = SequenceCounter::starting_at(0);
        assert_eq!(counter.extend(0xffff), 0xffff);
    }

    #[test]
    fn timestamps_extend_over_the_wrap_and_never_below_the_first() {
        let mut counter = TimestampCounter::default();
        assert_eq!(counter.extend(u32::MAX), 0);
        assert_eq!(counter.extend(959), 960);
        assert_eq!(counter.extend(u32::MAX), 0);
        assert_eq!(counter.extend(u32::MAX - 5), 0);
        assert_eq!(counter.extend(1919), 1920);
    }
}
