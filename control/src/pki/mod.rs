//! The internal CA: made at first start, so that nobody has to run one before the first call.
//!
//! It names the control servers to terminals and relays, each relay to control, and nodes of
//! control to each other. Terminals
//! need `ca.pem` only. The CA lives for ten years, what it issues for one; a certificate is
//! renewed when control starts and less than a third of its life is left. Operators with a CA of
//! their own name its files in the config and never use this one; a relay's certificate then
//! needs the URI `kakehashi-relay:<number>` among its subject alternative names.
//!
//! Files: `ca.pem`, `control.pem`, `node.pem`, `relay-<number>.pem`, and beside each its `.key`,
//! which only this user can read. `audit.key` signs checkpoints of the audit log, and from
//! `cell.key` comes what live calls are sealed with in the store and what resume tokens are made
//! with. Further nodes and relays of other machines are given theirs ([`Pki::give_node`]); the key
//! of the CA stays on one machine.

mod cell;
mod files;
mod given;
mod identity;
mod inspect;
mod issue;
mod signing;

pub use cell::{CELL_SECRET_BYTES, CellSecret, open_or_create_cell_secret};
pub(crate) use files::write as write_file;
pub use files::{load_chain, load_identity, load_key, load_roots};
pub(crate) use identity::{node_host, node_of};
pub use identity::{relay_id_of, relay_uri};
pub use inspect::{Purpose, Useless, inspect};
pub use issue::Pki;
pub use signing::open_or_create_audit_key;

use crate::clock::UnixMs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate with its chain, and its key. Has no `Debug`.
pub struct Identity {
    /// The certificate first, then those above it, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// When a certificate that is shown to somebody ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ends {
    /// Who is shown it.
    pub(crate) to: &'static str,
    /// When.
    pub(crate) until: UnixMs,
}

impl Identity {
    /// When the certificate ends, which is shown `to` them.
    pub(crate) fn ends(&self, to: &'static str) -> Option<Ends> {
        Some(Ends { to, until: good_until(self.chain.first()?)? })
    }
}

/// Until when `certificate` is good; `None` if it is none.
pub(crate) fn good_until(certificate: &CertificateDer<'_>) -> Option<UnixMs> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(unix_ms(parsed.validity().not_after.timestamp()))
}

/// A time in a certificate, which has it in seconds.
fn unix_ms(seconds: i64) -> UnixMs {
    UnixMs(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// What is wrong with certificates or keys.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The file is not there.
    #[error("{} is missing: {help}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do.
        help: &'static str,
    },
    /// The file cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error("{} {what}: {help}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// Names that no certificate can have.
    #[error("not a host name or IP address: {0:?}; correct the names in the config")]
    Name(String),
    /// The library refused.
    #[error("could not make a certificate: {0}")]
    Make(String),
}
