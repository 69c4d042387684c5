//! The audit log: every administrative act and every sign-in, in an order that cannot be changed.
//!
//! An act is answered when its record is on disk, and refused if it cannot have one: an operator's
//! change has two, one before it is made and one that says how it ended. Of what anybody can
//! repeat without end (failed sign-ins, operators looking at the same list) the first of a minute
//! has a record of its own, and the others share one. Records are never changed or removed;
//! [`chain`] shows when somebody did, and signed checkpoints, in a file and in the log of the
//! process, show when the end was cut off. A node that has an archive copies its log there, so that
//! the log outlives its disk.

mod book;
pub mod chain;
mod checkpoint;
mod digest;
mod entry;
mod kept;
mod reading;
mod segment;
mod share;
mod shipper;
mod writer;

pub use book::BookError;
pub use chain::{AuditRecord, Break, Head, How};
pub use checkpoint::Checkpoint;
pub use digest::{Digest, PublicKey, Signature};
pub use entry::{Actor, Entry, Outcome, Plain};
pub use kept::{Fault, Kept, Run};
pub use reading::Verdict;

use crate::archive::{Archive, ArchiveError, Claimed, KeptError};
use crate::capacity::{AUDIT_QUEUE_MAX, AUDIT_VERIFIED_AT_ONCE};
use crate::clock::UnixMs;
use crate::nodes::NodeName;
use crate::store::{Embedded, SharedStore, StoreError, decode};
use aws_lc_rs::signature::Ed25519KeyPair;
use book::Book;
use share::Shares;
use shipper::Shipper;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use writer::{Job, Writer};

/// Why an act has no record. It was not done, or is not to be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAudited {
    /// Too much is waiting to be written.
    #[error("the audit log is behind: try again in a second")]
    Busy,
    /// It cannot be written.
    #[error("the audit log cannot be written: {0}")]
    Store(StoreError),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
}

/// Why the log cannot be opened or verified.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Checkpoints.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The archive, or what says whose it is.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The end of the log is not where it was.
    #[error(
        "record {0} of the audit log is not what was written: `kakehashi audit verify --offline` \
         says more. If the store is an older copy, move `audit-checkpoints` away to go on; keep it"
    )]
    Broken(u64),
    /// No store there.
    #[error("there is no store in {}: name the data folder of a control", .0.display())]
    NoStore(PathBuf),
}

/// The log of a running node.
pub struct Audit {
    store: SharedStore,
    data: PathBuf,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    key: Arc<Ed25519KeyPair>,
    now: fn() -> UnixMs,
    /// The last record that is written.
    written: Arc<AtomicU64>,
    /// The last record that is known to be in the archive, if it is copied there.
    archived: OnceLock<Arc<AtomicU64>>,
}

/// How far the log is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lag {
    /// Acts that wait for their record.
    pub(crate) waiting: usize,
    /// The number of the last record.
    pub(crate) written: u64,
    /// Records that the archive does not have yet, if there is one.
    pub(crate) unarchived: Option<u64>,
}

/// The copying of a log to an archive.
pub struct Copying {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Copying {
    /// Copies what was written last, and ends; within seconds, whether that comes to its end or
    /// not.
    pub async fn finish(self) {
        let _stopping = self.stop.send(());
        let _copied = self.task.await;
    }
}

impl Audit {
    /// Opens the log in `store`, whose checkpoints are in the folder `data` and signed with the
    /// key in `pki`, and starts its writing task, which ends after [`Self::stop`].
    ///
    /// # Errors
    /// [`AuditError::Broken`] if the end of the log is not where it was: going on would cover it.
    pub async fn open(
        store: SharedStore,
        data: &Path,
        pki: &Path,
        now: fn() -> UnixMs,
    ) -> Result<(Self, JoinHandle<()>), AuditError> {
        let book = Book::open(data, pki)?;
        let end = reading::end(&*store).await?;
        let marks = [Some(end.0), book.last().map(|checkpoint| checkpoint.head())];
        for mark in marks.into_iter().flatten().filter(|mark| mark.seq > 0) {
            let found = store.get(&chain::record_key(mark.seq)).await?;
            let found = found.as_ref().and_then(|entry| decode::<AuditRecord>(entry).ok());
            if mark.seq > end.0.seq || found.is_none_or(|record| record.head() != mark) {
                return Err(AuditError::Broken(mark.seq));
            }
        }
        let next = end.0.seq + 1;
        if store.get(&chain::record_key(next)).await?.is_some() {
            return Err(AuditError::Broken(next));
        }
        let (jobs, queue) = mpsc::channel(AUDIT_QUEUE_MAX);
        let key = book.key();
        let shares = Shares::default();
        let written = Arc::new(AtomicU64::new(end.0.seq));
        let (kept_in, last) = (SharedStore::clone(&store), Arc::clone(&written));
        let writer = Writer { store: kept_in, end: Some(end), shares, book, now, written: last };
        let task = tokio::spawn(writer.run(queue));
        let jobs = Mutex::new(Some(jobs));
        let (data, archived) = (data.to_owned(), OnceLock::new());
        Ok((Self { store, data, jobs, key, now, written, archived }, task))
    }

    /// Writes `entry`. Answers when it is on disk, with its number if it has a record of its own.
    ///
    /// # Errors
    /// [`NotAudited`]; then it must not be done, or not be said to be done.
    pub async fn note(&self, entry: Entry) -> Result<Option<u64>, NotAudited> {
        let (answer, answered) = oneshot::channel();
        {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let jobs = jobs.as_ref().ok_or(NotAudited::Stopped)?;
            jobs.try_send(Job { entry, answer }).map_err(|failed| match failed {
                mpsc::error::TrySendError::Full(_) => NotAudited::Busy,
                mpsc::error::TrySendError::Closed(_) => NotAudited::Stopped,
            })?;
        }
        answered.await.unwrap_or(Err(NotAudited::Stopped))
    }

    /// Copies the log, as that of `node`, to `archive`: what there is, and then what comes. Once.
    pub fn copy_to(&self, archive: Arc<Claimed>, node: NodeName) -> Copying {
        let archived = Arc::clone(self.archived.get_or_init(Arc::default));
        let (log, key) = ((SharedStore::clone(&self.store), node), Arc::clone(&self.key));
        let shipper = Shipper::new(log, archive, (key, self.now), archived);
        let (stop, stopped) = oneshot::channel();
        Copying { stop, task: tokio::spawn(shipper.run(stopped)) }
    }

    /// How far the log is behind.
    pub(crate) fn lag(&self) -> Lag {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        let written = self.written.load(Ordering::Relaxed);
        let archived = self.archived.get().map(|archived| archived.load(Ordering::Relaxed));
        let unarchived = archived.map(|archived| written.saturating_sub(archived));
        Lag { waiting, written, unarchived }
    }

    /// Takes nothing more; what waits is written, and the writing task ends.
    pub fn stop(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The newest `limit` records before number `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        reading::newest(&*self.store, before, limit).await
    }

    /// Verifies records behind `from`, as many as take a moment.
    ///
    /// # Errors
    /// [`AuditError`] if they cannot be read.
    pub async fn verify(&self, from: Head) -> Result<Verdict, AuditError> {
        let book = book::read(&self.data, None)?;
        let found = reading::verify(&*self.store, &book, from, AUDIT_VERIFIED_AT_ONCE).await?;
        let archived = self.archived.get().map(|archived| archived.load(Ordering::Relaxed));
        Ok(Verdict { archived, ..found })
    }
}

/// The log in the data folder of a control that does not run, or in a copy of one.
pub struct Offline {
    store: Embedded,
    data: PathBuf,
}

impl Offline {
    /// Opens it. Blocks.
    ///
    /// # Errors
    /// [`AuditError`], for the operator.
    pub fn open(data: &Path) -> Result<Self, AuditError> {
        let path = data.join(crate::config::STORE_FILE);
        if !path.is_file() {
            return Err(AuditError::NoStore(data.to_owned()));
        }
        Ok(Self { store: Embedded::open(&path)?, data: data.to_owned() })
    }

    /// As [`Audit::newest`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        reading::newest(&self.store, before, limit).await
    }

    /// Verifies all of it, with the checkpoints in the folder or those in the file `elsewhere`.
    ///
    /// # Errors
    /// [`AuditError`] if they cannot be read.
    pub async fn verify(&self, elsewhere: Option<&Path>) -> Result<Verdict, AuditError> {
        let book = book::read(&self.data, elsewhere)?;
        Ok(reading::verify(&self.store, &book, Head::START, usize::MAX).await?)
    }
}

/// Verifies what `archive` has of the logs of all nodes; checkpoints that were kept in the file
/// `elsewhere` must be met there.
///
/// # Errors
/// [`AuditError`] if they cannot be read.
pub async fn verify_archive(
    archive: &dyn Archive,
    elsewhere: Option<&Path>,
) -> Result<Kept, AuditError> {
    let checkpoints = elsewhere.map(book::kept_in).transpose()?.unwrap_or_default();
    Ok(kept::verify(archive, checkpoints.iter().map(Checkpoint::head).collect()).await?)
}
