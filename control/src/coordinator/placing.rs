//! What placement is to know: the shards there are, and which of them stand by for which calls.

use super::Coordinator;
use crate::capacity::STANDBYS_COUNTED_EVERY;
use crate::clock::Now;
use crate::placement::{Candidate, Standbys};
use std::time::Duration;

/// Which relays carried which calls when they were last counted.
#[derive(Default)]
pub(super) struct Placing {
    standbys: Standbys,
    /// When they are to be counted again.
    due: Duration,
}

impl Coordinator {
    /// Shards that a call could be placed on.
    pub(super) fn candidates(&self, now: Now) -> Vec<Candidate> {
        self.fleet.candidates(&self.placing.standbys, now.since_start)
    }

    /// Counts which relays stand by for which, if it is time. What began since is missing: those
    /// calls are few beside the rest, and their legs count at once.
    pub(super) fn count_standbys(&mut self, now: Now) {
        if now.since_start < self.placing.due {
            return;
        }
        self.placing.due = now.since_start + STANDBYS_COUNTED_EVERY;
        let mut standbys = Standbys::default();
        for media in self.calls.iter().filter_map(|call| call.rounds().current()) {
            let legs = u32::try_from(media.legs_at(0).count()).unwrap_or(u32::MAX);
            let mut places = media.in_use().map(|place| place.seat);
            if let Some(carries) = places.next() {
                standbys.note(carries.relay, places, legs);
            }
        }
        self.placing.standbys = standbys;
    }
}
