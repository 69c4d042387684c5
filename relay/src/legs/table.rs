//! All legs of a shard, and the ways to find one.
//!
//! Room for every leg is reserved when the table is made. A packet finds a leg, a stream, the
//! other legs of its call, and changes what is inside a leg; only orders and time add or remove.

use super::calls::{Calls, Position, Receivers};
use super::hash::{NumberMap, number_map};
use super::index::SsrcIndex;
use super::leg::Leg;
use super::slots::{Slot, Slots};
use super::streams::StreamIndex;
use super::tombstones::Tombstones;
use crate::capacity::{LEGS_IN_CACHE, TOMBSTONES};
use crate::memory::prefetch;
use kakehashi_srtp::{Opened, OpenedRtcp, PacketIndex, Provider, Scratch, SrtpError};
use kakehashi_wire::id::{CallId, Incarnation, LegId, RelayId};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::rtp::Ssrc;

/// Which life of which relay a table belongs to: what makes its sealing keys its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The relay.
    pub relay: RelayId,
    /// This life of its process.
    pub incarnation: Incarnation,
}

/// The legs of one shard.
pub struct LegTable {
    pub(super) provider: Provider,
    pub(super) identity: Identity,
    pub(super) legs: Slots<Leg>,
    pub(super) places: NumberMap<LegId, Slot>,
    pub(super) streams: SsrcIndex,
    pub(super) calls: Calls,
    pub(super) tombstones: Tombstones,
    /// Where the next sweep for ended legs begins.
    pub(super) sweep: u32,
    scratch: Scratch,
}

impl LegTable {
    /// An empty table for at most `legs_max` legs, whose packets `provider` authenticates.
    pub fn new(legs_max: usize, provider: Provider, identity: Identity) -> Self {
        Self {
            provider,
            identity,
            legs: Slots::new(legs_max),
            places: number_map(legs_max),
            streams: SsrcIndex::new(legs_max.saturating_mul(STREAMS_PER_LEG_MAX)),
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
        self.streams.get(ssrc)
    }

    /// Whether so few legs are held that their memory is at hand anyway.
    pub(crate) fn fits_cache(&self) -> bool {
        self.len() <= LEGS_IN_CACHE
    }

    /// Fetches what [`find_stream`](Self::find_stream) will look at.
    pub(crate) fn prefetch_stream(&self, ssrc: Ssrc) {
        self.streams.prefetch(ssrc);
    }

    /// Fetches what a packet of `ssrc` will need of its leg.
    pub(crate) fn prefetch_leg(&self, ssrc: Ssrc) {
        let found = self.streams.get(ssrc).and_then(|(slot, _)| self.legs.get(slot));
        if let Some(leg) = found {
            prefetch(&leg.hot);
            prefetch(&leg.streams);
        }
    }

    /// The call a leg belongs to.
    pub fn call_of(&self, slot: Slot) -> Option<CallId> {
        self.calls.id(self.leg(slot)?.hot.call)
    }

    /// The places of the other legs of the same call.
    pub fn others(&self, slot: Slot) -> impl Iterator<Item = Slot> + '_ {
        let hot = self.leg(slot).map(|leg| (leg.hot.call, leg.hot.position));
        hot.into_iter().flat_map(move |(call, position)| {
            self.calls.others(call, position).filter_map(move |other| self.calls.leg(call, other))
        })
    }

    /// Who receives a stream of the leg at `slot`.
    pub fn receivers(&self, slot: Slot, stream: StreamIndex) -> Receivers {
        match self.leg(slot) {
            Some(leg) => self.calls.receivers(leg.hot.call, leg.hot.position, stream),
            None => Receivers::default(),
        }
    }

    /// The leg at a position of the call of the leg at `slot`.
    pub fn member(&self, slot: Slot, position: Position) -> Option<Slot> {
        self.calls.leg(self.leg(slot)?.hot.call, position)
    }

    /// Whether anyone who hears the leg at `slot` is in the seal lane.
    pub fn seals(&self, slot: Slot) -> bool {
        self.leg(slot).is_some_and(|leg| self.calls.seals(leg.hot.call))
    }

    /// Checks that an SRTP packet of a stream is authentic and new, and remembers it.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then. So with all below.
    pub fn authenticate(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        packet: &[u8],
    ) -> Result<PacketIndex, SrtpError> {
        let leg = self.legs.get_mut(slot).ok_or(SrtpError::UnknownSsrc)?;
        leg.streams.authenticate(stream, packet, &mut self.scratch)
    }

    /// The same, and writes the plain packet to `out`.
    pub fn open(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let leg = self.legs.get_mut(slot).ok_or(SrtpError::UnknownSsrc)?;
        leg.streams.open(stream, packet, out)
    }

    /// The same for an SRTCP packet.
    pub fn open_rtcp(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<OpenedRtcp, SrtpError> {
        let leg = self.legs.get_mut(slot).ok_or(SrtpError::UnknownSsrc)?;
        leg.streams.open_rtcp(stream, packet, out)
    }

    /// Writes the plain text of a packet accepted before to `out`; gives its length.
    pub fn reopen(
        &self,
        slot: Slot,
        packet: &[u8],
        index: PacketIndex,
        out: &mut [u8],
    ) -> Result<usize, SrtpError> {
        self.leg(slot).ok_or(SrtpError::UnknownSsrc)?.streams.reopen(packet, index, out)
    }

    /// Places that were ever in use.
    pub(super) fn reach(&self) -> u32 {
        self.legs.reach()
    }

    /// Drops a leg, all ways to find it, and its keys.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(leg) = self.legs.get(slot) else { return };
        for (_, ssrc) in leg.streams.ssrcs() {
            self.streams.remove(ssrc);
        }
        self.places.remove(&leg.id);
        self.calls.part(leg.hot.call, leg.hot.position);
        if leg.downlink.is_some() {
            // Its keys have sealed: no order may begin that life again (see `apply`).
            self.tombstones.set(leg.id, leg.generation);
        }
        self.legs.remove(slot);
    }
}
