//! The files beside the store that show what was cut off it: the last checkpoints, one JSON
//! object a line in `audit-checkpoints`, and the key that signed them in `audit.pub`.

use super::chain::Head;
use super::checkpoint::Checkpoint;
use super::digest::{PublicKey, read_hex};
use crate::capacity::AUDIT_CHECKPOINTS_KEPT;
use crate::clock::UnixMs;
use crate::pki::{PkiError, open_or_create_audit_key, write_file};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CHECKPOINTS_FILE: &str = "audit-checkpoints";
const KEY_FILE: &str = "audit.pub";

/// Why checkpoints cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds {what}: restore it from a backup, or keep it elsewhere as evidence and \
             remove it here", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] PkiError),
}

/// Checkpoints that were read, with the key they should be by.
pub(super) struct Read {
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) key: PublicKey,
}

/// Reads the checkpoints of the data folder `data`, or those in `elsewhere`.
pub(super) fn read(data: &Path, elsewhere: Option<&Path>) -> Result<Read, BookError> {
    let path = data.join(KEY_FILE);
    let text = text_of(&path)?.unwrap_or_default();
    let bad = || BookError::Bad { path: path.clone(), what: "no public key".to_owned() };
    let key = PublicKey(read_hex(text.trim_end()).ok_or_else(bad)?);
    let checkpoints = match elsewhere {
        Some(path) => kept_in(path)?,
        None => checkpoints_in(&data.join(CHECKPOINTS_FILE))?,
    };
    Ok(Read { checkpoints, key })
}

/// The checkpoints that somebody has kept in the file `path`, which must be there.
pub(super) fn kept_in(path: &Path) -> Result<Vec<Checkpoint>, BookError> {
    let found = fs::metadata(path);
    found.map_err(|error| BookError::Read { path: path.to_owned(), error })?;
    checkpoints_in(path)
}

fn checkpoints_in(path: &Path) -> Result<Vec<Checkpoint>, BookError> {
    let text = text_of(path)?.unwrap_or_default();
    let lines = text.lines().enumerate().map(|(at, line)| {
        serde_json::from_str(line).map_err(|error| {
            let what = format!("no checkpoint in line {} ({error})", at + 1);
            BookError::Bad { path: path.to_owned(), what }
        })
    });
    lines.collect()
}

fn text_of(path: &Path) -> Result<Option<String>, BookError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BookError::Read { path: path.to_owned(), error }),
    }
}

/// Signs checkpoints and keeps the last of them.
pub(super) struct Book {
    path: PathBuf,
    key: Arc<Ed25519KeyPair>,
    kept: VecDeque<Checkpoint>,
}

impl Book {
    /// The one in the data folder `data`, with the key in the folder `pki`.
    pub(super) fn open(data: &Path, pki: &Path) -> Result<Self, BookError> {
        let key = Arc::new(open_or_create_audit_key(pki)?);
        let path = data.join(CHECKPOINTS_FILE);
        let kept = checkpoints_in(&path)?.into();
        let mut public = PublicKey([0; 32]);
        public.0.copy_from_slice(key.public_key().as_ref());
        write_file(&data.join(KEY_FILE), format!("{public}\n").as_bytes(), 0o644)?;
        Ok(Self { path, key, kept })
    }

    /// What it signs with.
    pub(super) fn key(&self) -> Arc<Ed25519KeyPair> {
        Arc::clone(&self.key)
    }

    /// The last checkpoint.
    pub(super) fn last(&self) -> Option<Checkpoint> {
        self.kept.back().copied()
    }

    /// Signs that the log ends with `head`, and says with what words. Blocks.
    pub(super) fn sign(&mut self, head: Head, at: UnixMs) -> Result<String, BookError> {
        self.kept.push_back(Checkpoint::sign(head, at, &self.key));
        while self.kept.len() > AUDIT_CHECKPOINTS_KEPT {
            self.kept.pop_front();
        }
        let line = |kept| serde_json::to_string(kept).expect("invariant: a struct of numbers");
        let lines: Vec<String> = self.kept.iter().map(line).collect();
        let last = lines.last().cloned().unwrap_or_default();
        write_file(&self.path, (lines.join("\n") + "\n").as_bytes(), 0o600)?;
        Ok(last)
    }
}
