//! Which legs belong together.

use super::hash::{NumberMap, number_map};
use super::slots::{Slot, Slots};
use kakehashi_wire::id::CallId;
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;

/// The place of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CallSlot(Slot);

/// A call as its legs see it.
struct Call {
    id: CallId,
    /// Dense: the first `count` are the legs.
    legs: [Slot; LEGS_PER_CALL_MAX],
    count: usize,
}

impl Call {
    fn legs(&self) -> &[Slot] {
        &self.legs[..self.count]
    }

    fn add(&mut self, leg: Slot) -> Option<()> {
        *self.legs.get_mut(self.count)? = leg;
        self.count += 1;
        Some(())
    }

    fn drop(&mut self, leg: Slot) {
        if let Some(at) = self.legs().iter().position(|entry| *entry == leg) {
            self.count -= 1;
            self.legs.swap(at, self.count);
        }
    }
}

/// All calls of a shard that have a leg.
pub(super) struct Calls {
    places: NumberMap<CallId, CallSlot>,
    calls: Slots<Call>,
}

impl Calls {
    /// Room for as many calls as legs: none is without one.
    pub(super) fn new(legs_max: usize) -> Self {
        Self { places: number_map(legs_max), calls: Slots::new(legs_max) }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn id(&self, place: CallSlot) -> Option<CallId> {
        self.calls.get(place.0).map(|call| call.id)
    }

    /// Whether another leg may join `call`.
    pub(super) fn has_room(&self, call: CallId) -> bool {
        match self.places.get(&call) {
            Some(place) => {
                self.calls.get(place.0).is_some_and(|call| call.count < LEGS_PER_CALL_MAX)
            }
            None => self.calls.has_room(),
        }
    }

    /// Enters `leg`, beginning the call if it is the first; `None` if there is no room.
    pub(super) fn join(&mut self, id: CallId, leg: Slot) -> Option<CallSlot> {
        let Some(place) = self.places.get(&id).copied() else {
            let call = Call { id, legs: [leg; LEGS_PER_CALL_MAX], count: 1 };
            let place = CallSlot(self.calls.insert(call)?);
            self.places.insert(id, place);
            return Some(place);
        };
        self.calls.get_mut(place.0)?.add(leg)?;
        Some(place)
    }

    /// Takes `leg` out; the call ends with its last leg.
    pub(super) fn part(&mut self, place: CallSlot, leg: Slot) {
        let Some(call) = self.calls.get_mut(place.0) else { return };
        call.drop(leg);
        if call.count == 0 {
            self.places.remove(&call.id);
            self.calls.remove(place.0);
        }
    }

    /// Every leg of the call but `leg`.
    pub(super) fn others(&self, place: CallSlot, leg: Slot) -> impl Iterator<Item = Slot> + '_ {
        let legs = self.calls.get(place.0).map_or(&[][..], Call::legs);
        legs.iter().copied().filter(move |other| *other != leg)
    }
}
