//! Removed legs, so that an order which was overtaken by a removal cannot revive one.

use super::hash::{NumberMap, number_map};
use kakehashi_wire::id::{Generation, LegId};
use std::collections::VecDeque;

/// The generations at which the last few legs were removed; the oldest make room.
pub(super) struct Tombstones {
    generations: NumberMap<LegId, Generation>,
    ages: VecDeque<(LegId, Generation)>,
    limit: usize,
    /// Highest generation of any that made room.
    forgotten: Generation,
}

impl Tombstones {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            generations: number_map(limit),
            ages: VecDeque::with_capacity(limit),
            limit,
            forgotten: Generation(0),
        }
    }

    pub(super) fn get(&self, leg: LegId) -> Option<Generation> {
        self.generations.get(&leg).copied()
    }

    pub(super) fn set(&mut self, leg: LegId, generation: Generation) {
        if self.ages.len() >= self.limit
            && let Some((oldest, generation)) = self.ages.pop_front()
        {
            self.forgotten = self.forgotten.max(generation);
            if self.get(oldest) == Some(generation) {
                self.generations.remove(&oldest);
            }
        }
        self.ages.push_back((leg, generation));
        self.generations.insert(leg, generation);
    }

    /// Up to which generation orders may have been carried out that nothing is known of any more.
    pub(super) fn forgotten(&self) -> Generation {
        self.forgotten
    }

    pub(super) fn len(&self) -> usize {
        self.generations.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_memory_is_bounded() {
        let mut stones = Tombstones::new(3);
        (1..=4).for_each(|leg| stones.set(LegId(leg), Generation(leg)));
        assert_eq!((stones.get(LegId(1)), stones.len()), (None, 3));
        assert_eq!(stones.forgotten(), Generation(1));
        stones.set(LegId(2), Generation(9));
        stones.set(LegId(5), Generation(5));
        assert_eq!(stones.get(LegId(2)), Some(Generation(9)), "its older age must not evict it");
        for n in 0..1_000 {
            stones.set(LegId(7), Generation(n));
        }
        assert!(stones.len() <= 3 && stones.ages.len() <= 3);
    }
}
