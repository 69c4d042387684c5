//! When the kernel is told that a neighbour is in use, so that it resolves or probes it.

use super::facts::Hop;
use crate::capacity::{NEIGHBOUR_ASK_MS, NEIGHBOUR_PAUSE_MS};
use crate::tick::Tick;
use std::collections::{BTreeSet, HashMap};

/// The neighbours in use, each with the time of its next turn.
#[derive(Default)]
pub(super) struct Agenda {
    turns: BTreeSet<(Tick, Hop)>,
    hops: HashMap<Hop, Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    due: Tick,
    last: Option<Tick>,
}

impl Agenda {
    /// A neighbour came into use: its turn is now.
    pub(super) fn add(&mut self, hop: Hop, now: Tick) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.hops.entry(hop) {
            place.insert(Turn { due: now, last: None });
            self.turns.insert((now, hop));
        }
    }

    /// A neighbour is no longer in use.
    pub(super) fn remove(&mut self, hop: Hop) {
        if let Some(turn) = self.hops.remove(&hop) {
            self.turns.remove(&(turn.due, hop));
        }
    }

    /// A neighbour in use went missing: its turn is now, or a pause after the last. Without a
    /// pause, a kernel whose table is full and this agenda would keep each other busy.
    pub(super) fn hasten(&mut self, hop: Hop, now: Tick) {
        let Some(turn) = self.hops.get_mut(&hop) else { return };
        let soonest = turn.last.map_or(now, |last| last.after_ms(NEIGHBOUR_PAUSE_MS).max(now));
        if soonest < turn.due {
            self.turns.remove(&(turn.due, hop));
            turn.due = soonest;
            self.turns.insert((soonest, hop));
        }
    }

    /// A neighbour whose turn has come; its next is set.
    pub(super) fn next(&mut self, now: Tick) -> Option<Hop> {
        let first = *self.turns.first().filter(|(due, _)| *due <= now)?;
        self.turns.remove(&first);
        let (_, hop) = first;
        let due = now.after_ms(NEIGHBOUR_ASK_MS);
        self.hops.insert(hop, Turn { due, last: Some(now) });
        self.turns.insert((due, hop));
        Some(hop)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.turns.len(), self.hops.len());
        self.hops.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::routes::links::LinkId;

    fn hop(last: u8) -> Hop {
        Hop { link: LinkId(2), ip: [192, 0, 2, last].into() }
    }

    fn due(agenda: &mut Agenda, now: u64) -> Vec<Hop> {
        std::iter::from_fn(|| agenda.next(Tick(now))).collect()
    }

    #[test]
    fn a_neighbour_in_use_has_its_turn_at_once_and_then_regularly() {
        let mut agenda = Agenda::default();
        agenda.add(hop(1), Tick(10));
        agenda.add(hop(1), Tick(11));
        assert_eq!(due(&mut agenda, 11), [hop(1)]);
        agenda.add(hop(2), Tick(5_000));
        assert_eq!(due(&mut agenda, 5_000), [hop(2)]);
        assert_eq!(due(&mut agenda, 10 + NEIGHBOUR_ASK_MS), []);
        assert_eq!(due(&mut agenda, 11 + NEIGHBOUR_ASK_MS), [hop(1)]);
        agenda.remove(hop(2));
        assert_eq!(due(&mut agenda, 9_999 + NEIGHBOUR_ASK_MS), []);
        assert_eq!(agenda.len(), 1);
    }

    #[test]
    fn one_that_goes_missing_again_and_again_waits_its_pause() {
        let mut agenda = Agenda::default();
        agenda.add(hop(1), Tick(0));
        assert_eq!(due(&mut agenda, 0), [hop(1)]);
        agenda.hasten(hop(1), Tick(1));
        agenda.hasten(hop(2), Tick(1));
        assert_eq!(due(&mut agenda, NEIGHBOUR_PAUSE_MS - 1), []);
        assert_eq!(due(&mut agenda, NEIGHBOUR_PAUSE_MS), [hop(1)]);
        agenda.hasten(hop(1), Tick(3 * NEIGHBOUR_PAUSE_MS));
        assert_eq!(due(&mut agenda, 3 * NEIGHBOUR_PAUSE_MS), [hop(1)]);
    }
}
