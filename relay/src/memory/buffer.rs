//! Receive buffers, and the ring through which the kernel is given them.
//!
//! A buffer belongs to the kernel from [`publish`](ReceiveBuffers::publish) until its completion
//! is [`taken`](ReceiveBuffers::take), and to the shard from then until it is given back. Only a
//! buffer the shard owns can be looked at; that is what makes [`bytes`](ReceiveBuffers::bytes)
//! sound.
//!
//! ```text
//! |<-------------------------- SLOT_BYTES = 2,048 -------------------------->|
//! | 4 | 16 result header | 28 address | payload, 16-byte aligned | unused    |
//!     ^ what the kernel is told
//! ```

#![expect(unsafe_code, reason = "the kernel writes to these buffers behind the compiler's back")]

use super::mapping::Mapping;
use crate::capacity::DATAGRAM_BYTES_MAX;
use core::slice;
use core::sync::atomic::{AtomicU16, Ordering};
use io_uring::types::BufRingEntry;
use std::io;

/// Distance from buffer to buffer.
const SLOT_BYTES: usize = 2_048;

/// The kernel puts a result header before the address (`struct io_uring_recvmsg_out`).
const HEADER_BYTES: usize = 16;

/// Room for the source address: `struct sockaddr_in6`.
pub(crate) const NAME_BYTES: usize = 28;

/// Left free before the result header, so that the payload is aligned to 16 bytes.
const PAD_BYTES: usize = (16 - (HEADER_BYTES + NAME_BYTES) % 16) % 16;

/// What the kernel may fill of a slot.
const OFFERED_BYTES: usize = HEADER_BYTES + NAME_BYTES + DATAGRAM_BYTES_MAX;

const _: () = assert!(PAD_BYTES + OFFERED_BYTES <= SLOT_BYTES);
const _: () = assert!(OFFERED_BYTES <= u32::MAX as usize);

/// A set of receive buffers and the ring that offers them to the kernel.
#[derive(Debug)]
pub(crate) struct ReceiveBuffers {
    slots: Mapping,
    ring: Mapping,
    /// Which buffers the shard owns; the kernel owns the others.
    held: Box<[bool]>,
    /// Where the next buffer goes in the ring; the kernel sees it after `publish`.
    tail: u16,
}

impl ReceiveBuffers {
    /// Makes `count` buffers, all owned by the shard. `count` is a power of two up to 32,768.
    pub(crate) fn new(count: u16) -> io::Result<Self> {
        if !count.is_power_of_two() || count > 32_768 {
            return Err(io::Error::other("receive buffers must be a power of two up to 32,768"));
        }
        let many = usize::from(count);
        Ok(Self {
            slots: Mapping::new(many * SLOT_BYTES)?,
            ring: Mapping::new(many * size_of::<BufRingEntry>())?,
            held: vec![true; many].into_boxed_slice(),
            tail: 0,
        })
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.held.len()).expect("invariant: made from a u16")
    }

    /// Where the ring lies, as the kernel's registration wants it.
    pub(crate) fn ring_address(&self) -> u64 {
        self.ring.base().as_ptr() as u64
    }

    /// Takes over the buffer of a completion. `false` if the kernel did not own it: then the
    /// completion must not be believed.
    #[must_use]
    pub(crate) fn take(&mut self, slot: u16) -> bool {
        match self.held.get_mut(usize::from(slot)) {
            Some(held) if !*held => {
                *held = true;
                true
            }
            _ => false,
        }
    }

    /// Lines a buffer up for the kernel. Nothing happens if the shard does not own it.
    pub(crate) fn give(&mut self, slot: u16) {
        let Some(held) = self.held.get_mut(usize::from(slot)) else { return };
        if !core::mem::replace(held, false) {
            return;
        }
        let address = self.offered(slot) as u64;
        let place = usize::from(self.tail & (self.count() - 1));
        // SAFETY: `place` is below the number of entries the ring's mapping was made for.
        let entry = unsafe { self.ring.base().cast::<BufRingEntry>().add(place) };
        // SAFETY: the entry lies beyond the published tail, so the kernel does not read it yet;
        // the mapping is aligned to a page and was zeroed, which is a valid entry.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(address);
        entry.set_len(u32::try_from(OFFERED_BYTES).unwrap_or(u32::MAX));
        entry.set_bid(slot);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lines up every buffer the shard owns.
    pub(crate) fn give_all(&mut self) {
        (0..self.count()).for_each(|slot| self.give(slot));
    }

    /// Shows the kernel what was lined up.
    pub(crate) fn publish(&self) {
        let base = self.ring.base().cast::<BufRingEntry>().as_ptr();
        // SAFETY: `base` is the first entry of the ring, zeroed memory or a written entry.
        let tail = unsafe { BufRingEntry::tail(base) }.cast_mut();
        // SAFETY: the tail is a two-byte aligned word of the ring that user space owns; the
        // kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The first `length` bytes the kernel wrote to a buffer, result header first. `None` if the
    /// shard does not own it, or `length` is more than was offered.
    pub(crate) fn bytes(&self, slot: u16, length: usize) -> Option<&[u8]> {
        let held = *self.held.get(usize::from(slot))?;
        if !held || length > OFFERED_BYTES {
            return None;
        }
        // SAFETY: the range lies inside the slot; the shard owns the buffer, so the kernel does
        // not write to it, and giving it back takes `&mut self`, which ends this borrow.
        Some(unsafe { slice::from_raw_parts(self.offered(slot), length) })
    }

    /// First byte of a slot that the kernel may fill.
    fn offered(&self, slot: u16) -> *const u8 {
        let offset = usize::from(slot) * SLOT_BYTES + PAD_BYTES;
        debug_assert!(offset + OFFERED_BYTES <= self.slots.bytes());
        // SAFETY: callers checked `slot` against `held`, which has one entry for each slot.
        unsafe { self.slots.base().as_ptr().add(offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_readable_only_while_the_shard_owns_it() {
        let mut buffers = ReceiveBuffers::new(4).unwrap();
        assert!(buffers.bytes(0, 10).is_some());
        buffers.give(0);
        assert!(buffers.bytes(0, 10).is_none());
        assert!(buffers.take(0));
        assert!(!buffers.take(0), "one completion hands a buffer over once");
        assert!(buffers.bytes(0, OFFERED_BYTES).is_some());
        assert!(buffers.bytes(0, OFFERED_BYTES + 1).is_none());
    }

    #[test]
    fn unknown_buffers_are_refused() {
        let mut buffers = ReceiveBuffers::new(4).unwrap();
        assert!(!buffers.take(4));
        assert!(buffers.bytes(4, 1).is_none());
        buffers.give(4);
        assert_eq!(buffers.tail, 0);
    }

    #[test]
    fn a_buffer_given_twice_is_lined_up_once() {
        let mut buffers = ReceiveBuffers::new(4).unwrap();
        buffers.give_all();
        buffers.give(2);
        assert_eq!(buffers.tail, 4);
    }

    #[test]
    fn the_payload_is_aligned() {
        let buffers = ReceiveBuffers::new(2).unwrap();
        for slot in 0..2 {
            let bytes = buffers.bytes(slot, OFFERED_BYTES).unwrap();
            assert_eq!(bytes[HEADER_BYTES + NAME_BYTES..].as_ptr() as usize % 16, 0);
        }
    }

    #[test]
    fn odd_counts_are_refused() {
        assert!(ReceiveBuffers::new(0).is_err());
        assert!(ReceiveBuffers::new(3).is_err());
    }
}
