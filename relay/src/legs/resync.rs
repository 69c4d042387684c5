//! Drops the legs that control does not want, a bounded piece at a time.

use super::slots::Slot;
use super::table::LegTable;
use crate::capacity::SWEEP_LEGS;
use kakehashi_wire::id::LegId;
use kakehashi_wire::relay::Resync;
use std::ops::RangeInclusive;

/// A range of leg numbers, and the ones of it that are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    range: RangeInclusive<LegId>,
    keep: Vec<LegId>,
}

impl From<Resync> for Wanted {
    fn from(mut from: Resync) -> Self {
        from.keep.sort_unstable();
        Self { range: from.first..=from.last, keep: from.keep }
    }
}

impl Wanted {
    /// Whether `leg` is in the range and not wanted.
    pub(crate) fn drops(&self, leg: LegId) -> bool {
        self.range.contains(&leg) && !self.has(leg)
    }

    /// Whether `leg` is wanted.
    fn has(&self, leg: LegId) -> bool {
        self.keep.binary_search(&leg).is_ok()
    }
}

/// How far a resync has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResyncCursor(u32);

impl LegTable {
    /// Drops unwanted legs among the next [`SWEEP_LEGS`] places; `true` when all were visited. No
    /// order may be applied between the first and the last piece.
    pub fn resync(&mut self, wanted: &Wanted, cursor: &mut ResyncCursor) -> bool {
        let reach = self.reach();
        let end = reach.min(cursor.0.saturating_add(SWEEP_LEGS));
        for slot in (cursor.0..end).map(Slot::from_number) {
            if self.leg(slot).is_some_and(|leg| wanted.drops(leg.id())) {
                self.remove(slot);
            } else if let Some(leg) = self.legs.get_mut(slot).filter(|leg| wanted.has(leg.id())) {
                // Whoever says what is wanted may not have heard what was reported before.
                leg.streams.report_again();
            }
        }
        cursor.0 = end;
        end == reach
    }
}
