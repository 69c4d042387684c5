//! From a packet's SSRC to the leg and stream it would be of: the first look-up of every packet.
//!
//! A table of open addressing, eight bytes an entry, so that a look-up touches one cache line as a
//! rule, and the line is known before the look-up: it can be fetched ahead. Only control inserts,
//! so nobody can build collisions (see [`super::hash`]).
//!
//! ```text
//! | SSRC, 32 bits | stream, 2 bits | leg, 30 bits | ; all ones: free
//! ```

use super::slots::Slot;
use super::streams::StreamIndex;
use crate::memory::{in_huge_pages, prefetch};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::rtp::Ssrc;

const FREE: u64 = u64::MAX;

/// Bits that name a stream of a leg.
const STREAM_BITS: u32 = 2;

const _: () = assert!(STREAMS_PER_LEG_MAX == 1 << STREAM_BITS);

/// Legs that can be named; the last number is left out, so that no entry looks free.
const LEGS_MAX: u32 = (1 << (32 - STREAM_BITS)) - 1;

/// Streams by SSRC.
pub(super) struct SsrcIndex {
    entries: Box<[u64]>,
    mask: usize,
    used: usize,
}

impl SsrcIndex {
    /// Room for `streams` streams: at most half of the entries are ever used.
    pub(super) fn new(streams: usize) -> Self {
        let entries = (2 * streams).next_power_of_two().max(8);
        let (mut room, mask) = (Vec::with_capacity(entries), entries - 1);
        in_huge_pages(room.spare_capacity_mut());
        room.resize(entries, FREE);
        Self { entries: room.into_boxed_slice(), mask, used: 0 }
    }

    /// Streams in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Entries it has room for, half of which may be used.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Fetches the line where a look-up of `ssrc` begins.
    pub(super) fn prefetch(&self, ssrc: Ssrc) {
        if let Some(entry) = self.entries.get(self.home(ssrc)) {
            prefetch(entry);
        }
    }

    /// The leg and stream that may send with `ssrc`.
    pub(super) fn get(&self, ssrc: Ssrc) -> Option<(Slot, StreamIndex)> {
        let entry = self.entries[self.find(ssrc)?];
        let low = u32::try_from(entry & u64::from(u32::MAX)).ok()?;
        let stream = u8::try_from(low >> (32 - STREAM_BITS)).ok()?;
        Some((Slot::from_number(low & LEGS_MAX), StreamIndex::new(stream)))
    }

    /// Enters a stream; nothing happens if there is no room or the leg's number is too high.
    pub(super) fn insert(&mut self, ssrc: Ssrc, leg: Slot, stream: StreamIndex) {
        if leg.number() >= LEGS_MAX || 2 * (self.used + 1) > self.entries.len() {
            debug_assert!(false, "the index is made for every stream the table can hold");
            return;
        }
        let low = u32::from(stream.number()) << (32 - STREAM_BITS) | leg.number();
        let entry = u64::from(ssrc.0) << 32 | u64::from(low);
        let mut at = self.home(ssrc);
        while self.entries[at] != FREE && self.ssrc_at(at) != ssrc {
            at = (at + 1) & self.mask;
        }
        self.used += usize::from(self.entries[at] == FREE);
        self.entries[at] = entry;
    }

    /// Takes a stream out, and moves those behind it up, so that no look-up ends too early.
    pub(super) fn remove(&mut self, ssrc: Ssrc) {
        let Some(mut hole) = self.find(ssrc) else { return };
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            if self.entries[at] == FREE {
                break;
            }
            // An entry may move up to the hole unless its home lies behind the hole.
            let from_home = at.wrapping_sub(self.home(self.ssrc_at(at))) & self.mask;
            if from_home >= (at.wrapping_sub(hole) & self.mask) {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
        }
        self.entries[hole] = FREE;
    }

    fn find(&self, ssrc: Ssrc) -> Option<usize> {
        let mut at = self.home(ssrc);
        while self.entries[at] != FREE {
            if self.ssrc_at(at) == ssrc {
                return Some(at);
            }
            at = (at + 1) & self.mask;
        }
        None
    }

    fn ssrc_at(&self, at: usize) -> Ssrc {
        Ssrc(u32::try_from(self.entries[at] >> 32).unwrap_or(0))
    }

    /// Where the search for `ssrc` begins.
    fn home(&self, ssrc: Ssrc) -> usize {
        let spread = u64::from(ssrc.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(spread >> 32).unwrap_or(0) & self.mask
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ssrc, Slot)> + '_ {
        let used = (0..self.entries.len()).filter(|at| self.entries[*at] != FREE);
        used.map(|at| (self.ssrc_at(at), self.get(self.ssrc_at(at)).unwrap().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_behaves_like_a_map(
            steps in prop::collection::vec(
                (any::<bool>(), 0_u32..24, 0_u32..1_000, 0_u8..4), 1..400,
            ),
        ) {
            let mut index = SsrcIndex::new(24);
            let mut model = HashMap::new();
            let room = index.capacity();
            for (insert, ssrc, leg, stream) in steps {
                // Few distinct homes, so that chains form and wrap.
                let ssrc = Ssrc(ssrc.wrapping_mul(0x4000_0001));
                let (leg, stream) = (Slot::from_number(leg), StreamIndex::new(stream));
                if insert {
                    index.insert(ssrc, leg, stream);
                    model.insert(ssrc, (leg, stream));
                } else {
                    index.remove(ssrc);
                    model.remove(&ssrc);
                }
                prop_assert_eq!(index.len(), model.len());
                for number in 0..24_u32 {
                    let ssrc = Ssrc(number.wrapping_mul(0x4000_0001));
                    prop_assert_eq!(index.get(ssrc), model.get(&ssrc).copied());
                }
            }
            prop_assert_eq!(index.capacity(), room);
        }
    }
}
