//! Sending: the hops of a turn in as few `sendmmsg` calls as they fit, a train a send
//! (`UDP_SEGMENT`).
//!
//! UDP copies the payload into its own memory inside the call, so when it returns, buffers may be
//! used again. Where a train cannot be cut apart behind us (EIO: the device cannot; EINVAL and
//! EMSGSIZE: this train to this address cannot), its packets go out one by one.

#![expect(unsafe_code, reason = "sendmmsg is raw, and headers carry raw pointers")]

use super::receive::empty_message;
use crate::capacity::{SENDS_PER_CALL, TURN_HOPS_MAX, TURN_PIECES_MAX};
use crate::io::address::Name;
use crate::io::socket::MediaSocket;
use crate::io::{BatchMemory, IoCounters, bytes_at};
use crate::path::batch::{Hop, Outgoing, Train};
use core::ops::Range;
use core::ptr::null_mut;

/// A control message: cut the payload into packets of this length (`UDP_SEGMENT`, `linux/udp.h`).
#[derive(Clone, Copy)]
#[repr(C)]
struct Segment {
    length: usize,
    level: i32,
    kind: i32,
    packet_bytes: u16,
    _padding: [u8; 6],
}

impl Segment {
    fn new(packet_bytes: u16) -> Self {
        let (level, kind) = (17, 103);
        Self { length: 18, level, kind, packet_bytes, _padding: [0; 6] }
    }
}

const _: () = assert!(size_of::<Segment>() == 24);

/// What one send of a call carries, to count it.
#[derive(Clone, Copy)]
struct Load {
    packets: u16,
    bytes: u32,
    /// The hop to send again packet by packet if it cannot leave as a train.
    hop: Option<u32>,
}

/// The sending side of a shard: everything a call points to.
pub(super) struct Sender {
    names: Box<[Name]>,
    segments: Box<[Segment]>,
    headers: Box<[libc::mmsghdr]>,
    loads: Box<[Load]>,
    used: usize,
    vectors: Vec<libc::iovec>,
    /// Vectors of each train of the turn.
    spans: Vec<Range<usize>>,
    /// Hops whose train could not leave whole.
    refused: Vec<u32>,
    /// Whether trains leave whole at all.
    segments_trains: bool,
}

impl Sender {
    /// Room for a full turn.
    pub(super) fn new() -> Self {
        let header = libc::mmsghdr { msg_hdr: empty_message(), msg_len: 0 };
        Self {
            names: vec![Name::EMPTY; SENDS_PER_CALL].into_boxed_slice(),
            segments: vec![Segment::new(0); SENDS_PER_CALL].into_boxed_slice(),
            headers: vec![header; SENDS_PER_CALL].into_boxed_slice(),
            loads: vec![Load { packets: 0, bytes: 0, hop: None }; SENDS_PER_CALL]
                .into_boxed_slice(),
            used: 0,
            vectors: Vec::with_capacity(TURN_PIECES_MAX),
            spans: Vec::with_capacity(TURN_PIECES_MAX),
            refused: Vec::with_capacity(TURN_HOPS_MAX),
            segments_trains: true,
        }
    }

    /// Does as if a device had refused to cut a train apart.
    #[cfg(test)]
    pub(super) fn stop_segmenting(&mut self) {
        self.segments_trains = false;
    }

    /// Sends the hops with these numbers. What the kernel refuses is counted, not kept.
    pub(super) fn send(
        &mut self,
        socket: &MediaSocket,
        (out, numbers): (&Outgoing, impl Iterator<Item = u32>),
        batch: &impl BatchMemory,
        counters: &mut IoCounters,
    ) {
        self.point_to_trains(out, batch);
        for number in numbers {
            let Some(hop) = out.hops().get(number as usize) else { continue };
            let train = out.train(hop.train);
            let Some(span) = self.spans.get(hop.train.position()).cloned() else { continue };
            if train.packets > 1 && !self.segments_trains {
                self.refused.push(number);
            } else {
                self.line_up(socket, *hop, train, span, number, counters);
            }
            if self.used == SENDS_PER_CALL {
                self.flush(socket, counters);
            }
        }
        self.flush(socket, counters);
        self.send_one_by_one(socket, out, batch, counters);
    }

    /// One vector for each piece; trains to several addresses share theirs.
    fn point_to_trains(&mut self, out: &Outgoing, batch: &impl BatchMemory) {
        self.vectors.clear();
        self.spans.clear();
        for train in out.trains() {
            let start = self.vectors.len();
            let pieces = out.places(train).filter_map(|place| bytes_at(place, out, batch));
            self.vectors.extend(pieces.map(vector));
            self.spans.push(start..self.vectors.len());
        }
    }

    fn line_up(
        &mut self,
        socket: &MediaSocket,
        hop: Hop,
        train: &Train,
        span: Range<usize>,
        number: u32,
        counters: &mut IoCounters,
    ) {
        let Some(name) = Name::of(hop.destination, socket.family()) else {
            counters.send_failed(libc::ENETUNREACH, u64::from(train.packets));
            return;
        };
        let at = self.used;
        self.names[at] = name;
        let vectors = &self.vectors[span];
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = (&raw mut self.names[at].bytes).cast();
        header.msg_namelen = name.length;
        header.msg_iov = vectors.as_ptr().cast_mut();
        header.msg_iovlen = vectors.len();
        let whole = train.packets > 1;
        if whole {
            self.segments[at].packet_bytes = train.packet_bytes;
            header.msg_control = (&raw mut self.segments[at]).cast();
            header.msg_controllen = size_of::<Segment>();
        } else {
            header.msg_control = null_mut();
            header.msg_controllen = 0;
        }
        let hop = whole.then_some(number);
        self.loads[at] = Load { packets: train.packets, bytes: train.bytes, hop };
        self.used += 1;
    }

    /// Hands everything lined up to the kernel.
    fn flush(&mut self, socket: &MediaSocket, counters: &mut IoCounters) {
        let mut done = 0;
        while done < self.used {
            let rest = &mut self.headers[done..self.used];
            counters.send_calls += 1;
            // SAFETY: names, control messages and vectors the headers point to are boxed in
            // `self` and untouched since they were lined up; payloads lie in the arena and the
            // turn's own space, both borrowed by `send` for as long as this runs.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.raw(),
                    rest.as_mut_ptr(),
                    u32::try_from(rest.len()).unwrap_or(0),
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            let sent = usize::try_from(sent).unwrap_or(0).min(rest.len());
            for load in &self.loads[done..done + sent] {
                counters.sent(u64::from(load.packets), u64::from(load.bytes));
            }
            done += sent;
            if done < self.used && sent == 0 {
                self.refuse(done, counters);
                done += 1;
            }
        }
        self.used = 0;
    }

    /// The kernel refused the send at `at`, and says why.
    fn refuse(&mut self, at: usize, counters: &mut IoCounters) {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let load = self.loads[at];
        match (load.hop, errno) {
            (Some(hop), libc::EIO | libc::EINVAL | libc::EMSGSIZE) => {
                if errno == libc::EIO && self.segments_trains {
                    self.segments_trains = false;
                    tracing::warn!(
                        event = "trains_not_sent",
                        "a network device cannot cut trains apart; sending singly"
                    );
                }
                self.refused.push(hop);
            }
            _ => counters.send_failed(errno, u64::from(load.packets)),
        }
    }

    /// Sends the refused trains' packets each by itself.
    fn send_one_by_one(
        &mut self,
        socket: &MediaSocket,
        out: &Outgoing,
        batch: &impl BatchMemory,
        counters: &mut IoCounters,
    ) {
        let refused = core::mem::take(&mut self.refused);
        for hop in refused.iter().filter_map(|hop| out.hops().get(*hop as usize)) {
            let train = out.train(hop.train);
            counters.trains_sent_singly += 1;
            for place in out.places(train) {
                let Some(bytes) = bytes_at(place, out, batch) else { continue };
                for packet in bytes.chunks(usize::from(train.packet_bytes)) {
                    self.line_up_packet(socket, *hop, packet, counters);
                }
            }
            self.flush(socket, counters);
        }
        self.refused = refused;
        self.refused.clear();
    }

    /// Lines up one packet; the vectors of the turn's trains are not needed any more.
    fn line_up_packet(
        &mut self,
        socket: &MediaSocket,
        hop: Hop,
        packet: &[u8],
        counters: &mut IoCounters,
    ) {
        if self.used == SENDS_PER_CALL {
            self.flush(socket, counters);
        }
        if self.used == 0 {
            self.vectors.clear();
        }
        debug_assert!(self.vectors.len() < self.vectors.capacity(), "vectors must not move");
        let (start, bytes) = (self.vectors.len(), u32::try_from(packet.len()).unwrap_or(u32::MAX));
        self.vectors.push(vector(packet));
        let single = Train::single(bytes);
        self.line_up(socket, hop, &single, start..start + 1, 0, counters);
    }
}

fn vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

const _: () = assert!(TURN_PIECES_MAX >= SENDS_PER_CALL);
