//! The memory that packets are received into.
//!
//! One slot takes whatever one receive brings: a datagram, or a whole train of up to 64 KiB. The
//! kernel writes to a slot only inside the system call that names it, so outside of it the shard
//! owns them all.
//!
//! ```text
//! |<--- SLOT_BYTES --->|<-- stagger -->|<--- SLOT_BYTES --->| ...
//! ```
//! Slots are a little more than 64 KiB apart: exactly that, and the first lines of all of them
//! would compete for the same few places of every cache.

#![expect(unsafe_code, reason = "the kernel writes to this memory behind the compiler's back")]

use super::mapping::Mapping;
use crate::capacity::RECEIVE_SLOT_BYTES;
use core::slice;
use std::io;

/// Distance between two slots: an odd number of cache lines, so that 128 slots begin in 128
/// different sets; two lines more, since the processor fetches lines in pairs.
const STRIDE_BYTES: usize = RECEIVE_SLOT_BYTES + 3 * 64;

/// Receive slots of one shard.
#[derive(Debug)]
pub(crate) struct ReceiveArena {
    memory: Mapping,
    count: usize,
}

impl ReceiveArena {
    /// Makes `count` slots.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        Ok(Self { memory: Mapping::new(count * STRIDE_BYTES)?, count })
    }

    /// First byte of a slot, for the kernel to write [`RECEIVE_SLOT_BYTES`] to.
    pub(crate) fn base(&mut self, slot: usize) -> *mut u8 {
        assert!(slot < self.count, "a slot beyond the arena");
        // SAFETY: `slot` is below the count the mapping was made for.
        unsafe { self.memory.base().as_ptr().add(slot * STRIDE_BYTES) }
    }

    /// `bytes` bytes of a slot from `start` on; `None` beyond its end.
    pub(crate) fn slot_bytes(&self, slot: usize, start: usize, bytes: usize) -> Option<&[u8]> {
        if slot >= self.count || start.checked_add(bytes)? > RECEIVE_SLOT_BYTES {
            return None;
        }
        // SAFETY: the offset lies inside the mapping, since slot and start are below their limits.
        let first = unsafe { self.memory.base().as_ptr().add(slot * STRIDE_BYTES + start) };
        // SAFETY: the range lies inside the slot, is initialised (the mapping is zeroed), and the
        // kernel writes only while `base`'s exclusive borrow of the arena is in use.
        Some(unsafe { slice::from_raw_parts(first, bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap_and_end_where_they_should() {
        let mut arena = ReceiveArena::new(3).unwrap();
        let bases: Vec<_> = (0..3).map(|slot| arena.base(slot) as usize).collect();
        assert!(bases.windows(2).all(|pair| pair[1] - pair[0] >= RECEIVE_SLOT_BYTES));
        assert_eq!(arena.slot_bytes(2, 0, RECEIVE_SLOT_BYTES).unwrap().as_ptr() as usize, bases[2]);
        assert!(arena.slot_bytes(2, 1, RECEIVE_SLOT_BYTES).is_none());
        assert!(arena.slot_bytes(3, 0, 1).is_none());
        assert!(arena.slot_bytes(0, usize::MAX, 1).is_none());
    }

    #[test]
    fn first_lines_of_neighbours_fall_into_different_sets() {
        let mut arena = ReceiveArena::new(128).unwrap();
        // A second-level cache of 1,024 sets and 64-byte lines.
        let sets: std::collections::BTreeSet<_> =
            (0..128).map(|slot| arena.base(slot) as usize / 64 % 1_024).collect();
        assert_eq!(sets.len(), 128);
    }
}
