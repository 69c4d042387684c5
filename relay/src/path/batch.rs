//! What one turn of a shard's loop moves: the packets received, and what is to leave for them.
//!
//! A packet leaves in a **train**: packets of one stream, all of the same length but the last,
//! which the kernel takes in one send and cuts apart behind us (`UDP_SEGMENT`). A train holds
//! references, not bytes: its pieces lie where they were received, or in the turn's own space if
//! the relay wrote them. A **hop** sends a train to one address, so a train to twenty receivers
//! is one list of pieces and twenty hops.
//!
//! ```text
//! hops    [ train 0 -> A ] [ train 0 -> B ] [ train 1 -> A ]
//! trains  [ 0: 3 x 1,200 ] [ 1: 1 x 80 ]
//! pieces  [ slot 7, 0..2,400 ]-->[ slot 9, 0..1,200 ]   [ own, 0..80 ]
//! ```

use crate::capacity::{
    DATAGRAM_BYTES_MAX, OPEN_TRAINS, TRAIN_BYTES_MAX, TURN_HOPS_MAX, TURN_OWN_BYTES,
    TURN_PIECES_MAX, TURN_ROOM_BYTES, TURN_ROOM_HOPS, TURN_TRAINS_MAX,
};
use core::net::SocketAddr;
use zeroize::Zeroizing;

/// Room for one packet's plain text.
const WORK_BYTES: usize = DATAGRAM_BYTES_MAX;

/// Index of a receive buffer, valid for one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(pub u16);

/// A datagram as it came in, by itself or out of a train. Nothing about it has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The buffer it lies in.
    pub slot: Slot,
    /// Where in the buffer it begins.
    pub start: u32,
    /// Where it says it comes from; IPv4 in IPv4 form, never IPv4-mapped.
    pub source: SocketAddr,
    /// The datagram.
    pub bytes: &'a [u8],
}

impl Received<'_> {
    /// Where it lies.
    pub fn place(&self) -> Place {
        Place { memory: Memory::Batch(self.slot), start: self.start, bytes: length(self.bytes) }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Which memory bytes lie in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// A receive buffer of this turn.
    Batch(Slot),
    /// The turn's own space: see [`Outgoing::own`].
    Own,
}

/// Where bytes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which memory.
    pub memory: Memory,
    /// Where they begin in it.
    pub start: u32,
    /// How many there are.
    pub bytes: u32,
}

/// Neighbouring packets of a train.
#[derive(Clone, Copy, Debug)]
struct Piece {
    place: Place,
    next: u32,
}

/// What names the stream a train is of: only packets with the same name share a train.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrainFlow(pub u64);

/// Packets that leave in one send to each of their receivers.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    first: u32,
    last: u32,
    hops: u32,
    /// Packets in it.
    pub packets: u16,
    /// Length of each packet but the last, in bytes.
    pub packet_bytes: u16,
    /// Length of all, in bytes.
    pub bytes: u32,
    closed: bool,
}

impl Train {
    /// A train of one packet of `bytes` bytes, outside of any turn.
    pub(crate) fn single(bytes: u32) -> Self {
        let packet_bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        Self { first: NONE, last: NONE, hops: 0, packets: 1, packet_bytes, bytes, closed: true }
    }
}

/// Number of a train of this turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrainIndex(u32);

/// A train on its way to one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// What goes there.
    pub train: TrainIndex,
    /// Where it goes.
    pub destination: SocketAddr,
}

/// The train that packets of a stream may still join.
#[derive(Clone, Copy, Debug)]
struct Open {
    key: TrainFlow,
    turn: u64,
    train: TrainIndex,
}

const NONE: u32 = u32::MAX;

/// What leaves at the end of a turn, in order. Its room is fixed when it is made. It may hold one
/// packet's plain text, so it has no `Debug`.
pub struct Outgoing {
    hops: Vec<Hop>,
    trains: Vec<Train>,
    pieces: Vec<Piece>,
    own: Box<[u8]>,
    own_used: usize,
    work: Zeroizing<Vec<u8>>,
    open: Box<[Open; OPEN_TRAINS]>,
    turn: u64,
    train_packets_max: u16,
}

impl Outgoing {
    /// Empty. A train takes at most `train_packets_max` packets, at least one.
    pub fn new(train_packets_max: u16) -> Self {
        let open = Open { key: TrainFlow(u64::MAX), turn: 0, train: TrainIndex(0) };
        Self {
            hops: Vec::with_capacity(TURN_HOPS_MAX),
            trains: Vec::with_capacity(TURN_TRAINS_MAX),
            pieces: Vec::with_capacity(TURN_PIECES_MAX),
            // Not zeros: those the kernel would only make present packet by packet.
            own: vec![u8::MAX; TURN_OWN_BYTES].into_boxed_slice(),
            own_used: 0,
            work: Zeroizing::new(vec![0; WORK_BYTES]),
            open: Box::new([open; OPEN_TRAINS]),
            turn: 1,
            train_packets_max: train_packets_max.max(1),
        }
    }

    /// Whether any one packet still finds room for all that may leave for it. If not, send and
    /// [`clear`](Self::clear) first: nothing need be dropped.
    pub fn has_room(&self) -> bool {
        self.hops.len() + TURN_ROOM_HOPS <= TURN_HOPS_MAX
            && self.trains.len() + TURN_ROOM_HOPS <= TURN_TRAINS_MAX
            && self.pieces.len() + TURN_ROOM_HOPS <= TURN_PIECES_MAX
            && self.own_used + TURN_ROOM_BYTES <= TURN_OWN_BYTES
    }

    /// Adds a packet to the open train of its stream, if that takes it. Gives how many hops it
    /// leaves with.
    pub fn join(&mut self, key: TrainFlow, packet: Place) -> Option<u32> {
        let open = self.open[opening(key)];
        if open.turn != self.turn || open.key != key {
            return None;
        }
        let train = self.trains.get_mut(open.train.0 as usize)?;
        let (bytes, room) = (packet.bytes, u32::from(train.packet_bytes));
        if train.closed || bytes > room || train.bytes + bytes > TRAIN_BYTES_MAX {
            return None;
        }
        let next = u32::try_from(self.pieces.len()).ok()?;
        let last = self.pieces.get_mut(train.last as usize)?;
        let end = last.place.start + last.place.bytes;
        if last.place.memory == packet.memory && end == packet.start {
            last.place.bytes += bytes;
        } else if (next as usize) < TURN_PIECES_MAX {
            last.next = next;
            train.last = next;
            self.pieces.push(Piece { place: packet, next: NONE });
        } else {
            return None;
        }
        train.packets += 1;
        train.bytes += bytes;
        // Only the last packet of a train may be shorter.
        train.closed = bytes < room || train.packets >= self.train_packets_max;
        Some(train.hops)
    }

    /// Begins a train with a packet; the stream's next packets may [`join`](Self::join) it.
    pub fn begin(&mut self, key: TrainFlow, packet: Place) -> Option<TrainIndex> {
        let train = self.alone(packet)?;
        let closed = self.train_packets_max == 1;
        self.trains[train.0 as usize].closed = closed;
        self.open[opening(key)] = Open { key, turn: self.turn, train };
        Some(train)
    }

    /// A train of one packet that stays alone.
    pub fn alone(&mut self, packet: Place) -> Option<TrainIndex> {
        if self.trains.len() >= TURN_TRAINS_MAX || self.pieces.len() >= TURN_PIECES_MAX {
            return None;
        }
        let piece = u32::try_from(self.pieces.len()).ok()?;
        let train = TrainIndex(u32::try_from(self.trains.len()).ok()?);
        self.pieces.push(Piece { place: packet, next: NONE });
        self.trains.push(Train { first: piece, last: piece, ..Train::single(packet.bytes) });
        Some(train)
    }

    /// Sends a train to an address; `false` if the turn has no room for it.
    #[must_use]
    pub fn hop(&mut self, train: TrainIndex, destination: SocketAddr) -> bool {
        let room = self.hops.len() < TURN_HOPS_MAX;
        if room && let Some(known) = self.trains.get_mut(train.0 as usize) {
            known.hops += 1;
            self.hops.push(Hop { train, destination });
        }
        room
    }

    /// Sends a copy of `bytes` to an address; `false` if the turn has no room for it.
    #[must_use]
    pub fn answer(&mut self, bytes: &[u8], destination: SocketAddr) -> bool {
        let Some(space) = self.space(bytes.len()) else { return false };
        space.copy_from_slice(bytes);
        let place = self.written(bytes.len());
        self.alone(place).is_some_and(|train| self.hop(train, destination))
    }

    /// Where one packet's plain text is put; what was there before is overwritten.
    pub fn work(&mut self) -> &mut [u8] {
        self.work.as_mut_slice()
    }

    /// Room as of [`space`](Self::space) that begins with the first `bytes` bytes of the work
    /// space, and has `more` bytes behind them.
    pub fn copy_of_work(&mut self, bytes: usize, more: usize) -> Option<&mut [u8]> {
        let space = self.own.get_mut(self.own_used..self.own_used + bytes + more)?;
        space[..bytes].copy_from_slice(self.work.get(..bytes)?);
        Some(space)
    }

    /// Room for `bytes` bytes that the relay writes itself; [`written`](Self::written) keeps them.
    pub fn space(&mut self, bytes: usize) -> Option<&mut [u8]> {
        self.own.get_mut(self.own_used..self.own_used + bytes)
    }

    /// Keeps the first `bytes` bytes of the [`space`](Self::space) handed out last.
    pub fn written(&mut self, bytes: usize) -> Place {
        let start = self.own_used;
        self.own_used = (start + bytes).min(TURN_OWN_BYTES);
        let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Place { memory: Memory::Own, start: narrow(start), bytes: narrow(self.own_used - start) }
    }

    /// What the relay wrote itself.
    pub fn own(&self) -> &[u8] {
        &self.own[..self.own_used]
    }

    /// Whether nothing leaves.
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// Hops in the order they were added.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// Trains in the order they were begun.
    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// The train a hop sends.
    pub fn train(&self, index: TrainIndex) -> &Train {
        &self.trains[index.0 as usize]
    }

    /// Where the packets of a train lie, in order; each place holds whole packets.
    pub fn places(&self, train: &Train) -> impl Iterator<Item = Place> + '_ {
        let mut at = train.first;
        core::iter::from_fn(move || {
            let piece = self.pieces.get(at as usize)?;
            at = piece.next;
            Some(piece.place)
        })
    }

    /// Empties it for the next turn; the room stays.
    pub fn clear(&mut self) {
        self.hops.clear();
        self.trains.clear();
        self.pieces.clear();
        self.own_used = 0;
        self.turn += 1;
    }
}

impl TrainIndex {
    /// Its place among the trains of its turn.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// Where the open train of a stream is remembered. Streams that meet here only make shorter trains.
fn opening(key: TrainFlow) -> usize {
    let spread = key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    usize::try_from(spread).unwrap_or(0) % OPEN_TRAINS
}
