//! What the shards publish and the link reports: load and counters.
//!
//! A shard stores its figures now and then (a few hundred relaxed stores); the link reads them when
//! it is time to report. A report may mix figures of two moments; each figure is right by itself.

use kakehashi_wire::limits::{COUNTERS_PER_REPORT_MAX, ROLLOVERS_PER_REPORT_MAX};
use kakehashi_wire::relay::{Counter, CounterReport, LegStream, ShardLoad};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The figures a shard last published.
#[derive(Debug)]
pub struct Published {
    legs: AtomicU32,
    packets_received: AtomicU64,
    packets_sent: AtomicU64,
    bytes_sent: AtomicU64,
    cpu_us: AtomicU64,
    beats: AtomicU64,
    counters: Vec<(&'static str, AtomicU64)>,
    wrapped: Mutex<Vec<LegStream>>,
}

impl Published {
    /// Room for counters of these names, all zero; those beyond what one report carries are left
    /// out.
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let counters = names.into_iter().map(|name| (name, AtomicU64::new(0)));
        Self {
            legs: AtomicU32::new(0),
            packets_received: AtomicU64::new(0),
            packets_sent: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            cpu_us: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            counters: counters.take(COUNTERS_PER_REPORT_MAX).collect(),
            wrapped: Mutex::new(Vec::with_capacity(ROLLOVERS_PER_REPORT_MAX)),
        }
    }

    /// Tells of a stream that has wrapped; `false` if it has to be told again later, since there is
    /// no room or the link is just looking. Never waits.
    #[must_use]
    pub fn tell_wrapped(&self, stream: LegStream) -> bool {
        let Ok(mut wrapped) = self.wrapped.try_lock() else { return false };
        let room = wrapped.len() < ROLLOVERS_PER_REPORT_MAX;
        if room {
            wrapped.push(stream);
        }
        room
    }

    /// Takes what was told of streams that have wrapped.
    pub fn take_wrapped(&self) -> Vec<LegStream> {
        let mut wrapped = self.wrapped.lock().unwrap_or_else(PoisonError::into_inner);
        wrapped.drain(..).collect()
    }

    /// Publishes the shard's figures; `counters` in the order of the names.
    pub fn store(&self, load: ShardLoad, counters: impl IntoIterator<Item = u64>) {
        self.legs.store(load.legs, Ordering::Relaxed);
        self.packets_received.store(load.packets_received, Ordering::Relaxed);
        self.packets_sent.store(load.packets_sent, Ordering::Relaxed);
        self.bytes_sent.store(load.bytes_sent, Ordering::Relaxed);
        self.cpu_us.store(load.cpu_us, Ordering::Relaxed);
        for ((_, kept), value) in self.counters.iter().zip(counters) {
            kept.store(value, Ordering::Relaxed);
        }
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often figures were published: a shard that works does so several times a second.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// The load last published.
    pub fn load(&self) -> ShardLoad {
        ShardLoad {
            legs: self.legs.load(Ordering::Relaxed),
            packets_received: self.packets_received.load(Ordering::Relaxed),
            packets_sent: self.packets_sent.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            cpu_us: self.cpu_us.load(Ordering::Relaxed),
        }
    }

    /// The counters last published.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counters.iter().map(|(name, value)| (*name, value.load(Ordering::Relaxed)))
    }
}

/// The counters of all shards, summed by name, in alphabetical order.
pub fn report<'a>(shards: impl IntoIterator<Item = &'a Published>) -> CounterReport {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (name, value) in shards.into_iter().flat_map(Published::counters) {
        let sum = sums.entry(name).or_default();
        *sum = sum.saturating_add(value);
    }
    let counters = sums.into_iter().take(COUNTERS_PER_REPORT_MAX);
    CounterReport {
        counters: counters.map(|(name, value)| Counter { name: name.into(), value }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: ShardLoad =
        ShardLoad { legs: 3, packets_received: 10, packets_sent: 20, bytes_sent: 3_000, cpu_us: 9 };

    #[test]
    fn figures_of_all_shards_are_summed_by_name() {
        let [a, b] = [Published::new(["received", "forged"]), Published::new(["received", "late"])];
        a.store(LOAD, [10, 1]);
        b.store(LOAD, [5, 7]);
        assert_eq!(a.load(), LOAD);
        assert_eq!((a.beats(), Published::new([]).beats()), (1, 0));
        let sums: Vec<_> =
            report([&a, &b]).counters.into_iter().map(|c| (c.name, c.value)).collect();
        let wanted = [("forged", 1), ("late", 7), ("received", 15)];
        assert_eq!(sums, wanted.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn no_report_is_longer_than_control_takes() {
        let names: Vec<&'static str> =
            (0..200).map(|i| &*Box::leak(i.to_string().into_boxed_str())).collect();
        let many = Published::new(names);
        assert_eq!(report([&many]).counters.len(), COUNTERS_PER_REPORT_MAX);
    }
}
