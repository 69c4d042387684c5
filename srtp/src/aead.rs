//! The seam to the cipher: AES-GCM sealing and opening by one of three providers, and, in the files
//! below, checking a tag without opening.
//!
//! Only here is a cryptographic library named for packets. Whatever the provider, **a failing
//! `open` leaves the bytes as they were**, so that another packet index can be tried. All are
//! checked against each other, against Wycheproof and against the RFC's vectors.

use aes::cipher::consts::{U12, U16};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aws_lc_rs::aead::{self as aws, Aad, LessSafeKey, UnboundKey};
use kakehashi_wire::secret::Suite;

use crate::kdf::cipher;
#[cfg(target_arch = "x86_64")]
use wide::WideKey;

pub(crate) mod parts;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
pub(crate) mod wide;

/// Bytes of a tag: the full 128 bits (RFC 7714 13.2).
pub(crate) const TAG_BYTES: usize = 16;

/// Bytes of a nonce (RFC 7714 8.1).
pub(crate) const NONCE_BYTES: usize = 12;

/// What does the AES-GCM of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Provider {
    /// Our own code for VAES and VPCLMULQDQ on 512 bits, where the processor has them.
    Vaes,
    /// RustCrypto's `aes-gcm`, on AES and carry-less multiplication instructions if there are any.
    AesGcm,
    /// AWS-LC, with its stitched assembly for the processor at hand.
    AwsLcRs,
    /// Neither encrypts nor authenticates: to measure everything but the cipher.
    #[cfg(feature = "danger-null")]
    Null,
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

/// AES-GCM with one key.
pub(crate) trait Cipher {
    /// Encrypts `text` in place and gives the tag over `aad` and the ciphertext.
    fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag;

    /// Decrypts `text` into `out`, which is as long, if its tag fits. What is in `out` after a
    /// failure has no meaning.
    fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged>;

    /// Decrypts `text` in place if its tag fits; otherwise `text` keeps its bytes.
    ///
    /// `scratch` is at least as long as `text`; what is in it afterwards has no meaning.
    fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: Tag,
        scratch: &mut [u8],
    ) -> Result<(), Forged>;
}

/// The key that packets of one leg are sealed or opened with.
pub(crate) enum Aead {
    #[cfg(target_arch = "x86_64")]
    Wide(Box<WideKey>),
    AesGcm128(Box<Portable<Aes128Enc>>),
    AesGcm256(Box<Portable<Aes256Enc>>),
    AwsLcRs(Assembly),
    #[cfg(feature = "danger-null")]
    Null,
}

impl Aead {
    /// Expands `key`, which has the length that `suite` fixes. A provider that this machine cannot
    /// use is replaced by [`Provider::AwsLcRs`].
    pub(crate) fn new(provider: Provider, suite: Suite, key: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if provider == Provider::Vaes
            && let Some(key) = WideKey::new(suite, key, [0; NONCE_BYTES])
        {
            return Self::Wide(Box::new(key));
        }
        match (provider, suite) {
            (Provider::AesGcm, Suite::AeadAes128Gcm) => {
                Self::AesGcm128(Box::new(Portable::new(key)))
            }
            (Provider::AesGcm, Suite::AeadAes256Gcm) => {
                Self::AesGcm256(Box::new(Portable::new(key)))
            }
            (Provider::Vaes | Provider::AwsLcRs, _) => Self::AwsLcRs(Assembly::new(suite, key)),
            #[cfg(feature = "danger-null")]
            (Provider::Null, _) => Self::Null,
        }
    }

    pub(crate) fn cipher(&self) -> &dyn Cipher {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Wide(key) => key.as_ref(),
            Self::AesGcm128(cipher) => cipher.as_ref(),
            Self::AesGcm256(cipher) => cipher.as_ref(),
            Self::AwsLcRs(cipher) => cipher,
            #[cfg(feature = "danger-null")]
            Self::Null => &Null,
        }
    }
}

/// Calls `work` with a cipher that is expanded on the stack and wiped behind it.
pub(crate) fn expanded<R>(suite: Suite, key: &[u8], work: impl FnOnce(&dyn Cipher) -> R) -> R {
    match suite {
        Suite::AeadAes128Gcm => work(&Portable::<Aes128Enc>::new(key)),
        Suite::AeadAes256Gcm => work(&Portable::<Aes256Enc>::new(key)),
    }
}

/// RustCrypto's AES-GCM with one key. It checks the tag before it touches the text.
pub(crate) struct Portable<C>(AesGcm<C, U12>);

impl<C> Portable<C>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(AesGcm::from(cipher::<C>(key)))
    }

    fn decrypt(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: InOutBuf<'_, '_, u8>,
        tag: Tag,
    ) -> Result<(), Forged> {
        self.0
            .decrypt_inout_detached((&nonce.0).into(), aad, text, (&tag.0).into())
            .map_err(|_| Forged)
    }
}

impl<C> Cipher for Portable<C>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        let tag = self.0.encrypt_inout_detached((&nonce.0).into(), aad, text.into());
        Tag(tag.expect("invariant: a packet is far below 64 GiB").into())
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

    fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: Tag,
        _scratch: &mut [u8],
    ) -> Result<(), Forged> {
        self.decrypt(nonce, aad, text.into(), tag)
    }
}

/// AWS-LC's AES-GCM with one key.
pub(crate) struct Assembly(LessSafeKey);

impl Assembly {
    pub(crate) fn new(suite: Suite, key: &[u8]) -> Self {
        let algorithm = match suite {
            Suite::AeadAes128Gcm => &aws::AES_128_GCM,
            Suite::AeadAes256Gcm => &aws::AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key);
        Self(LessSafeKey::new(key.expect("invariant: the suite fixes the length of the key")))
    }
}

impl Cipher for Assembly {
    fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        let nonce = aws::Nonce::assume_unique_for_key(nonce.0);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
        let tag = tag.expect("invariant: a packet is far below 64 GiB");
        Tag(tag.as_ref().try_into().expect("invariant: AES-GCM tags have 16 bytes"))
    }

    fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged> {
        let nonce = aws::Nonce::assume_unique_for_key(nonce.0);
        self.0.open_separate_gather(nonce, Aad::from(aad), text, &tag.0, out).map_err(|_| Forged)
    }

    // AWS-LC decrypts while it authenticates, so in place a failure would destroy the packet: open
    // beside it and copy what proved authentic.
    fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: Tag,
        scratch: &mut [u8],
    ) -> Result<(), Forged> {
        let out = &mut scratch[..text.len()];
        self.open_into(nonce, aad, text, tag, out)?;
        text.copy_from_slice(out);
        Ok(())
    }
}

/// Neither encrypts nor authenticates.
#[cfg(feature = "danger-null")]
pub(crate) struct Null;

#[cfg(feature = "danger-null")]
impl Cipher for Null {
    fn seal(&self, _: Nonce, _: &[u8], _: &mut [u8]) -> Tag {
        Tag([0; TAG_BYTES])
    }

    fn open_into(
        &self,
        _: Nonce,
        _: &[u8],
        text: &[u8],
        _: Tag,
        out: &mut [u8],
    ) -> Result<(), Forged> {
        out.copy_from_slice(text);
        Ok(())
    }

    fn open(&self, _: Nonce, _: &[u8], _: &mut [u8], _: Tag, _: &mut [u8]) -> Result<(), Forged> {
        Ok(())
    }
}
