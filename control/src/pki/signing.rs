//! The key that signs checkpoints of the audit log.

use super::{PkiError, files, load_key};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls_pki_types::PrivateKeyDer;
use std::path::Path;
use zeroize::Zeroizing;

/// The key in `folder`, or a new one, as `audit.key`.
pub fn open_or_create_audit_key(folder: &Path) -> Result<Ed25519KeyPair, PkiError> {
    files::make_folder(folder)?;
    let path = folder.join("audit.key");
    let exists = path.try_exists();
    if !exists.map_err(|error| PkiError::Io { path: path.clone(), error })? {
        let made = KeyPair::generate_for(&PKCS_ED25519);
        let made = made.map_err(|error| PkiError::Make(error.to_string()))?;
        files::write(&path, Zeroizing::new(made.serialize_pem()).as_bytes(), 0o600)?;
    }
    let bad = || PkiError::Bad {
        path: path.clone(),
        what: "holds no Ed25519 key".to_owned(),
        help: "restore it from a backup",
    };
    let PrivateKeyDer::Pkcs8(key) = load_key(&path)? else { return Err(bad()) };
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).map_err(|_| bad())
}
