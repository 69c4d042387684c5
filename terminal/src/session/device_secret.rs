//! The key pair by which control knows a device again.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORTED_BYTES};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the seed both halves are made of (RFC 8032 5.1.5).
pub const SEED_BYTES: usize = 32;

/// The seed of a device's Ed25519 key pair. Keep it as private as a password, and as long as the
/// device. Has no `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DeviceSecret([u8; SEED_BYTES]);

impl DeviceSecret {
    /// Takes a seed that was drawn at random, once for the device.
    pub fn from_seed(seed: [u8; SEED_BYTES]) -> Self {
        Self(seed)
    }

    /// The seed, to be kept.
    pub fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.0
    }

    /// The public half, and the proof of holding the other for a connection that exported these.
    pub(super) fn prove(&self, exported: &[u8; EXPORTED_BYTES]) -> (DeviceKey, DeviceProof) {
        const SIZES: &str = "invariant: RFC 8032 has one size of seeds, keys and signatures";
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.0).expect(SIZES);
        let key = pair.public_key().as_ref().try_into().expect(SIZES);
        let proof = pair.sign(exported).as_ref().try_into().expect(SIZES);
        (DeviceKey(key), DeviceProof(proof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// The first of RFC 8032 7.1: the pair of a seed is the one everybody else makes of it.
    #[test]
    fn a_seed_makes_the_key_that_the_standard_says() {
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let secret = DeviceSecret::from_seed(seed);
        let (key, proof) = secret.prove(&[1; 32]);
        assert_eq!(key, DeviceKey(public));
        assert_eq!(secret.prove(&[1; 32]).1, proof);
        assert_ne!(secret.prove(&[2; 32]).1, proof);
    }
}
