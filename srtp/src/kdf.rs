//! Key derivation with AES in counter mode (RFC 3711 4.3; RFC 6188 for 256 bits).

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc, Block};
use kakehashi_wire::secret::{MASTER_KEY_BYTES_MAX, MASTER_SALT_BYTES, MasterKey, Suite};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the salt that enters the derivation: 112 bits (RFC 3711 4.3.1).
const SALT_BYTES: usize = 14;

/// What a derived value is for (RFC 3711 4.3.1 and 4.3.2). AES-GCM needs no authentication keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Label {
    RtpKey = 0,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpSalt = 5,
}

/// A derived key with its salt, not expanded.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SessionKey {
    #[zeroize(skip)]
    pub(crate) suite: Suite,
    key: [u8; MASTER_KEY_BYTES_MAX],
    pub(crate) salt: [u8; MASTER_SALT_BYTES],
}

impl SessionKey {
    /// `key` has the length that `suite` fixes.
    #[cfg(test)]
    pub(crate) fn new(suite: Suite, key: &[u8], salt: [u8; MASTER_SALT_BYTES]) -> Self {
        let mut kept = [0; MASTER_KEY_BYTES_MAX];
        kept[..key.len()].copy_from_slice(key);
        Self { suite, key: kept, salt }
    }

    /// The key: as long as the suite says.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_bytes()]
    }
}

/// Derives session keys and salts from one master key.
pub(crate) struct Derivation {
    cipher: Cipher,
    salt: [u8; SALT_BYTES],
}

enum Cipher {
    Aes128(Box<Aes128Enc>),
    Aes256(Box<Aes256Enc>),
}

impl Derivation {
    /// Prepares the derivation. The 96-bit salt counts as 112 bits with zeros behind it
    /// (RFC 7714 12).
    pub(crate) fn new(master: &MasterKey) -> Self {
        let mut salt = [0; SALT_BYTES];
        salt[..MASTER_SALT_BYTES].copy_from_slice(master.salt());
        Self::with_salt(master.suite(), master.key(), salt)
    }

    fn with_salt(suite: Suite, key: &[u8], salt: [u8; SALT_BYTES]) -> Self {
        let cipher = match suite {
            Suite::AeadAes128Gcm => Cipher::Aes128(Box::new(cipher(key))),
            Suite::AeadAes256Gcm => Cipher::Aes256(Box::new(cipher(key))),
        };
        Self { cipher, salt }
    }

    /// A session key and its salt.
    pub(crate) fn pair(&self, key_label: Label, salt_label: Label) -> SessionKey {
        let suite = match &self.cipher {
            Cipher::Aes128(_) => Suite::AeadAes128Gcm,
            Cipher::Aes256(_) => Suite::AeadAes256Gcm,
        };
        let (mut key, mut salt) = ([0; MASTER_KEY_BYTES_MAX], [0; MASTER_SALT_BYTES]);
        self.fill(key_label, &mut key[..suite.key_bytes()]);
        self.fill(salt_label, &mut salt);
        SessionKey { suite, key, salt }
    }

    /// Fills `out` with the value for `label`; the key derivation rate is zero.
    pub(crate) fn fill(&self, label: Label, out: &mut [u8]) {
        match &self.cipher {
            Cipher::Aes128(cipher) => self.fill_with(cipher.as_ref(), label as u8, out),
            Cipher::Aes256(cipher) => self.fill_with(cipher.as_ref(), label as u8, out),
        }
    }

    // RFC 3711 4.3.3: the key stream for the initial value (label || index DIV rate) XOR salt,
    // shifted left by the 16 bits that count the blocks.
    fn fill_with<C>(&self, cipher: &C, label: u8, out: &mut [u8])
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        const LABEL_AT: usize = SALT_BYTES - 7;
        for (count, chunk) in (0_u16..).zip(out.chunks_mut(16)) {
            let mut block = Block::default();
            block[..SALT_BYTES].copy_from_slice(&self.salt);
            block[LABEL_AT] ^= label;
            block[SALT_BYTES..].copy_from_slice(&count.to_be_bytes());
            cipher.encrypt_block(&mut block);
            chunk.copy_from_slice(&block[..chunk.len()]);
            block.zeroize();
        }
    }
}

impl Drop for Derivation {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// The cipher with a key of just its length.
pub(crate) fn cipher<C: KeyInit>(key: &[u8]) -> C {
    C::new_from_slice(key).expect("invariant: the suite fixes the length of the key")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authentication key, which only the RFCs' examples need.
    const AUTHENTICATION_LABEL: u8 = 1;

    fn derive(suite: Suite, key: &str, salt: &str, label: u8, bytes: usize) -> String {
        let salt = hex::decode(salt).unwrap().try_into().unwrap();
        let derivation = Derivation::with_salt(suite, &hex::decode(key).unwrap(), salt);
        let mut out = vec![0; bytes];
        match &derivation.cipher {
            Cipher::Aes128(cipher) => derivation.fill_with(cipher.as_ref(), label, &mut out),
            Cipher::Aes256(cipher) => derivation.fill_with(cipher.as_ref(), label, &mut out),
        }
        hex::encode(out)
    }

    #[test]
    fn rfc_3711_b_3() {
        let value = |label, bytes| {
            let (key, salt) = ("e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6");
            derive(Suite::AeadAes128Gcm, key, salt, label, bytes)
        };
        assert_eq!(value(Label::RtpKey as u8, 16), "c61e7a93744f39ee10734afe3ff7a087");
        assert_eq!(value(Label::RtpSalt as u8, 14), "30cbbc08863d8c85d49db34a9ae1");
        assert_eq!(
            value(AUTHENTICATION_LABEL, 94),
            "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbce\
             e049646c43d9327ad175578ef72270986371c10c9a369ac2f94a8c5fbcdddc25\
             6d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2"
        );
    }

    #[test]
    fn rfc_6188_7_4() {
        let value = |label, bytes| {
            let key = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6";
            derive(Suite::AeadAes256Gcm, key, "3b04803de51ee7c96423ab5b78d2", label, bytes)
        };
        assert_eq!(
            value(Label::RtpKey as u8, 32),
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
        );
        assert_eq!(value(Label::RtpSalt as u8, 14), "fa31791685ca444a9e07c6c64e93");
        assert_eq!(value(AUTHENTICATION_LABEL, 20), "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
    }
}
