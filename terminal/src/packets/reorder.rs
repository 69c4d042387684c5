//! Puts the packets of one stream back in order, and gives up on a missing one in time.
//!
//! **Packets in any order in, packets in sequence order out; time is handed in.** A hole is waited
//! for until [`Patience`] runs out, in packets or in time, whichever is first; then the packets
//! behind it are released. Whoever comes later than that, or twice, is dropped and counted. After a
//! silence as long as that, voice does not wait again: its listener has waited enough.

use super::counter::SequenceCounter;
use crate::capacity::{REORDER_PACKETS_MAX, REORDER_WAIT};
use crate::clock::Moment;
use core::time::Duration;
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::rtp::RtpHeader;
use std::collections::BTreeMap;

/// How long a hole is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Packets that may wait behind a hole; no more than [`REORDER_PACKETS_MAX`] count.
    pub packets: usize,
    /// Time the first packet behind a hole may wait.
    pub time: Duration,
    /// Whether a hole is waited for although nothing has come for [`time`](Self::time) before it.
    pub after_silence: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { packets: REORDER_PACKETS_MAX, time: REORDER_WAIT, after_silence: true }
    }
}

impl Patience {
    /// As a stream of this kind is best served: of a picture, each missing packet is worth a wait.
    pub fn of(kind: StreamKind) -> Self {
        Self { after_silence: kind != StreamKind::Audio, ..Self::default() }
    }
}

/// A packet in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ordered {
    /// Sequence number extended to 64 bits.
    pub sequence: u64,
    /// Header as received.
    pub header: RtpHeader,
    /// Payload as received.
    pub payload: Vec<u8>,
    /// When it came.
    pub arrival: Moment,
    /// Whether packets before it were given up.
    pub gap_before: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// It waits for its turn.
    Kept,
    /// The same sequence number is waiting already.
    Duplicate,
    /// Its turn is over: released before, or given up.
    Late,
}

/// What the buffer saw so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReorderCounters {
    /// Packets released in order.
    pub released: u64,
    /// Sequence numbers given up; one that comes later is in `late` as well.
    pub given_up: u64,
    /// Packets dropped because an equal one was waiting.
    pub duplicate: u64,
    /// Packets dropped because their turn was over.
    pub late: u64,
}

/// A bounded reorder buffer for one SSRC.
#[derive(Debug)]
pub struct ReorderBuffer {
    waiting: BTreeMap<u64, Ordered>,
    counter: SequenceCounter,
    next: Option<u64>,
    patience: Patience,
    /// When the last packet came.
    came: Option<Moment>,
    /// What comes first has been waited for already.
    overdue: bool,
    counters: ReorderCounters,
}

impl ReorderBuffer {
    /// A buffer that starts with `first` if it is known, else with the first packet to come.
    pub fn new(first: Option<u16>, patience: Patience) -> Self {
        let mut counter = SequenceCounter::default();
        let next = first.map(|first| {
            counter = SequenceCounter::starting_at(first);
            counter.extend(first)
        });
        let packets = patience.packets.min(REORDER_PACKETS_MAX);
        let patience = Patience { packets, ..patience };
        Self {
            waiting: BTreeMap::new(),
            counter,
            next,
            patience,
            came: None,
            overdue: false,
            counters: ReorderCounters::default(),
        }
    }

    /// Takes a packet. Call [`pop`](Self::pop) until it is empty-handed before the next one.
    pub fn push(&mut self, header: RtpHeader, payload: Vec<u8>, arrival: Moment) -> Entry {
        let sequence = self.counter.extend(header.sequence);
        if sequence < *self.next.get_or_insert(sequence) {
            self.counters.late += 1;
            return Entry::Late;
        }
        if self.waiting.contains_key(&sequence) {
            self.counters.duplicate += 1;
            return Entry::Duplicate;
        }
        let silence = self.came.replace(arrival).map_or(Duration::ZERO, |came| arrival.since(came));
        self.overdue |= !self.patience.after_silence
            && self.waiting.is_empty()
            && silence >= self.patience.time;
        let packet = Ordered { sequence, header, payload, arrival, gap_before: false };
        self.waiting.insert(sequence, packet);
        Entry::Kept
    }

    /// The next packet, if it is its turn at `now`.
    pub fn pop(&mut self, now: Moment) -> Option<Ordered> {
        let (&sequence, _) = self.waiting.first_key_value()?;
        let next = self.next?;
        if sequence != next && self.patient(now) {
            return None;
        }
        self.release(next)
    }

    /// The next packet, whatever is missing before it: for the end of a stream.
    pub fn drain(&mut self) -> Option<Ordered> {
        self.release(self.next?)
    }

    /// So many numbers behind the highest are not to come. Nothing may wait: see
    /// [`drain`](Self::drain).
    pub fn pass_over(&mut self, by: u64) {
        debug_assert!(self.waiting.is_empty(), "what waits is taken out first");
        self.counter.advance(by);
        self.next = self.next.map(|next| next.saturating_add(by));
    }

    /// When [`pop`](Self::pop) gives something even if nothing more comes; `None` if nothing waits.
    pub fn next_deadline(&self) -> Option<Moment> {
        let earliest = self.waiting.values().map(|packet| packet.arrival).min()?;
        Some(earliest.plus(self.patience.time))
    }

    /// What was released and dropped.
    pub fn counters(&self) -> ReorderCounters {
        self.counters
    }

    fn patient(&self, now: Moment) -> bool {
        !self.overdue
            && self.waiting.len() <= self.patience.packets
            && self.next_deadline().is_some_and(|deadline| now < deadline)
    }

    fn release(&mut self, next: u64) -> Option<Ordered> {
        let (sequence, mut packet) = self.waiting.pop_first()?;
        self.overdue = false;
        packet.gap_before = sequence > next;
        self.counters.given_up += sequence - next;
        self.counters.released += 1;
        self.next = Some(sequence + 1);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::rtp::Ssrc;
    use proptest::prelude::*;

    const PATIENCE: Patience =
        Patience { packets: 4, time: Duration::from_millis(50), after_silence: true };

    fn header(sequence: u16) -> RtpHeader {
        RtpHeader { marker: false, payload_type: 96, sequence, timestamp: 0, ssrc: Ssrc(1) }
    }

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn feed(buffer: &mut ReorderBuffer, sequence: u16, at: u64) -> (Entry, Vec<u16>) {
        let entry = buffer.push(header(sequence), Vec::new(), ms(at));
        (entry, popped(buffer, at))
    }

    fn popped(buffer: &mut ReorderBuffer, at: u64) -> Vec<u16> {
        core::iter::from_fn(|| buffer.pop(ms(at))).map(|packet| packet.header.sequence).collect()
    }

    #[test]
    fn order_is_restored_over_the_wrap() {
        let mut buffer = ReorderBuffer::new(Some(0xfffe), PATIENCE);
        assert_eq!(feed(&mut buffer, 0xffff, 0), (Entry::Kept, vec![]));
        assert_eq!(feed(&mut buffer, 0, 1), (Entry::Kept, vec![]));
        assert_eq!(feed(&mut buffer, 0, 1), (Entry::Duplicate, vec![]));
        assert_eq!(feed(&mut buffer, 0xfffe, 2), (Entry::Kept, vec![0xfffe, 0xffff, 0]));
        assert_eq!(feed(&mut buffer, 0xfffe, 3), (Entry::Late, vec![]));
        assert_eq!(buffer.next_deadline(), None);
    }

    #[test]
    fn a_hole_is_given_up_after_its_time() {
        let mut buffer = ReorderBuffer::new(Some(1), PATIENCE);
        assert_eq!(feed(&mut buffer, 3, 10), (Entry::Kept, vec![]));
        assert_eq!(buffer.next_deadline(), Some(ms(60)));
        assert_eq!(popped(&mut buffer, 59), [0; 0]);
        assert_eq!(popped(&mut buffer, 60), [3]);
        assert_eq!(feed(&mut buffer, 2, 61), (Entry::Late, vec![]));
        let expected = ReorderCounters { released: 1, given_up: 2, duplicate: 0, late: 1 };
        assert_eq!(buffer.counters(), expected);
    }

    #[test]
    fn after_a_silence_voice_does_not_wait_again() {
        let patience = Patience { after_silence: false, ..PATIENCE };
        let mut buffer = ReorderBuffer::new(Some(1), patience);
        assert_eq!(feed(&mut buffer, 1, 0).1, [1]);
        // Shorter than the patience: it may only have been overtaken.
        assert_eq!(feed(&mut buffer, 3, 49).1, [0; 0]);
        assert_eq!(feed(&mut buffer, 2, 60).1, [2, 3]);
        assert_eq!(feed(&mut buffer, 9, 110).1, [9]);
        assert_eq!(feed(&mut buffer, 11, 111).1, [0; 0]);
        assert_eq!(feed(&mut buffer, 8, 112), (Entry::Late, vec![]));
        assert_eq!(buffer.counters().given_up, 5);
        // A picture is worth the wait.
        let mut buffer = ReorderBuffer::new(Some(1), PATIENCE);
        assert_eq!(feed(&mut buffer, 1, 0).1, [1]);
        assert_eq!(feed(&mut buffer, 3, 90).1, [0; 0]);
        assert_eq!(feed(&mut buffer, 2, 100).1, [2, 3]);
    }

    #[test]
    fn a_hole_is_given_up_after_so_many_packets() {
        let mut buffer = ReorderBuffer::new(None, PATIENCE);
        assert_eq!(feed(&mut buffer, 7, 0).1, [7]);
        for sequence in 9..13 {
            assert_eq!(feed(&mut buffer, sequence, 0).1, [0; 0]);
        }
        assert_eq!(feed(&mut buffer, 13, 0).1, [9, 10, 11, 12, 13]);
        assert_eq!(feed(&mut buffer, 15, 0).1, [0; 0]);
        assert_eq!(buffer.drain().map(|packet| packet.header.sequence), Some(15));
        assert_eq!(buffer.drain(), None);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_in_order_and_bounded(
            first: Option<u16>,
            packets in prop::collection::vec((any::<u16>(), 0_u64..100), 0..300),
        ) {
            let mut buffer = ReorderBuffer::new(first, PATIENCE);
            let (mut now, mut last, mut kept, mut released) = (0, 0, 0, 0);
            for (sequence, wait) in packets {
                now += wait;
                let entry = buffer.push(header(sequence), Vec::new(), ms(now));
                kept += u64::from(entry == Entry::Kept);
                while let Some(packet) = buffer.pop(ms(now)) {
                    prop_assert!(packet.sequence > last);
                    last = packet.sequence;
                    released += 1;
                }
                prop_assert!(buffer.waiting.len() <= PATIENCE.packets);
            }
            while buffer.drain().is_some() {
                released += 1;
            }
            prop_assert_eq!(kept, released);
        }
    }
}
