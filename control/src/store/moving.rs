//! All entries of a store on their way into another: counted, hashed, and read back.
//!
//! The nodes are stopped meanwhile. That nothing changed under way is not believed but seen: what
//! the target holds in the end must be what the source holds in the end.

use super::{
    Embedded, Engine, Entry, Expected, Prefix, Range, Revision, SharedStore, Store, StoreError,
    StoreSettings, Transaction,
};
use crate::capacity::{STORE_OPERATIONS_MAX, STORE_TRANSACTION_BYTES_MAX};
use aws_lc_rs::digest::{Context, SHA256};
use core::fmt;
use std::path::Path;
use std::sync::Arc;

/// What a store holds: how many entries, and the SHA-256 of all of them in the order of their keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// How many.
    pub entries: u64,
    /// Of all keys and values, each with its length before it.
    pub hash: [u8; 32],
}

impl fmt::Display for Sum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} entries, sha256 ", self.entries)?;
        self.hash.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// A sum that is being made.
pub(super) struct Summing {
    entries: u64,
    context: Context,
}

impl Summing {
    pub(super) fn new() -> Self {
        Self { entries: 0, context: Context::new(&SHA256) }
    }

    pub(super) fn add(&mut self, key: &str, value: &[u8]) {
        self.entries += 1;
        for part in [key.as_bytes(), value] {
            self.context.update(&(part.len() as u64).to_le_bytes());
            self.context.update(part);
        }
    }

    pub(super) fn finish(self) -> Sum {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.context.finish().as_ref());
        Sum { entries: self.entries, hash }
    }
}

/// Why entries did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is in use.
    #[error("the target is not empty: name a file that does not exist, or an unused `prefix`")]
    NotEmpty,
    /// Somebody wrote meanwhile.
    #[error(
        "what arrived ({arrived}) is not what the source holds ({source_holds}): stop every node, \
         remove the target, and begin again"
    )]
    Changed {
        /// What the source holds now.
        source_holds: Sum,
        /// What the target holds.
        arrived: Sum,
    },
}

/// Opens an empty store that goes on from revision `from`, so that revisions grow over a move.
///
/// # Errors
/// [`MoveError::NotEmpty`], or what the store says.
pub async fn open_empty(
    settings: &StoreSettings,
    file: &Path,
    from: Revision,
) -> Result<SharedStore, MoveError> {
    let opened: Result<SharedStore, StoreError> = match settings.engine {
        Engine::Embedded => Embedded::go_on_from(file, from).map(|store| Arc::new(store) as _),
        #[cfg(feature = "etcd")]
        Engine::Etcd => {
            super::Etcd::go_on_from(&settings.etcd, from).await.map(|store| Arc::new(store) as _)
        }
        #[cfg(not(feature = "etcd"))]
        Engine::Etcd => Err(StoreError::NoEtcd),
    };
    opened.map_err(|error| match error {
        StoreError::Conflict => MoveError::NotEmpty,
        other => other.into(),
    })
}

/// The revision that `store` has reached.
///
/// # Errors
/// [`StoreError`].
pub async fn reached(store: &dyn Store) -> Result<Revision, StoreError> {
    Ok(store.range(Range { limit: 1, ..Range::first(Prefix::all()) }).await?.revision)
}

/// Copies all entries of `from` into `to`, which is empty, and reads both again.
///
/// # Errors
/// [`MoveError`]; then `to` is of no use.
pub async fn copy(from: &dyn Store, to: &dyn Store) -> Result<Sum, MoveError> {
    let mut filling = Filling::new(to);
    let mut range = Range::first(Prefix::all());
    loop {
        let page = from.range(range.clone()).await?;
        range.after = page.entries.last().map(|entry| entry.key.clone());
        for entry in page.entries {
            filling.add(entry).await?;
        }
        if !page.more {
            break;
        }
    }
    filling.finish().await?;
    let (source_holds, arrived) = (sum(from).await?, sum(to).await?);
    if source_holds != arrived {
        return Err(MoveError::Changed { source_holds, arrived });
    }
    Ok(arrived)
}

/// What `store` holds.
///
/// # Errors
/// [`StoreError`].
pub async fn sum(store: &dyn Store) -> Result<Sum, StoreError> {
    let mut summing = Summing::new();
    let mut range = Range::first(Prefix::all());
    loop {
        let page = store.range(range.clone()).await?;
        page.entries.iter().for_each(|entry| summing.add(entry.key.as_str(), &entry.value));
        range.after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            return Ok(summing.finish());
        }
    }
}

/// Entries on their way into an empty store, many in one transaction.
pub(super) struct Filling<'a> {
    to: &'a dyn Store,
    change: Transaction,
    bytes: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn new(to: &'a dyn Store) -> Self {
        Self { to, change: Transaction::new(), bytes: 0 }
    }

    pub(super) async fn add(&mut self, entry: Entry) -> Result<(), StoreError> {
        // The key twice: it is compared, too.
        let bytes = 2 * entry.key.as_str().len() + entry.value.len();
        let is_full = self.change.puts().len() >= STORE_OPERATIONS_MAX;
        if is_full || self.bytes + bytes > STORE_TRANSACTION_BYTES_MAX {
            self.flush().await?;
        }
        self.bytes += bytes;
        let change = std::mem::take(&mut self.change);
        let change = change.compare(entry.key.clone(), Expected::Absent);
        self.change = change.put(entry.key, entry.value);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        self.to.transact(std::mem::take(&mut self.change)).await.map(|_| ())
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.flush().await
    }
}
