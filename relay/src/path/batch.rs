//! What one turn of a shard's loop moves: the packets received, and what is to leave for them.

use crate::capacity::{ANSWER_BYTES_MAX, BATCH_ANSWERS_MAX, BATCH_HOPS_MAX};
use core::net::SocketAddr;

/// Index of a receive buffer, valid for one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(pub u16);

/// A datagram as it came in. Nothing about it has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The buffer it lies in.
    pub slot: Slot,
    /// Where it says it comes from; IPv4 in IPv4 form, never IPv4-mapped.
    pub source: SocketAddr,
    /// The datagram.
    pub bytes: &'a [u8],
}

/// One outgoing copy of a received packet: the same bytes, out of the same buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The buffer the packet lies in.
    pub slot: Slot,
    /// Where it goes.
    pub destination: SocketAddr,
}

/// A datagram the relay writes itself: a STUN answer or path challenge.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    bytes: [u8; ANSWER_BYTES_MAX],
    length: usize,
    /// Where it goes.
    pub destination: SocketAddr,
}

impl Answer {
    /// Copies `bytes`; `None` if they are more than [`ANSWER_BYTES_MAX`].
    pub fn new(bytes: &[u8], destination: SocketAddr) -> Option<Self> {
        let mut kept = [0; ANSWER_BYTES_MAX];
        kept.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: kept, length: bytes.len(), destination })
    }

    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What leaves at the end of a turn, in order. Its room is fixed when it is made.
#[derive(Debug)]
pub struct Outgoing {
    hops: Vec<Hop>,
    answers: Vec<Answer>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            hops: Vec::with_capacity(BATCH_HOPS_MAX),
            answers: Vec::with_capacity(BATCH_ANSWERS_MAX),
        }
    }
}

impl Outgoing {
    /// Adds a hop; `false` if the turn has no room for it, and the hop is dropped.
    #[must_use]
    pub fn hop(&mut self, hop: Hop) -> bool {
        let room = self.hops.len() < BATCH_HOPS_MAX;
        if room {
            self.hops.push(hop);
        }
        room
    }

    /// Adds an answer; `false` if the turn has no room for it, and the answer is dropped.
    #[must_use]
    pub fn answer(&mut self, answer: Answer) -> bool {
        let room = self.answers.len() < BATCH_ANSWERS_MAX;
        if room {
            self.answers.push(answer);
        }
        room
    }

    /// Hops in the order they were added.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// Answers in the order they were added.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// Empties it for the next turn; the room stays.
    pub fn clear(&mut self) {
        self.hops.clear();
        self.answers.clear();
    }
}
