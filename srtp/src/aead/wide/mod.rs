//! AES-GCM four blocks at once (VAES and VPCLMULQDQ on 512 bits).
//!
//! The one folder of this crate with `unsafe`: no library we know checks an AES-GCM tag at the
//! speed of these instructions without decrypting, and the pass lane does nothing else; the seal
//! lane opens and seals each packet, which a library's calls around the same instructions make
//! twice as dear (figures in `ARCHITECTURE.md`). What is unsafe is small: a load, a store, and the
//! calls that enter code for a processor that [`WideKey::new`] has found to be there.
//!
//! No branch and no address depends on a secret.
#![expect(unsafe_code, reason = "vector instructions of a processor found at run time")]

mod aes;
mod ghash;
mod vectors;

use core::arch::x86_64::*;

use aes_gcm::aead::inout::InOutBuf;
use kakehashi_wire::secret::Suite;
use zeroize::{Zeroize, ZeroizeOnDrop};

use self::aes::BlockKey;
use super::{Cipher, Forged, NONCE_BYTES, Nonce, TAG_BYTES, Tag};
use ghash::{HashKey, Packet};
use vectors::{load, spell};

const BLOCK_BYTES: usize = 16;

/// Bytes of a vector: four blocks.
const VECTOR_BYTES: usize = 4 * BLOCK_BYTES;

type Block = [u8; BLOCK_BYTES];
type Vector = [u8; VECTOR_BYTES];

/// A key with its salt, side by side: 6 cache lines with AES-128, 7 with AES-256.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(crate) struct WideKey {
    hash: HashKey,
    salt: [u8; NONCE_BYTES],
    block: BlockKey,
}

const _: () = assert!(size_of::<WideKey>() == 7 * 64);

impl WideKey {
    /// Whether this processor has the instructions.
    pub(crate) fn is_available() -> bool {
        is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
    }

    /// Expands `key`, which has the length that `suite` fixes; `None` without the instructions.
    pub(crate) fn new(suite: Suite, key: &[u8], salt: [u8; NONCE_BYTES]) -> Option<Self> {
        let mut new = Self { hash: HashKey::EMPTY, salt, block: BlockKey::empty(suite) };
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

    /// Encrypts or decrypts.
    fn apply_stream(&self, nonce: Nonce, text: InOutBuf<'_, '_, u8>) {
        // SAFETY: as above.
        unsafe { self.block.apply_stream(nonce, text) }
    }

    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn expand(&mut self, key: &[u8]) {
        self.block.expand(key);
        self.hash.expand(self.block.encrypt([0; BLOCK_BYTES]));
    }

    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn fits(&self, nonce: Nonce, aad: &[u8], text: &[u8], tag: Tag) -> bool {
        let difference = _mm_xor_si128(self.tag(nonce, aad, text), load(&tag.0));
        // One test of 128 bits: no early exit that tells how many bytes fit.
        _mm_testz_si128(difference, difference) == 1
    }

    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn spelled_tag(&self, nonce: Nonce, aad: &[u8], text: &[u8]) -> Tag {
        Tag(spell(self.tag(nonce, aad, text)))
    }

    // SP 800-38D 7.1: tag = GHASH(aad, ciphertext, lengths) XOR E(nonce || 1).
    #[inline]
    #[target_feature(enable = "aes,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn tag(&self, nonce: Nonce, aad: &[u8], text: &[u8]) -> __m128i {
        const { assert!(TAG_BYTES == BLOCK_BYTES) };
        let mask = self.block.encrypt_counter(nonce, 1);
        _mm_xor_si128(mask, self.hash.hash(&Packet::new(aad, text)))
    }
}

impl Cipher for WideKey {
    fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        self.apply_stream(nonce, (&mut *text).into());
        // SAFETY: as above.
        unsafe { self.spelled_tag(nonce, aad, text) }
    }

    fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged> {
        self.verify(nonce, aad, text, tag)?;
        let both = InOutBuf::new(text, out).expect("invariant: `out` is as long as `text`");
        self.apply_stream(nonce, both);
        Ok(())
    }

    fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: Tag,
        _scratch: &mut [u8],
    ) -> Result<(), Forged> {
        self.verify(nonce, aad, text, tag)?;
        self.apply_stream(nonce, text.into());
        Ok(())
    }
}
