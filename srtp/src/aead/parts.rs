//! Checking a tag with the two parts of RustCrypto's AES-GCM: the block cipher and GHASH.

use aes::Block;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::Zeroize;

use super::{Forged, NONCE_BYTES, Nonce, Tag};
use crate::kdf::cipher;

/// The parts of one key.
pub(crate) struct Parts<C> {
    block: C,
    ghash: GHash,
}

impl<C> Parts<C>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    pub(crate) fn new(key: &[u8]) -> Self {
        let block: C = cipher(key);
        // SP 800-38D 7.1: the hash key is the encrypted zero block.
        let mut hash_key = Block::default();
        block.encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);
        hash_key.zeroize();
        Self { block, ghash }
    }

    // SP 800-38D 7.2: tag = GHASH(aad, ciphertext, lengths) XOR E(nonce || 1).
    pub(crate) fn verify(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &[u8],
        tag: Tag,
    ) -> Result<(), Forged> {
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
}
