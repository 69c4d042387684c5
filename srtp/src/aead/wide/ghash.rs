//! GHASH of a packet, four blocks at once.
//!
//! It takes a packet as blocks B(0) to B(n-1) and sums B(i) x H^(n-i) (SP 800-38D 6.4). Zero
//! blocks in front change nothing, so they fill the first vector up, and the lengths end the last:
//!
//! ```text
//!  vector 0                 vector 1                      last vector
//! | 0 | aad | text | text | text | text | text | text | ... | text | text | text | lengths |
//! ```
//! Each of the four lanes is summed by itself in steps of H^4; at the end lane 0 to 3 are
//! multiplied by H^4 to H^1 and added. Eight vectors, x H^32 to x H^4, share one reduction.
//!
//! Blocks and powers are in the form of RFC 8452 appendix A: bytes reversed, H times x, products
//! divided by x^128, which is GHASH without a bit shift.

use core::arch::x86_64::*;

use super::vectors::{load, load_front, load_vector, reverse, reversed, spell, xor3};
use super::{BLOCK_BYTES, Block, VECTOR_BYTES, Vector};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Vectors that share one reduction. With eight instead of four the largest video packet takes a
/// reduction less for every 512 bytes; sixteen would cost two more cache lines of each key.
const GROUP: usize = 8;

/// Reduction constant of the field: x^127 + x^126 + x^121, its upper half.
const POLYNOMIAL: u64 = 0xc2 << 56;

/// Powers of a hash key.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(super) struct HashKey {
    /// H^4, H^3, H^2, H^1.
    lanes: Vector,
    /// H^8, H^12, up to H^32.
    strides: [Block; GROUP - 1],
}

impl HashKey {
    /// Not a key yet.
    pub(super) const EMPTY: Self =
        Self { lanes: [0; VECTOR_BYTES], strides: [[0; BLOCK_BYTES]; GROUP - 1] };

    /// Fills in the powers of the hash key, the encrypted zero block.
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn expand(&mut self, hash_key: __m128i) {
        // Times x: a shift, and the polynomial where a bit falls out.
        let hash_key = u128::from_be_bytes(spell(hash_key));
        let fallen = 0_u128.wrapping_sub(hash_key >> 127);
        let hash_key = hash_key << 1 ^ fallen & (u128::from(POLYNOMIAL) << 64 | 1);
        let hash_key = load(&hash_key.to_le_bytes());

        let mut power = hash_key;
        for exponent in 1..=4 * GROUP {
            if exponent <= 4 {
                let (blocks, _) = self.lanes.as_chunks_mut();
                blocks[4 - exponent] = spell(power);
            } else if exponent.is_multiple_of(4) {
                self.strides[exponent / 4 - 2] = spell(power);
            }
            let mut sum = Sum::new();
            sum.add(_mm512_zextsi128_si512(power), _mm512_zextsi128_si512(hash_key));
            power = sum.total();
        }
    }

    /// GHASH, in the order of bytes in which a tag is sent.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn hash(&self, packet: &Packet<'_>) -> __m128i {
        let mut lanes = packet.edge(0);
        if packet.vectors > 1 {
            for at in 1..packet.mixed.min(packet.vectors - 1) {
                lanes = self.step(lanes, &[], packet.edge(at));
            }
            let (groups, rest) = packet.inner().as_chunks::<GROUP>();
            for group in groups {
                let (last, others) = group.split_last().expect("invariant: a group is not empty");
                lanes = self.step(lanes, others, reverse(load_vector(last)));
            }
            lanes = self.step(lanes, rest, packet.edge(packet.vectors - 1));
        }
        let mut sum = Sum::new();
        sum.add(lanes, load_vector(&self.lanes));
        _mm_shuffle_epi8(sum.total(), reversed())
    }

    /// One group: `lanes` and `vectors` moved on to the place of `last`, and `last` added.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn step(&self, lanes: __m512i, vectors: &[Vector], last: __m512i) -> __m512i {
        let mut sum = Sum::new();
        for (before, vector) in vectors.iter().enumerate() {
            sum.add(reverse(load_vector(vector)), self.stride(vectors.len() - before));
        }
        // Last, since it waits for the reduction of the group before.
        sum.add(lanes, self.stride(vectors.len() + 1));
        _mm512_xor_si512(sum.lanes(), last)
    }

    /// H^4 to the power of `vectors`, 1 to [`GROUP`], in every lane.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn stride(&self, vectors: usize) -> __m512i {
        let first = self.lanes.first_chunk().expect("invariant: a vector holds four blocks");
        let power = vectors.checked_sub(2).map_or(first, |at| &self.strides[at]);
        _mm512_broadcast_i32x4(load(power))
    }
}

/// A packet as vectors, and which of them are not just text.
pub(super) struct Packet<'a> {
    aad: &'a [u8],
    text: &'a [u8],
    /// Zero blocks in front.
    zeros: usize,
    /// Zero blocks and those of `aad`.
    before_text: usize,
    vectors: usize,
    /// Vectors in front that hold more than text; at least one, so that there is a first.
    mixed: usize,
}

impl<'a> Packet<'a> {
    #[inline]
    pub(super) fn new(aad: &'a [u8], text: &'a [u8]) -> Self {
        let head = aad.len().div_ceil(BLOCK_BYTES);
        let blocks = head + text.len().div_ceil(BLOCK_BYTES) + 1;
        let vectors = blocks.div_ceil(4);
        let zeros = 4 * vectors - blocks;
        let before_text = zeros + head;
        Self { aad, text, zeros, before_text, vectors, mixed: before_text.div_ceil(4).max(1) }
    }

    /// The vectors that hold nothing but text, between those in front and the last.
    #[inline]
    fn inner(&self) -> &'a [Vector] {
        let count = (self.vectors - 1).saturating_sub(self.mixed);
        let from = (4 * self.mixed - self.before_text) * BLOCK_BYTES;
        let text = self.text.get(from..).unwrap_or_default();
        &text.as_chunks().0[..count]
    }

    /// Any vector; slower than loading one that is inside the text.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn edge(&self, at: usize) -> __m512i {
        let aad = place(self.aad, 4 * at, self.zeros);
        let text = place(self.text, 4 * at, self.before_text);
        let vector = reverse(_mm512_or_si512(aad, text));
        if at + 1 < self.vectors {
            return vector;
        }
        let bits = |bytes: &[u8]| (8 * bytes.len() as u64).cast_signed();
        let lengths = _mm_set_epi64x(bits(self.aad), bits(self.text));
        _mm512_mask_mov_epi64(vector, 0xc0, _mm512_broadcast_i32x4(lengths))
    }
}

/// The four blocks from `block` on of a stream that holds `bytes` behind `before` other blocks;
/// zero where it holds something else.
#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
fn place(bytes: &[u8], block: usize, before: usize) -> __m512i {
    let from = block.saturating_sub(before) * BLOCK_BYTES;
    // Even a load of no byte at all costs some 200 cycles where its address is not mapped, as the
    // address of an empty slice may be.
    let Some(present) = bytes.get(from..).filter(|rest| !rest.is_empty()) else {
        return _mm512_setzero_si512();
    };
    let loaded = load_front(present);
    let shift = u32::try_from(before.saturating_sub(block)).unwrap_or(4).min(4);
    let words = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    let order = _mm512_sub_epi64(words, _mm512_set1_epi64(i64::from(2 * shift)));
    _mm512_maskz_permutexvar_epi64(u8::MAX.unbounded_shl(2 * shift), order, loaded)
}

/// A sum of products of 128 by 128 bits in every lane, not yet reduced.
struct Sum {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn new() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, middle: zero, high: zero }
    }

    // Four multiplications; Karatsuba's three with their additions were slower on Zen 5.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn add(&mut self, a: __m512i, b: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(a, b));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(a, b));
        let (one, other) =
            (_mm512_clmulepi64_epi128::<0x01>(a, b), _mm512_clmulepi64_epi128::<0x10>(a, b));
        self.middle = xor3(self.middle, one, other);
    }

    /// Every lane reduced: two folds of 64 bits, each a multiplication by the polynomial.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn lanes(self) -> __m512i {
        let polynomial = _mm512_set1_epi64(POLYNOMIAL.cast_signed());
        let fold = |value: __m512i| {
            let product = _mm512_clmulepi64_epi128::<0x00>(value, polynomial);
            (product, _mm512_shuffle_epi32::<0x4e>(value))
        };
        let low = _mm512_xor_si512(self.low, _mm512_bslli_epi128::<8>(self.middle));
        let high = _mm512_xor_si512(self.high, _mm512_bsrli_epi128::<8>(self.middle));
        let (product, swapped) = fold(low);
        let (product, swapped) = fold(_mm512_xor_si512(product, swapped));
        xor3(high, product, swapped)
    }

    /// The sum of the four lanes, reduced.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn total(self) -> __m128i {
        let [low, middle, high] = [self.low, self.middle, self.high].map(|lanes| {
            let (front, back) =
                (_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64::<1>(lanes));
            let two = _mm256_xor_si256(front, back);
            let (one, other) = (_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two));
            _mm512_zextsi128_si512(_mm_xor_si128(one, other))
        });
        _mm512_castsi512_si128(Self { low, middle, high }.lanes())
    }
}
