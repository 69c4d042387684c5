//! How long to wait before dialling again: exponential, with jitter. Pure.

use core::time::Duration;

/// Delays between attempts: each drawn from the upper half of a range that doubles.
///
/// The jitter spreads the terminals of a site that lost its node; half of the range is kept as
/// a floor, so that no terminal comes back at once again and again.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    /// Delays that start around `least` and grow to `most`.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most: most.max(least), attempt: 0 }
    }

    /// The next delay; `random` decides where in its range it falls, `at_least` is what the other
    /// side asked for.
    pub fn next(&mut self, random: u32, at_least: Duration) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt.min(20)).unwrap_or(u32::MAX);
        let range = self.least.saturating_mul(factor).min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        let half = range / 2;
        let jittered = half + half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        // Whoever asked for a pause gets it with jitter on top, or all would return together.
        if at_least > jittered { at_least + jittered / 4 } else { jittered }
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
    fn delays_double_to_the_limit_and_start_over_after_success() {
        let mut backoff = Backoff::new(LEAST, MOST);
        let grown: Vec<_> =
            (0..9).map(|_| backoff.next(u32::MAX, Duration::ZERO).as_millis()).collect();
        assert_eq!(grown, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.next(0, Duration::ZERO), LEAST / 2);
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
                prop_assert!(delay >= (LEAST / 2).max(asked));
                prop_assert!(delay <= MOST.max(asked + MOST / 4));
            }
        }
    }
}
