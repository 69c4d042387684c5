//! The memory that a NIC receives into and sends from (UMEM): frames of one size, each at any
//! moment either ours or the kernel's.
//!
//! A [`Frame`] is the right to touch one of them. There is exactly one for each frame; whoever
//! lends a frame to the kernel gives its `Frame` away, and gets it back with the kernel's word that
//! it is done. So no frame is read or written while the NIC may write to it.

#![expect(unsafe_code, reason = "a NIC writes to this memory behind the compiler's back")]

use super::mapping::Mapping;
use core::ops::Range;
use core::slice;
use std::io;

/// The right to touch a frame. Not `Copy`, and made only by [`Frames`].
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Frame(u32);

impl Frame {
    /// Its number, from 0.
    pub(crate) fn number(&self) -> usize {
        self.0 as usize
    }
}

/// All frames of one shard.
#[derive(Debug)]
pub(crate) struct Frames {
    memory: Mapping,
    frame_bytes: usize,
    count: u32,
}

impl Frames {
    /// Makes `count` frames of `frame_bytes` bytes, a power of two and at most a page, and the
    /// right to each.
    pub(crate) fn new(count: u32, frame_bytes: usize) -> io::Result<(Self, Vec<Frame>)> {
        if !frame_bytes.is_power_of_two() {
            return Err(io::Error::other("a frame's size must be a power of two"));
        }
        let memory = Mapping::new(count as usize * frame_bytes)?;
        Ok((Self { memory, frame_bytes, count }, (0..count).map(Frame).collect()))
    }

    /// Bytes of each frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Address and length of the whole, as the kernel is told.
    pub(crate) fn region(&self) -> (u64, u64) {
        let base = self.memory.base().as_ptr() as usize;
        (base as u64, (self.count as usize * self.frame_bytes) as u64)
    }

    /// What the kernel calls a place in a frame: its distance from the first frame.
    pub(crate) fn address(&self, frame: &Frame, start: usize) -> u64 {
        (frame.number() * self.frame_bytes + start) as u64
    }

    /// The right to the frame at an address that the kernel gave back, and where in the frame it
    /// points; `None` beyond the last frame.
    ///
    /// # Safety
    /// The kernel must have taken the frame's [`Frame`] before, and be done with it.
    pub(crate) unsafe fn returned(&self, address: u64) -> Option<(Frame, usize)> {
        let address = usize::try_from(address).ok()?;
        let number = u32::try_from(address / self.frame_bytes).ok()?;
        (number < self.count).then_some((Frame(number), address % self.frame_bytes))
    }

    /// Bytes of a frame; `None` beyond its end.
    pub(crate) fn bytes(&self, frame: &Frame, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.frame_bytes {
            return None;
        }
        let start = frame.number() * self.frame_bytes + range.start;
        // SAFETY: there is a `Frame` only for frames inside the mapping, and the range lies inside
        // the frame.
        let first = unsafe { self.memory.base().as_ptr().add(start) };
        // SAFETY: the range is mapped and initialised (the mapping is zeroed); holding its `Frame`
        // means that the kernel does not write to it, and `&self` that nobody here does.
        Some(unsafe { slice::from_raw_parts(first, range.len()) })
    }

    /// The same, to write to.
    pub(crate) fn bytes_mut(&mut self, frame: &Frame, range: Range<usize>) -> Option<&mut [u8]> {
        if range.start > range.end || range.end > self.frame_bytes {
            return None;
        }
        let start = frame.number() * self.frame_bytes + range.start;
        // SAFETY: as in `bytes`.
        let first = unsafe { self.memory.base().as_ptr().add(start) };
        // SAFETY: as in `bytes`, and `&mut self` means that nobody else here reads it.
        Some(unsafe { slice::from_raw_parts_mut(first, range.len()) })
    }
}

impl Frames {
    /// Copies a range of one frame into another, to its byte `at` and on, and gives the copy;
    /// `None` if either lies beyond its frame's end.
    pub(crate) fn copy(
        &mut self,
        (from, range): (&Frame, Range<usize>),
        (to, at): (&Frame, usize),
    ) -> Option<&[u8]> {
        let bytes = range.len();
        let source = self.bytes(from, range)?.as_ptr();
        let copy = self.bytes_mut(to, at..at.checked_add(bytes)?)?;
        // SAFETY: both ranges lie in frames that are ours, and two `Frame`s are two frames: the
        // ranges do not overlap.
        unsafe { source.copy_to_nonoverlapping(copy.as_mut_ptr(), bytes) };
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lie_side_by_side_and_end_where_they_should() {
        let (mut frames, rights) = Frames::new(3, 2_048).unwrap();
        assert_eq!(frames.region().1, 3 * 2_048);
        frames.bytes_mut(&rights[1], 2_000..2_048).unwrap().fill(7);
        assert!(frames.bytes(&rights[0], 0..2_048).unwrap().iter().all(|byte| *byte == 0));
        assert!(frames.bytes(&rights[2], 0..2_048).unwrap().iter().all(|byte| *byte == 0));
        assert_eq!(frames.bytes(&rights[1], 1_999..2_001).unwrap(), [0, 7]);
        assert!(frames.bytes(&rights[2], 0..2_049).is_none());
        assert!(frames.bytes(&rights[2], 2_048..2_049).is_none());
    }

    #[test]
    fn an_address_leads_back_to_its_frame() {
        let (frames, mut rights) = Frames::new(3, 4_096).unwrap();
        let frame = rights.pop().unwrap();
        let address = frames.address(&frame, 270);
        assert_eq!(address, 2 * 4_096 + 270);
        let Frame(_ended) = frame;
        // SAFETY: the only right to the frame has just ended, and no kernel has it.
        let (frame, start) = unsafe { frames.returned(address) }.unwrap();
        assert_eq!((frame.number(), start), (2, 270));
        // SAFETY: there is no such frame.
        assert!(unsafe { frames.returned(3 * 4_096) }.is_none());
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert!(Frames::new(3, 1_500).is_err());
    }
}
