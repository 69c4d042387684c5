//! The embedded engine: one redb file, one writing thread, readers beside it.
//!
//! Writes wait in a bounded queue; the writing thread takes what has gathered and commits it as
//! one (a group commit: one fsync for all), each transaction with a revision of its own. It
//! answers only after the commit is on disk. Reads see the last commit: those of single keys share
//! a reading thread and a transaction with all that wait, ranges run on the runtime's blocking
//! threads.
//!
//! redb stops at the first I/O error until its file is opened anew. The writing thread does that
//! by itself, so a full disk is over as soon as there is space.

mod file;
mod reader;
mod writer;

use super::{
    Condition, Engine, Entry, Expected, Key, Listing, Order, Pending, Prefix, Range, Revision,
    Store, StoreError, Transaction, Watch,
};
use crate::capacity::{
    STORE_GETS_MAX, STORE_QUEUE_MAX, STORE_RANGE_ENTRIES_MAX, STORE_READERS_MAX,
};
use crate::store::feed::Feed;
use file::{Opened, Slot, current_revision, fault, open};
use reader::{Found, Get};
use redb::{ReadTransaction, ReadableDatabase};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use writer::{Answer, Job};

/// A store in one file of this machine.
pub struct Embedded {
    shared: Arc<Shared>,
    jobs: Option<mpsc::Sender<Job>>,
    gets: Option<mpsc::Sender<Get>>,
    /// The writing thread and the reading one.
    threads: Vec<JoinHandle<()>>,
}

/// What readers and the writing thread share.
struct Shared {
    path: PathBuf,
    slot: RwLock<Slot>,
    feed: Mutex<Feed>,
    readers: Arc<Semaphore>,
}

impl Shared {
    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the last commit; the other answer says which life of the file failed it.
    fn read<T>(
        &self,
        work: &impl Fn(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, (u64, StoreError)> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let opened = match &slot.opened {
            Opened::Yes(database) => database,
            Opened::No(error) => return Err((slot.life, error.clone())),
        };
        let result = opened.begin_read().map_err(redb::Error::from).and_then(|txn| work(&txn));
        result.map_err(|error| (slot.life, fault(&self.path, error)))
    }
}

impl Embedded {
    /// The last revision of the store at `path`, of which nothing is changed; none if there is no
    /// store, and 0 if it was not closed in good order, which the next opening sees to.
    ///
    /// # Errors
    /// [`StoreError`]: it could not be opened.
    pub fn look(path: &Path) -> Result<Option<Revision>, StoreError> {
        file::look(path)
    }

    /// Opens the store at `path`, or makes it (readable by this user only).
    ///
    /// Blocks: call it before the runtime serves anybody, or on a blocking thread.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open(path)?;
        let revision = current_revision(path, &database)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            slot: RwLock::new(Slot { life: 0, opened: Opened::Yes(database) }),
            feed: Mutex::new(Feed::new(revision)),
            readers: Arc::new(Semaphore::new(STORE_READERS_MAX)),
        });
        let (jobs, queue) = mpsc::channel(STORE_QUEUE_MAX);
        let (gets, asked) = mpsc::channel(STORE_GETS_MAX);
        let mut store = Self {
            shared: Arc::clone(&shared),
            jobs: Some(jobs),
            gets: Some(gets),
            threads: Vec::new(),
        };
        let writing = Arc::clone(&shared);
        store.start("store-writer", move || writer::run(&writing, queue))?;
        store.start("store-reader", move || reader::run(&shared, asked))?;
        Ok(store)
    }

    fn start(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| StoreError::Io {
            path: self.shared.path.clone(),
            what: format!("cannot start the thread {name}: {error}"),
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Opens the store at `path`, which is empty or does not exist, to go on from revision `from`,
    /// which another one had reached. Blocks, as [`Self::open`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not empty.
    pub fn go_on_from(path: &Path, from: Revision) -> Result<Self, StoreError> {
        file::go_on_from(path, &open(path)?, from)?;
        Self::open(path)
    }

    async fn submit(&self, job: impl FnOnce(Answer) -> Job) -> Result<Revision, StoreError> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job(answer)).await.map_err(|_gone| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Reads with `once`; if the file fails, again after it was opened anew.
    async fn read<T, F: Future<Output = Result<T, (u64, StoreError)>>>(
        &self,
        once: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        match once().await {
            Err((life, StoreError::Io { .. } | StoreError::Full { .. })) => {
                self.submit(|answer| Job::Reopen { life, answer }).await?;
                once().await.map_err(|(_life, error)| error)
            }
            result => result.map_err(|(_life, error)| error),
        }
    }

    async fn get_once(&self, key: Key) -> Found {
        const CLOSED: (u64, StoreError) = (0, StoreError::Closed);
        let (answer, answered) = oneshot::channel();
        let gets = self.gets.as_ref().ok_or(CLOSED)?;
        gets.send(Get { key, answer }).await.map_err(|_gone| CLOSED)?;
        answered.await.unwrap_or(Err(CLOSED))
    }

    async fn range_once(&self, range: Range) -> Result<Listing, (u64, StoreError)> {
        let closed = |_| (0, StoreError::Closed);
        let readers = Arc::clone(&self.shared.readers);
        let permit = readers.acquire_owned().await.map_err(closed)?;
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            shared.read(&|txn| file::list(txn, &range))
        });
        reading.await.unwrap_or(Err((0, StoreError::Closed)))
    }
}

impl Drop for Embedded {
    /// Lets the queue drain, then closes the file, so that it can be opened again at once.
    fn drop(&mut self) {
        drop((self.jobs.take(), self.gets.take()));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                let path = self.shared.path.display();
                tracing::error!(event = "store_thread_panicked", %path,
                    "a thread of the store panicked");
            }
        }
        let mut slot = self.shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        slot.close(StoreError::Closed);
    }
}

impl Store for Embedded {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        Box::pin(self.read(|| self.get_once(key.clone())))
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        Box::pin(self.read(move || self.range_once(range.clone())))
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(async move {
            transaction.check()?;
            self.submit(|answer| Job::Change { transaction, answer }).await
        })
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        let watch = self.shared.feed().watch(prefix.clone(), after);
        Box::pin(core::future::ready(Ok(watch)))
    }

    fn condition(&self) -> Pending<'_, Condition> {
        Box::pin(async move {
            let read = self.read(|| async { self.shared.read(&file::revision_of) }).await;
            let problem = read.as_ref().err().map(ToString::to_string);
            let revision = read.ok();
            Ok(Condition { engine: Engine::Embedded, revision, problem, members: Vec::new() })
        })
    }
}
