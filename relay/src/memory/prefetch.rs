//! Asks the processor for memory that will be needed soon.

#![expect(unsafe_code, reason = "the prefetch instruction takes a pointer")]

use core::ops::Range;

/// Fetches the cache lines that hold `thing`. Changes nothing but the time the next use takes.
#[inline]
pub(crate) fn prefetch<T: ?Sized>(thing: &T) {
    prefetch_part(thing, 0..size_of_val(thing));
}

/// Fetches the cache lines that hold these bytes of `thing`, which lies in its lines as its
/// alignment says. Reads nothing of it.
#[inline]
pub(crate) fn prefetch_part<T: ?Sized>(thing: &T, bytes: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// Bytes the processor fetches at once.
        const LINE_BYTES: usize = 64;
        let first = core::ptr::from_ref(thing).cast::<i8>();
        for offset in (bytes.start & !(LINE_BYTES - 1)..bytes.end).step_by(LINE_BYTES) {
            let line = first.wrapping_add(offset);
            // SAFETY: a prefetch reads nothing that the program could see, and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (thing, bytes);
}
