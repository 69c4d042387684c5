//! Checking a tag with carry-less multiplication of four blocks at once (VPCLMULQDQ on 512 bits).
//!
//! The one file of this crate with `unsafe`: no library we know checks an AES-GCM tag at the
//! speed of these instructions without decrypting, and the pass lane does nothing else (figures in
//! `ARCHITECTURE.md`). What is unsafe is small: one load, and the calls that enter code for a
//! processor that [`WideKey::new`] has found to be there.
//!
//! GHASH takes a packet as blocks B(0) to B(n-1) and sums B(i) x H^(n-i) (SP 800-38D 6.4). Zero
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
//! divided by x^128, which is GHASH without a bit shift. No branch and no address depends on a
//! secret.
#![expect(unsafe_code, reason = "vector instructions of a processor found at run time")]

use core::arch::x86_64::*;

use kakehashi_wire::secret::Suite;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Forged, NONCE_BYTES, Nonce, TAG_BYTES, Tag};

const BLOCK_BYTES: usize = 16;

/// Bytes of a vector: four blocks.
const VECTOR_BYTES: usize = 4 * BLOCK_BYTES;

/// Vectors that share one reduction. With eight instead of four the largest video packet takes a
/// reduction less for every 512 bytes; sixteen would cost two more cache lines of each key.
const GROUP: usize = 8;

/// The most round keys, those of AES-256.
const ROUND_KEYS: usize = 15;

/// Reduction constant of the field: x^127 + x^126 + x^121, its upper half.
const POLYNOMIAL: u64 = 0xc2 << 56;

type Block = [u8; BLOCK_BYTES];
type Vector = [u8; VECTOR_BYTES];

/// Rounds of the cipher.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Rounds {
    /// AES-128.
    Ten = 10,
    /// AES-256.
    Fourteen = 14,
}

/// What checking a tag needs of a key, side by side: 6 cache lines with AES-128, 7 with AES-256.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(crate) struct WideKey {
    /// H^4, H^3, H^2, H^1.
    lanes: Vector,
    /// H^8, H^12, up to H^32.
    strides: [Block; GROUP - 1],
    salt: [u8; NONCE_BYTES],
    #[zeroize(skip)]
    rounds: Rounds,
    round_keys: [Block; ROUND_KEYS],
}

const _: () = assert!(size_of::<WideKey>() == 7 * 64);

impl WideKey {
    /// Whether this processor has the instructions.
    pub(crate) fn is_available() -> bool {
        is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("vpclmulqdq")
    }

    /// Expands `key`, which has the length that `suite` fixes; `None` without the instructions.
    pub(crate) fn new(suite: Suite, key: &[u8], salt: [u8; NONCE_BYTES]) -> Option<Self> {
        let rounds = match suite {
            Suite::AeadAes128Gcm => Rounds::Ten,
            Suite::AeadAes256Gcm => Rounds::Fourteen,
        };
        let (lanes, strides) = ([0; VECTOR_BYTES], [[0; BLOCK_BYTES]; GROUP - 1]);
        let round_keys = [[0; BLOCK_BYTES]; ROUND_KEYS];
        let mut new = Self { lanes, strides, salt, rounds, round_keys };
        Self::is_available().then(|| {
            // SAFETY: the processor has every feature that the function is compiled for.
            unsafe { new.expand(key) };
            new
        })
    }

    pub(crate) fn salt(&self) -> &[u8; NONCE_BYTES] {
        &self.salt
    }

    /// Checks the tag over `aad` and the ciphertext `text`.
    pub(crate) fn verify(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
    ) -> Result<(), Forged> {
        // SAFETY: `new` gives a key out only where the processor has these features.
        if unsafe { self.fits(nonce, aad, text, tag) } { Ok(()) } else { Err(Forged) }
    }

    // FIPS 197 5.2, and the powers of H = E(0).
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn expand(&mut self, key: &[u8]) {
        expand_rounds(key, &mut self.round_keys);
        // Times x: a shift, and the polynomial where a bit falls out.
        let hash_key = u128::from_be_bytes(spell(self.encrypt([0; BLOCK_BYTES])));
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

    // SP 800-38D 7.2: tag = GHASH(aad, ciphertext, lengths) XOR E(nonce || 1).
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn fits(&self, nonce: Nonce, aad: &[u8], text: &[u8], tag: Tag) -> bool {
        const { assert!(TAG_BYTES == BLOCK_BYTES) };
        let mut counter = [0; BLOCK_BYTES];
        counter[..NONCE_BYTES].copy_from_slice(&nonce.0);
        counter[15] = 1;
        let expected = _mm_xor_si128(self.encrypt(counter), self.hash(&Packet::new(aad, text)));
        let difference = _mm_xor_si128(expected, load(&tag.0));
        // One test of 128 bits: no early exit that tells how many bytes fit.
        _mm_testz_si128(difference, difference) == 1
    }

    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn encrypt(&self, block: Block) -> __m128i {
        let key = |at: usize| load(&self.round_keys[at]);
        let mut state = _mm_xor_si128(load(&block), key(0));
        for at in 1..10 {
            state = _mm_aesenc_si128(state, key(at));
        }
        if self.rounds == Rounds::Ten {
            return _mm_aesenclast_si128(state, key(10));
        }
        for at in 10..14 {
            state = _mm_aesenc_si128(state, key(at));
        }
        _mm_aesenclast_si128(state, key(14))
    }

    /// GHASH, in the order of bytes in which a tag is sent.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn hash(&self, packet: &Packet<'_>) -> __m128i {
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
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
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
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn stride(&self, vectors: usize) -> __m512i {
        let first = self.lanes.first_chunk().expect("invariant: a vector holds four blocks");
        let power = vectors.checked_sub(2).map_or(first, |at| &self.strides[at]);
        _mm512_broadcast_i32x4(load(power))
    }
}

/// A packet as vectors, and which of them are not just text.
struct Packet<'a> {
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
    fn new(aad: &'a [u8], text: &'a [u8]) -> Self {
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
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
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
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
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
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn new() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, middle: zero, high: zero }
    }

    // Four multiplications; Karatsuba's three with their additions were slower on Zen 5.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
    fn add(&mut self, a: __m512i, b: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(a, b));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(a, b));
        let (one, other) =
            (_mm512_clmulepi64_epi128::<0x01>(a, b), _mm512_clmulepi64_epi128::<0x10>(a, b));
        self.middle = xor3(self.middle, one, other);
    }

    /// Every lane reduced: two folds of 64 bits, each a multiplication by the polynomial.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
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
    #[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
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

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn reversed() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn reverse(vector: __m512i) -> __m512i {
    _mm512_shuffle_epi8(vector, _mm512_broadcast_i32x4(reversed()))
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn load(block: &Block) -> __m128i {
    let [low, high] = [&block[..8], &block[8..]].map(|half| {
        i64::from_le_bytes(half.try_into().expect("invariant: half a block has 8 bytes"))
    });
    _mm_set_epi64x(high, low)
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn load_vector(vector: &Vector) -> __m512i {
    load_front(vector)
}

/// The first 64 bytes, or all there are and then zeros.
#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn load_front(bytes: &[u8]) -> __m512i {
    let count = u32::try_from(bytes.len()).unwrap_or(64).min(64);
    let chosen = u64::MAX.unbounded_shr(64 - count);
    // SAFETY: only the chosen bytes are read, all of them inside `bytes`; no alignment is needed.
    unsafe { _mm512_maskz_loadu_epi8(chosen, bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn spell(block: __m128i) -> Block {
    let (low, high) = (_mm_cvtsi128_si64(block), _mm_extract_epi64::<1>(block));
    let (low, high) = (u128::from(low.cast_unsigned()), u128::from(high.cast_unsigned()));
    (high << 64 | low).to_le_bytes()
}

// FIPS 197 5.2, word by word; the S-box is an instruction, so that no table is asked.
#[target_feature(enable = "aes,avx512bw,avx512vl,vpclmulqdq")]
fn expand_rounds(key: &[u8], round_keys: &mut [Block; ROUND_KEYS]) {
    let substitute = |word: u32| {
        let words = _mm_set1_epi32(word.cast_signed());
        _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(words)).cast_unsigned()
    };
    let (words, _) = round_keys.as_flattened_mut().as_chunks_mut::<4>();
    let key_words = key.len() / 4;
    for (word, bytes) in words.iter_mut().zip(key.as_chunks().0) {
        *word = *bytes;
    }
    let mut constant = 1_u32;
    for at in key_words..4 * (key_words + 7) {
        let mut word = u32::from_le_bytes(words[at - 1]);
        if at.is_multiple_of(key_words) {
            word = substitute(word).rotate_right(8) ^ constant;
            constant = (constant << 1) ^ ((constant >> 7) * 0x11b);
        } else if key_words == 8 && at % 8 == 4 {
            word = substitute(word);
        }
        words[at] = (word ^ u32::from_le_bytes(words[at - key_words])).to_le_bytes();
    }
}
