//! The seam to the cipher: AES-GCM sealing, opening and checking, by one of two providers.
//!
//! The only file that names a cryptographic library for packets. Whatever the provider,
//! **a failing `open` leaves the bytes as they were**, so that another packet index can be tried.
//! The two are checked against each other, against Wycheproof and against the RFC's vectors.

use aes::cipher::consts::{U12, U16};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc, Block};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aws_lc_rs::aead::{self as aws, Aad, LessSafeKey, UnboundKey};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use kakehashi_wire::secret::Suite;
use zeroize::Zeroize;

use crate::kdf::cipher;

#[cfg(test)]
mod tests;

/// Bytes of a tag: the full 128 bits (RFC 7714 13.2).
pub(crate) const TAG_BYTES: usize = 16;

/// Bytes of a nonce (RFC 7714 8.1).
pub(crate) const NONCE_BYTES: usize = 12;

/// Which library does the AES-GCM of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Provider {
    /// RustCrypto's `aes-gcm`, on AES and carry-less multiplication instructions if there are any.
    AesGcm,
    /// AWS-LC, with its stitched assembly for the processor at hand.
    AwsLcRs,
}

/// A nonce that belongs to one packet index under one key.
#[derive(Clone, Copy)]
pub(crate) struct Nonce(pub(crate) [u8; NONCE_BYTES]);

/// The tag of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag(pub(crate) [u8; TAG_BYTES]);

/// The tag does not fit key, nonce and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forged;

/// One AES-GCM key, expanded.
pub(crate) enum Aead {
    AesGcm128(Box<Portable<Aes128Enc>>),
    AesGcm256(Box<Portable<Aes256Enc>>),
    AwsLcRs(LessSafeKey),
    #[cfg(feature = "danger-null")]
    Null,
}

impl Aead {
    /// Expands `key`, which has the length that `suite` fixes.
    pub(crate) fn new(provider: Provider, suite: Suite, key: &[u8]) -> Self {
        let assembly = |algorithm| {
            let key = UnboundKey::new(algorithm, key);
            LessSafeKey::new(key.expect("invariant: the suite fixes the length of the key"))
        };
        match (provider, suite) {
            (Provider::AesGcm, Suite::AeadAes128Gcm) => {
                Self::AesGcm128(Box::new(Portable::new(key)))
            }
            (Provider::AesGcm, Suite::AeadAes256Gcm) => {
                Self::AesGcm256(Box::new(Portable::new(key)))
            }
            (Provider::AwsLcRs, Suite::AeadAes128Gcm) => Self::AwsLcRs(assembly(&aws::AES_128_GCM)),
            (Provider::AwsLcRs, Suite::AeadAes256Gcm) => Self::AwsLcRs(assembly(&aws::AES_256_GCM)),
        }
    }

    /// Encrypts `text` in place and gives the tag over `aad` and the ciphertext.
    pub(crate) fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        match self {
            Self::AesGcm128(key) => key.seal(nonce, aad, text),
            Self::AesGcm256(key) => key.seal(nonce, aad, text),
            Self::AwsLcRs(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(nonce.0);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
                let tag = tag.expect("invariant: a packet is far below 64 GiB");
                Tag(tag.as_ref().try_into().expect("invariant: AES-GCM tags have 16 bytes"))
            }
            #[cfg(feature = "danger-null")]
            Self::Null => Tag([0; TAG_BYTES]),
        }
    }

    /// Checks the tag over `aad` and the ciphertext `text`, without changing either.
    ///
    /// `scratch` is at least as long as `text`; what is in it afterwards has no meaning. A
    /// provider that can check without decrypting does not touch it.
    pub(crate) fn verify(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        scratch: &mut [u8],
    ) -> Result<(), Forged> {
        match self {
            Self::AesGcm128(key) => key.verify(nonce, aad, text, tag),
            Self::AesGcm256(key) => key.verify(nonce, aad, text, tag),
            Self::AwsLcRs(_) => self.open_into(nonce, aad, text, tag, &mut scratch[..text.len()]),
            #[cfg(feature = "danger-null")]
            Self::Null => Ok(()),
        }
    }

    /// Decrypts `text` into `out`, which is as long, if its tag fits. What is in `out` after a
    /// failure has no meaning.
    pub(crate) fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged> {
        match self {
            Self::AesGcm128(key) => key.open_into(nonce, aad, text, tag, out),
            Self::AesGcm256(key) => key.open_into(nonce, aad, text, tag, out),
            Self::AwsLcRs(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(nonce.0);
                key.open_separate_gather(nonce, Aad::from(aad), text, &tag.0, out)
                    .map_err(|_| Forged)
            }
            #[cfg(feature = "danger-null")]
            Self::Null => {
                out.copy_from_slice(text);
                Ok(())
            }
        }
    }

    /// Decrypts `text` in place if its tag fits; otherwise `text` keeps its bytes.
    ///
    /// `scratch` as in [`verify`](Self::verify).
    pub(crate) fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: Tag,
        scratch: &mut [u8],
    ) -> Result<(), Forged> {
        match self {
            Self::AesGcm128(key) => key.open(nonce, aad, text, tag),
            Self::AesGcm256(key) => key.open(nonce, aad, text, tag),
            Self::AwsLcRs(_) => {
                // AWS-LC decrypts while it authenticates, so in place a failure would destroy
                // the packet: open beside it and copy what proved authentic.
                self.verify(nonce, aad, text, tag, scratch)?;
                text.copy_from_slice(&scratch[..text.len()]);
                Ok(())
            }
            #[cfg(feature = "danger-null")]
            Self::Null => Ok(()),
        }
    }
}

/// RustCrypto's AES-GCM, and its two parts once more for checking a tag without decryption.
///
/// The parts come first: a relay that only forwards touches nothing else of a key.
pub(crate) struct Portable<C> {
    block: C,
    ghash: GHash,
    gcm: AesGcm<C, U12>,
}

impl<C> Portable<C>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    fn new(key: &[u8]) -> Self {
        let block: C = cipher(key);
        // SP 800-38D 7.1: the hash key is the encrypted zero block.
        let mut hash_key = Block::default();
        block.encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);
        hash_key.zeroize();
        Self { block, ghash, gcm: AesGcm::from(cipher::<C>(key)) }
    }

    fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        let tag = self.gcm.encrypt_inout_detached((&nonce.0).into(), aad, text.into());
        Tag(tag.expect("invariant: a packet is far below 64 GiB").into())
    }

    // SP 800-38D 7.2: tag = GHASH(aad, ciphertext, lengths) XOR E(nonce || 1).
    fn verify(&self, nonce: Nonce, aad: &[u8], text: &[u8], tag: Tag) -> Result<(), Forged> {
        let mut mask = Block::default();
        mask[..NONCE_BYTES].copy_from_slice(&nonce.0);
        mask[15] = 1;
        self.block.encrypt_block(&mut mask);

        let mut lengths = Block::default();
        lengths[..8].copy_from_slice(&(8 * aad.len() as u64).to_be_bytes());
        lengths[8..].copy_from_slice(&(8 * text.len() as u64).to_be_bytes());
        let mut hash = self.ghash.clone();
        hash.update_padded(aad);
        hash.update_padded(text);
        hash.update(&[lengths]);

        let number = |block: Block| u128::from_ne_bytes(block.into());
        let expected = number(hash.finalize()) ^ number(mask);
        // One comparison of 128 bits: no early exit that tells how many bytes fit.
        if expected ^ u128::from_ne_bytes(tag.0) == 0 { Ok(()) } else { Err(Forged) }
    }

    fn open(&self, nonce: Nonce, aad: &[u8], text: &mut [u8], tag: Tag) -> Result<(), Forged> {
        // This implementation checks the tag before it touches the text.
        self.decrypt(nonce, aad, text.into(), tag)
    }

    fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged> {
        let both = InOutBuf::new(text, out).expect("invariant: `out` is as long as `text`");
        self.decrypt(nonce, aad, both, tag)
    }

    fn decrypt(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: InOutBuf<'_, '_, u8>,
        tag: Tag,
    ) -> Result<(), Forged> {
        self.gcm
            .decrypt_inout_detached((&nonce.0).into(), aad, text, (&tag.0).into())
            .map_err(|_| Forged)
    }
}
