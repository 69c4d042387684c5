//! Proves each addressed packet: replay window read, tag, replay window written, then the address.
//!
//! Input: packets whose leg is known. Output: [`Authentic`], the only type `route` accepts. The
//! replay window moves only after the tag verifies (RFC 3711 3.3.2); otherwise one forged packet
//! with a high sequence number would mute a terminal. The packet keeps its bytes,
//! and no plain text comes back: what a provider of AES-GCM decrypts to check a tag stays in the
//! table's scratch space, which nothing reads and which is wiped when the table is dropped.

use super::batch::Slot as BufferSlot;
use super::demux::Addressed;
use super::verdict::{Dropped, PathCounters};
use crate::legs::{LegTable, Slot};

/// A media packet that its leg has sent, and that has not been seen before.
pub(super) struct Authentic {
    leg: Slot,
    buffer: BufferSlot,
    bytes: usize,
}

impl Authentic {
    pub(super) fn leg(&self) -> Slot {
        self.leg
    }

    pub(super) fn buffer(&self) -> BufferSlot {
        self.buffer
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The only maker of [`Authentic`].
pub(super) fn authenticate(
    legs: &mut LegTable,
    packet: Addressed<'_>,
    counters: &mut PathCounters,
) -> Result<Authentic, Dropped> {
    let slot = packet.leg();
    let (stream, lane) = packet.stream();
    legs.authenticate(slot, stream, lane, packet.bytes())?;
    let latched = legs.leg_mut(slot).is_some_and(|leg| leg.latch_mut().on_media(packet.source()));
    if latched {
        counters.count_latch();
    }
    Ok(Authentic { leg: slot, buffer: packet.buffer(), bytes: packet.bytes().len() })
}
