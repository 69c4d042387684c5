//! What a leg may send: a token bucket in bytes.
//!
//! Only authentic packets spend tokens, so that nobody else can spend a leg's. One that finds none
//! is dropped, and only it: the bucket is the leg's own.

use crate::capacity::{BUCKET_BYTES_MIN, BUCKET_MS};
use crate::tick::{Stamp, Tick};

/// Tokens of one leg. Twelve bytes: it lies in the leg's hot part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Bytes that may be sent at once.
    tokens: u32,
    /// Bytes gained in a second; 0 if the leg has no limit.
    bytes_per_second: u32,
    /// Up to when gains are counted. A leg that was silent for 49 days may gain less than it could.
    filled: Stamp,
}

impl Bucket {
    /// A full bucket of a leg that may send `rate_kbps` kbit/s; 0 is no limit.
    pub fn new(rate_kbps: u32, now: Tick) -> Self {
        let bytes_per_second = rate_kbps.saturating_mul(125);
        let mut bucket = Self { tokens: 0, bytes_per_second, filled: now.stamp() };
        bucket.tokens = bucket.depth();
        bucket
    }

    /// Gives the leg another rate; what it has spent stays spent.
    pub fn set_rate(&mut self, rate_kbps: u32, now: Tick) {
        self.fill(now);
        self.bytes_per_second = rate_kbps.saturating_mul(125);
        self.tokens = self.tokens.min(self.depth());
    }

    /// Spends `bytes` tokens if there are that many.
    #[must_use]
    pub fn spend(&mut self, bytes: u32, now: Tick) -> bool {
        if self.bytes_per_second == 0 {
            return true;
        }
        if self.filled != now.stamp() {
            self.fill(now);
        }
        let left = self.tokens.checked_sub(bytes);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    fn fill(&mut self, now: Tick) {
        let gained =
            u64::from(self.bytes_per_second) * u64::from(self.filled.ms_until(now)) / 1_000;
        if gained > 0 || self.bytes_per_second == 0 {
            let tokens = u64::from(self.tokens).saturating_add(gained);
            self.tokens = u32::try_from(tokens).unwrap_or(u32::MAX).min(self.depth());
            self.filled = now.stamp();
        }
    }

    /// A burst: so many milliseconds at once, but at least one large frame.
    fn depth(&self) -> u32 {
        let burst = u64::from(self.bytes_per_second) * BUCKET_MS / 1_000;
        u32::try_from(burst).unwrap_or(u32::MAX).max(BUCKET_BYTES_MIN)
    }
}

const _: () = assert!(size_of::<Bucket>() == 12);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let mut bucket = Bucket::new(0, Tick(5));
        assert!((0..1_000).all(|_| bucket.spend(u32::MAX, Tick(5))));
    }

    #[test]
    fn a_slow_leg_gains_its_tokens_however_often_it_is_asked() {
        // 8 kbit/s: one byte a millisecond.
        let mut bucket = Bucket::new(8, Tick(0));
        assert!(bucket.spend(BUCKET_BYTES_MIN, Tick(0)));
        let spent = (1..=1_000).filter(|ms| bucket.spend(1, Tick(*ms))).count();
        assert_eq!(spent, 1_000);
    }

    #[test]
    fn another_rate_refunds_nothing() {
        let mut bucket = Bucket::new(8, Tick(0));
        assert!(bucket.spend(BUCKET_BYTES_MIN, Tick(0)));
        bucket.set_rate(8_000, Tick(0));
        assert!(!bucket.spend(1, Tick(0)));
        assert!(bucket.spend(1_000, Tick(1)));
    }

    proptest! {
        /// Over any time no more leaves than the burst and the rate allow, and no less than asked
        /// for if it stays below.
        #[test]
        fn the_rate_holds(
            rate_kbps in 1_u32..100_000,
            packets in prop::collection::vec((0_u64..40, 1_u32..1_500), 1..500),
        ) {
            let mut bucket = Bucket::new(rate_kbps, Tick(0));
            let (mut now, mut passed) = (Tick(0), 0_u64);
            for (pause, bytes) in packets {
                now = now.after_ms(pause);
                if bucket.spend(bytes, now) {
                    passed += u64::from(bytes);
                }
            }
            let rate = u64::from(rate_kbps) * 125;
            let burst = (rate * BUCKET_MS / 1_000).max(u64::from(BUCKET_BYTES_MIN));
            prop_assert!(passed <= burst + rate * now.0 / 1_000);
        }
    }
}
