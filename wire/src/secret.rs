//! Secrets that cross the border: no `Debug`, zeroised when dropped, compared in constant time
//! where they are compared at all.

use rkyv::{Archive, Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Which SRTP protection profile a leg uses (RFC 7714 14.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Suite {
    /// AEAD_AES_128_GCM: 16-byte master key.
    AeadAes128Gcm = 1,
    /// AEAD_AES_256_GCM: 32-byte master key.
    AeadAes256Gcm = 2,
}

impl Suite {
    /// Bytes of the master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }
}

/// Bytes of an SRTP master salt for the AES-GCM suites (RFC 7714 12).
pub const MASTER_SALT_BYTES: usize = 12;

/// Bytes of the longest master key.
pub const MASTER_KEY_BYTES_MAX: usize = 32;

/// SRTP master key and salt of one leg's uplink (RFC 3711 8.2: key first, then salt).
#[derive(Clone, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    key: [u8; MASTER_KEY_BYTES_MAX],
    salt: [u8; MASTER_SALT_BYTES],
}

impl MasterKey {
    /// Takes the key and salt for `suite` from `bytes`.
    ///
    /// Only the first [`Suite::key_bytes`] bytes of `key` are used; the rest is stored as zero.
    pub fn new(
        suite: Suite,
        key: &[u8; MASTER_KEY_BYTES_MAX],
        salt: &[u8; MASTER_SALT_BYTES],
    ) -> Self {
        let mut kept = [0; MASTER_KEY_BYTES_MAX];
        kept[..suite.key_bytes()].copy_from_slice(&key[..suite.key_bytes()]);
        Self { suite, key: kept, salt: *salt }
    }

    /// The suite this key is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The key: 16 or 32 bytes.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_bytes()]
    }

    /// The salt.
    pub fn salt(&self) -> &[u8; MASTER_SALT_BYTES] {
        &self.salt
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        let differs = |a: &[u8], b: &[u8]| a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.suite == other.suite
            && (differs(&self.key, &other.key) | differs(&self.salt, &other.salt)) == 0
    }
}

impl Eq for MasterKey {}

/// Bytes of a downlink secret: as strong as the longest master key made of it.
pub const DOWNLINK_SECRET_BYTES: usize = 32;

/// What the downlink keys of one leg are derived from, in the seal lane. Control draws one for each
/// leg; it never keys a packet itself.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct DownlinkSecret([u8; DOWNLINK_SECRET_BYTES]);

impl DownlinkSecret {
    /// Keeps random bytes as a secret.
    pub fn from_random(random: [u8; DOWNLINK_SECRET_BYTES]) -> Self {
        Self(random)
    }

    /// The bytes to derive from.
    pub fn as_bytes(&self) -> &[u8; DOWNLINK_SECRET_BYTES] {
        &self.0
    }
}

impl PartialEq for DownlinkSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl Eq for DownlinkSecret {}

/// Bytes of an ICE password: 24 characters of six bits each, 144 bits (RFC 8445 5.3 asks for 128).
pub const ICE_PASSWORD_BYTES: usize = 24;

/// Short-term credential that keys STUN message integrity (RFC 8489 9.1).
#[derive(Clone, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct IcePassword([u8; ICE_PASSWORD_BYTES]);

impl IcePassword {
    /// Spells 24 random bytes in the ICE alphabet; only the low six bits of each count.
    pub fn from_random(random: [u8; ICE_PASSWORD_BYTES]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Self(random.map(|byte| ALPHABET[usize::from(byte & 63)]))
    }

    /// The password as it is used for message integrity and spelled in a session description.
    pub fn as_bytes(&self) -> &[u8; ICE_PASSWORD_BYTES] {
        &self.0
    }
}

impl PartialEq for IcePassword {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl Eq for IcePassword {}

/// What a session is resumed with. Only control reads it.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct ResumeToken(Vec<u8>);

impl ResumeToken {
    /// Keeps bytes as a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// No token.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message for a terminal, encoded: some hold keys.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct SaidBytes(Vec<u8>);

impl SaidBytes {
    /// Keeps bytes as a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A password as typed by a person.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Archive, Serialize, Deserialize)]
pub struct Password(String);

impl Password {
    /// Keeps `text` as a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The bytes to hash.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
