//! A few threads that hash passwords, so that sign-ins can take neither all cores nor all memory.
//!
//! At most K hashes at once (K x 19 MiB) and two bounded queues before them; whoever finds its
//! queue full is refused at once and told when to come again, since a queue that grows only makes
//! everybody wait until they have given up. Devices that their account knows have a queue of their
//! own, which goes first: strangers without end do not keep them out. One hash in
//! [`HASHES_PER_STRANGER`] is a stranger's all the same, so that new devices get in, too.

use super::password::StoredHash;
use crate::capacity::{HASH_MS_ESTIMATE, HASHES_PER_STRANGER};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use kakehashi_wire::secret::Password;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The queue is full; come again in so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Busy {
    pub(super) retry_after_ms: u32,
}

type Job = Box<dyn FnOnce() + Send>;

/// For whom a hash is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    /// A device that the account knows, a session, or an operator.
    Known,
    /// Anybody.
    Stranger,
}

/// The threads and their queues. Dropping it ends the threads after what waits.
pub(super) struct Pool {
    queues: Arc<Queues>,
    depth: usize,
    waiting: Arc<AtomicU32>,
    workers: u32,
    refused: [AtomicU64; 2],
}

/// What the pool has done and has before it, for whoever watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hashing {
    /// Hashes that may wait in each lane.
    pub(crate) depth: usize,
    /// Each lane.
    pub(crate) lanes: [LaneHashing; 2],
}

/// What of that is one lane's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LaneHashing {
    /// For whom its hashes are.
    pub(crate) name: &'static str,
    /// Hashes that wait.
    pub(crate) waiting: usize,
    /// Hashes that were taken up so far.
    pub(crate) begun: u64,
    /// Hashes that were refused so far.
    pub(crate) refused: u64,
}

#[derive(Default)]
struct Queues {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    known: VecDeque<Job>,
    strangers: VecDeque<Job>,
    /// Counts the jobs that were begun.
    begun: usize,
    /// The same of each lane.
    begun_of: [u64; 2],
    closed: bool,
}

impl Jobs {
    /// Takes a job in unless `depth` of its lane wait already.
    fn offer(&mut self, lane: Lane, job: Job, depth: usize) -> bool {
        let queue = match lane {
            Lane::Known => &mut self.known,
            Lane::Stranger => &mut self.strangers,
        };
        let has_room = queue.len() < depth;
        if has_room {
            queue.push_back(job);
        }
        has_room
    }

    fn next(&mut self) -> Option<Job> {
        let for_stranger = self.begun % HASHES_PER_STRANGER == HASHES_PER_STRANGER - 1;
        let (first, second) = match for_stranger {
            true => (&mut self.strangers, &mut self.known),
            false => (&mut self.known, &mut self.strangers),
        };
        let is_first = !first.is_empty();
        let job = first.pop_front().or_else(|| second.pop_front())?;
        self.begun = self.begun.wrapping_add(1);
        let lane = if is_first == for_stranger { Lane::Stranger } else { Lane::Known };
        self.begun_of[lane as usize] += 1;
        Some(job)
    }
}

impl Queues {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job; `None` when none will come.
    fn wait(&self) -> Option<Job> {
        let mut jobs = self.jobs();
        loop {
            if let Some(job) = jobs.next() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queues.jobs().closed = true;
        self.queues.changed.notify_all();
    }
}

impl Pool {
    /// Starts `workers` threads with two queues of `depth` before them.
    pub(super) fn start(workers: u32, depth: usize) -> io::Result<Self> {
        let queues = Arc::new(Queues::default());
        let (waiting, refused) = (Arc::default(), Default::default());
        let pool = Self { queues, depth, waiting, workers, refused };
        for number in 0..workers {
            let queues = Arc::clone(&pool.queues);
            let thread = std::thread::Builder::new().name(format!("argon2-{number}"));
            thread.spawn(move || work(&queues))?;
        }
        Ok(pool)
    }

    /// Whether `password` has `hash`; `None` if the hash is not one of ours.
    pub(super) async fn matches(
        &self,
        lane: Lane,
        password: Password,
        hash: StoredHash,
    ) -> Result<Option<bool>, Busy> {
        self.run(lane, move || hash.matches(&password)).await
    }

    /// The hash of `password`.
    pub(super) async fn hash(
        &self,
        password: Password,
        salt: [u8; 16],
    ) -> Result<Option<StoredHash>, Busy> {
        self.run(Lane::Known, move || StoredHash::of(&password, salt).ok()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
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
        if !self.queues.jobs().offer(lane, job, self.depth) {
            self.refused[lane as usize].fetch_add(1, Ordering::Relaxed);
            return Err(self.busy());
        }
        self.queues.changed.notify_one();
        answered.await.map_err(|_panicked| self.busy())
    }

    /// What it has done and has before it.
    pub(super) fn hashing(&self) -> Hashing {
        let jobs = self.queues.jobs();
        let lane = |name, lane: Lane, queue: &VecDeque<Job>| LaneHashing {
            name,
            waiting: queue.len(),
            begun: jobs.begun_of[lane as usize],
            refused: self.refused[lane as usize].load(Ordering::Relaxed),
        };
        let lanes = [
            lane("known", Lane::Known, &jobs.known),
            lane("stranger", Lane::Stranger, &jobs.strangers),
        ];
        Hashing { depth: self.depth, lanes }
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

fn work(queues: &Queues) {
    while let Some(job) = queues.wait() {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(
                event = "password_hash_panicked",
                "a password hash panicked; the sign-in was refused as busy"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// A pool of one thread that is held up until the sender is used or dropped.
    async fn held_up(depth: usize) -> (Arc<Pool>, std::sync::mpsc::Sender<()>) {
        let pool = Arc::new(Pool::start(1, depth).unwrap());
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let task = Arc::clone(&pool);
        tokio::spawn(async move {
            let hold = move || {
                started.send(()).unwrap();
                let _released = released.recv();
            };
            task.run(Lane::Known, hold).await
        });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        (pool, release)
    }

    async fn until_so_many_wait(pool: &Pool, count: u32) {
        while pool.waiting.load(Ordering::Relaxed) < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
        let (pool, release) = held_up(2).await;
        let mut queued = Vec::new();
        for _ in 0..2 {
            let pool = Arc::clone(&pool);
            queued.push(tokio::spawn(async move { pool.run(Lane::Stranger, || 7).await }));
        }
        until_so_many_wait(&pool, 2).await;
        let refused = pool.run(Lane::Stranger, || 8).await;
        assert_eq!(refused, Err(Busy { retry_after_ms: 3 * HASH_MS_ESTIMATE }));
        let of = |pool: &Pool| pool.hashing().lanes.map(|it| (it.waiting, it.begun, it.refused));
        assert_eq!(of(&pool), [(0, 1, 0), (2, 0, 1)]);
        let owner = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(Lane::Known, || 9).await }
        });
        until_so_many_wait(&pool, 3).await;
        release.send(()).unwrap();
        for task in queued {
            assert_eq!(task.await.unwrap(), Ok(7));
        }
        assert_eq!(owner.await.unwrap(), Ok(9), "strangers do not fill the owners' queue");
        assert_eq!(pool.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(of(&pool), [(0, 2, 0), (0, 2, 1)]);
    }

    #[tokio::test]
    async fn known_devices_go_first_and_strangers_are_not_forgotten() {
        const EACH: usize = 9;
        let (pool, release) = held_up(EACH).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (lane, name) in [(Lane::Stranger, 's'), (Lane::Known, 'k')] {
            for nth in 1..=EACH {
                let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
                let note = move || order.lock().unwrap().push(name);
                tasks.push(tokio::spawn({
                    let pool = Arc::clone(&pool);
                    async move { pool.run(lane, note).await }
                }));
                let before = if lane == Lane::Known { EACH } else { 0 };
                until_so_many_wait(&pool, u32::try_from(before + nth).unwrap()).await;
            }
        }
        drop(release);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        // The job that held the pool up was the first of four.
        let order: String = order.lock().unwrap().iter().collect();
        assert_eq!(order, "kkskkkskkkskssssss");
    }

    #[tokio::test]
    async fn a_panic_refuses_one_and_the_pool_goes_on() {
        let pool = Pool::start(1, 2).unwrap();
        let panics = pool.run(Lane::Known, || panic!("expected by this test")).await;
        assert!(panics.map(|()| 0).is_err());
        assert_eq!(pool.run(Lane::Stranger, || 9).await, Ok(9));
    }
}
