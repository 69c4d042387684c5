//! A few threads that hash passwords, so that sign-ins can take neither all cores nor all memory.
//!
//! At most K hashes at once (K x 19 MiB) and a bounded queue before them; whoever finds the queue
//! full is refused at once and told when to come again, since a queue that grows only makes
//! everybody wait until they have given up.

use super::password::StoredHash;
use crate::capacity::HASH_MS_ESTIMATE;
use core::sync::atomic::{AtomicU32, Ordering};
use kakehashi_wire::secret::Password;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The queue is full; come again in so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Busy {
    pub(super) retry_after_ms: u32,
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads and their queue. Dropping it ends the threads after what they are doing.
pub(super) struct Pool {
    queue: SyncSender<Job>,
    waiting: Arc<AtomicU32>,
    workers: u32,
}

impl Pool {
    /// Starts `workers` threads with a queue of `depth` before them.
    pub(super) fn start(workers: u32, depth: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(depth);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..workers {
            let jobs = Arc::clone(&jobs);
            let thread = std::thread::Builder::new().name(format!("argon2-{number}"));
            thread.spawn(move || work(&jobs))?;
        }
        Ok(Self { queue, waiting: Arc::default(), workers })
    }

    /// Whether `password` has `hash`; `None` if the hash is not one of ours.
    pub(super) async fn matches(
        &self,
        password: Password,
        hash: StoredHash,
    ) -> Result<Option<bool>, Busy> {
        self.run(move || hash.matches(&password)).await
    }

    /// The hash of `password`.
    pub(super) async fn hash(
        &self,
        password: Password,
        salt: [u8; 16],
    ) -> Result<Option<StoredHash>, Busy> {
        self.run(move || StoredHash::of(&password, salt).ok()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting::enter(&self.waiting);
        let job = Box::new(move || {
            drop(waiting);
            // Whoever asked may have gone; then the work is not worth doing.
            if !answer.is_closed() {
                let _ = answer.send(task());
            }
        });
        if self.queue.try_send(job).is_err() {
            return Err(self.busy());
        }
        answered.await.map_err(|_panicked| self.busy())
    }

    fn busy(&self) -> Busy {
        let ahead = self.waiting.load(Ordering::Relaxed).saturating_add(1);
        let retry_after_ms = ahead.saturating_mul(HASH_MS_ESTIMATE) / self.workers.max(1);
        Busy { retry_after_ms: retry_after_ms.max(HASH_MS_ESTIMATE) }
    }
}

/// Counts one job from when it is offered until it begins or is refused.
struct Waiting(Arc<AtomicU32>);

impl Waiting {
    fn enter(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password hash panicked; the sign-in was refused as busy");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
        let pool = Arc::new(Pool::start(1, 2).unwrap());
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let blocker = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        let mut queued = Vec::new();
        for _ in 0..2 {
            let pool = Arc::clone(&pool);
            queued.push(tokio::spawn(async move { pool.run(|| 7).await }));
        }
        while pool.waiting.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        let refused = pool.run(|| 8).await;
        assert_eq!(refused, Err(Busy { retry_after_ms: 3 * HASH_MS_ESTIMATE }));
        release.send(()).unwrap();
        for task in queued {
            assert_eq!(task.await.unwrap(), Ok(7));
        }
        assert!(blocker.await.unwrap().is_ok());
        assert_eq!(pool.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_panic_refuses_one_and_the_pool_goes_on() {
        let pool = Pool::start(1, 2).unwrap();
        assert!(pool.run(|| panic!("expected by this test")).await.map(|()| 0).is_err());
        assert_eq!(pool.run(|| 9).await, Ok(9));
    }
}
