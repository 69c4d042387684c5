//! Packet I/O of the kernel's own stack: `recvmmsg` and `sendmmsg` move packets, a ring waits.
//!
//! A busy shard makes two system calls a turn, whatever the turn moves; one that has nothing to do
//! waits in its ring, where arrivals, orders and time wake it alike. Moving packets through the
//! ring as well was measured to cost a tenth more: each packet is an operation there, with its own
//! preparation, completion and buffer to give back, and saves no call that a batch does not save.

mod receive;
mod send;
mod setup;
#[cfg(test)]
mod tests;
mod token;
mod wait;

pub(crate) use setup::{Ring, trial};

use super::socket::MediaSocket;
use super::{BatchMemory, IoCounters, PacketIo, Patience, bytes_at};
use crate::orders::bell::Bell;
use crate::path::batch::{Outgoing, Place, Received};
use core::time::Duration;
use receive::Receiver;
use send::Sender;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
pub(in crate::io) use wait::Woken;
use wait::{Doors, Waiter};

/// Packet I/O of one shard. Lives and dies on the thread that made its [`Ring`].
pub(crate) struct UringIo<'ring> {
    waiter: Waiter<'ring>,
    receiver: Receiver,
    sender: Sender,
    counters: IoCounters,
    gather: Duration,
    /// Last, so that it is closed after the ring was told to let go of it.
    socket: MediaSocket,
}

impl<'ring> UringIo<'ring> {
    /// Receives on `socket`. Ringing `bell` ends a wait, as does the `tick` at the latest. What
    /// comes in the first `gather` of a wait is waited for together.
    pub(crate) fn new(
        ring: &'ring mut Ring,
        socket: MediaSocket,
        bell: Arc<Bell>,
        (tick, gather): (Duration, Duration),
    ) -> io::Result<Self> {
        Ok(Self {
            waiter: Waiter::new(ring, bell, tick)?,
            receiver: Receiver::new()?,
            sender: Sender::new(),
            counters: IoCounters::default(),
            gather,
            socket,
        })
    }
}

impl UringIo<'_> {
    /// What has been counted, to count more.
    pub(in crate::io) fn counters_mut(&mut self) -> &mut IoCounters {
        &mut self.counters
    }

    /// The bytes at a place of this batch, or of what the relay wrote.
    pub(in crate::io) fn bytes_of<'a>(
        &'a self,
        place: Place,
        out: &'a Outgoing,
    ) -> Option<&'a [u8]> {
        bytes_at(place, out, self.receiver.arena())
    }

    /// Sends the hops with these numbers, which lie in this batch.
    pub(in crate::io) fn send_own(&mut self, hops: (&Outgoing, impl Iterator<Item = u32>)) {
        let arena = self.receiver.arena();
        self.sender.send(&self.socket, hops, arena, &mut self.counters);
    }

    /// Sends the hops with these numbers, which lie in `batch`.
    pub(in crate::io) fn send_some(
        &mut self,
        hops: (&Outgoing, impl Iterator<Item = u32>),
        batch: &impl BatchMemory,
    ) {
        self.sender.send(&self.socket, hops, batch, &mut self.counters);
    }

    /// Waits for work at the socket, and at a queue of the NIC if there is one; gives where packets
    /// have come.
    pub(in crate::io) fn wait_beside(&mut self, nic: Option<BorrowedFd<'_>>) -> io::Result<Woken> {
        self.counters.ring_enters += 1;
        let doors = Doors { socket: self.socket.as_fd(), nic };
        self.waiter.wait(doors, self.gather)
    }
}

impl PacketIo for UringIo<'_> {
    fn receive(&mut self, patience: Patience) -> usize {
        // What is to be gathered is gathered in the ring.
        let patience = if self.gather.is_zero() { patience } else { Patience::None };
        let packets = self.receiver.receive(&self.socket, patience, &mut self.counters);
        if packets > 0 {
            self.counters.batches += 1;
        }
        packets
    }

    fn packets(&self, from: usize) -> impl Iterator<Item = Received<'_>> {
        self.receiver.packets(from)
    }

    fn send(&mut self, outgoing: &Outgoing) {
        let hops = u32::try_from(outgoing.hops().len()).unwrap_or(0);
        if hops > 0 {
            self.send_own((outgoing, 0..hops));
        }
    }

    fn has_work(&mut self) -> bool {
        self.receiver.was_full()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.wait_beside(None).map(drop)
    }

    fn counters(&self) -> &IoCounters {
        &self.counters
    }

    fn refresh_counters(&mut self) {
        if let Some(dropped) = setup::queue_drops(&self.socket) {
            self.counters.receive_queue_overflowed = u64::from(dropped);
        }
    }
}
