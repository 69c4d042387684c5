//! All legs of a shard, and the ways to find one.
//!
//! Room for every leg is reserved when the table is made. A packet finds a leg, a stream, the
//! other legs of its call, and changes what is inside a leg; only orders and time add or remove.

use super::calls::{CallSlot, Calls};
use super::hash::{NumberMap, number_map};
use super::leg::Leg;
use super::slots::{Slot, Slots};
use super::streams::{Lane, StreamIndex};
use super::tombstones::Tombstones;
use crate::capacity::TOMBSTONES;
use kakehashi_srtp::{Provider, Scratch, SrtpError};
use kakehashi_wire::id::{CallId, LegId};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::rtp::Ssrc;

/// The legs of one shard.
pub struct LegTable {
    pub(super) provider: Provider,
    pub(super) legs: Slots<Leg>,
    pub(super) places: NumberMap<LegId, Slot>,
    pub(super) streams: NumberMap<Ssrc, (Slot, StreamIndex)>,
    pub(super) calls: Calls,
    pub(super) tombstones: Tombstones,
    /// Where the next sweep for ended legs begins.
    pub(super) sweep: u32,
    scratch: Scratch,
}

impl LegTable {
    /// An empty table for at most `legs_max` legs, whose packets `provider` authenticates.
    pub fn new(legs_max: usize, provider: Provider) -> Self {
        Self {
            provider,
            legs: Slots::new(legs_max),
            places: number_map(legs_max),
            streams: number_map(legs_max.saturating_mul(STREAMS_PER_LEG_MAX)),
            calls: Calls::new(legs_max),
            tombstones: Tombstones::new(TOMBSTONES),
            sweep: 0,
            scratch: Scratch::new(),
        }
    }

    /// Legs in it.
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether it holds no leg.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls that have a leg in it.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Removed legs it remembers.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// The leg at a place.
    pub fn leg(&self, slot: Slot) -> Option<&Leg> {
        self.legs.get(slot)
    }

    /// The leg at a place, to be told of something authentic.
    pub fn leg_mut(&mut self, slot: Slot) -> Option<&mut Leg> {
        self.legs.get_mut(slot)
    }

    /// The place of a leg.
    pub fn find(&self, leg: LegId) -> Option<Slot> {
        self.places.get(&leg).copied()
    }

    /// The leg and stream that may send with `ssrc`.
    pub fn find_stream(&self, ssrc: Ssrc) -> Option<(Slot, StreamIndex)> {
        self.streams.get(&ssrc).copied()
    }

    /// The call a leg belongs to.
    pub fn call_of(&self, slot: Slot) -> Option<CallId> {
        self.calls.id(self.leg(slot)?.call)
    }

    /// The other legs of the same call.
    pub fn others(&self, slot: Slot) -> impl Iterator<Item = &Leg> {
        let call = self.leg(slot).map(|leg| leg.call);
        let places = call.into_iter().flat_map(move |call: CallSlot| self.calls.others(call, slot));
        places.filter_map(|other| self.leg(other))
    }

    /// Checks that `packet` of a stream is authentic and new, and remembers it.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then.
    pub fn authenticate(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        lane: Lane,
        packet: &[u8],
    ) -> Result<(), SrtpError> {
        let leg = self.legs.get_mut(slot).ok_or(SrtpError::UnknownSsrc)?;
        leg.streams.authenticate(stream, lane, packet, &mut self.scratch)
    }

    /// Places that were ever in use.
    pub(super) fn reach(&self) -> u32 {
        self.legs.reach()
    }

    /// Drops a leg, all ways to find it, and its keys.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(leg) = self.legs.get(slot) else { return };
        for (_, ssrc) in leg.streams.ssrcs() {
            self.streams.remove(&ssrc);
        }
        self.places.remove(&leg.id);
        self.calls.part(leg.call, slot);
        self.legs.remove(slot);
    }
}
