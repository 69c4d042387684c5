//! The operator's token: a file that only the operator of this machine can read.

use crate::audit::Digest;
use crate::entropy::Entropy;
use crate::pki::{PkiError, write_file};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use std::path::Path;
use zeroize::Zeroizing;

/// The token, in the data folder.
pub(super) const TOKEN_FILE: &str = "operator.token";

/// Where the API is, in the data folder.
pub(super) const URL_FILE: &str = "api.url";

/// The hash of the operator's token. The token itself is only in the file.
pub(crate) struct OperatorToken(Digest);

impl OperatorToken {
    /// Makes a new token and writes it into the folder `data`, with `url`, where it is good for.
    ///
    /// # Errors
    /// [`PkiError`] if the files cannot be written.
    pub(crate) fn renew(data: &Path, url: &str, entropy: &Entropy) -> Result<Self, PkiError> {
        let token = draw(entropy);
        write_file(&data.join(TOKEN_FILE), token.as_bytes(), 0o600)?;
        write_file(&data.join(URL_FILE), url.as_bytes(), 0o600)?;
        Ok(Self(hash(&token)))
    }

    /// Whether `token` is it, in the same time whatever it is.
    pub(super) fn is(&self, token: &str) -> bool {
        verify_slices_are_equal(&self.0.0, &hash(token).0).is_ok()
    }
}

/// A token of 256 random bits.
pub(crate) fn draw(entropy: &Entropy) -> Zeroizing<String> {
    let bytes = Zeroizing::new(entropy.bytes::<32>());
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text
}

/// What is kept of a token.
pub(crate) fn hash(token: &str) -> Digest {
    let mut kept = [0; 32];
    kept.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    Digest(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_private_and_only_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let renew = || {
            let entropy = Entropy::system();
            let known = OperatorToken::renew(folder.path(), "https://localhost:1", &entropy);
            let text = std::fs::read_to_string(folder.path().join(TOKEN_FILE)).unwrap();
            (known.unwrap(), text)
        };
        let (first, old) = renew();
        let (second, new) = renew();
        assert_eq!(new.len(), 64);
        assert!(first.is(&old) && second.is(&new));
        assert!(!second.is(&old) && !second.is("") && !second.is(&new[..63]));
        assert!(!second.is(&new.to_uppercase()) || !new.contains(|c: char| c.is_alphabetic()));
        let mode = std::fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
