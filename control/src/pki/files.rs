//! Reading and writing certificates and keys.

use super::{Identity, PkiError};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest file read: a chain of a few certificates is below 16 KiB, a bundle of public roots
/// below 512 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Writes `content` so that a crash leaves the old file or the new one, with permissions `mode`
/// from the first byte.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    let failed = |error| PkiError::Io { path: path.to_owned(), error };
    let temporary = path.with_added_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let mut file = opened.map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Makes the folder for certificates, for this user only.
pub(super) fn make_folder(path: &Path) -> Result<(), PkiError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| PkiError::Io { path: path.to_owned(), error })
}

fn read(path: &Path, help: &'static str) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => PkiError::Missing { path: path.to_owned(), help },
        _ => PkiError::Io { path: path.to_owned(), error },
    };
    let file = File::open(path).map_err(failed)?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(content)
    } else {
        let what = format!("is larger than {FILE_BYTES_MAX} bytes");
        Err(PkiError::Bad { path: path.to_owned(), what, help })
    }
}

/// The certificates in the PEM file `path`, in its order.
pub fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    const HELP: &str = "it must hold the certificate first, then those above it, as PEM";
    let content = read(path, HELP)?;
    let bad = |what: String| PkiError::Bad { path: path.to_owned(), what, help: HELP };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let chain = found.map_err(|error| bad(format!("is not PEM ({error})")))?;
    if chain.is_empty() {
        return Err(bad("holds no certificate".to_owned()));
    }
    for certificate in &chain {
        webpki_check(certificate).map_err(|what| bad(format!("is damaged ({what})")))?;
    }
    Ok(chain)
}

fn webpki_check(certificate: &CertificateDer<'_>) -> Result<(), String> {
    rustls::server::ParsedCertificate::try_from(certificate)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// The private key in the PEM file `path`, which nobody else may be able to read.
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    const HELP: &str =
        "it must hold one private key as PEM (PKCS#8, SEC1 or PKCS#1), not encrypted";
    let content = read_secret(path, HELP)?;
    let key = PrivateKeyDer::from_pem_slice(&content);
    key.map_err(|error| PkiError::Bad {
        path: path.to_owned(),
        what: format!("holds no usable key ({error})"),
        help: HELP,
    })
}

/// What the file `path` holds, which nobody else may be able to read.
pub(super) fn read_secret(path: &Path, help: &'static str) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let content = read(path, help)?;
    let about = fs::metadata(path);
    let about = about.map_err(|error| PkiError::Io { path: path.to_owned(), error })?;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(PkiError::Bad {
            path: path.to_owned(),
            what: "can be used by every user of this machine".to_owned(),
            help: "close it with `chmod 600`, and replace the key if others could read it",
        });
    }
    Ok(content)
}

/// The roots in the PEM file `path`: whom to trust.
pub fn load_roots(path: &Path) -> Result<RootCertStore, PkiError> {
    const HELP: &str = "it must hold one or more CA certificates as PEM";
    let mut roots = RootCertStore::empty();
    for certificate in load_chain(path)? {
        roots.add(certificate).map_err(|error| PkiError::Bad {
            path: path.to_owned(),
            what: format!("holds a certificate that is no root ({error})"),
            help: HELP,
        })?;
    }
    Ok(roots)
}

/// The certificate chain at `chain` with its key at `key`, which must belong together.
pub fn load_identity(chain: &Path, key: &Path) -> Result<Identity, PkiError> {
    let identity = Identity { chain: load_chain(chain)?, key: load_key(key)? };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let usable = rustls::sign::CertifiedKey::from_der(
        identity.chain.clone(),
        identity.key.clone_key(),
        &provider,
    );
    match usable {
        Ok(_) => Ok(identity),
        Err(error) => Err(PkiError::Bad {
            path: key.to_owned(),
            what: format!("is not the key of {} ({error})", chain.display()),
            help: "give the certificate and the key that were made together",
        }),
    }
}
