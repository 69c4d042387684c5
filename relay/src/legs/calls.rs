//! Which legs belong together, and who of them receives what.

use super::hash::{NumberMap, number_map};
use super::slots::{Slot, Slots};
use super::streams::StreamIndex;
use kakehashi_wire::id::CallId;
use kakehashi_wire::limits::{LEGS_PER_CALL_MAX, STREAMS_PER_LEG_MAX};

/// The place of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CallSlot(Slot);

/// The place of a leg in its call. It keeps it for life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(u8);

impl Position {
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Some legs of one call: a bit for each position.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Members(u32);

const _: () = assert!(LEGS_PER_CALL_MAX <= u32::BITS as usize);

impl Members {
    pub(super) fn of(position: Position) -> Self {
        Self(1 << position.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These without `others`.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those that are among `others` too.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// These and `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl Iterator for Members {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let lowest = u8::try_from(self.0.trailing_zeros()).ok()?;
        (self.0 != 0).then(|| {
            self.0 &= self.0 - 1;
            Position(lowest)
        })
    }
}

/// Who does not want which stream: for each position and stream the receivers that left it out.
type LeftOut = [[Members; STREAMS_PER_LEG_MAX]; LEGS_PER_CALL_MAX];

/// A call as its legs see it. Of a call of two a packet needs the first line.
#[repr(C, align(64))]
struct Call {
    id: CallId,
    present: Members,
    /// Those in the seal lane.
    sealed: Members,
    /// Absent while everyone receives everything: the rule.
    left_out: Option<Box<LeftOut>>,
    /// Whether anyone of it has asked for a repetition: only then packets are worth keeping.
    loses_packets: bool,
    legs: [Slot; LEGS_PER_CALL_MAX],
}

/// All calls of a shard that have a leg.
pub(super) struct Calls {
    places: NumberMap<CallId, CallSlot>,
    calls: Slots<Call>,
}

/// Who receives a stream.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Receivers {
    /// Those who get the sender's own bytes.
    pub pass: Members,
    /// Those who get it sealed anew.
    pub seal: Members,
    /// Whether it is kept for repetition.
    pub keep: bool,
}

impl Calls {
    /// Room for as many calls as legs: none is without one.
    pub(super) fn new(legs_max: usize) -> Self {
        Self { places: number_map(legs_max), calls: Slots::new(legs_max) }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Fetches what a packet of a small call needs of it.
    pub(super) fn prefetch(&self, place: CallSlot) {
        self.calls.prefetch(place.0, 0..1);
    }

    pub(super) fn id(&self, place: CallSlot) -> Option<CallId> {
        self.calls.get(place.0).map(|call| call.id)
    }

    /// Whether another leg may join `call`.
    pub(super) fn has_room(&self, call: CallId) -> bool {
        match self.places.get(&call) {
            Some(place) => self.calls.get(place.0).is_some_and(|call| call.free().is_some()),
            None => self.calls.has_room(),
        }
    }

    /// Enters `leg`, beginning the call if it is the first; `None` if there is no room.
    pub(super) fn join(&mut self, id: CallId, leg: Slot) -> Option<(CallSlot, Position)> {
        let Some(place) = self.places.get(&id).copied() else {
            let (position, none) = (Position(0), Members::default());
            let call = Call {
                id,
                present: Members::of(position),
                sealed: none,
                legs: [leg; LEGS_PER_CALL_MAX],
                left_out: None,
                loses_packets: false,
            };
            let place = CallSlot(self.calls.insert(call)?);
            self.places.insert(id, place);
            return Some((place, position));
        };
        let call = self.calls.get_mut(place.0)?;
        let position = call.free()?;
        call.present = call.present.or(Members::of(position));
        call.legs[position.index()] = leg;
        Some((place, position))
    }

    /// Takes the leg at `position` out; the call ends with its last leg.
    pub(super) fn part(&mut self, place: CallSlot, position: Position) {
        let Some(call) = self.calls.get_mut(place.0) else { return };
        let gone = Members::of(position);
        call.present = call.present.without(gone);
        call.sealed = call.sealed.without(gone);
        if let Some(left_out) = &mut call.left_out {
            left_out[position.index()] = Default::default();
            left_out.iter_mut().flatten().for_each(|stream| *stream = stream.without(gone));
        }
        if call.present.is_empty() {
            self.places.remove(&call.id);
            self.calls.remove(place.0);
        }
    }

    /// Says in which lane the leg at `position` receives.
    pub(super) fn set_sealed(&mut self, place: CallSlot, position: Position, sealed: bool) {
        let Some(call) = self.calls.get_mut(place.0) else { return };
        let member = Members::of(position);
        call.sealed = if sealed { call.sealed.or(member) } else { call.sealed.without(member) };
    }

    /// Says whether the leg at `receiver` wants a stream of the leg at `sender`.
    pub(super) fn set_wanted(
        &mut self,
        place: CallSlot,
        receiver: Position,
        (sender, stream): (Position, StreamIndex),
        wanted: bool,
    ) {
        let Some(call) = self.calls.get_mut(place.0) else { return };
        if wanted && call.left_out.is_none() {
            return;
        }
        let left_out = call.left_out.get_or_insert_default();
        let of_stream = &mut left_out[sender.index()][stream.index()];
        let member = Members::of(receiver);
        *of_stream = if wanted { of_stream.without(member) } else { of_stream.or(member) };
    }

    /// From now on packets of the call are kept for repetition.
    pub(super) fn start_keeping(&mut self, place: CallSlot) {
        if let Some(call) = self.calls.get_mut(place.0) {
            call.loses_packets = true;
        }
    }

    /// Those of the call who are in the seal lane.
    pub(super) fn sealed(&self, place: CallSlot) -> Members {
        self.calls.get(place.0).map_or_else(Members::default, |call| call.sealed)
    }

    /// Who receives a stream of the leg at `sender`.
    pub(super) fn receivers(
        &self,
        place: CallSlot,
        sender: Position,
        stream: StreamIndex,
    ) -> Receivers {
        let Some(call) = self.calls.get(place.0) else { return Receivers::default() };
        let mut others = call.present.without(Members::of(sender));
        if let Some(left_out) = &call.left_out {
            others = others.without(left_out[sender.index()][stream.index()]);
        }
        Receivers {
            pass: others.without(call.sealed),
            seal: others.and(call.sealed),
            keep: call.loses_packets,
        }
    }

    /// Every leg of the call but the one at `position`.
    pub(super) fn others(&self, place: CallSlot, position: Position) -> Members {
        let present = self.calls.get(place.0).map_or_else(Members::default, |call| call.present);
        present.without(Members::of(position))
    }

    /// The leg at a position.
    pub(super) fn leg(&self, place: CallSlot, position: Position) -> Option<Slot> {
        self.calls.get(place.0)?.legs.get(position.index()).copied()
    }
}

impl Call {
    fn free(&self) -> Option<Position> {
        let free = self.present.0.trailing_ones();
        let position = u8::try_from(free).ok()?;
        (usize::from(position) < LEGS_PER_CALL_MAX).then_some(Position(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_in_order() {
        let members = Members::of(Position(31)).or(Members::of(Position(0)));
        assert_eq!(members.collect::<Vec<_>>(), [Position(0), Position(31)]);
        assert_eq!(Members::default().next(), None);
    }

    #[test]
    fn a_position_is_kept_for_life_and_freed_without_a_trace() {
        let mut calls = Calls::new(8);
        let leg = Slot::from_number;
        let joined: Vec<_> = (0..3).map(|n| calls.join(CallId(1), leg(n)).unwrap()).collect();
        let place = joined[0].0;
        let [a, b, c] = [0, 1, 2].map(|n| joined[n].1);
        calls.set_wanted(place, b, (a, StreamIndex::new(1)), false);
        calls.set_sealed(place, b, true);
        let hears = |calls: &Calls, stream| calls.receivers(place, a, StreamIndex::new(stream));
        assert_eq!(hears(&calls, 0).seal.collect::<Vec<_>>(), [b]);
        assert!(hears(&calls, 1).seal.is_empty());
        assert_eq!(hears(&calls, 1).pass.collect::<Vec<_>>(), [c]);
        calls.part(place, b);
        assert_eq!(calls.leg(place, c), Some(leg(2)), "others stay where they are");
        assert_eq!(calls.join(CallId(1), leg(9)).unwrap().1, b);
        assert_eq!(hears(&calls, 1).pass.collect::<Vec<_>>(), [b, c], "the heir wants everything");
    }
}
