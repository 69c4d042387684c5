//! How many packets a shard moves, from counters that only grow. Pure: the time is handed in.

use crate::capacity::{LOAD_KEPT, LOAD_SMOOTHING};
use kakehashi_wire::relay::ShardLoad;
use std::time::Duration;

/// Where a shard's counters stood when they last moved.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    packets: u64,
}

/// One shard's packets a second, smoothed over [`LOAD_SMOOTHING`].
///
/// Counters that stand still say nothing: the shard is idle, or it hangs and publishes nothing. So
/// the last value is kept for [`LOAD_KEPT`], and forgotten then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PacketRate {
    last: Option<Reading>,
    per_second: Option<u64>,
}

impl PacketRate {
    /// Takes note of what the shard said at `now`.
    pub(super) fn note(&mut self, load: &ShardLoad, now: Duration) {
        let packets = load.packets_received.saturating_add(load.packets_sent);
        match self.last {
            Some(last) if packets == last.packets => return,
            Some(last) if packets > last.packets => {
                let (new, time) = (packets - last.packets, now.saturating_sub(last.at));
                self.per_second = Some(smoothed(self.per_second, new, time));
            }
            // Another process, or nonsense: there is nothing to compare with.
            _ => self.per_second = None,
        }
        self.last = Some(Reading { at: now, packets });
    }

    /// Packets received and sent in a second, as far as is known at `now`; 0 if it is not.
    pub(super) fn per_second(&self, now: Duration) -> u32 {
        let fresh = self.last.filter(|last| now.saturating_sub(last.at) <= LOAD_KEPT);
        let rate = fresh.and(self.per_second).unwrap_or(0);
        u32::try_from(rate).unwrap_or(u32::MAX)
    }
}

/// The rate after `new` packets in `time`: what was known weighs as much as [`LOAD_SMOOTHING`] of
/// measuring.
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

    fn load(packets_received: u64, packets_sent: u64) -> ShardLoad {
        ShardLoad { legs: 0, packets_received, packets_sent, bytes_sent: 0 }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_rate_needs_two_readings_and_follows_within_seconds() {
        let mut rate = PacketRate::default();
        rate.note(&load(1_000_000, 5_000_000), ms(0));
        assert_eq!(rate.per_second(ms(0)), 0, "what was counted before is no rate");
        rate.note(&load(1_000_100, 5_000_300), ms(200));
        assert_eq!(rate.per_second(ms(200)), 2_000);
        let mut sent = 5_000_300;
        for beat in 2..=60 {
            sent += 2_000;
            rate.note(&load(1_000_100, sent), ms(200 * beat));
        }
        assert!((9_990..=10_000).contains(&rate.per_second(ms(12_000))));
    }

    #[test]
    fn counters_that_stand_still_keep_the_rate_for_a_while() {
        let mut rate = PacketRate::default();
        rate.note(&load(0, 0), ms(0));
        rate.note(&load(500, 500), ms(1_000));
        let last = ms(1_000) + LOAD_KEPT;
        rate.note(&load(500, 500), last);
        assert_eq!(rate.per_second(last), 1_000);
        assert_eq!(rate.per_second(last + ms(1)), 0);
        // What it did meanwhile is spread over the whole time.
        rate.note(&load(1_000, 1_000), ms(1_000) + 10 * LOAD_KEPT);
        assert!(rate.per_second(ms(1_000) + 10 * LOAD_KEPT) < 50);
    }

    #[test]
    fn a_counter_that_goes_back_begins_again() {
        let mut rate = PacketRate::default();
        rate.note(&load(0, 0), ms(0));
        rate.note(&load(9_000, 0), ms(1_000));
        rate.note(&load(10, 0), ms(2_000));
        assert_eq!(rate.per_second(ms(2_000)), 0);
        rate.note(&load(20, 0), ms(3_000));
        assert_eq!(rate.per_second(ms(3_000)), 10);
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_measured_whatever_the_beats(
            per_ms in 1_u64..2_000, beats in prop::collection::vec(1_u64..3_000, 1..50),
        ) {
            let (mut rate, mut now) = (PacketRate::default(), 0);
            rate.note(&load(0, 0), ms(0));
            for beat in beats {
                now += beat;
                rate.note(&load(per_ms * now, 0), ms(now));
                let measured = u64::from(rate.per_second(ms(now)));
                // Rounding down costs below one packet a beat, and fades.
                prop_assert!(measured <= per_ms * 1_000);
                prop_assert!(measured + 1_002 >= per_ms * 1_000, "{measured}");
            }
        }

        #[test]
        fn nonsense_is_survived(readings in prop::collection::vec(any::<(u64, u64, u64)>(), 0..9)) {
            let mut rate = PacketRate::default();
            for (received, sent, at) in readings {
                rate.note(&load(received, sent), ms(at));
                prop_assert!(u64::from(rate.per_second(ms(at))) <= u64::from(u32::MAX));
            }
        }
    }
}
