//! How much a shard does in a second, from counters that only grow. Pure: the time is handed in.

use crate::capacity::{LOAD_KEPT, LOAD_SMOOTHING};
use kakehashi_wire::relay::ShardLoad;
use std::time::Duration;

/// What a shard does in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardRates {
    packets: Rate,
    cpu_us: Rate,
}

impl ShardRates {
    /// Takes note of what the shard said at `now`.
    pub(super) fn note(&mut self, load: &ShardLoad, now: Duration) {
        self.packets.note(load.packets_received.saturating_add(load.packets_sent), now);
        self.cpu_us.note(load.cpu_us, now);
    }

    /// Packets received and sent, as far as is known at `now`; 0 if it is not.
    pub(super) fn packets_per_s(&self, now: Duration) -> u32 {
        self.packets.per_second(now)
    }

    /// The share of its core that it uses, in thousandths, as far as is known at `now`.
    pub(super) fn cpu_permille(&self, now: Duration) -> u32 {
        // Beats that come late and then together would make more of it than there is.
        self.cpu_us.per_second(now).div_ceil(1_000).min(1_000)
    }
}

/// Where a counter stood when it last moved.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    count: u64,
}

/// One counter's growth in a second, smoothed over [`LOAD_SMOOTHING`].
///
/// A counter that stands still says nothing: the shard is idle, or it hangs and publishes nothing.
/// So the last value is kept for [`LOAD_KEPT`], and forgotten then.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    last: Option<Reading>,
    per_second: Option<u64>,
}

impl Rate {
    /// Takes note of where the counter stands at `now`.
    fn note(&mut self, count: u64, now: Duration) {
        match self.last {
            Some(last) if count == last.count => return,
            Some(last) if count > last.count => {
                let (new, time) = (count - last.count, now.saturating_sub(last.at));
                self.per_second = Some(smoothed(self.per_second, new, time));
            }
            // Another process, or nonsense: there is nothing to compare with.
            _ => self.per_second = None,
        }
        self.last = Some(Reading { at: now, count });
    }

    /// Its growth in a second, as far as is known at `now`; 0 if it is not.
    fn per_second(&self, now: Duration) -> u32 {
        let fresh = self.last.filter(|last| now.saturating_sub(last.at) <= LOAD_KEPT);
        let rate = fresh.and(self.per_second).unwrap_or(0);
        u32::try_from(rate).unwrap_or(u32::MAX)
    }
}

/// The rate after growing by `new` in `time`: what was known weighs as much as [`LOAD_SMOOTHING`]
/// of measuring.
fn smoothed(known: Option<u64>, new: u64, time: Duration) -> u64 {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (time, weight) = (ms(time).max(1), ms(LOAD_SMOOTHING));
    let measured = new.saturating_mul(1_000);
    match known {
        None => measured / time,
        Some(known) => {
            known.saturating_mul(weight).saturating_add(measured) / weight.saturating_add(time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_rate_needs_two_readings_and_follows_within_seconds() {
        let mut rate = Rate::default();
        rate.note(6_000_000, ms(0));
        assert_eq!(rate.per_second(ms(0)), 0, "what was counted before is no rate");
        rate.note(6_000_400, ms(200));
        assert_eq!(rate.per_second(ms(200)), 2_000);
        let mut sent = 5_000_300;
        for beat in 2..=60 {
            sent += 2_000;
            rate.note(1_000_100 + sent, ms(200 * beat));
        }
        assert!((9_990..=10_000).contains(&rate.per_second(ms(12_000))));
    }

    #[test]
    fn counters_that_stand_still_keep_the_rate_for_a_while() {
        let mut rate = Rate::default();
        rate.note(0, ms(0));
        rate.note(1_000, ms(1_000));
        let last = ms(1_000) + LOAD_KEPT;
        rate.note(1_000, last);
        assert_eq!(rate.per_second(last), 1_000);
        assert_eq!(rate.per_second(last + ms(1)), 0);
        // What it did meanwhile is spread over the whole time.
        rate.note(2_000, ms(1_000) + 10 * LOAD_KEPT);
        assert!(rate.per_second(ms(1_000) + 10 * LOAD_KEPT) < 50);
    }

    #[test]
    fn a_counter_that_goes_back_begins_again() {
        let mut rate = Rate::default();
        rate.note(0, ms(0));
        rate.note(9_000, ms(1_000));
        rate.note(10, ms(2_000));
        assert_eq!(rate.per_second(ms(2_000)), 0);
        rate.note(20, ms(3_000));
        assert_eq!(rate.per_second(ms(3_000)), 10);
    }

    #[test]
    fn a_shard_has_a_rate_of_each_and_uses_a_core_at_most() {
        let mut rates = ShardRates::default();
        let load = |packets, cpu_us| ShardLoad {
            legs: 1,
            packets_received: packets,
            packets_sent: packets,
            bytes_sent: 0,
            cpu_us,
        };
        rates.note(&load(0, 10_000), ms(0));
        rates.note(&load(100, 110_000), ms(200));
        assert_eq!((rates.packets_per_s(ms(200)), rates.cpu_permille(ms(200))), (1_000, 500));
        for _ in 0..20 {
            rates.note(&load(200, 200_000), ms(201));
            rates.note(&load(300, 400_000), ms(202));
        }
        assert_eq!(rates.cpu_permille(ms(202)), 1_000);
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_measured_whatever_the_beats(
            per_ms in 1_u64..2_000, beats in prop::collection::vec(1_u64..3_000, 1..50),
        ) {
            let (mut rate, mut now) = (Rate::default(), 0);
            rate.note(0, ms(0));
            for beat in beats {
                now += beat;
                rate.note(per_ms * now, ms(now));
                let measured = u64::from(rate.per_second(ms(now)));
                // Rounding down costs below one packet a beat, and fades.
                prop_assert!(measured <= per_ms * 1_000);
                prop_assert!(measured + 1_002 >= per_ms * 1_000, "{measured}");
            }
        }

        #[test]
        fn nonsense_is_survived(readings in prop::collection::vec(any::<(u64, u64, u64)>(), 0..9)) {
            let mut rate = Rate::default();
            for (received, sent, at) in readings {
                rate.note(received.saturating_add(sent), ms(at));
                prop_assert!(u64::from(rate.per_second(ms(at))) <= u64::from(u32::MAX));
            }
        }
    }
}
