//! From a shard's plain counters to what the link reports.

use crate::counting::Counted;
use crate::io::IoCounters;
use crate::orders::report::Published;
use crate::path::verdict::PathCounters;
use core::time::Duration;
use kakehashi_wire::relay::ShardLoad;

/// Room for everything a shard counts.
pub(crate) fn board() -> Published {
    Published::new(counted().map(|counter| counter.name))
}

/// Everything a shard counts, in the order in which it is published.
pub(crate) fn counted() -> impl Iterator<Item = Counted> {
    IoCounters::COUNTED.iter().copied().chain(PathCounters::counted())
}

/// Shows the link what a shard has counted, and what processor time it has used.
pub(crate) fn publish(
    board: &Published,
    (legs, cpu): (usize, Duration),
    io: &IoCounters,
    path: &PathCounters,
) {
    let load = ShardLoad {
        legs: u32::try_from(legs).unwrap_or(u32::MAX),
        packets_received: io.packets_received,
        packets_sent: io.packets_sent,
        bytes_sent: io.bytes_sent,
        cpu_us: u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX),
    };
    board.store(load, io.values().chain(path.entries().map(|(_, value)| value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::limits::COUNTERS_PER_REPORT_MAX;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_is_reported_under_its_own_name() {
        let io = IoCounters { dropped_truncated: 7, send_oversize: 9, ..IoCounters::default() };
        let path = PathCounters::default();
        let board = board();
        publish(&board, (3, Duration::from_millis(2)), &io, &path);
        let all: Vec<_> = board.counters().collect();
        assert!(all.contains(&("dropped_truncated", 7)) && all.contains(&("send_oversize", 9)));
        let names: BTreeSet<_> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), counted().count());
        assert!(names.len() <= COUNTERS_PER_REPORT_MAX);
        assert_eq!((board.load().legs, board.load().cpu_us), (3, 2_000));
    }
}
