//! AES: one block, and counter mode over eight vectors of four blocks at once.

use core::arch::x86_64::*;

use ::aes::cipher::array::Array;
use ::aes::cipher::consts::U64;
use aes_gcm::aead::inout::{InOut, InOutBuf};
use kakehashi_wire::secret::Suite;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::vectors::{load, load_front, load_vector, store_front, store_vector};
use super::{BLOCK_BYTES, Block, NONCE_BYTES, Nonce};

/// The most round keys, those of AES-256.
const ROUND_KEYS: usize = 15;

/// Vectors encrypted side by side: a round takes four cycles and two begin in each.
const ABREAST: usize = 8;

/// Rounds of the cipher.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Rounds {
    /// AES-128.
    Ten = 10,
    /// AES-256.
    Fourteen = 14,
}

/// An expanded key.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C)]
pub(super) struct BlockKey {
    #[zeroize(skip)]
    rounds: Rounds,
    /// Round keys lie where no load of one crosses a cache line.
    padding: [u8; 3],
    round_keys: [Block; ROUND_KEYS],
}

impl BlockKey {
    /// Not a key yet.
    pub(super) fn empty(suite: Suite) -> Self {
        let rounds = match suite {
            Suite::AeadAes128Gcm => Rounds::Ten,
            Suite::AeadAes256Gcm => Rounds::Fourteen,
        };
        Self { rounds, padding: [0; 3], round_keys: [[0; BLOCK_BYTES]; ROUND_KEYS] }
    }

    /// Expands `key`, which has the length that the suite fixes (FIPS 197 5.2).
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn expand(&mut self, key: &[u8]) {
        expand_rounds(key, &mut self.round_keys);
    }

    /// Encrypts the block of `nonce` that `counter` ends.
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn encrypt_counter(&self, nonce: Nonce, counter: u8) -> __m128i {
        let mut block = [0; BLOCK_BYTES];
        block[..NONCE_BYTES].copy_from_slice(&nonce.0);
        block[15] = counter;
        self.encrypt(block)
    }

    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn encrypt(&self, block: Block) -> __m128i {
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

    /// XORs `text` with the encrypted counters from 2 on: encrypts or decrypts it
    /// (SP 800-38D 6.5).
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    pub(super) fn apply_stream(&self, nonce: Nonce, text: InOutBuf<'_, '_, u8>) {
        let mut counters = Counters::new(nonce);
        let (mut whole, mut tail) = text.into_chunks::<U64>();
        while whole.len() >= ABREAST {
            let (mut front, rest) = whole.split_at(ABREAST);
            let stream = self.encrypt_abreast(counters.next());
            for (at, stream) in stream.into_iter().enumerate() {
                apply(front.get(at), stream);
            }
            whole = rest;
        }
        if whole.is_empty() && tail.is_empty() {
            return;
        }
        let mut stream = self.encrypt_abreast(counters.next()).into_iter();
        for (vector, stream) in whole.into_iter().zip(&mut stream) {
            apply(vector, stream);
        }
        if let Some(stream) = stream.next() {
            let input = load_front(tail.get_in());
            store_front(tail.get_out(), _mm512_xor_si512(input, stream));
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn encrypt_abreast(&self, mut states: [__m512i; ABREAST]) -> [__m512i; ABREAST] {
        let key = |at: usize| _mm512_broadcast_i32x4(load(&self.round_keys[at]));
        let rounds = self.rounds as usize;
        let first = key(0);
        for state in &mut states {
            *state = _mm512_xor_si512(*state, first);
        }
        for at in 1..rounds {
            let key = key(at);
            for state in &mut states {
                *state = _mm512_aesenc_epi128(*state, key);
            }
        }
        let last = key(rounds);
        for state in &mut states {
            *state = _mm512_aesenclast_epi128(*state, last);
        }
        states
    }
}

#[inline]
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
fn apply(mut vector: InOut<'_, '_, Array<u8, U64>>, stream: __m512i) {
    let input = load_vector(&vector.get_in().0);
    store_vector(&mut vector.get_out().0, _mm512_xor_si512(input, stream));
}

/// Blocks of a nonce with counters from 2 on, four in a vector.
struct Counters {
    /// The last word of each block is its counter, in the processor's order of bytes.
    next: __m512i,
}

impl Counters {
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn new(nonce: Nonce) -> Self {
        let mut first = [0; BLOCK_BYTES];
        first[..NONCE_BYTES].copy_from_slice(&nonce.0);
        first[12] = 2;
        let places = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
        Self { next: _mm512_add_epi32(_mm512_broadcast_i32x4(load(&first)), places) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn next(&mut self) -> [__m512i; ABREAST] {
        let step = _mm512_set4_epi32(4, 0, 0, 0);
        let order = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        let order = _mm512_broadcast_i32x4(order);
        let mut blocks = [_mm512_setzero_si512(); ABREAST];
        for block in &mut blocks {
            *block = _mm512_shuffle_epi8(self.next, order);
            self.next = _mm512_add_epi32(self.next, step);
        }
        blocks
    }
}

// FIPS 197 5.2, word by word; the S-box is an instruction, so that no table is asked.
#[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
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
