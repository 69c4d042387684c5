//! Packet I/O past the kernel's network stack: AF_XDP on one queue of a NIC, and the shard's socket
//! for everything that does not go that way.
//!
//! ```text
//!            +--> shard's queue --> frames --> path --> the same frames, new headers --> NIC
//!  NIC -> gate
//!            +--> kernel --> shard's socket --> path --> frames, or the socket --> ...
//! ```
//! A packet stays in the frame it was received into: the path authenticates it there, the header
//! is written anew in front of it, and the NIC sends it from there. Only a packet that leaves more
//! than once, or that the relay wrote itself, is copied.
//!
//! The kernel keeps what it does better: other interfaces, packets longer than the path takes,
//! destinations whose neighbour is not known yet, queues that are not the shard's. So a packet is
//! never lost because the fast way does not suit it; it is only dearer, and counted.

mod checksum;
mod frame;
mod gate;
mod port;
mod ring;
mod send;
mod ways;

pub use gate::GateError;
pub(crate) use gate::{Gate, Gated, Hook, Rules};
pub(crate) use port::{Copies, Sums, XdpPort};

use super::uring::{UringIo, Woken};
use super::{BatchMemory, IoCounters, PacketIo, Patience};
use crate::capacity::xdp::{SOCKET_EVERY_TURNS, WAYS_ROUND_LOOKS};
use crate::capacity::{BATCH_DATAGRAMS_MAX, TURN_HOPS_MAX};
use crate::host::routes::RoutesEnd;
use crate::memory::{Frame, Frames};
use crate::path::batch::{Outgoing, Received, Slot};
use checksum::Sum;
use core::net::{IpAddr, SocketAddr};
use frame::{Header, TrafficClass};
use std::io;
use std::sync::Arc;
use ways::Ways;

/// What a shard needs to use a queue of the NIC.
pub(crate) struct NicQueue {
    /// The queue's number.
    pub(crate) queue: u32,
    /// The socket on it.
    pub(crate) port: XdpPort,
    /// The program that feeds it.
    pub(crate) gate: Arc<Gate>,
    /// The shard's UDP port, and its address if it has only one.
    pub(crate) local: (Option<IpAddr>, u16),
}

/// A packet of the batch.
struct Arrival {
    /// None once it has left in its own frame.
    frame: Option<Frame>,
    source: SocketAddr,
    start: usize,
    bytes: usize,
    class: TrafficClass,
    sum: Option<Sum>,
    /// Hops that have yet to read it.
    readers: u32,
}

/// A batch with the frames it lies in.
struct InFrames<'a>(&'a [Arrival], &'a Frames);

impl BatchMemory for InFrames<'_> {
    fn bytes(&self, slot: Slot, start: usize, bytes: usize) -> Option<&[u8]> {
        let arrival = self.0.get(usize::from(slot.0))?;
        let start = arrival.start.checked_add(start)?;
        self.1.bytes(arrival.frame.as_ref()?, start..start.checked_add(bytes)?)
    }
}

/// Where the packets of the batch have come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    FromNic,
    FromKernel,
}

/// Packet I/O of one shard over a queue of the NIC.
pub(crate) struct XdpIo<'ring> {
    kernel: UringIo<'ring>,
    nic: NicQueue,
    ways: Ways,
    /// The packets that came from the NIC in this turn.
    arrivals: Vec<Arrival>,
    came: Came,
    /// Of each hop of the turn: its header, if it leaves over the NIC.
    leaving: Vec<Option<Header>>,
    /// The others.
    through_kernel: Vec<u32>,
    /// Packets may wait at the socket.
    socket_has_some: bool,
    turns: u32,
    /// How often counters were refreshed: four times a second.
    looks: u32,
    is_gone: bool,
}

impl<'ring> XdpIo<'ring> {
    /// Packets come from `nic`, and from what `kernel` receives; `routes` knows the ways.
    pub(crate) fn new(
        kernel: UringIo<'ring>,
        nic: NicQueue,
        routes: RoutesEnd,
    ) -> Result<Self, GateError> {
        nic.gate.set_socket(nic.queue, nic.port.fd())?;
        Ok(Self {
            kernel,
            nic,
            ways: Ways::new(routes),
            arrivals: Vec::with_capacity(BATCH_DATAGRAMS_MAX),
            came: Came::FromNic,
            leaving: Vec::with_capacity(TURN_HOPS_MAX),
            through_kernel: Vec::with_capacity(TURN_HOPS_MAX),
            socket_has_some: true,
            turns: 0,
            looks: 0,
            is_gone: false,
        })
    }

    /// Takes in what the NIC has brought.
    fn receive_from_nic(&mut self) -> usize {
        let counters = self.kernel.counters_mut();
        while self.arrivals.len() < BATCH_DATAGRAMS_MAX
            && let Some(port::Arrived { frame, start, bytes }) = self.nic.port.next()
        {
            let read = self.nic.port.frames().bytes(&frame, start..start + bytes);
            let Some(framed) = read.and_then(frame::read) else {
                counters.dropped_odd_frame += 1;
                self.nic.port.give_back(frame);
                continue;
            };
            counters.packets_received += 1;
            counters.datagrams_received += 1;
            counters.packets_received_nic += 1;
            counters.bytes_received += framed.datagram.len() as u64;
            self.arrivals.push(Arrival {
                frame: Some(frame),
                source: framed.source,
                start: start + framed.datagram.start,
                bytes: framed.datagram.len(),
                class: framed.class,
                sum: None,
                readers: 0,
            });
        }
        self.nic.port.taken();
        if !self.arrivals.is_empty() {
            counters.batches += 1;
        }
        self.arrivals.len()
    }

    fn receive_from_kernel(&mut self) -> usize {
        self.came = Came::FromKernel;
        let packets = self.kernel.receive(Patience::None);
        self.socket_has_some = self.kernel.has_work();
        packets
    }

    fn packets_of_nic(&self, from: usize) -> impl Iterator<Item = Received<'_>> {
        let frames = self.nic.port.frames();
        (0_u16..).zip(&self.arrivals).skip(from).filter_map(|(slot, arrival)| {
            let range = arrival.start..arrival.start + arrival.bytes;
            let bytes = frames.bytes(arrival.frame.as_ref()?, range)?;
            Some(Received { slot: Slot(slot), start: 0, source: arrival.source, bytes })
        })
    }

    /// Gives back the frames of the batch that did not leave.
    fn end_batch(&mut self) {
        for arrival in self.arrivals.drain(..) {
            if let Some(frame) = arrival.frame {
                self.nic.port.give_back(frame);
            }
        }
    }

    /// Has the kernel send what is lined up.
    fn kick(&mut self) {
        let counters = self.kernel.counters_mut();
        let Err(error) = self.nic.port.send(&mut counters.send_calls) else { return };
        counters.nic_send_failed += 1;
        // A device that is down comes back; one that was taken away does not under this number.
        if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) && !self.is_gone {
            self.is_gone = true;
            tracing::error!(event = "nic_lost", %error, queue = self.nic.queue,
                "the NIC is gone; the relay goes on \
                through the kernel: start it anew when the NIC is back");
        }
    }
}

impl PacketIo for XdpIo<'_> {
    fn receive(&mut self, patience: Patience) -> usize {
        self.turns = self.turns.wrapping_add(1);
        self.end_batch();
        self.ways.turn();
        self.nic.port.refill();
        let is_turn_of_socket = self.turns.is_multiple_of(SOCKET_EVERY_TURNS);
        if self.socket_has_some || is_turn_of_socket {
            let packets = self.receive_from_kernel();
            if packets > 0 {
                return packets;
            }
        }
        self.came = Came::FromNic;
        let packets = self.receive_from_nic();
        // A sleep with a time of its own is dearer than the ring's, which has none: so it lingers
        // there. Why the ring breaks off, if it does, the next wait says.
        if packets > 0 || patience == Patience::None || self.wait().is_err() {
            return packets;
        }
        self.receive_from_nic()
    }

    fn packets(&self, from: usize) -> impl Iterator<Item = Received<'_>> {
        let (from_nic, from_kernel) = match self.came {
            Came::FromNic => (Some(self.packets_of_nic(from)), None),
            Came::FromKernel => (None, Some(self.kernel.packets(from))),
        };
        from_nic.into_iter().flatten().chain(from_kernel.into_iter().flatten())
    }

    fn send(&mut self, outgoing: &Outgoing) {
        if !outgoing.is_empty() {
            self.send_all(outgoing);
        }
    }

    fn has_work(&mut self) -> bool {
        self.socket_has_some || self.nic.port.has_more()
    }

    fn wait(&mut self) -> io::Result<()> {
        if self.nic.port.is_behind() {
            self.kick();
        }
        let Woken { socket, nic: _ } = self.kernel.wait_beside(Some(self.nic.port.fd()))?;
        self.socket_has_some |= socket;
        Ok(())
    }

    fn counters(&self) -> &IoCounters {
        self.kernel.counters()
    }

    fn refresh_counters(&mut self) {
        self.kernel.refresh_counters();
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(WAYS_ROUND_LOOKS) {
            self.ways.next_round();
        }
        let losses = self.nic.port.losses();
        let counters = self.kernel.counters_mut();
        if let Some(losses) = losses {
            counters.nic_dropped = losses.dropped;
            counters.nic_receive_ring_full = losses.receive_full;
            counters.nic_fill_ring_empty = losses.fill_empty;
        }
        for (what, counter) in [
            (Gated::ToKernel, &mut counters.gate_to_kernel),
            (Gated::Malformed, &mut counters.gate_malformed),
            (Gated::UnknownPort, &mut counters.gate_unknown_port),
            (Gated::UnknownSource, &mut counters.gate_unknown_source),
        ] {
            *counter = self.nic.gate.count(self.nic.queue, what).unwrap_or(*counter);
        }
    }
}

#[cfg(test)]
mod tests;
