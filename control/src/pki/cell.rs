//! The secret that the nodes of a cell share, and nobody else has.

use super::{PkiError, files};
use crate::entropy::Entropy;
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

    /// The bytes to derive from.
    pub fn as_bytes(&self) -> &[u8; CELL_SECRET_BYTES] {
        &self.0
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
        let digits = secret.0.iter().map(|byte| format!("{byte:02x}"));
        let text = Zeroizing::new(digits.collect::<String>() + "\n");
        files::write(&path, text.as_bytes(), 0o600)?;
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
        assert_eq!(open().unwrap().as_bytes(), made.as_bytes());
        assert_ne!(made.as_bytes(), &[0; CELL_SECRET_BYTES]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(open().err().unwrap().to_string().contains("every user"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00\n", &"g".repeat(64), &"0".repeat(65)] {
            fs::write(&path, bad).unwrap();
            assert!(open().err().unwrap().to_string().contains("64 hexadecimal"), "{bad:?}");
        }
    }
}
