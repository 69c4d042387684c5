//! Packets that are under way, in the order in which they arrive: pure.

use super::weather::Place;
use core::time::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Packets under way at most: a second of 100,000 packets. More are lost, as on a real line.
pub(crate) const PACKETS_MAX: usize = 100_000;

/// A packet on its way. Of two that are due at once, the one that set out first arrives first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Duration,
    number: u64,
    to: Place,
    bytes: Vec<u8>,
}

/// The packets under way.
#[derive(Default)]
pub(crate) struct UnderWay {
    packets: BinaryHeap<Reverse<Packet>>,
    set_out: u64,
}

impl UnderWay {
    /// A packet sets out and arrives at `due`; says whether there was room for it.
    pub(crate) fn set_out(&mut self, to: Place, due: Duration, bytes: Vec<u8>) -> bool {
        if self.packets.len() >= PACKETS_MAX {
            return false;
        }
        self.packets.push(Reverse(Packet { due, number: self.set_out, to, bytes }));
        self.set_out += 1;
        true
    }

    /// When the next packet arrives.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.packets.peek().map(|Reverse(packet)| packet.due)
    }

    /// The next packet that has arrived by `now`, and where.
    pub(crate) fn arrived(&mut self, now: Duration) -> Option<(Place, Vec<u8>)> {
        self.next_due().filter(|due| *due <= now)?;
        self.packets.pop().map(|Reverse(packet)| (packet.to, packet.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn packets_arrive_when_due_and_in_the_order_they_set_out() {
        let mut under_way = UnderWay::default();
        for (due, byte) in [(20, 1), (10, 2), (10, 3)] {
            assert!(under_way.set_out(Place(0), ms(due), vec![byte]));
        }
        assert_eq!(under_way.next_due(), Some(ms(10)));
        assert_eq!(under_way.arrived(ms(9)), None);
        let mut bytes = || under_way.arrived(ms(20)).map(|(_, bytes)| bytes[0]);
        assert_eq!([bytes(), bytes(), bytes(), bytes()], [Some(2), Some(3), Some(1), None]);
    }

    #[test]
    fn a_full_line_loses_what_comes_on_top() {
        let mut under_way = UnderWay::default();
        for _ in 0..PACKETS_MAX {
            assert!(under_way.set_out(Place(0), ms(1), Vec::new()));
        }
        assert!(!under_way.set_out(Place(0), ms(1), Vec::new()));
    }
}
