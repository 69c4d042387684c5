//! Everything a table knows, to compare before and after (tests only).

use super::latch::Latch;
use super::slots::Slot;
use super::table::LegTable;
use crate::tick::Tick;
use kakehashi_srtp::StreamOpener;
use kakehashi_wire::id::{CallId, Generation, LegId};
use kakehashi_wire::rtp::Ssrc;
use std::collections::BTreeMap;

/// What the table knows of one leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LegSnapshot {
    pub(crate) call: Option<CallId>,
    pub(crate) generation: Generation,
    pub(crate) ends: Tick,
    pub(crate) latch: Latch,
    pub(crate) openers: Vec<StreamOpener>,
    pub(crate) others: Vec<LegId>,
}

/// All a table knows, and the room it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    pub(crate) legs: BTreeMap<LegId, LegSnapshot>,
    pub(crate) streams: BTreeMap<Ssrc, LegId>,
    pub(crate) sizes: [usize; 6],
}

impl LegTable {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut legs = BTreeMap::new();
        for (id, slot) in &self.places {
            let leg = self.leg(*slot).unwrap();
            assert_eq!(leg.id, *id);
            let snapshot = LegSnapshot {
                call: self.call_of(*slot),
                generation: leg.generation,
                ends: leg.hot.ends,
                latch: leg.latch().clone(),
                openers: leg.streams.openers().iter().flatten().cloned().collect(),
                others: self.others(*slot).map(|other| self.leg(other).unwrap().id).collect(),
            };
            legs.insert(*id, snapshot);
        }
        let owner = |(ssrc, slot): (Ssrc, Slot)| (ssrc, self.leg(slot).unwrap().id);
        let streams: BTreeMap<_, _> = self.streams.iter().map(owner).collect();
        let of_legs: usize = legs.values().map(|leg: &LegSnapshot| leg.openers.len()).sum();
        assert_eq!((streams.len(), legs.len()), (of_legs, self.legs.iter().count()));
        let sizes = [
            self.len(),
            self.calls(),
            self.tombstones(),
            self.places.capacity(),
            self.streams.capacity(),
            self.reach() as usize,
        ];
        Snapshot { legs, streams, sizes }
    }
}
