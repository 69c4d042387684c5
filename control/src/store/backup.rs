//! A backup: all entries of a store in one file, the same for every engine.
//!
//! ```text
//! "kakehashi store\n"  16 bytes
//! version              u32, little endian as all numbers here: 1
//! revision             u64, which the store had reached
//! entries              u64, how many follow
//!   key length, key    u32 and so many bytes   } for each entry, in the order of keys
//!   value length, value  u32 and so many bytes }
//! sha256               32 bytes, of everything before it
//! ```
//!
//! It holds password hashes and token keys, so only its owner may read it (mode 0600). Nothing of
//! it is believed before its whole hash was found right.

use super::moving::{Filling, MoveError, Sum, Summing, reached, sum};
use super::{Entry, Key, Prefix, Range, Revision, Store};
use crate::capacity::{STORE_KEY_BYTES_MAX, STORE_VALUE_BYTES_MAX};
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"kakehashi store\n";

/// The version that is written, and the latest that is read.
const VERSION: u32 = 1;

/// Why a backup was not made, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A store refused.
    #[error(transparent)]
    Store(#[from] MoveError),
    /// The file cannot be written or read.
    #[error("cannot use the backup {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not what was written.
    #[error("the backup {} is damaged ({what}): take another one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: &'static str,
    },
    /// A later version wrote it.
    #[error(
        "the backup {} was written by a later version (format {found}, this version reads up to \
         {VERSION}): restore it with that version",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

impl From<super::StoreError> for BackupError {
    fn from(error: super::StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// Writes all entries of `store` into a new file at `path`.
///
/// # Errors
/// [`BackupError`]; a file that is there already is left as it is.
pub async fn write(store: &dyn Store, path: &Path) -> Result<Sum, BackupError> {
    let failed = |error| BackupError::Io { path: path.to_owned(), error };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = write_to(store, file.map_err(failed)?, &failed).await;
    if written.is_err() {
        // Half of a backup is none.
        let _ = std::fs::remove_file(path);
    }
    written
}

async fn write_to(
    store: &dyn Store,
    file: File,
    failed: &impl Fn(io::Error) -> BackupError,
) -> Result<Sum, BackupError> {
    let before = sum(store).await?;
    let mut out = Hashed { inner: BufWriter::new(file), context: Context::new(&SHA256) };
    let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(failed);
    put(MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&reached(store).await?.0.to_le_bytes())?;
    put(&before.entries.to_le_bytes())?;
    let mut summing = Summing::new();
    let mut range = Range::first(Prefix::all());
    loop {
        let page = store.range(range.clone()).await?;
        for Entry { key, value, .. } in &page.entries {
            summing.add(key.as_str(), value);
            for part in [key.as_str().as_bytes(), value] {
                let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
                put(&length.to_le_bytes())?;
                put(part)?;
            }
        }
        range.after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    let written = summing.finish();
    if written != before {
        let changed = MoveError::Changed { source_holds: before, arrived: written };
        return Err(changed.into());
    }
    let Hashed { mut inner, context } = out;
    inner.write_all(context.finish().as_ref()).map_err(failed)?;
    let file = inner.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(written)
}

/// The revision that the store of the backup at `path` had reached, if the backup is whole.
///
/// # Errors
/// [`BackupError`].
pub fn check(path: &Path) -> Result<Revision, BackupError> {
    let mut reading = Reading::open(path)?;
    while reading.next()?.is_some() {}
    Ok(reading.revision)
}

/// Puts all entries of the backup at `path` into `store`, which is empty and went on from the
/// revision that [`check`] told, and reads them back.
///
/// # Errors
/// [`BackupError`]; then `store` is of no use.
pub async fn restore(path: &Path, store: &dyn Store) -> Result<Sum, BackupError> {
    let mut reading = Reading::open(path)?;
    let (mut filling, mut summing) = (Filling::new(store), Summing::new());
    while let Some(entry) = reading.next()? {
        summing.add(entry.key.as_str(), &entry.value);
        filling.add(entry).await?;
    }
    filling.finish().await?;
    let (source_holds, arrived) = (summing.finish(), sum(store).await?);
    if source_holds != arrived {
        return Err(MoveError::Changed { source_holds, arrived }.into());
    }
    Ok(arrived)
}

/// A file, and the hash of what went through it.
struct Hashed<T> {
    inner: T,
    context: Context,
}

impl<W: Write> Hashed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.context.update(bytes);
        self.inner.write_all(bytes)
    }
}

struct Reading<'a> {
    path: &'a Path,
    file: Hashed<BufReader<File>>,
    revision: Revision,
    left: u64,
}

impl<'a> Reading<'a> {
    fn open(path: &'a Path) -> Result<Self, BackupError> {
        let file = File::open(path);
        let file = file.map_err(|error| BackupError::Io { path: path.to_owned(), error })?;
        let file = Hashed { inner: BufReader::new(file), context: Context::new(&SHA256) };
        let mut reading = Self { path, file, revision: Revision(0), left: 0 };
        if reading.array::<16>()? != *MAGIC {
            return Err(reading.damaged("it is no backup"));
        }
        let found = u32::from_le_bytes(reading.array()?);
        if found > VERSION {
            return Err(BackupError::Newer { path: path.to_owned(), found });
        }
        reading.revision = Revision(u64::from_le_bytes(reading.array()?));
        reading.left = u64::from_le_bytes(reading.array()?);
        Ok(reading)
    }

    /// The next entry; none when all were read and their hash was found right.
    fn next(&mut self) -> Result<Option<Entry>, BackupError> {
        if self.left == 0 {
            return self.finish().map(|()| None);
        }
        self.left -= 1;
        let key = self.part(STORE_KEY_BYTES_MAX)?;
        let key = String::from_utf8(key).ok().and_then(|key| Key::parse(key).ok());
        let key = key.ok_or_else(|| self.damaged("a key is none"))?;
        let value = self.part(STORE_VALUE_BYTES_MAX)?;
        Ok(Some(Entry { key, value, revision: self.revision }))
    }

    fn finish(&mut self) -> Result<(), BackupError> {
        let right = self.file.context.clone().finish();
        let is_right = self.array::<32>()?[..] == *right.as_ref();
        let mut rest = [0];
        let is_over = matches!(self.file.inner.read(&mut rest), Ok(0));
        if is_right && is_over { Ok(()) } else { Err(self.damaged("its hash is another")) }
    }

    fn part(&mut self, most: usize) -> Result<Vec<u8>, BackupError> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > most {
            return Err(self.damaged("an entry is too long"));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        match self.file.inner.read_exact(bytes) {
            Ok(()) => {
                self.file.context.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(self.damaged("its end is missing"))
            }
            Err(error) => Err(BackupError::Io { path: self.path.to_owned(), error }),
        }
    }

    fn damaged(&self, what: &'static str) -> BackupError {
        BackupError::Damaged { path: self.path.to_owned(), what }
    }
}
