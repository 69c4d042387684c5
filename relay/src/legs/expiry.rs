//! Drops legs that control has not renewed.
//!
//! The path itself refuses packets of an expired leg, so a leg is silent from the millisecond it
//! ends; the sweep only gives its place back and zeroises its keys.

use super::slots::Slot;
use super::table::LegTable;
use crate::capacity::SWEEP_LEGS;
use crate::tick::Tick;

impl LegTable {
    /// Visits the next [`SWEEP_LEGS`] places and drops the legs that have ended; returns how many.
    pub fn expire(&mut self, now: Tick) -> usize {
        let reach = self.reach();
        let start = if self.sweep < reach { self.sweep } else { 0 };
        let end = reach.min(start.saturating_add(SWEEP_LEGS));
        self.sweep = end;
        let mut dropped = 0;
        for slot in (start..end).map(Slot::from_number) {
            if self.leg(slot).is_some_and(|leg| leg.has_ended(now)) {
                self.remove(slot);
                dropped += 1;
            }
        }
        dropped
    }
}
