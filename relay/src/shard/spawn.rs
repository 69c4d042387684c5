//! Starting and stopping the thread of a shard.

use super::Shard;
use super::clock::Clock;
use super::pace::TICK;
use crate::capacity::EXECUTOR_IO_BYTES;
use crate::host::Admission;
use crate::host::routes::RoutesEnd;
use crate::io::{MediaSocket, NicQueue, PacketIo, Ring, UringIo, XdpIo};
use crate::legs::{Identity, LegTable};
use crate::orders::desk::Desk;
use crate::orders::mailbox::ShardEnd;
use crate::orders::report::Published;
use core::time::Duration;
use glommio::{GlommioError, LocalExecutorBuilder, Placement, PoolPlacement};
use kakehashi_srtp::Provider;
use kakehashi_wire::id::ShardIndex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use thiserror::Error;

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
    /// Its queue of the NIC, and who knows the ways from there.
    pub(crate) nic: Option<(NicQueue, RoutesEnd)>,
    /// Who is to know where its legs' terminals are seen.
    pub(crate) admission: Option<Arc<Admission>>,
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
        // Otherwise its helper thread would be pinned to the shard's own core.
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(|error: GlommioError<()>| ShardError::Executor(index, error.to_string()))?;
    // One task that never awaits: whatever a shard waits for, it waits for in its own ring. Parking
    // in the executor as well was seen to sleep through packets and timers after an overload.
    executor.run(async { shard(plan, ready) }).map_err(|error| ShardError::Io(index, error))
}

fn shard(plan: Plan, ready: &SyncSender<()>) -> io::Result<()> {
    let Plan { index, core, socket, nic, mailbox, published, admission, .. } = plan;
    let mut ring = Ring::new()?;
    let local = socket.local();
    let io = UringIo::new(&mut ring, socket, Arc::clone(mailbox.bell()), (TICK, plan.gather))?;
    let legs = LegTable::new(plan.legs_max, plan.provider, plan.identity);
    let desk = Desk::new(mailbox);
    let queue = nic.as_ref().map(|(nic, _)| nic.queue);
    tracing::info!(event = "shard_started", shard = %index, core, %local, queue, "shard receives");
    let (train_packets_max, clock, stop) = (plan.train_packets_max, plan.clock, plan.stop);
    match nic {
        None => {
            let shard = Shard::new(io, desk, legs, train_packets_max, clock, published);
            receive(shard.admitting(admission), ready, &stop)
        }
        Some((nic, routes)) => {
            let io = XdpIo::new(io, nic, routes).map_err(io::Error::other)?;
            let shard = Shard::new(io, desk, legs, train_packets_max, clock, published);
            receive(shard.admitting(admission), ready, &stop)
        }
    }
}

fn receive<Io: PacketIo>(
    shard: Shard<Io>,
    ready: &SyncSender<()>,
    stop: &AtomicBool,
) -> io::Result<()> {
    // Nobody waits any more only if the start was given up.
    let _ = ready.send(());
    shard.run(|| stop.load(Ordering::Relaxed))
}
