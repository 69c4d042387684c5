//! Packets in and out, behind one narrow trait.
//!
//! A turn of a shard's loop is: `receive`, look at `packets`, `send`, `finish`. Receive buffers
//! stay untouched from `receive` to `finish`, so what goes out is what came in, from the
//! same memory.

mod address;
mod counters;
mod socket;
mod uring;

pub use counters::IoCounters;
pub use socket::BindError;
pub(crate) use socket::{MediaSocket, bind};
pub(crate) use uring::{Ring, UringIo, adopt, trial};

use crate::path::batch::{Outgoing, Received};
use core::time::Duration;
use std::io;

/// A way to receive and send datagrams. An error of any method is the end of the shard: it means
/// that the kernel broke off what it had agreed to.
pub(crate) trait PacketIo {
    /// Takes in what has arrived, at most one batch, and returns how many datagrams it holds.
    fn receive(&mut self) -> usize;

    /// The batch.
    fn packets(&self) -> impl Iterator<Item = Received<'_>>;

    /// Lines up what is to leave.
    fn send(&mut self, outgoing: &Outgoing) -> io::Result<()>;

    /// Ends the turn: what was lined up has been sent or refused when this returns, the batch is
    /// gone, and its buffers receive again.
    fn finish(&mut self) -> io::Result<()>;

    /// Whether something seems to wait to be received; may be wrong for once. Costs no system call.
    fn has_work(&mut self) -> bool;

    /// Ends the turn and waits for work, but no longer than `at_most`; may return early. One system
    /// call for both.
    fn finish_and_wait(&mut self, at_most: Duration) -> io::Result<()>;

    /// Has the bell ring at the next arrival. `false` if something has arrived already: then the
    /// bell may stay silent, and the caller must not sleep.
    fn arm_bell(&mut self) -> io::Result<bool>;

    /// Silences the bell again.
    fn silence_bell(&mut self);

    /// What has been counted so far.
    fn counters(&self) -> &IoCounters;

    /// Brings up to date the counters that only the kernel keeps; one system call.
    fn refresh_counters(&mut self);
}
