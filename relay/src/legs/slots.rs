//! Places for a fixed number of things, re-used when they are freed.

use crate::memory::{in_huge_pages, prefetch_part};
use core::ops::Range;

/// A place. Only meaningful to the `Slots` that handed it out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(u32);

impl Slot {
    /// The place as a number, to travel through a peer and come back unbelieved.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The place of this number, which may not exist.
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// At most `limit` things. Room for all is reserved at once, and touched when it is first used.
pub(super) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<Slot>,
    limit: usize,
}

impl<T> Slots<T> {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        let mut places = Vec::with_capacity(limit);
        in_huge_pages(places.spare_capacity_mut());
        Self { places, free: Vec::with_capacity(limit), limit }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.places.len() < self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Places that were ever in use: the numbers a sweep has to visit.
    pub(super) fn reach(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// The place the next insertion takes.
    pub(super) fn next_slot(&self) -> Option<Slot> {
        let fresh = || (self.places.len() < self.limit).then(|| Slot(self.reach()));
        self.free.last().copied().or_else(fresh)
    }

    pub(super) fn insert(&mut self, thing: T) -> Option<Slot> {
        let slot = self.next_slot()?;
        match self.free.pop() {
            Some(slot) => self.places[slot.0 as usize] = Some(thing),
            None => self.places.push(Some(thing)),
        }
        Some(slot)
    }

    /// Drops the thing where it lies, so that secrets in it are zeroised in place.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(place) = self.places.get_mut(slot.0 as usize)
            && place.is_some()
        {
            *place = None;
            self.free.push(slot);
        }
    }

    /// Fetches some bytes of the thing at a place, without looking whether one is there.
    pub(super) fn prefetch(&self, slot: Slot, bytes: Range<usize>) {
        // What is there lies at the beginning of its place, whether or not that holds more.
        if let Some(place) = self.places.get(slot.0 as usize) {
            prefetch_part(place, bytes);
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.places.get(slot.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.places.get_mut(slot.0 as usize)?.as_mut()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_places_are_used_again_and_the_limit_holds() {
        let mut slots = Slots::new(2);
        let [a, b] = ['a', 'b'].map(|thing| slots.insert(thing).unwrap());
        assert_eq!((slots.insert('c'), slots.has_room(), slots.len()), (None, false, 2));
        slots.remove(a);
        slots.remove(a);
        assert_eq!((slots.get(a), slots.len()), (None, 1));
        assert_eq!(slots.insert('c'), Some(a));
        assert_eq!((slots.get(a), slots.get(b), slots.reach()), (Some(&'c'), Some(&'b'), 2));
        assert_eq!(slots.get(Slot::from_number(7)), None);
    }
}
