//! Checkpoints: signed words that record `n` had hash `h`. One that is kept elsewhere shows what
//! was cut off or written anew, whoever did it.

use super::chain::Head;
use super::digest::{Digest, PublicKey, Signature};
use crate::clock::UnixMs;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// What signed bytes begin with, so that they are never those of anything else.
const DOMAIN: &[u8] = b"kakehashi audit checkpoint 1\0";

/// What the log was at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The last record.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When this was signed.
    pub at: UnixMs,
    /// Over all of this, with the key of this node's log.
    pub signature: Signature,
}

impl Checkpoint {
    /// Says and signs that the log ended with `head`.
    pub fn sign(head: Head, at: UnixMs, key: &Ed25519KeyPair) -> Self {
        let signed = key.sign(&content(head, at));
        let mut signature = Signature([0; 64]);
        signature.0.copy_from_slice(signed.as_ref());
        Self { seq: head.seq, hash: head.hash, at, signature }
    }

    /// Whether it was signed with `key`.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, key.0);
        key.verify(&content(self.head(), self.at), &self.signature.0).is_ok()
    }

    /// What it says.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

fn content(head: Head, at: UnixMs) -> Vec<u8> {
    [DOMAIN, &head.seq.to_le_bytes(), &head.hash.0, &at.0.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::KeyPair;

    #[test]
    fn a_changed_checkpoint_is_not_by_the_key() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = PublicKey(key.public_key().as_ref().try_into().unwrap());
        let head = Head { seq: 9, hash: Digest([3; 32]) };
        let good = Checkpoint::sign(head, UnixMs(5), &key);
        assert!(good.is_by(&public));
        assert!(!Checkpoint { seq: 8, ..good }.is_by(&public));
        assert!(!Checkpoint { at: UnixMs(6), ..good }.is_by(&public));
        assert!(!Checkpoint { hash: Digest([4; 32]), ..good }.is_by(&public));
        assert!(!Checkpoint { signature: Signature([0; 64]), ..good }.is_by(&public));
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        assert!(!Checkpoint::sign(head, UnixMs(5), &other).is_by(&public));
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), good);
    }
}
