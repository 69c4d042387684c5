//! A ring shared with the kernel (Documentation/networking/af_xdp.rst): one side writes entries
//! and moves the producer's count, the other reads them and moves the consumer's.
//!
//! ```text
//!            consumer          producer
//!               v                 v
//!  [ . . . . .  e  e  e  e  e  e  . . . . ]      counts run on and wrap; a mask makes them places
//! ```
//! Entries are published in batches: pushed or popped first, then told to the other side at once.

#![expect(unsafe_code, reason = "the kernel reads and writes the other side of a ring")]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What a ring holds: plain integers, of which any bytes are a value.
pub(super) trait Entry: Copy {}

impl Entry for u64 {}
impl Entry for libc::xdp_desc {}

/// Where the kernel has put the parts of a ring.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Of the mapping, in the socket's own file.
    pub(super) page: libc::off_t,
    pub(super) offsets: libc::xdp_ring_offset,
    /// Entries; a power of two.
    pub(super) count: u32,
}

/// A ring's memory, and our side's count.
struct Shared<T> {
    base: NonNull<u8>,
    bytes: usize,
    offsets: libc::xdp_ring_offset,
    entries: NonNull<T>,
    count: u32,
}

// SAFETY: the mapping belongs to this value alone, wherever that is; the other side is the kernel.
unsafe impl<T: Entry> Send for Shared<T> {}

impl<T: Entry> Shared<T> {
    fn map(socket: BorrowedFd<'_>, layout: Layout) -> io::Result<Self> {
        let Layout { page, offsets, count } = layout;
        if !count.is_power_of_two() {
            return Err(io::Error::other("a ring's size must be a power of two"));
        }
        let first = usize::try_from(offsets.desc).map_err(io::Error::other)?;
        let bytes = first + count as usize * size_of::<T>();
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a mapping of the socket's ring at an address that the kernel chooses.
        let base =
            unsafe { libc::mmap(null_mut(), bytes, protection, flags, socket.as_raw_fd(), page) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| io::Error::other("the kernel mapped a ring at address zero"))?;
        // SAFETY: `bytes` reaches from the base to behind the last entry.
        let entries = unsafe { base.add(first) }.cast();
        Ok(Self { base, bytes, offsets, entries, count })
    }

    fn word(&self, offset: u64) -> &AtomicU32 {
        let offset = usize::try_from(offset).unwrap_or(0);
        // SAFETY: the kernel's own offset of one of its words, which lie before the entries.
        let word = unsafe { self.base.add(offset) };
        // SAFETY: the word is aligned and mapped as long as `self` is; both sides use it as an
        // atomic integer only.
        unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn at(&self, count: u32) -> NonNull<T> {
        // SAFETY: the masked count is below the number of entries that are mapped.
        unsafe { self.entries.add((count & (self.count - 1)) as usize) }
    }

    fn wants_waking(&self) -> bool {
        self.word(self.offsets.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, of which nothing is borrowed any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Our side of a ring that the kernel reads: fill and transmit.
pub(super) struct Producer<T: Entry> {
    shared: Shared<T>,
    /// The count behind what was pushed.
    next: u32,
    /// The kernel's count, as it was last seen.
    consumed: u32,
}

impl<T: Entry> Producer<T> {
    /// Maps the ring that `layout` describes.
    pub(super) fn map(socket: BorrowedFd<'_>, layout: Layout) -> io::Result<Self> {
        let shared = Shared::map(socket, layout)?;
        let next = shared.producer().load(Ordering::Relaxed);
        let consumed = shared.consumer().load(Ordering::Acquire);
        Ok(Self { shared, next, consumed })
    }

    /// Adds an entry, unless the ring is full: then it comes back.
    pub(super) fn push(&mut self, entry: T) -> Result<(), T> {
        if self.next.wrapping_sub(self.consumed) >= self.shared.count {
            self.consumed = self.shared.consumer().load(Ordering::Acquire);
            if self.next.wrapping_sub(self.consumed) >= self.shared.count {
                return Err(entry);
            }
        }
        // SAFETY: the kernel reads no entry beyond the producer's count, and has read this place's
        // last one, as its own count says.
        unsafe { self.shared.at(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Entries that fit now.
    pub(super) fn room(&mut self) -> u32 {
        self.consumed = self.shared.consumer().load(Ordering::Acquire);
        self.shared.count - self.next.wrapping_sub(self.consumed)
    }

    /// Shows the kernel what was pushed.
    pub(super) fn publish(&mut self) {
        self.shared.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel has yet to take something.
    pub(super) fn is_behind(&mut self) -> bool {
        self.consumed = self.shared.consumer().load(Ordering::Acquire);
        self.consumed != self.next
    }

    /// Whether the kernel looks at the ring only when it is called.
    pub(super) fn wants_waking(&self) -> bool {
        self.shared.wants_waking()
    }
}

/// Our side of a ring that the kernel writes: receive and completion.
pub(super) struct Consumer<T: Entry> {
    shared: Shared<T>,
    /// The count behind what was popped.
    next: u32,
    /// The kernel's count, as it was last seen.
    produced: u32,
}

impl<T: Entry> Consumer<T> {
    /// Maps the ring that `layout` describes.
    pub(super) fn map(socket: BorrowedFd<'_>, layout: Layout) -> io::Result<Self> {
        let shared = Shared::map(socket, layout)?;
        let next = shared.consumer().load(Ordering::Relaxed);
        Ok(Self { shared, next, produced: next })
    }

    /// Takes the next entry, if there is one.
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.produced == self.next && !self.has_more() {
            return None;
        }
        // SAFETY: the kernel has written the entry before it moved the producer's count beyond it.
        let entry = unsafe { self.shared.at(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Looks whether there is something to pop.
    pub(super) fn has_more(&mut self) -> bool {
        self.produced = self.shared.producer().load(Ordering::Acquire);
        self.produced != self.next
    }

    /// Gives the kernel the places of what was popped.
    pub(super) fn release(&mut self) {
        self.shared.consumer().store(self.next, Ordering::Release);
    }
}
