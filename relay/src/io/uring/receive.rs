//! The multishot receive: arming it, reading its completions, giving buffers back.

#![expect(unsafe_code, reason = "submissions carry raw pointers")]

use super::send::empty_message;
use super::token::Token;
use crate::capacity::BATCH_PACKETS_MAX;
use crate::io::IoCounters;
use crate::io::address::decode;
use crate::io::socket::MediaSocket;
use crate::memory::{NAME_BYTES, ReceiveBuffers};
use crate::orders::bell::Bell;
use crate::path::batch::{Received, Slot};
use core::mem::ManuallyDrop;
use core::net::SocketAddr;
use core::ops::Range;
use io_uring::types::RecvMsgOut;
use io_uring::{SubmissionQueue, cqueue, opcode, types};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

/// The one group of provided buffers.
pub(super) const BUFFER_GROUP: u16 = 0;

/// A datagram of the batch.
struct Arrival {
    slot: u16,
    source: SocketAddr,
    /// Where its payload lies in the buffer.
    payload: Range<usize>,
}

/// Everything the kernel may read or write while a receive is under way.
struct Lent {
    buffers: ReceiveBuffers,
    header: libc::msghdr,
    bell: Arc<Bell>,
    /// The bell's count; only that it was written matters.
    rings: u64,
}

/// The receiving side of a shard.
pub(super) struct Receiver {
    lent: ManuallyDrop<Box<Lent>>,
    leaked: bool,
    batch: Vec<Arrival>,
    /// Where each buffer's arrival is in the batch, for hops that name the buffer.
    place: Box<[u16]>,
    /// Buffers that came back without a datagram worth keeping.
    rejected: Vec<u16>,
    generation: u32,
    receive_armed: bool,
    bell_armed: bool,
}

impl Receiver {
    /// `count` buffers, none lent yet.
    pub(super) fn new(bell: Arc<Bell>, count: u16) -> io::Result<Self> {
        let mut header = empty_message();
        header.msg_namelen = libc::socklen_t::try_from(NAME_BYTES).map_err(io::Error::other)?;
        let mut buffers = ReceiveBuffers::new(count)?;
        buffers.give_all();
        buffers.publish();
        Ok(Self {
            lent: ManuallyDrop::new(Box::new(Lent { buffers, header, bell, rings: 0 })),
            leaked: false,
            batch: Vec::with_capacity(BATCH_PACKETS_MAX),
            place: vec![0; usize::from(count)].into_boxed_slice(),
            rejected: Vec::with_capacity(usize::from(count)),
            generation: 0,
            receive_armed: false,
            bell_armed: false,
        })
    }

    /// The buffers, for registration.
    pub(super) fn buffers(&self) -> &ReceiveBuffers {
        &self.lent.buffers
    }

    /// The bell, which the kernel rings as well while it is armed.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.lent.bell.as_fd()
    }

    /// Whether [`arm`](Self::arm) would line something up.
    pub(super) fn needs_arming(&self) -> bool {
        !self.receive_armed || !self.bell_armed
    }

    /// Lines up the receive and the bell's read where they are not under way. `false` if both are.
    pub(super) fn arm(
        &mut self,
        submissions: &mut SubmissionQueue<'_>,
        socket: &MediaSocket,
    ) -> bool {
        let mut lined_up = false;
        if !self.receive_armed {
            self.generation = self.generation.wrapping_add(1) & (u32::MAX >> 1);
            let receive = opcode::RecvMsgMulti::new(
                types::Fd(socket.raw()),
                &raw const self.lent.header,
                BUFFER_GROUP,
            )
            .build()
            .user_data(Token::Receive(self.generation).bits());
            // SAFETY: header and buffers are boxed in `lent`, which is dropped only after every
            // operation has ended, and leaked otherwise.
            self.receive_armed = unsafe { submissions.push(&receive) }.is_ok();
            lined_up = true;
        }
        if !self.bell_armed {
            let bell = types::Fd(self.bell().as_raw_fd());
            let read = opcode::Read::new(bell, (&raw mut self.lent.rings).cast(), 8)
                .build()
                .user_data(Token::Bell.bits());
            // SAFETY: the eight bytes are boxed in `lent`, as above.
            self.bell_armed = unsafe { submissions.push(&read) }.is_ok();
            lined_up = true;
        }
        lined_up
    }

    /// The bell's read is over.
    pub(super) fn bell_rang(&mut self) {
        self.bell_armed = false;
    }

    /// Whether the batch takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() == BATCH_PACKETS_MAX
    }

    /// Datagrams in the batch.
    pub(super) fn batch_length(&self) -> usize {
        self.batch.len()
    }

    /// Takes in one completion of the receive.
    pub(super) fn completed(
        &mut self,
        generation: u32,
        entry: &cqueue::Entry,
        counters: &mut IoCounters,
    ) {
        // A receive that has ended is armed anew, unless it is one that was replaced already.
        if !cqueue::more(entry.flags()) && generation == self.generation {
            self.receive_armed = false;
        }
        let Ok(length) = usize::try_from(entry.result()) else {
            counters.receive_failed(&io::Error::from_raw_os_error(-entry.result()));
            return;
        };
        let Some(slot) = cqueue::buffer_select(entry.flags()) else { return };
        if !self.lent.buffers.take(slot) {
            debug_assert!(false, "the kernel completed into a buffer it did not own");
            counters.receive_failed += 1;
            return;
        }
        match self.parse(slot, length, counters) {
            Some(arrival) => {
                let place = u16::try_from(self.batch.len()).unwrap_or(u16::MAX);
                self.place[usize::from(slot)] = place;
                self.batch.push(arrival);
            }
            None => self.rejected.push(slot),
        }
    }

    /// Finds the datagram in a filled buffer, and counts it or why there is none.
    fn parse(&self, slot: u16, length: usize, counters: &mut IoCounters) -> Option<Arrival> {
        let filled = self.lent.buffers.bytes(slot, length)?;
        let Ok(out) = RecvMsgOut::parse(filled, &self.lent.header) else {
            counters.receive_failed += 1;
            return None;
        };
        counters.packets_received += 1;
        counters.bytes_received += u64::from(out.incoming_payload_len());
        if out.is_payload_truncated() {
            counters.dropped_truncated += 1;
            return None;
        }
        let Some(source) = decode(out.name_data()) else {
            counters.dropped_unaddressed += 1;
            return None;
        };
        let start = length - out.payload_data().len();
        Some(Arrival { slot, source, payload: start..length })
    }

    /// The batch.
    pub(super) fn packets(&self) -> impl Iterator<Item = Received<'_>> {
        self.batch.iter().filter_map(|arrival| {
            let bytes = self.bytes_of(arrival)?;
            Some(Received { slot: Slot(arrival.slot), source: arrival.source, bytes })
        })
    }

    /// The datagram in `slot`, if it is of this batch.
    pub(super) fn payload(&self, slot: Slot) -> Option<&[u8]> {
        let place = usize::from(*self.place.get(usize::from(slot.0))?);
        let arrival = self.batch.get(place).filter(|arrival| arrival.slot == slot.0)?;
        self.bytes_of(arrival)
    }

    fn bytes_of(&self, arrival: &Arrival) -> Option<&[u8]> {
        self.lent.buffers.bytes(arrival.slot, arrival.payload.end)?.get(arrival.payload.clone())
    }

    /// Gives every buffer of the turn back to the kernel. No send may point to them any more.
    pub(super) fn recycle(&mut self) {
        if self.batch.is_empty() && self.rejected.is_empty() {
            return;
        }
        let batch = self.batch.drain(..).map(|arrival| arrival.slot);
        for slot in batch.chain(self.rejected.drain(..)) {
            self.lent.buffers.give(slot);
        }
        self.lent.buffers.publish();
    }

    /// Gives up the memory the kernel may still write to.
    pub(super) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: dropped once, here, and `UringIo` marks it leaked unless the kernel said
            // that every operation has ended.
            unsafe { ManuallyDrop::drop(&mut self.lent) };
        }
    }
}
