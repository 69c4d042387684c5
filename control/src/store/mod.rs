//! The store: what the platform wants to be true, kept where a crash cannot take it.
//!
//! **An acknowledged write is on disk; a transaction is there whole or not at all; revisions only
//! grow.** The shape is that of etcd, so that one file ([`Embedded`]) and a cluster stand behind
//! the same calls: every change has a revision, every entry knows the revision that last changed
//! it, transactions compare before they write, and watches start from a revision. Writers are
//! fenced by comparing revisions ([`Fenced`]), never by holding locks. Leases are missing on
//! purpose: who leads is decided by who claimed a record last, and clocks have no part in it.

pub mod backup;
mod condition;
mod embedded;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod feed;
mod fence;
mod key;
pub mod moving;
mod record;
mod settings;
mod transaction;
mod watch;

pub use condition::{Condition, MemberCondition};
pub use embedded::Embedded;
pub use error::StoreError;
#[cfg(feature = "etcd")]
pub use etcd::Etcd;
pub use fence::Fenced;
pub use key::{Key, KeyError, Prefix};
pub use moving::{MoveError, Sum};
pub(crate) use record::damaged;
pub use record::{Record, decode, encode, hex_id};
pub use settings::{Engine, EtcdSettings, StoreSettings};
pub use transaction::{Compare, Expected, Transaction};
pub use watch::{Event, Watch, WatchEnd, WatchSender};

use crate::capacity::{STORE_RANGE_ENTRIES_MAX, STORE_READS_AT_ONCE};
use core::future::Future;
use core::pin::Pin;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A point in the store's history. Every transaction that changes something makes a later one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// A key with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub key: Key,
    /// What it says. Values may hold password hashes, so entries have no `Debug`.
    pub value: Vec<u8>,
    /// The revision that last changed it: what [`Transaction::compare`] fences with.
    pub revision: Revision,
}

/// From which end a range is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// One page of the keys under a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    /// What the keys begin with.
    pub prefix: Prefix,
    /// Only keys beyond this one, in the direction of `order`: the last key of the page before.
    pub after: Option<Key>,
    /// At most so many entries; more than the store's limit is cut to it.
    pub limit: usize,
    /// From which end.
    pub order: Order,
}

impl Range {
    /// The first page under `prefix`, smallest key first.
    pub fn first(prefix: Prefix) -> Self {
        Self { prefix, after: None, limit: STORE_RANGE_ENTRIES_MAX, order: Order::Ascending }
    }
}

/// Answer to a range.
#[derive(Clone, PartialEq, Eq)]
pub struct Listing {
    /// The entries in the order asked for.
    pub entries: Vec<Entry>,
    /// The store's revision when this was read; watch from here to miss nothing.
    pub revision: Revision,
    /// Whether more entries follow.
    pub more: bool,
}

/// An answer that is on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What every engine offers.
pub trait Store: Send + Sync + 'static {
    /// The entry at `key`.
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>>;

    /// One page of the entries under a prefix.
    fn range(&self, range: Range) -> Pending<'_, Listing>;

    /// Does all of `transaction` or, if one of its compares fails, nothing
    /// ([`StoreError::Conflict`]). The answer comes when the change is on disk. After
    /// [`StoreError::Unsure`], [`StoreError::OverQuota`], and whatever a disk could not do, the
    /// change is not known to be done: read before trying again.
    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision>;

    /// The changes under `prefix` after revision `after`, in order. Events can be lost to a slow
    /// watcher, which is told so ([`WatchEnd::Lagged`]) and lists anew.
    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch>;

    /// How the store is. One that does not answer says so in the answer.
    fn condition(&self) -> Pending<'_, Condition>;
}

/// A store that is shared by the parts of one process.
pub type SharedStore = Arc<dyn Store>;

/// Opens the store that `settings` choose; `file` is where the embedded engine keeps it.
///
/// # Errors
/// [`StoreError`], for the operator.
pub async fn open(settings: &StoreSettings, file: &Path) -> Result<SharedStore, StoreError> {
    match settings.engine {
        Engine::Embedded => Ok(Arc::new(Embedded::open(file)?)),
        #[cfg(feature = "etcd")]
        Engine::Etcd => Ok(Arc::new(Etcd::open(&settings.etcd).await?)),
        #[cfg(not(feature = "etcd"))]
        Engine::Etcd => Err(StoreError::NoEtcd),
    }
}

/// What each of `reads` finds, in their order. [`STORE_READS_AT_ONCE`] of them are under way at the
/// same time: the answers of a cluster may come from another site.
///
/// # Errors
/// The first error of any of them.
pub async fn all_of<T>(
    reads: Vec<impl Future<Output = Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    stream::iter(reads).buffered(STORE_READS_AT_ONCE).try_collect().await
}

/// All entries under `prefix`, read page by page.
///
/// Pages are read at different revisions; the answer carries the first page's, so that a watch
/// from it delivers again, rather than misses, what changed in between.
pub async fn list(store: &dyn Store, prefix: Prefix) -> Result<Listing, StoreError> {
    let mut range = Range::first(prefix);
    let mut all = store.range(range.clone()).await?;
    while all.more {
        range.after = all.entries.last().map(|entry| entry.key.clone());
        let page = store.range(range.clone()).await?;
        all.entries.extend(page.entries);
        all.more = page.more;
    }
    Ok(all)
}
