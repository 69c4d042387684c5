//! Receiving: one `recvmmsg` a turn, trains whole (`UDP_GRO`).
//!
//! Everything the kernel reads or writes in that call is made once and stays where it is: headers
//! point to names, control messages and vectors, and vectors to the slots of the arena.

#![expect(unsafe_code, reason = "recvmmsg is raw")]

use crate::capacity::{BATCH_ARRIVALS_MAX, BATCH_DATAGRAMS_MAX, RECEIVE_SLOT_BYTES};
use crate::io::address::{Name, decode};
use crate::io::socket::MediaSocket;
use crate::io::{IoCounters, Patience};
use crate::memory::ReceiveArena;
use crate::path::batch::{Received, Slot};
use core::net::{Ipv4Addr, SocketAddr};
use core::ptr::null_mut;
use std::io;

/// A control message the kernel writes: its header, and the length of a train's packets.
const CONTROL_WORDS: usize = 3;

/// Level and type of that message (`linux/udp.h`).
const SOL_UDP: i32 = 17;
const UDP_GRO: i32 = 104;

/// A datagram of the batch.
#[derive(Clone, Copy)]
struct Arrival {
    slot: u16,
    start: u32,
    bytes: u32,
}

/// The receiving side of a shard.
pub(super) struct Receiver {
    arena: ReceiveArena,
    names: Box<[Name]>,
    controls: Box<[[u64; CONTROL_WORDS]]>,
    /// Only pointed to by the headers.
    _vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// Headers the last call wrote to.
    used: usize,
    sources: Vec<SocketAddr>,
    batch: Vec<Arrival>,
}

impl Receiver {
    /// Room for a full batch.
    pub(super) fn new() -> io::Result<Self> {
        let mut arena = ReceiveArena::new(BATCH_DATAGRAMS_MAX)?;
        let mut names = vec![Name::EMPTY; BATCH_DATAGRAMS_MAX].into_boxed_slice();
        let mut controls = vec![[0; CONTROL_WORDS]; BATCH_DATAGRAMS_MAX].into_boxed_slice();
        let vector =
            |slot| libc::iovec { iov_base: arena.base(slot).cast(), iov_len: RECEIVE_SLOT_BYTES };
        let mut vectors: Box<[_]> = (0..BATCH_DATAGRAMS_MAX).map(vector).collect();
        let headers = names.iter_mut().zip(&mut controls).zip(&mut vectors);
        let headers = headers.map(|((name, control), vector)| {
            let mut header = empty_message();
            header.msg_name = (&raw mut name.bytes).cast();
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            libc::mmsghdr { msg_hdr: header, msg_len: 0 }
        });
        let headers = headers.collect();
        Ok(Self {
            arena,
            names,
            controls,
            _vectors: vectors,
            headers,
            used: BATCH_DATAGRAMS_MAX,
            sources: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)); BATCH_DATAGRAMS_MAX],
            batch: Vec::with_capacity(BATCH_ARRIVALS_MAX),
        })
    }

    /// The memory received into.
    pub(super) fn arena(&self) -> &ReceiveArena {
        &self.arena
    }

    /// Packets of the batch, those of trains one by one.
    pub(super) fn packets(&self, from: usize) -> impl Iterator<Item = Received<'_>> {
        self.batch.iter().skip(from).filter_map(|arrival| {
            let slot = usize::from(arrival.slot);
            let bytes =
                self.arena.slot_bytes(slot, arrival.start as usize, arrival.bytes as usize)?;
            let source = *self.sources.get(slot)?;
            Some(Received { slot: Slot(arrival.slot), start: arrival.start, source, bytes })
        })
    }

    /// Whether the last call brought as much as it could.
    pub(super) fn was_full(&self) -> bool {
        self.used == BATCH_DATAGRAMS_MAX
    }

    /// Takes in what has arrived; returns how many packets.
    pub(super) fn receive(
        &mut self,
        socket: &MediaSocket,
        patience: Patience,
        counters: &mut IoCounters,
    ) -> usize {
        let flags = match patience {
            Patience::None => libc::MSG_DONTWAIT,
            Patience::Linger => libc::MSG_WAITFORONE,
        };
        self.batch.clear();
        for header in &mut self.headers[..self.used] {
            header.msg_hdr.msg_namelen = NAME_BYTES;
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
        }
        counters.receive_calls += 1;
        // SAFETY: each header's name, control buffer and vector are boxed in `self` and of the
        // lengths the header says, the vector's slot lies in the arena; nothing else borrows them.
        let received = unsafe {
            libc::recvmmsg(
                socket.raw(),
                self.headers.as_mut_ptr(),
                u32::try_from(self.headers.len()).unwrap_or(0),
                flags,
                null_mut(),
            )
        };
        self.used = usize::try_from(received).unwrap_or(0).min(self.headers.len());
        if received < 0 {
            counters.receive_failed(&io::Error::last_os_error());
        }
        for slot in 0..self.used {
            self.take(slot, counters);
        }
        self.batch.len()
    }

    /// Enters what one header brought into the batch, and counts it or why it is not wanted.
    fn take(&mut self, slot: usize, counters: &mut IoCounters) {
        let header = &self.headers[slot];
        let bytes = (header.msg_len as usize).min(RECEIVE_SLOT_BYTES);
        let packet_bytes = self.packet_bytes(slot).unwrap_or(bytes).clamp(1, bytes.max(1));
        let packets = bytes.div_ceil(packet_bytes).max(1);
        counters.packets_received += packets as u64;
        counters.bytes_received += bytes as u64;
        counters.datagrams_received += 1;
        if packets > 1 {
            counters.packets_received_in_trains += packets as u64;
        }
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            counters.dropped_truncated += packets as u64;
            return;
        }
        let length = (header.msg_hdr.msg_namelen as usize).min(self.names[slot].bytes.len());
        let Some(source) = decode(&self.names[slot].bytes[..length]) else {
            counters.dropped_unaddressed += packets as u64;
            return;
        };
        self.sources[slot] = source;
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Ok(slot) = u16::try_from(slot) else { return };
        for packet in 0..packets {
            let start = packet * packet_bytes;
            let bytes = packet_bytes.min(bytes - start);
            self.batch.push(Arrival { slot, start: narrow(start), bytes: narrow(bytes) });
        }
    }

    /// Length of the packets of a train; `None` for a datagram by itself.
    fn packet_bytes(&self, slot: usize) -> Option<usize> {
        let [length, level_and_kind, value] = self.controls[slot].map(u64::to_ne_bytes);
        let number = |bytes: [u8; 8], half: usize| {
            let half = bytes[4 * half..][..4].try_into();
            i32::from_ne_bytes(half.expect("invariant: half of eight bytes is four"))
        };
        // `struct cmsghdr` and an int: what CMSG_LEN says for four bytes.
        let whole = self.headers[slot].msg_hdr.msg_controllen >= 20
            && u64::from_ne_bytes(length) == 20
            && (number(level_and_kind, 0), number(level_and_kind, 1)) == (SOL_UDP, UDP_GRO);
        whole.then(|| usize::try_from(number(value, 0)).ok()).flatten()
    }
}

/// Bytes offered for a source address.
const NAME_BYTES: libc::socklen_t = 28;
const _: () = assert!(NAME_BYTES as usize == crate::io::address::NAME_BYTES);

/// A message header that points to nothing.
pub(super) fn empty_message() -> libc::msghdr {
    // SAFETY: all fields are integers and pointers, for which zero is a value.
    unsafe { core::mem::zeroed() }
}
