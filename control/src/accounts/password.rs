//! Passwords: how they are hashed, and generated ones that people can type.
//!
//! Argon2id (RFC 9106), version 19.

use crate::capacity::{HASH_KIB, HASH_LANES, HASH_PASSES};
use crate::entropy::Entropy;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHash, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use core::str::FromStr;
use kakehashi_wire::secret::Password;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A password to hand over once: five groups of four characters, 100 random bits.
pub fn generate(entropy: &Entropy) -> Password {
    drawn::<20>(entropy)
}

/// A recovery code of a second factor: six groups of four characters, 120 random bits, so that a
/// plain hash of it is as good as one that costs much.
pub(super) fn recovery_code(entropy: &Entropy) -> Password {
    drawn::<24>(entropy)
}

/// So many random characters, in groups of four.
fn drawn<const CHARACTERS: usize>(entropy: &Entropy) -> Password {
    // No i, l, o or u: nothing to confuse with 1 and 0, and no words by accident.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut drawn = entropy.bytes::<CHARACTERS>();
    // Memory that never moves leaves no copies behind.
    let mut text = String::with_capacity(CHARACTERS + CHARACTERS / 4);
    for (place, byte) in drawn.iter().enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    drawn.zeroize();
    Password::new(text)
}

/// What is kept of a password: a PHC string. Has no `Debug`.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct StoredHash(String);

impl StoredHash {
    /// Hashes `password`: tens of milliseconds and [`HASH_KIB`] of memory.
    pub(super) fn of(password: &Password, salt: [u8; 16]) -> Result<Self, argon2::Error> {
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        hasher().hash_password_into(password.expose().as_bytes(), &salt, &mut output)?;
        let hash = Self::spell(&salt, &output);
        output.zeroize();
        Ok(hash)
    }

    /// A hash that costs as much as any to check and that no password has.
    pub(super) fn dummy(entropy: &Entropy) -> Self {
        Self::spell(&entropy.bytes::<16>(), &entropy.bytes::<{ Params::DEFAULT_OUTPUT_LEN }>())
    }

    fn spell(salt: &[u8; 16], output: &[u8; Params::DEFAULT_OUTPUT_LEN]) -> Self {
        let params = format!("m={HASH_KIB},t={HASH_PASSES},p={HASH_LANES}");
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::from_str(&params).expect("three short parameters"),
            salt: Some(Salt::new(salt).expect("16 bytes are a good length")),
            hash: Some(Output::new(output).expect("32 bytes are a good length")),
        };
        Self(hash.to_string())
    }

    /// Whether `password` has this hash. `None` if the hash is not one that this version makes:
    /// its cost must not come from the store, or a damaged record could take all memory.
    pub(super) fn matches(&self, password: &Password) -> Option<bool> {
        let hash = PasswordHash::new(&self.0).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let known = hash.algorithm == ARGON2ID_IDENT
            && params.m_cost() <= HASH_KIB
            && params.t_cost() <= HASH_PASSES
            && params.p_cost() == HASH_LANES
            && hash.version == Some(Version::V0x13.into());
        let (Some(salt), Some(expected), true) = (&hash.salt, &hash.hash, known) else {
            return None;
        };
        let mut found = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        hasher.hash_password_into(password.expose().as_bytes(), salt, &mut *found).ok()?;
        Some(verify_slices_are_equal(expected.as_bytes(), &*found).is_ok())
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(HASH_KIB, HASH_PASSES, HASH_LANES, None);
    let params = params.expect("invariant: constants within the limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::super::rules::check;
    use super::*;
    use std::collections::HashSet;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn a_hash_matches_its_password_only() {
        let hash = StoredHash::of(&password("correct horse battery"), [7; 16]).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_eq!(hash.matches(&password("correct horse battery")), Some(true));
        assert_eq!(hash.matches(&password("correct horse batterz")), Some(false));
        let dummy = StoredHash::dummy(&Entropy::system());
        assert_eq!(dummy.0.len(), hash.0.len());
        assert_eq!(dummy.matches(&password("correct horse battery")), Some(false));
    }

    #[test]
    fn a_foreign_or_costly_hash_is_not_computed() {
        let costly = StoredHash::dummy(&Entropy::system()).0.replace("m=19456", "m=4194304");
        let other = StoredHash::dummy(&Entropy::system()).0.replace("argon2id", "argon2d");
        for hash in [costly, other, String::new(), "$argon2id$".into()] {
            assert_eq!(StoredHash(hash).matches(&password("x")), None);
        }
    }

    #[test]
    fn generated_passwords_are_typeable_taken_and_different() {
        let entropy = Entropy::system();
        let all: HashSet<String> =
            (0..1000).map(|_| generate(&entropy).expose().to_owned()).collect();
        assert_eq!(all.len(), 1000);
        for text in &all {
            assert_eq!(text.len(), 24);
            assert!(text.split('-').all(|group| group.len() == 4), "{text}");
            assert!(!text.contains(['i', 'l', 'o', 'u']));
            assert_eq!(check(&password(text), "acme", "store-1"), Ok(()));
        }
    }
}
