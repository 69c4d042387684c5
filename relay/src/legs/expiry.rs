//! Drops legs that control has not renewed, and looks for streams that have wrapped.
//!
//! The path itself refuses packets of an expired leg, so a leg is silent from the millisecond it
//! ends; the sweep only gives its place back and zeroises its keys.

use super::slots::Slot;
use super::table::LegTable;
use crate::capacity::SWEEP_LEGS;
use crate::tick::Tick;
use kakehashi_wire::relay::LegStream;

impl LegTable {
    /// Visits the next [`SWEEP_LEGS`] places, drops the legs that have ended and offers `report`
    /// the streams of the others that have wrapped since it last took them; returns how many were
    /// dropped.
    pub fn sweep(&mut self, now: Tick, mut report: impl FnMut(LegStream) -> bool) -> usize {
        let reach = self.reach();
        let start = if self.sweep < reach { self.sweep } else { 0 };
        let end = reach.min(start.saturating_add(SWEEP_LEGS));
        self.sweep = end;
        let mut dropped = 0;
        for slot in (start..end).map(Slot::from_number) {
            match self.legs.get_mut(slot) {
                Some(leg) if leg.has_ended(now) => {
                    self.remove(slot);
                    dropped += 1;
                }
                Some(leg) => leg.streams.report_rollovers(&mut report),
                None => {}
            }
        }
        dropped
    }
}
