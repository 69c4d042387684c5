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
use super::{IoCounters, PacketIo, Patience};
use crate::orders::bell::Bell;
use crate::path::batch::{Outgoing, Received};
use core::time::Duration;
use receive::Receiver;
use send::Sender;
use std::io;
use std::sync::Arc;
use wait::Waiter;

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
        if !outgoing.is_empty() {
            let arena = self.receiver.arena();
            self.sender.send(&self.socket, outgoing, arena, &mut self.counters);
        }
    }

    fn has_work(&mut self) -> bool {
        self.receiver.was_full()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.counters.ring_enters += 1;
        self.waiter.wait(&self.socket, self.gather)
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
