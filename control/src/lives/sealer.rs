//! Seals what is kept of a live call, so that the store holds no key of any call in the clear.
//!
//! ```text
//! | version u8 | nonce 12 B | AES-256-GCM of the bytes | tag 16 B |
//! ```
//!
//! Tenant, call and version are authenticated with it: what was written for one call is nothing
//! under the name of another. Each call has a key of its own, derived from the cell's secret
//! (HKDF-SHA256, RFC 5869), and nonces are random: of one call no core writes 2^32 states, below
//! which two nonces are the same with a chance of 2^-33 (NIST SP 800-38D 8.3).

use crate::calls::{Kept, LIVE_VERSION};
use crate::entropy::Entropy;
use crate::pki::CellSecret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::Prk;
use kakehashi_wire::id::{CallId, TenantId};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"kakehashi live calls";

/// Seals and opens live calls. Has no `Debug`.
pub struct Sealer {
    secret: Prk,
    entropy: Entropy,
}

impl Sealer {
    /// Seals with keys that come of `secret`.
    pub fn new(secret: &CellSecret, entropy: Entropy) -> Self {
        Self { secret: secret.derived(LABEL), entropy }
    }

    /// What the store is to hold of a call; `None` if the library refuses, which it has no reason
    /// to.
    pub fn seal(&self, kept: &Kept) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = self.entropy.bytes();
        let mut sealed = Zeroizing::new(kept.as_bytes().to_vec());
        let key = self.key(kept.tenant, kept.call)?;
        let about = Aad::from(about(kept.tenant, kept.call));
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce_of, about, &mut sealed).ok()?;
        let mut value = Vec::with_capacity(1 + NONCE_LEN + sealed.len() + tag.as_ref().len());
        value.push(LIVE_VERSION);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        value.extend_from_slice(tag.as_ref());
        Some(value)
    }

    /// What was sealed for a call; `None` if it was not, or with another secret.
    pub fn open(&self, tenant: TenantId, call: CallId, value: &[u8]) -> Option<Kept> {
        let (version, rest) = value.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let key = self.key(tenant, call).filter(|_| *version == LIVE_VERSION)?;
        let opened = key.open_in_place(nonce, Aad::from(about(tenant, call)), &mut bytes).ok()?;
        let length = opened.len();
        bytes.truncate(length);
        Some(Kept::from_bytes(tenant, call, bytes))
    }

    fn key(&self, tenant: TenantId, call: CallId) -> Option<LessSafeKey> {
        let info: [&[u8]; 3] = [LABEL, &tenant.0.to_le_bytes(), &call.0.to_le_bytes()];
        let key = self.secret.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

/// Tenant, call and version.
fn about(tenant: TenantId, call: CallId) -> [u8; 17] {
    let mut about = [LIVE_VERSION; 17];
    about[..8].copy_from_slice(&tenant.0.to_le_bytes());
    about[8..16].copy_from_slice(&call.0.to_le_bytes());
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(1);
    const CALL: CallId = CallId(2);

    #[test]
    fn what_was_sealed_is_opened_under_its_name_and_with_its_secret_alone() {
        let sealer = |secret| Sealer::new(&CellSecret::new([secret; 32]), Entropy::system());
        let text = Zeroizing::new(b"keys of a call".to_vec());
        let kept = Kept::from_bytes(TENANT, CALL, text.clone());
        let sealed = sealer(1).seal(&kept).unwrap();
        assert!(!sealed.windows(4).any(|bytes| bytes == b"keys"));
        assert_ne!(sealer(1).seal(&kept).unwrap(), sealed, "never with one nonce twice");
        let opened = sealer(1).open(TENANT, CALL, &sealed).unwrap();
        assert_eq!(opened.as_bytes(), &text[..]);
        assert!(sealer(2).open(TENANT, CALL, &sealed).is_none());
        assert!(sealer(1).open(TenantId(9), CALL, &sealed).is_none());
        assert!(sealer(1).open(TENANT, CallId(9), &sealed).is_none());
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(sealer(1).open(TENANT, CALL, &other).is_none(), "byte {at}");
            assert!(sealer(1).open(TENANT, CALL, &sealed[..at]).is_none());
        }
    }
}
