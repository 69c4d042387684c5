//! How long to wait before dialling again: exponential, with full jitter. Pure.

use core::time::Duration;

/// Delays between attempts: each drawn from the whole of a range that doubles.
///
/// The terminals of a node that died have all lost it in the same moment: over the whole range,
/// each part of it gets its share of them. None comes back at once again and again, since the
/// range grows until a session stands.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    /// Delays of up to `least` at first, and of up to `most` in the end.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most: most.max(least), attempt: 0 }
    }

    /// The next delay; `random` decides where in its range it falls, `at_least` is what the other
    /// side asked for.
    pub fn next(&mut self, random: u32, at_least: Duration) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt.min(20)).unwrap_or(u32::MAX);
        let range = self.least.saturating_mul(factor).min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        let share = f64::from(random) / f64::from(u32::MAX);
        // Whoever asked for a pause gets it with jitter on top, or all would return together.
        at_least + range.max(at_least / 4).mul_f64(share)
    }

    /// Forgets the failures: the session stood.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(10);

    #[test]
    fn ranges_double_to_the_limit_and_start_over_after_success() {
        let mut backoff = Backoff::new(LEAST, MOST);
        let grown: Vec<_> =
            (0..9).map(|_| backoff.next(u32::MAX, Duration::ZERO).as_millis()).collect();
        assert_eq!(grown, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX / 2, Duration::ZERO).as_millis(), 50);
        assert_eq!(backoff.next(0, Duration::ZERO), Duration::ZERO);
    }

    /// Ten thousand terminals that lose their node in one moment.
    #[test]
    fn a_storm_spreads_over_the_whole_range() {
        let mut in_tenth = [0_u32; 10];
        for n in 0..10_000_u32 {
            let delay = Backoff::new(LEAST, MOST).next(n.wrapping_mul(0x9e37_79b9), Duration::ZERO);
            let tenth = usize::try_from(delay.as_millis() / 10).unwrap().min(9);
            in_tenth[tenth] += 1;
        }
        assert!(in_tenth.iter().all(|share| (900..1_100).contains(share)), "{in_tenth:?}");
    }

    proptest! {
        #[test]
        fn every_delay_keeps_its_bounds(
            draws in prop::collection::vec(any::<u32>(), 1..80), asked in 0_u64..20_000,
        ) {
            let mut backoff = Backoff::new(LEAST, MOST);
            let asked = Duration::from_millis(asked);
            for random in draws {
                let delay = backoff.next(random, asked);
                prop_assert!(delay >= asked);
                prop_assert!(delay <= asked + MOST.max(asked / 4));
            }
        }
    }
}
