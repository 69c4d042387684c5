//! All legs of a shard, and the ways to find one.
//!
//! Room for every leg is reserved when the table is made. A packet finds a leg, a stream, the
//! other legs of its call, and changes what is inside a leg; only orders and time add or remove.

use super::calls::{Calls, Members, Position, Receivers};
use super::downlink::Births;
use super::guests::Guest;
use super::hash::{NumberMap, number_map};
use super::index::SsrcIndex;
use super::leg::Leg;
use super::repair::{Kept, Record, RepairCache};
use super::slots::{Slot, Slots};
use super::streams::StreamIndex;
use super::tombstones::Tombstones;
use crate::capacity::{
    LEGS_IN_CACHE, RECEIVERS_FETCHED, REPAIR_BYTES, REPAIRS_PER_REQUEST, TOMBSTONES,
};
use crate::tick::Tick;
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
    pub(super) births: Births,
    /// What [`guests`](Self::guests) tells next.
    pub(super) guests: Vec<Guest>,
    /// Where the next sweep for ended legs begins.
    pub(super) sweep: u32,
    scratch: Scratch,
    repairs: RepairCache,
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
            births: Births::default(),
            guests: Vec::new(),
            sweep: 0,
            scratch: Scratch::new(),
            repairs: RepairCache::new(REPAIR_BYTES),
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

    /// Fetches what a packet of `ssrc` will need of its leg, and gives the leg's place.
    pub(crate) fn prefetch_leg(&self, ssrc: Ssrc) -> Option<Slot> {
        let (slot, stream) = self.streams.get(ssrc)?;
        Leg::of_a_sender(stream).into_iter().for_each(|part| self.legs.prefetch(slot, part));
        Some(slot)
    }

    /// Fetches the call of a leg.
    pub(crate) fn prefetch_call(&self, slot: Slot) {
        if let Some(leg) = self.leg(slot) {
            self.calls.prefetch(leg.hot.call);
        }
    }

    /// Fetches what sending to the members of a leg's call needs of them.
    pub(crate) fn prefetch_receivers(&self, slot: Slot) {
        let others = self.others(slot).take(RECEIVERS_FETCHED);
        others.for_each(|other| self.legs.prefetch(other, Leg::OF_A_RECEIVER));
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

    /// The members of the call of the leg at `slot` who are in the seal lane.
    pub fn sealed(&self, slot: Slot) -> Members {
        self.leg(slot).map_or_else(Members::default, |leg| self.calls.sealed(leg.hot.call))
    }

    /// The leg at `slot`, as a member of its call.
    pub fn membership(&self, slot: Slot) -> Members {
        self.leg(slot).map_or_else(Members::default, |leg| Members::of(leg.hot.position))
    }

    /// All other members of the call of the leg at `slot`.
    pub fn other_members(&self, slot: Slot) -> Members {
        self.leg(slot)
            .map_or_else(Members::default, |leg| self.calls.others(leg.hot.call, leg.hot.position))
    }

    /// The stream that the leg at `slot` receives as `name`, if it does.
    pub fn heard(&self, slot: Slot, name: Ssrc) -> Option<(Slot, StreamIndex)> {
        let leg = self.leg(slot)?;
        let shown = leg.downlink().and_then(|downlink| downlink.source_of(name));
        let source = shown.map_or(name, |(source, _)| source);
        let (sender, stream) = self.find_stream(source)?;
        let same_call = self.leg(sender)?.hot.call == leg.hot.call;
        let receivers = self.receivers(sender, stream);
        let wanted = receivers.pass.or(receivers.seal).and(self.membership(slot));
        (same_call && !wanted.is_empty()).then_some((sender, stream))
    }

    /// Whether a key frame of a stream may be asked for now; if so, not again for a while.
    pub fn may_ask_for_key_frame(&mut self, slot: Slot, stream: StreamIndex, now: Tick) -> bool {
        self.legs.get_mut(slot).is_some_and(|leg| leg.streams.ask_for_key_frame(stream, now))
    }

    /// Keeps the packets of the call of the leg at `slot` from now on.
    pub fn start_keeping(&mut self, slot: Slot) {
        if let Some(leg) = self.legs.get(slot) {
            self.calls.start_keeping(leg.hot.call);
        }
    }

    /// Keeps a forwarded packet for whoever asks for it again.
    pub fn keep(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        ssrc: Ssrc,
        index: PacketIndex,
        packet: &[u8],
    ) {
        let Some(last) = self.legs.get_mut(slot).map(|leg| leg.streams.last_kept(stream)) else {
            return;
        };
        *last = self.repairs.keep(*last, ssrc, index, packet);
    }

    /// Looks for packets of a stream by their sequence numbers; those found are taken out of
    /// `wanted`. Gives each one's record, index and length, and how many there are.
    pub fn find_kept(
        &mut self,
        slot: Slot,
        stream: StreamIndex,
        wanted: &mut [Option<u16>],
    ) -> ([(Record, PacketIndex, u32); REPAIRS_PER_REQUEST], usize) {
        let mut found = [(Record::default(), PacketIndex::new(0, 0), 0); REPAIRS_PER_REQUEST];
        let mut count = 0;
        let Some(leg) = self.legs.get_mut(slot) else { return (found, 0) };
        let Some(ssrc) = leg.streams.ssrc(stream) else { return (found, 0) };
        let last = *leg.streams.last_kept(stream);
        let mut left = wanted.len();
        for (record, kept) in self.repairs.back_from(last, ssrc) {
            if left == 0 || count == found.len() {
                break;
            }
            let sequence = Some(kept.index.sequence());
            if let Some(place) = wanted.iter_mut().find(|wanted| **wanted == sequence) {
                *place = None;
                let bytes = u32::try_from(kept.packet.len()).unwrap_or(u32::MAX);
                found[count] = (record, kept.index, bytes);
                count += 1;
                left -= 1;
            }
        }
        (found, count)
    }

    /// A packet that [`find_kept`](Self::find_kept) found.
    pub fn kept(&self, record: Record, ssrc: Ssrc) -> Option<Kept<'_>> {
        self.repairs.get(record, ssrc)
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
        let seen_at = leg.seen_at;
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
        self.unsee(seen_at);
    }
}
