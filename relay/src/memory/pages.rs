//! Large pages for large tables: at random places of a table, each page's translation has to be
//! found as well as the data, and of small pages no cache holds all.

#![expect(unsafe_code, reason = "advice on memory names it by its address")]

use core::mem::MaybeUninit;

/// Bytes of a large page, also the least that is worth asking for.
const PAGE_BYTES: usize = 2 << 20;

/// Asks the kernel to back memory with large pages when it is first used. It may refuse, as where
/// `/sys/kernel/mm/transparent_hugepage/enabled` says `never`; then only speed is lost.
pub(crate) fn in_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(memory);
    let skipped = memory.as_ptr().cast::<u8>().align_offset(PAGE_BYTES);
    let whole = bytes.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
    if whole > 0 {
        let first = memory.as_mut_ptr().cast::<u8>().wrapping_add(skipped);
        // SAFETY: the range lies inside `memory`, of which this changes nothing.
        unsafe { libc::madvise(first.cast(), whole, libc::MADV_HUGEPAGE) };
    }
}
