//! Keys that can tell whether an RTP packet is authentic, and nothing else: all that a relay needs
//! of a sender whose packets it passes on unchanged.

use core::fmt;

use aes::{Aes128Enc, Aes256Enc};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MasterKey, Suite};
use zeroize::Zeroize;

use crate::aead::parts::Parts;
#[cfg(target_arch = "x86_64")]
use crate::aead::wide::WideKey;
use crate::aead::{Assembly, Cipher, Forged, NONCE_BYTES, Provider, Tag};
use crate::index::PacketIndex;
use crate::kdf::{Derivation, Label, SessionKey};
use crate::keys::{Scratch, rtp_nonce};

/// What checks the tags of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Authenticator {
    /// Our own code for VPCLMULQDQ on 512 bits: no decryption, one small block of memory a key.
    Vpclmulqdq,
    /// The parts of RustCrypto's `aes-gcm`: no decryption, any processor.
    AesGcm,
    /// AWS-LC, which can only open: it decrypts into the scratch space.
    AwsLcRs,
    /// Accepts everything: to measure all but the cipher.
    #[cfg(feature = "danger-null")]
    Null,
}

impl Authenticator {
    /// Every authenticator that may be chosen.
    pub const ALL: [Self; 3] = [Self::Vpclmulqdq, Self::AesGcm, Self::AwsLcRs];

    /// Whether this machine can use it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vpclmulqdq => WideKey::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Vpclmulqdq => false,
            Self::AesGcm | Self::AwsLcRs => true,
            #[cfg(feature = "danger-null")]
            Self::Null => true,
        }
    }

    /// What to use beside `provider`: the wide instructions where the processor has them, since
    /// nothing else came near them at any size or number of keys; otherwise the provider's own.
    pub fn beside(provider: Provider) -> Self {
        match provider {
            #[cfg(feature = "danger-null")]
            Provider::Null => Self::Null,
            _ if Self::Vpclmulqdq.is_available() => Self::Vpclmulqdq,
            Provider::AesGcm => Self::AesGcm,
            Provider::Vaes | Provider::AwsLcRs => Self::AwsLcRs,
        }
    }

    /// Name in logs and measurements.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vpclmulqdq => "vpclmulqdq",
            Self::AesGcm => "aes-gcm",
            Self::AwsLcRs => "aws-lc-rs",
            #[cfg(feature = "danger-null")]
            Self::Null => "null",
        }
    }
}

impl fmt::Display for Authenticator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// What [`StreamOpener::authenticate_rtp`](crate::StreamOpener::authenticate_rtp) needs of one
/// master key: salt, round keys and powers of the hash key.
///
/// With [`Authenticator::Vpclmulqdq`] all of it is in this value, 7 cache lines; the others keep
/// theirs on the heap. No `Debug`: it is secret.
pub struct AuthKeys(Check);

#[cfg_attr(
    target_arch = "x86_64",
    expect(clippy::large_enum_variant, reason = "the usual one, and a pointer costs a cache line")
)]
enum Check {
    #[cfg(target_arch = "x86_64")]
    Wide(WideKey),
    Library(Box<Library>),
}

struct Library {
    salt: [u8; NONCE_BYTES],
    tags: Tags,
}

enum Tags {
    Aes128(Parts<Aes128Enc>),
    Aes256(Parts<Aes256Enc>),
    Assembly(Assembly),
    #[cfg(feature = "danger-null")]
    Null,
}

// Of 100,000 legs no key is in a cache, so each line counts.
const _: () = assert!(size_of::<AuthKeys>() <= 8 * 64);

impl AuthKeys {
    /// Derives what `authenticator` needs of `master` (RFC 3711 4.3). One that this machine cannot
    /// use is replaced by [`Authenticator::AesGcm`].
    pub fn derive(authenticator: Authenticator, master: &MasterKey) -> Self {
        let derived = Derivation::new(master).pair(Label::RtpKey, Label::RtpSalt);
        Self::from_session_key(authenticator, &derived)
    }

    /// Keys that accept everything, to measure all but the cipher.
    #[cfg(feature = "danger-null")]
    pub fn null() -> Self {
        let library = Library { salt: [0; NONCE_BYTES], tags: Tags::Null };
        Self(Check::Library(Box::new(library)))
    }

    pub(crate) fn from_session_key(authenticator: Authenticator, derived: &SessionKey) -> Self {
        #[cfg(feature = "danger-null")]
        if authenticator == Authenticator::Null {
            return Self::null();
        }
        let (suite, key, salt) = (derived.suite, derived.key(), derived.salt);
        #[cfg(target_arch = "x86_64")]
        if authenticator == Authenticator::Vpclmulqdq
            && let Some(key) = WideKey::new(suite, key, salt)
        {
            return Self(Check::Wide(key));
        }
        let tags = match (authenticator, suite) {
            (Authenticator::AwsLcRs, _) => Tags::Assembly(Assembly::new(suite, key)),
            (_, Suite::AeadAes128Gcm) => Tags::Aes128(Parts::new(key)),
            (_, Suite::AeadAes256Gcm) => Tags::Aes256(Parts::new(key)),
        };
        Self(Check::Library(Box::new(Library { salt, tags })))
    }

    /// Checks the tag over `aad` and the ciphertext `text`, which keep their bytes.
    pub(crate) fn verify(
        &self,
        (ssrc, index): (Ssrc, PacketIndex),
        aad: &[u8],
        text: &[u8],
        tag: Tag,
        scratch: &mut Scratch,
    ) -> Result<(), Forged> {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Check::Wide(key) => key.verify(rtp_nonce(key.salt(), ssrc, index), aad, text, tag),
            Check::Library(library) => {
                let nonce = rtp_nonce(&library.salt, ssrc, index);
                match &library.tags {
                    Tags::Aes128(parts) => parts.verify(nonce, aad, text, tag),
                    Tags::Aes256(parts) => parts.verify(nonce, aad, text, tag),
                    Tags::Assembly(cipher) => {
                        let out = &mut scratch.bytes()[..text.len()];
                        cipher.open_into(nonce, aad, text, tag, out)
                    }
                    #[cfg(feature = "danger-null")]
                    Tags::Null => Ok(()),
                }
            }
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
