//! The secret that the nodes of a cell share, and nobody else has.

use super::{PkiError, files};
use crate::entropy::Entropy;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::path::Path;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of it.
pub const CELL_SECRET_BYTES: usize = 32;

/// What the keys of a cell are derived from. Never in the store, and never used as a key itself.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CellSecret([u8; CELL_SECRET_BYTES]);

impl CellSecret {
    /// Keeps bytes that nobody can guess.
    pub fn new(bytes: [u8; CELL_SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// What keys of one use are derived from (HKDF-SHA256, RFC 5869); `label` names the use.
    pub(crate) fn derived(&self, label: &[u8]) -> Prk {
        Salt::new(HKDF_SHA256, label).extract(&self.0)
    }

    /// The one key of a use.
    pub fn key_of(&self, label: &'static [u8]) -> Zeroizing<[u8; CELL_SECRET_BYTES]> {
        let mut key = Zeroizing::new([0; CELL_SECRET_BYTES]);
        let derived = self.derived(label);
        derived
            .expand(&[label], KeyBytes)
            .and_then(|bytes| bytes.fill(&mut *key))
            .expect("invariant: as many bytes as HKDF-SHA256 gives");
        key
    }

    /// Writes it as `cell.key` has it, for this user only.
    pub(super) fn write(&self, path: &Path) -> Result<(), PkiError> {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        let text = Zeroizing::new(digits.collect::<String>() + "\n");
        files::write(path, text.as_bytes(), 0o600)
    }

    /// What tells this secret from others, and nothing else about it.
    pub fn fingerprint(&self) -> String {
        let key = self.key_of(b"kakehashi cell fingerprint");
        key[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As long as [`CELL_SECRET_BYTES`].
struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        CELL_SECRET_BYTES
    }
}

/// The secret in `folder`, or a new one, as `cell.key`: 64 hexadecimal digits.
///
/// # Errors
/// [`PkiError`] if the file cannot be used.
pub fn open_or_create_cell_secret(
    folder: &Path,
    entropy: &Entropy,
) -> Result<CellSecret, PkiError> {
    const HELP: &str = "restore it from a backup, or remove it to begin with another; calls that \
                        go on now are then not taken up";
    files::make_folder(folder)?;
    let path = folder.join("cell.key");
    let exists = path.try_exists();
    if !exists.map_err(|error| PkiError::Io { path: path.clone(), error })? {
        let secret = CellSecret::new(entropy.bytes());
        secret.write(&path)?;
        return Ok(secret);
    }
    let content = files::read_secret(&path, HELP)?;
    let bad = || PkiError::Bad {
        path: path.clone(),
        what: "holds no 64 hexadecimal digits".to_owned(),
        help: HELP,
    };
    let digits = content.strip_suffix(b"\n").unwrap_or(&content);
    let mut secret = Zeroizing::new([0; CELL_SECRET_BYTES]);
    if digits.len() != 2 * secret.len() {
        return Err(bad());
    }
    for (byte, pair) in secret.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let (high, low) = high.zip(low).ok_or_else(bad)?;
        *byte = u8::try_from(high * 16 + low).map_err(|_| bad())?;
    }
    Ok(CellSecret::new(*secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_read_again_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = || open_or_create_cell_secret(folder.path(), &Entropy::system());
        let made = open().unwrap();
        let path = folder.path().join("cell.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open().unwrap().0, made.0);
        assert_ne!(made.0, [0; CELL_SECRET_BYTES]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(open().err().unwrap().to_string().contains("every user"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00\n", &"g".repeat(64), &"0".repeat(65)] {
            fs::write(&path, bad).unwrap();
            assert!(open().err().unwrap().to_string().contains("64 hexadecimal"), "{bad:?}");
        }
    }

    #[test]
    fn keys_differ_by_use_and_secret_and_the_fingerprint_is_none_of_them() {
        let secret = |byte| CellSecret::new([byte; CELL_SECRET_BYTES]);
        let key = |byte, label| *secret(byte).key_of(label);
        assert_eq!(key(1, b"a"), key(1, b"a"));
        assert_ne!(key(1, b"a"), key(1, b"b"));
        assert_ne!(key(1, b"a"), key(2, b"a"));
        let fingerprint = secret(1).fingerprint();
        assert_eq!(fingerprint.len(), 32);
        assert_eq!(fingerprint, secret(1).fingerprint());
        assert_ne!(fingerprint, secret(2).fingerprint());
    }
}
