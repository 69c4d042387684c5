//! Packets in and out, behind one narrow trait.
//!
//! A turn of a shard's loop is: `receive`, look at `packets`, `send`. Receive buffers stay
//! untouched until the next `receive`, so what goes out is what came in, from the same memory.

mod address;
mod counters;
mod media;
mod socket;
#[cfg(test)]
pub(crate) mod suite;
mod uring;
mod xdp;

pub use counters::IoCounters;
pub use media::{MediaError, NicQueueError};
pub(crate) use media::{Queues, frame_bytes_for, open_queues};
pub use socket::BindError;
pub(crate) use socket::{MediaSocket, bind};
pub(crate) use uring::{Ring, UringIo, trial};
pub use xdp::GateError;
pub(crate) use xdp::{NicQueue, XdpIo};

use crate::memory::ReceiveArena;
use crate::path::batch::{Memory, Outgoing, Place, Received, Slot};
use std::io;

/// What a receive does if nothing has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// Returns with nothing.
    None,
    /// May wait for the first packet, but [`LINGER`](socket::LINGER) at most; nothing else ends
    /// this wait.
    Linger,
}

/// A way to receive and send datagrams. An error of any method is the end of the shard: it means
/// that the kernel broke off what it had agreed to.
pub(crate) trait PacketIo {
    /// Takes in what has arrived, at most one batch, and returns how many packets it holds. The
    /// batch before is gone.
    fn receive(&mut self, patience: Patience) -> usize;

    /// The batch, from its packet `from` on; the packets of a train come one by one.
    fn packets(&self, from: usize) -> impl Iterator<Item = Received<'_>>;

    /// Sends what leaves: it has been sent or refused, and counted, when this returns.
    fn send(&mut self, outgoing: &Outgoing);

    /// Whether more seems to wait to be received. Costs no system call.
    fn has_work(&mut self) -> bool;

    /// Waits for work; may return early, and does so at the next tick.
    fn wait(&mut self) -> io::Result<()>;

    /// What has been counted so far.
    fn counters(&self) -> &IoCounters;

    /// Brings up to date the counters that only the kernel keeps; one system call.
    fn refresh_counters(&mut self);
}

/// The memory that a batch lies in.
pub(crate) trait BatchMemory {
    /// `bytes` bytes of a slot from `start` on; `None` beyond its end.
    fn bytes(&self, slot: Slot, start: usize, bytes: usize) -> Option<&[u8]>;
}

impl BatchMemory for ReceiveArena {
    fn bytes(&self, slot: Slot, start: usize, bytes: usize) -> Option<&[u8]> {
        self.slot_bytes(usize::from(slot.0), start, bytes)
    }
}

/// The bytes at a place.
fn bytes_at<'a>(place: Place, out: &'a Outgoing, batch: &'a impl BatchMemory) -> Option<&'a [u8]> {
    let (start, bytes) = (place.start as usize, place.bytes as usize);
    match place.memory {
        Memory::Batch(slot) => batch.bytes(slot, start, bytes),
        Memory::Own => out.own().get(start..start + bytes),
    }
}
