//! Bytes in and out of vectors.

use core::arch::x86_64::*;

use super::{Block, Vector};

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn reversed() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn reverse(vector: __m512i) -> __m512i {
    _mm512_shuffle_epi8(vector, _mm512_broadcast_i32x4(reversed()))
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn load(block: &Block) -> __m128i {
    let [low, high] = [&block[..8], &block[8..]].map(|half| {
        i64::from_le_bytes(half.try_into().expect("invariant: half a block has 8 bytes"))
    });
    _mm_set_epi64x(high, low)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn load_vector(vector: &Vector) -> __m512i {
    load_front(vector)
}

/// The first 64 bytes, or all there are and then zeros.
#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn load_front(bytes: &[u8]) -> __m512i {
    let count = u32::try_from(bytes.len()).unwrap_or(64).min(64);
    let chosen = u64::MAX.unbounded_shr(64 - count);
    // SAFETY: only the chosen bytes are read, all of them inside `bytes`; no alignment is needed.
    unsafe { _mm512_maskz_loadu_epi8(chosen, bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn spell(block: __m128i) -> Block {
    let (low, high) = (_mm_cvtsi128_si64(block), _mm_extract_epi64::<1>(block));
    let (low, high) = (u128::from(low.cast_unsigned()), u128::from(high.cast_unsigned()));
    (high << 64 | low).to_le_bytes()
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn store_vector(bytes: &mut Vector, vector: __m512i) {
    // SAFETY: just the bytes of `bytes` are written; no alignment is needed.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) }
}

/// Writes the first 64 bytes, or as many as there is room for.
#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
pub(super) fn store_front(bytes: &mut [u8], vector: __m512i) {
    let count = u32::try_from(bytes.len()).unwrap_or(64).min(64);
    let chosen = u64::MAX.unbounded_shr(64 - count);
    // SAFETY: only the chosen bytes are written, all of them inside `bytes`; no alignment is
    // needed.
    unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), chosen, vector) }
}
