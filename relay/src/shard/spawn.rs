//! Starting and stopping the thread of a shard.

use super::clock::Clock;
use super::pace::TICK;
use super::{HOUSEKEEPING, Rest, Shard};
use crate::io::{MediaSocket, Ring, UringIo, adopt};
use crate::legs::{Identity, LegTable};
use crate::orders::bell::Bell;
use crate::orders::desk::Desk;
use crate::orders::mailbox::ShardEnd;
use crate::orders::report::Published;
use core::cell::Cell;
use core::time::Duration;
use glommio::io::BufferedFile;
use glommio::{GlommioError, LocalExecutorBuilder, Placement, PoolPlacement};
use kakehashi_srtp::Provider;
use kakehashi_wire::id::ShardIndex;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use thiserror::Error;

/// Memory the executor registers for its own file operations; a shard reads eight bytes with it.
const EXECUTOR_IO_BYTES: usize = 64 << 10;

/// How long a task of the executor runs before it is asked to yield.
const PREEMPT: Duration = Duration::from_millis(1);

/// Why a shard does not run, or no longer.
#[derive(Debug, Error)]
pub enum ShardError {
    /// Its executor did not start.
    #[error(
        "shard {0} has no executor: {1}; if it names memory, raise `ulimit -l` or LimitMEMLOCK="
    )]
    Executor(ShardIndex, String),
    /// Its ring or socket failed.
    #[error("packet I/O of shard {0} failed: {1}")]
    Io(ShardIndex, io::Error),
    /// Its thread broke off: a bug.
    #[error("shard {0} broke off; please report this with the log above")]
    Broken(ShardIndex),
}

/// Everything a shard is made of.
pub(crate) struct Plan {
    pub(crate) index: ShardIndex,
    pub(crate) core: usize,
    pub(crate) socket: MediaSocket,
    pub(crate) mailbox: ShardEnd,
    pub(crate) published: Arc<Published>,
    pub(crate) legs_max: usize,
    pub(crate) provider: Provider,
    pub(crate) identity: Identity,
    pub(crate) train_packets_max: u16,
    pub(crate) gather: Duration,
    pub(crate) clock: Clock,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A running shard.
pub(crate) struct ShardThread {
    index: ShardIndex,
    thread: JoinHandle<Result<(), ShardError>>,
}

impl ShardThread {
    /// Waits for its end.
    pub(crate) fn join(self) -> Result<(), ShardError> {
        self.thread.join().unwrap_or(Err(ShardError::Broken(self.index)))
    }
}

/// Starts a shard, and returns when it receives. `ended` is dropped when it ends.
pub(crate) fn spawn(plan: Plan, ended: impl Send + 'static) -> Result<ShardThread, ShardError> {
    let index = plan.index;
    let (ready, started) = sync_channel(1);
    let thread = Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            let _ended = ended;
            work(plan, &ready)
        })
        .map_err(|error| ShardError::Executor(index, error.to_string()))?;
    let thread = ShardThread { index, thread };
    match started.recv() {
        Ok(()) => Ok(thread),
        // The thread ended before it was ready, and knows why.
        Err(_) => Err(thread.join().err().unwrap_or(ShardError::Broken(index))),
    }
}

/// The life of a shard's thread.
fn work(plan: Plan, ready: &SyncSender<()>) -> Result<(), ShardError> {
    let index = plan.index;
    let executor = LocalExecutorBuilder::new(Placement::Fixed(plan.core))
        .name("shard")
        .io_memory(EXECUTOR_IO_BYTES)
        .preempt_timer(PREEMPT)
        // Otherwise its helper thread would be pinned to the shard's own core.
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(|error: GlommioError<()>| ShardError::Executor(index, error.to_string()))?;
    executor.run(shard(plan, ready)).map_err(|error| ShardError::Io(index, error))
}

async fn shard(plan: Plan, ready: &SyncSender<()>) -> io::Result<()> {
    let Plan { index, core, socket, mailbox, published, .. } = plan;
    let mut ring = Ring::new()?;
    let bed = Bed::new(Arc::clone(mailbox.bell()))?;
    let local = socket.local();
    let io = UringIo::new(&mut ring, socket, Arc::clone(mailbox.bell()), (TICK, plan.gather))?;
    let legs = LegTable::new(plan.legs_max, plan.provider, plan.identity);
    let desk = Desk::new(mailbox);
    let shard = Shard::new(io, desk, legs, plan.train_packets_max, plan.clock, published);
    tracing::info!(shard = %index, core, %local, "shard receives");
    // Nobody waits any more only if the start was given up.
    let _ = ready.send(());
    let result = shard.run(&bed, || plan.stop.load(Ordering::Relaxed)).await;
    bed.leave().await;
    result
}

/// A shard's place in the executor: its bell as a file, and a tick that rings it now and
/// then, so that a sleeping shard keeps house.
struct Bed {
    file: BufferedFile,
    asleep: Rc<Cell<bool>>,
    tick: glommio::task::JoinHandle<()>,
}

impl Bed {
    fn new(bell: Arc<Bell>) -> io::Result<Self> {
        let file = adopt(bell.as_fd().try_clone_to_owned()?);
        let asleep = Rc::new(Cell::new(false));
        let sleeper = Rc::clone(&asleep);
        let tick = glommio::spawn_local(async move {
            loop {
                glommio::timer::sleep(HOUSEKEEPING).await;
                if sleeper.get() {
                    bell.ring();
                }
            }
        })
        .detach();
        Ok(Self { file, asleep, tick })
    }

    async fn leave(self) {
        self.tick.cancel();
        let _ = self.file.close().await;
    }
}

impl Rest for Bed {
    async fn sleep(&self) -> io::Result<()> {
        self.asleep.set(true);
        let read = self.file.read_at(0, 8).await;
        self.asleep.set(false);
        read.map(drop).map_err(io::Error::from)
    }

    async fn pause(&self) {
        glommio::yield_if_needed().await;
    }
}
