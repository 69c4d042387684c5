//! Time as the pure parts of a relay know it: handed in, never read.

/// Milliseconds since the process began, from a clock that never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The tick `ms` milliseconds later; the end of time stays the end of time.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this tick; 0 if `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The low half of this tick.
    #[expect(clippy::cast_possible_truncation, reason = "that is what a stamp leaves out")]
    pub const fn stamp(self) -> Stamp {
        Stamp(self.0 as u32)
    }
}

/// The low half of a tick: it tells ticks apart that are less than 49 days from each other, in half
/// the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp(u32);

impl Stamp {
    /// Milliseconds from it to `now`.
    pub const fn ms_until(self, now: Tick) -> u32 {
        now.stamp().0.wrapping_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_counts_on_when_it_wraps() {
        let last = Tick(u64::from(u32::MAX) - 2);
        for ms in [0, 1, 3, 5_000, u32::MAX] {
            assert_eq!(last.stamp().ms_until(last.after_ms(u64::from(ms))), ms);
        }
    }
}
