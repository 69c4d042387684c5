//! That an archive is one store's, and all its nodes have the same: both say one number.
//!
//! The store says it first (`x/archive`), then the archive (its object `id`), then the store that
//! it did. Whoever dies in between leaves what the next one finishes. An archive that says another
//! number, or one while the store says none, holds what another store's tenants did: it is left
//! alone.

use super::{Archive, ArchiveError, Name, SharedArchive};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::store::{
    Entry, Expected, Key, Record, SharedStore, StoreError, Transaction, decode, encode,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// What the store says of its archive.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    id: String,
    /// The archive has said so, too.
    begun: bool,
}

impl Record for Claim {
    const VERSION: u32 = 1;
}

/// Why what is kept cannot be reached, or an archive is not to be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeptError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn key() -> Key {
    Key::of_index(format_args!("archive")).expect("invariant: the key is short and printable")
}

fn id() -> Name {
    Name::of(format_args!("id"))
}

/// An archive that is used once it is known to be the store's.
pub struct Claimed {
    archive: SharedArchive,
    store: SharedStore,
    entropy: Entropy,
    /// Whether the operator said where it is.
    is_chosen: bool,
    known: OnceCell<()>,
    moving: Mutex<()>,
}

impl Claimed {
    /// `archive` for `store`. One that is not there is begun anew, for the first time or if it is
    /// this node's own affair, since the operator did not say where it is (`is_chosen`).
    pub fn new(
        archive: SharedArchive,
        store: SharedStore,
        entropy: Entropy,
        is_chosen: bool,
    ) -> Self {
        Self {
            archive,
            store,
            entropy,
            is_chosen,
            known: OnceCell::new(),
            moving: Mutex::default(),
        }
    }

    /// To be held while this node takes records into the archive, or removes old ones from both:
    /// what is on its way between would not be found.
    pub async fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().await
    }

    /// The archive.
    ///
    /// # Errors
    /// [`KeptError`], if it is another store's or nobody can say.
    pub async fn ready(&self) -> Result<&dyn Archive, KeptError> {
        let claim = || claim(&self.store, &*self.archive, &self.entropy, self.is_chosen);
        self.known.get_or_try_init(claim).await?;
        Ok(&*self.archive)
    }
}

/// The archive of a node with these settings; none if several nodes have none in common, whose
/// records then stay in the store. One that does not answer is claimed when it does.
///
/// # Errors
/// [`KeptError`], for the operator.
pub async fn of_node(
    config: &Config,
    store: &SharedStore,
    entropy: &Entropy,
) -> Result<Option<Arc<Claimed>>, KeptError> {
    let is_chosen = config.archive.is_chosen();
    if !is_chosen && !config.node.peers.is_empty() {
        tracing::warn!(
            event = "archive_not_shared",
            "the nodes have no archive in common: records of calls stay in the store, and the \
             audit log is on this disk alone; name one under `[archive]`"
        );
        return Ok(None);
    }
    let archive = super::open(&config.archive, &config.archive_folder())?;
    let claimed = Claimed::new(archive, Arc::clone(store), entropy.clone(), is_chosen);
    match claimed.ready().await.map(|_| ()) {
        Err(KeptError::Archive(
            error @ (ArchiveError::Unavailable { .. } | ArchiveError::Full { .. }),
        )) => {
            tracing::error!(event = "archive_unusable", %error, "the archive cannot be used now");
        }
        known => known?,
    }
    Ok(Some(Arc::new(claimed)))
}

async fn claim(
    store: &SharedStore,
    archive: &dyn Archive,
    entropy: &Entropy,
    is_chosen: bool,
) -> Result<(), KeptError> {
    loop {
        let said = store.get(&key()).await?;
        let found = archive.get(&id()).await?;
        if store.get(&key()).await? != said {
            // Another node does the same: what both said does not belong together.
            continue;
        }
        let found = found.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let (claim, fence) = match said.as_ref().map(read).transpose()? {
            Some(known) => known,
            None => {
                let number: [u8; 16] = entropy.bytes();
                let id = number.iter().map(|byte| format!("{byte:02x}")).collect();
                (Claim { id, begun: false }, Expected::Absent)
            }
        };
        match found {
            Some(found) if found != claim.id || fence == Expected::Absent => {
                let expected = claim.id;
                return Err(ArchiveError::Another { found, expected }.into());
            }
            Some(_) if claim.begun => return Ok(()),
            Some(_) => {
                refuse_overwriting(archive, &claim).await?;
                write(store, fence, &Claim { begun: true, ..claim }).await?;
            }
            None if claim.begun && is_chosen => {
                return Err(ArchiveError::Missing { expected: claim.id }.into());
            }
            None if fence == Expected::Absent => write(store, fence, &claim).await?,
            None => {
                if claim.begun {
                    tracing::warn!(
                        event = "archive_begun_anew",
                        "the archive of this store is not there: it is begun anew"
                    );
                }
                archive.put_new(&id(), claim.id.into_bytes()).await?;
            }
        }
    }
}

/// All that is kept rests on it.
async fn refuse_overwriting(archive: &dyn Archive, claim: &Claim) -> Result<(), ArchiveError> {
    match archive.put_new(&id(), claim.id.clone().into_bytes()).await? {
        false => Ok(()),
        true => Err(ArchiveError::Overwrites),
    }
}

fn read(entry: &Entry) -> Result<(Claim, Expected), StoreError> {
    Ok((decode(entry)?, Expected::At(entry.revision)))
}

async fn write(store: &SharedStore, fence: Expected, claim: &Claim) -> Result<(), StoreError> {
    let change = Transaction::new().compare(key(), fence).put(key(), encode(claim));
    match store.transact(change).await {
        // Another node does the same.
        Ok(_) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
