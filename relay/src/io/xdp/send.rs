//! Sending over the NIC: each packet in a frame of its own, in the one it came in if it can.

use super::checksum::Sum;
use super::frame::{HEADER_BYTES_MAX, Header, Summed, TrafficClass, UDP_BYTES};
use super::port::{ASKED_BYTES, Sums};
use super::{Came, InFrames, XdpIo};
use crate::memory::Frame;
use crate::path::batch::{Hop, Memory, Outgoing, Place, Slot, Train};
use core::net::SocketAddr;

/// Where a copied packet begins in its frame: behind the longest header, and what may stand before
/// that.
const COPY_AT: usize = ASKED_BYTES + HEADER_BYTES_MAX;

/// Why a packet did not leave.
enum NotSent {
    /// The NIC takes no more now.
    RingFull,
    /// Every frame is under way.
    NoFrame,
    /// It does not fit together: a bug.
    Odd,
}

impl XdpIo<'_> {
    /// Sends everything that leaves: over the NIC what has a way there, the rest through the
    /// kernel.
    pub(super) fn send_all(&mut self, out: &Outgoing) {
        self.find_ways(out);
        // First, while every packet still lies where it came in.
        self.send_through_kernel(out);
        for (at, Hop { train, .. }) in out.hops().iter().enumerate() {
            if let Some(header) = self.leaving.get(at).copied().flatten() {
                self.send_train(&header, out.train(*train), out);
            }
        }
        self.kick();
    }

    /// Decides for each hop how it leaves, and counts who will read which packet.
    fn find_ways(&mut self, out: &Outgoing) {
        self.leaving.clear();
        self.through_kernel.clear();
        for (number, hop) in (0_u32..).zip(out.hops()) {
            let train = out.train(hop.train);
            let header = self.header_to(hop.destination);
            let header = header.filter(|it| it.fits(usize::from(train.packet_bytes)));
            self.leaving.push(header);
            if header.is_none() {
                self.through_kernel.push(number);
            } else if self.came == Came::FromNic {
                for place in out.places(train) {
                    if let Memory::Batch(Slot(slot)) = place.memory
                        && let Some(arrival) = self.arrivals.get_mut(usize::from(slot))
                    {
                        arrival.readers += 1;
                    }
                }
            }
        }
    }

    /// The header of packets that go to `to` over the NIC, if there is a way.
    fn header_to(&mut self, to: SocketAddr) -> Option<Header> {
        if self.is_gone {
            return None;
        }
        let (hop, source) = self.ways.to(to.ip())?;
        let (only, port) = self.nic.local;
        let from = SocketAddr::new(only.unwrap_or(source), port);
        let header = Header { hop, from, to, class: TrafficClass::default() };
        header.bytes().map(|_| header)
    }

    fn send_through_kernel(&mut self, out: &Outgoing) {
        if self.through_kernel.is_empty() {
            return;
        }
        let numbers = self.through_kernel.iter().copied();
        match self.came {
            Came::FromNic => {
                let batch = InFrames(&self.arrivals, self.nic.port.frames());
                self.kernel.send_some((out, numbers), &batch);
            }
            Came::FromKernel => self.kernel.send_own((out, numbers)),
        }
    }

    fn send_train(&mut self, header: &Header, train: &Train, out: &Outgoing) {
        let packet_bytes = u32::from(train.packet_bytes.max(1));
        for place in out.places(train) {
            // What the relay wrote lies packet behind packet in one place; a received packet lies
            // in one by itself, unless the kernel brought a train.
            let mut start = 0;
            while start < place.bytes {
                let bytes = packet_bytes.min(place.bytes - start);
                let packet = Place { start: place.start + start, bytes, ..place };
                self.send_packet(*header, packet, out);
                start += bytes;
            }
        }
    }

    fn send_packet(&mut self, mut header: Header, place: Place, out: &Outgoing) {
        let lined_up = match (place.memory, self.came) {
            (Memory::Batch(slot), Came::FromNic) => {
                let Some(arrival) = self.arrivals.get_mut(usize::from(slot.0)) else {
                    return;
                };
                header.class = arrival.class;
                arrival.readers = arrival.readers.saturating_sub(1);
                if arrival.readers == 0 && place.bytes as usize == arrival.bytes {
                    self.send_in_place(&header, slot)
                } else {
                    self.send_copy(&header, place, out)
                }
            }
            _ => self.send_copy(&header, place, out),
        };
        let counters = self.kernel.counters_mut();
        match lined_up {
            Ok(()) => {
                counters.sent(1, u64::from(place.bytes));
                counters.packets_sent_nic += 1;
            }
            Err(NotSent::RingFull) => counters.send_queue_full += 1,
            Err(NotSent::NoFrame) => counters.send_no_memory += 1,
            Err(NotSent::Odd) => counters.send_failed_otherwise += 1,
        }
    }

    /// Sends a received packet from where it lies.
    fn send_in_place(&mut self, header: &Header, slot: Slot) -> Result<(), NotSent> {
        let arrival = self.arrivals.get_mut(usize::from(slot.0)).ok_or(NotSent::Odd)?;
        let frame = arrival.frame.take().ok_or(NotSent::Odd)?;
        let (start, bytes) = (arrival.start, arrival.bytes);
        let sums = self.nic.port.sums();
        let frames = self.nic.port.frames_mut();
        let written = frames.bytes_mut(&frame, 0..start + bytes).and_then(|whole| {
            let (room, datagram) = whole.split_at_mut_checked(start)?;
            let summed = summed(sums, datagram, Some(&mut arrival.sum));
            header.write(room, bytes, summed)
        });
        self.line_up(frame, (start, written), bytes)
    }

    /// Sends a copy of a packet.
    fn send_copy(&mut self, header: &Header, place: Place, out: &Outgoing) -> Result<(), NotSent> {
        let frame = match self.nic.port.take_free() {
            Some(frame) => frame,
            None => {
                self.nic.port.refill();
                self.nic.port.take_free().ok_or(NotSent::NoFrame)?
            }
        };
        let copied = self.copy(header, place, &frame, out);
        self.kernel.counters_mut().packets_copied += u64::from(copied.is_some());
        self.line_up(frame, (COPY_AT, copied), place.bytes as usize)
    }

    /// Copies a packet into a frame and writes its header; gives the header's length.
    fn copy(&mut self, header: &Header, place: Place, to: &Frame, out: &Outgoing) -> Option<usize> {
        let (bytes, sums) = (place.bytes as usize, self.nic.port.sums());
        let summed = match (place.memory, self.came) {
            (Memory::Batch(slot), Came::FromNic) => {
                let arrival = self.arrivals.get_mut(usize::from(slot.0))?;
                let from = arrival.start + place.start as usize;
                let (frame, frames) = (arrival.frame.as_ref()?, self.nic.port.frames_mut());
                let copy = frames.copy((frame, from..from + bytes), (to, COPY_AT))?;
                let is_whole = bytes == arrival.bytes;
                summed(sums, copy, is_whole.then_some(&mut arrival.sum))
            }
            _ => {
                let packet = self.kernel.bytes_of(place, out)?;
                let range = COPY_AT..COPY_AT + bytes;
                let room = self.nic.port.frames_mut().bytes_mut(to, range)?;
                room.copy_from_slice(packet);
                summed(sums, room, None)
            }
        };
        let room = self.nic.port.frames_mut().bytes_mut(to, 0..COPY_AT)?;
        header.write(room, bytes, summed)
    }

    /// Has a datagram of `bytes` bytes sent that begins at `start`; `written` is the length of its
    /// header, if that could be written.
    fn line_up(
        &mut self,
        frame: Frame,
        (start, written): (usize, Option<usize>),
        bytes: usize,
    ) -> Result<(), NotSent> {
        let port = &mut self.nic.port;
        let begins = written.and_then(|header| {
            let begins = start.checked_sub(header)?;
            match port.sums() {
                Sums::Ours => Some(begins),
                Sums::Theirs => {
                    port.ask_for_sum(&frame, begins, header - UDP_BYTES).map(|()| begins)
                }
            }
        });
        let Some(begins) = begins else {
            port.give_back(frame);
            return Err(NotSent::Odd);
        };
        let (bytes, start) = (start - begins + bytes, begins);
        let Err(frame) = self.nic.port.transmit(frame, start, bytes) else { return Ok(()) };
        // What is lined up already is sent, and makes room.
        self.kick();
        self.nic.port.transmit(frame, start, bytes).map_err(|frame| {
            self.nic.port.give_back(frame);
            NotSent::RingFull
        })
    }
}

/// How the checksum of a datagram comes about; one that was added up before is `known`.
fn summed(sums: Sums, datagram: &[u8], known: Option<&mut Option<Sum>>) -> Summed {
    match (sums, known) {
        (Sums::Theirs, _) => Summed::OnTheWay,
        (Sums::Ours, None) => Summed::Here(Sum::of(datagram)),
        (Sums::Ours, Some(known)) => Summed::Here(*known.get_or_insert_with(|| Sum::of(datagram))),
    }
}
