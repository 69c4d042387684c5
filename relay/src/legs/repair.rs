//! Forwarded packets of the last moments, to answer requests for repetition with (RFC 4585 6.2.1).
//!
//! One ring of bytes for all streams of a shard: what is newest replaces what is oldest, whoever
//! sent it, so memory is bounded whatever is sent. Kept is the ciphertext as it came: a repetition
//! to the pass lane is the same bytes, one to the seal lane the same packet sealed the same way,
//! and neither spends a nonce.
//!
//! ```text
//! | record of A | record of B | record of A |  free  | overwritten next ...
//!        ^---------------------------' previous record of the same stream
//! record: | previous, 8 bytes | index, 8 | SSRC, 4 | length, 2 | 2 | packet, in whole words of 8 |
//! ```
//! A stream remembers its last record; from there a request walks back, a bounded number of steps.

use crate::capacity::REPAIR_STEPS_MAX;
use crate::memory::prefetch;
use kakehashi_srtp::PacketIndex;
use kakehashi_wire::rtp::Ssrc;

const HEAD_BYTES: usize = 24;

/// Position of a record among all bytes ever written, plus one: 0 is no record.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Record(u64);

/// The ring.
pub struct RepairCache {
    ring: Box<[u8]>,
    /// Bytes ever written; the next record begins here.
    head: u64,
}

/// A packet found in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept<'a> {
    /// Its index.
    pub index: PacketIndex,
    /// The packet as its sender sealed it.
    pub packet: &'a [u8],
}

impl RepairCache {
    /// A ring of `bytes` bytes; with none, nothing is kept.
    pub fn new(bytes: usize) -> Self {
        // Not zeros: those the kernel would only make present packet by packet.
        Self { ring: vec![u8::MAX; bytes & !7].into_boxed_slice(), head: 0 }
    }

    /// Keeps a packet; gives its record, for the stream to remember instead of `previous`.
    pub fn keep(
        &mut self,
        previous: Record,
        ssrc: Ssrc,
        index: PacketIndex,
        packet: &[u8],
    ) -> Record {
        let bytes = (HEAD_BYTES + packet.len()).next_multiple_of(8);
        let Ok(length) = u16::try_from(packet.len()) else { return previous };
        if bytes > self.ring.len() {
            return previous;
        }
        // A record lies in one piece: what is too short for it at the end stays unused.
        let at = self.place(self.head);
        let skip = if self.ring.len() - at < bytes { self.ring.len() - at } else { 0 };
        let start = self.head + skip as u64;
        self.head = start + bytes as u64;
        let at = self.place(start);
        let record = &mut self.ring[at..at + bytes];
        record[..8].copy_from_slice(&previous.0.to_le_bytes());
        record[8..16].copy_from_slice(&index.value().to_le_bytes());
        record[16..20].copy_from_slice(&ssrc.0.to_le_bytes());
        record[20..22].copy_from_slice(&length.to_le_bytes());
        record[HEAD_BYTES..HEAD_BYTES + packet.len()].copy_from_slice(packet);
        // The next record will most likely be as long, and its memory was last touched a ring ago.
        if let Some(next) = self.ring.get(at + bytes..at + 2 * bytes) {
            prefetch(next);
        }
        Record(start + 1)
    }

    /// The packets of a stream from its `last` record back: at most [`REPAIR_STEPS_MAX`], and only
    /// what has not been overwritten.
    pub fn back_from(&self, last: Record, ssrc: Ssrc) -> impl Iterator<Item = (Record, Kept<'_>)> {
        let mut next = last;
        let steps = core::iter::from_fn(move || {
            let record = next;
            let (previous, kept) = self.read(record, ssrc)?;
            next = previous;
            Some((record, kept))
        });
        steps.take(REPAIR_STEPS_MAX)
    }

    /// One packet that [`back_from`](Self::back_from) found, if it is still there.
    pub fn get(&self, record: Record, ssrc: Ssrc) -> Option<Kept<'_>> {
        self.read(record, ssrc).map(|(_, kept)| kept)
    }

    fn read(&self, record: Record, ssrc: Ssrc) -> Option<(Record, Kept<'_>)> {
        let start = record.0.checked_sub(1)?;
        // Whatever was written a ring's length ago, or more, has been written over.
        if self.head - start > self.ring.len() as u64 {
            return None;
        }
        let record = self.ring.get(self.place(start)..)?;
        let number = |at: usize| record.get(at..)?.first_chunk().map(|it| u64::from_le_bytes(*it));
        let (previous, index) = (Record(number(0)?), PacketIndex::from_value(number(8)?)?);
        let owner = u32::from_le_bytes(*record.get(16..)?.first_chunk()?);
        let length = usize::from(u16::from_le_bytes(*record.get(20..)?.first_chunk()?));
        // A stream that returned may remember a record of another life: never of another stream.
        if Ssrc(owner) != ssrc {
            return None;
        }
        let packet = record.get(HEAD_BYTES..HEAD_BYTES + length)?;
        Some((previous, Kept { index, packet }))
    }

    fn place(&self, position: u64) -> usize {
        let size = self.ring.len().max(1) as u64;
        usize::try_from(position % size).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(value: u64) -> PacketIndex {
        PacketIndex::from_value(value).unwrap()
    }

    #[test]
    fn streams_are_walked_apart_and_the_oldest_make_room() {
        let mut cache = RepairCache::new(10 * 1_024);
        let mut last = [Record::default(); 2];
        for n in 0..100_u64 {
            let stream = usize::try_from(n % 2).unwrap();
            let ssrc = Ssrc(u32::try_from(stream).unwrap());
            last[stream] = cache.keep(last[stream], ssrc, index(n), &[n as u8; 1_000]);
        }
        for stream in 0..2_u32 {
            let walk = cache.back_from(last[stream as usize], Ssrc(stream));
            let found: Vec<_> = walk.map(|(_, kept)| kept).collect();
            assert!((4..=5).contains(&found.len()), "{}", found.len());
            for (back, kept) in found.iter().enumerate() {
                let number = 98 + u64::from(stream) - 2 * back as u64;
                assert_eq!((kept.index, kept.packet), (index(number), &[number as u8; 1_000][..]));
            }
        }
        assert_eq!(cache.back_from(last[0], Ssrc(1)).count(), 0, "not another stream's");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        for bytes in [0, 7, 500] {
            let mut cache = RepairCache::new(bytes);
            let record = cache.keep(Record::default(), Ssrc(1), index(1), &[1; 600]);
            assert_eq!(record, Record::default());
            assert!(cache.get(record, Ssrc(1)).is_none());
        }
    }

    proptest! {
        /// What is found is what was kept, in order, as far back as it lasts.
        #[test]
        fn nothing_is_mixed_up(
            size in 200_usize..5_000,
            packets in prop::collection::vec((0_usize..3, 0_usize..300), 1..200),
        ) {
            let mut cache = RepairCache::new(size);
            let mut last = [Record::default(); 3];
            let mut kept: [Vec<(u64, Vec<u8>)>; 3] = Default::default();
            for (n, (stream, length)) in packets.into_iter().enumerate() {
                let (bytes, ssrc) = (vec![n as u8; length], Ssrc(stream as u32));
                let before = last[stream];
                last[stream] = cache.keep(before, ssrc, index(n as u64), &bytes);
                if last[stream] != before {
                    kept[stream].push((n as u64, bytes));
                }
                for stream in 0..3 {
                    let found: Vec<_> = cache.back_from(last[stream], Ssrc(stream as u32))
                        .map(|(_, it)| (it.index.value(), it.packet.to_vec())).collect();
                    let wanted: Vec<_> =
                        kept[stream].iter().rev().take(found.len()).cloned().collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }
}
