//! Page-aligned anonymous memory, present before the first packet needs it.

#![expect(unsafe_code, reason = "mmap and munmap have no safe form")]

use core::ptr::{NonNull, null_mut};
use std::io;

/// Private zeroed memory of this process, aligned to a page.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to this value alone, whichever thread has it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes and touches each page, so that the packet path never faults one in.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address the kernel chooses overlaps nothing.
        let base = unsafe {
            libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| io::Error::other("the kernel mapped memory at address zero"))?;
        // What terminals send is encrypted, but a core dump is no place for it either. Refusal
        // costs nothing but dump size, so the result is not looked at.
        // SAFETY: the range is exactly the mapping made above.
        unsafe { libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_DONTDUMP) };
        Ok(Self { base, bytes })
    }

    /// First byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one mmap returned, and `Mapping` is its only owner. Whoever
        // lent parts of it to the kernel keeps the mapping alive until the kernel gave them back.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_page_aligned_and_of_the_asked_size() {
        let mapping = Mapping::new(3 * 4096).unwrap();
        assert_eq!(mapping.base().as_ptr() as usize % 4096, 0);
        assert_eq!(mapping.bytes, 3 * 4096);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        assert!(Mapping::new(0).is_err());
        assert!(Mapping::new(isize::MAX as usize).is_err());
    }
}
