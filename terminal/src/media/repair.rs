//! What a received stream lacks, and when to ask for it: packets, then key frames. Pure.
//!
//! **Numbers and times in, numbers to ask for out.** The relay answers a request from its cache
//! with the packet's bytes as they were (RFC 4585 6.2.1), so what is asked for simply arrives. A
//! packet is worth asking for while the packets behind it still wait; what comes later is no use.

use crate::capacity::{
    KEY_FRAME_REQUEST_INTERVAL, NACK_DELAY, NACK_REPEAT_LEAST, NACK_SEQUENCES_MAX, NACK_TRIES_MAX,
    REPAIR_GAPS_MAX,
};
use crate::clock::Moment;
use crate::packets::counter::SequenceCounter;
use core::time::Duration;
use std::collections::BTreeMap;

/// What became of the packets that were asked for. Those that are neither are still waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RepairCounters {
    /// Different packets asked for.
    pub(super) asked: u64,
    /// Of them, those that came in time.
    pub(super) repaired: u64,
    /// Of them, those that were given up.
    pub(super) given_up: u64,
}

/// The missing packets of one stream.
#[derive(Debug)]
pub(super) struct Repair {
    counter: SequenceCounter,
    highest: Option<u64>,
    gaps: BTreeMap<u64, Gap>,
    counters: RepairCounters,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    asked: u8,
    next: Moment,
}

impl Gap {
    fn due(&self) -> Option<Moment> {
        (self.asked < NACK_TRIES_MAX).then_some(self.next)
    }
}

impl Repair {
    /// For a stream that begins with number `first` if that is known, else with what comes first.
    /// Numbers extend as those of a reorder buffer with the same beginning.
    pub(super) fn new(first: Option<u16>) -> Self {
        let (mut counter, mut highest) = (SequenceCounter::default(), None);
        if let Some(first) = first {
            counter = SequenceCounter::starting_at(first);
            highest = counter.extend(first).checked_sub(1);
        }
        Self { counter, highest, gaps: BTreeMap::new(), counters: RepairCounters::default() }
    }

    /// Takes note of a packet that came for the first time.
    pub(super) fn arrived(&mut self, sequence: u16, now: Moment) {
        let sequence = self.counter.extend(sequence);
        let highest = *self.highest.get_or_insert_with(|| sequence.saturating_sub(1));
        if let Some(gap) = self.gaps.remove(&sequence) {
            self.counters.repaired += u64::from(gap.asked > 0);
        }
        if sequence <= highest {
            return;
        }
        // Of a gap that is too long the newest packets have the most time left.
        let oldest = (highest + 1).max(sequence.saturating_sub(REPAIR_GAPS_MAX as u64));
        let gap = Gap { asked: 0, next: now.plus(NACK_DELAY) };
        self.gaps.extend((oldest..sequence).map(|missing| (missing, gap)));
        while self.gaps.len() > REPAIR_GAPS_MAX {
            let oldest = self.gaps.pop_first();
            self.counters.given_up += u64::from(oldest.is_some_and(|(_, gap)| gap.asked > 0));
        }
        self.highest = Some(sequence);
    }

    /// So many numbers behind the highest are not to come, and nothing before them is worth asking
    /// for any more.
    pub(super) fn pass_over(&mut self, by: u64) {
        self.give_up_before(u64::MAX);
        self.counter.advance(by);
        self.highest = self.highest.map(|highest| highest.saturating_add(by));
    }

    /// Gives up what lies before number `next`, which is played next.
    pub(super) fn give_up_before(&mut self, next: u64) {
        if self.gaps.first_key_value().is_none_or(|(&oldest, _)| oldest >= next) {
            return;
        }
        let left = self.gaps.split_off(&next);
        let gone = core::mem::replace(&mut self.gaps, left);
        let asked = gone.values().filter(|gap| gap.asked > 0).count();
        self.counters.given_up += asked as u64;
    }

    /// The numbers to ask for at `now`, ascending. They are asked for again when an answer, which
    /// takes `round_trip`, has not come.
    pub(super) fn ask(&mut self, now: Moment, round_trip: Duration) -> Vec<u16> {
        let again = now.plus(NACK_REPEAT_LEAST.max(round_trip * 5 / 4));
        let due = self.gaps.iter_mut().filter(|(_, gap)| gap.due().is_some_and(|due| due <= now));
        let mut asked = Vec::new();
        for (&sequence, gap) in due.take(NACK_SEQUENCES_MAX) {
            self.counters.asked += u64::from(gap.asked == 0);
            gap.asked += 1;
            gap.next = again;
            asked.push(u16::try_from(sequence & 0xffff).expect("masked to 16 bits"));
        }
        asked
    }

    /// When [`ask`](Self::ask) has something; `None` if it never has.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.gaps.values().filter_map(Gap::due).min()
    }

    pub(super) fn counters(&self) -> RepairCounters {
        self.counters
    }
}

/// Whether a received video stream needs a key frame, and when to ask for one.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// A decoder can go on with the next frame.
    whole: bool,
    wanted: bool,
    next: Moment,
    asked: u64,
}

impl Pictures {
    /// Packets are missing for good.
    pub(super) fn broken(&mut self) {
        self.whole = false;
        self.wanted = true;
    }

    /// A whole frame came.
    pub(super) fn frame(&mut self, key: bool) {
        self.whole |= key;
        self.wanted = !self.whole;
    }

    /// Whether to ask at `now`.
    pub(super) fn ask(&mut self, now: Moment) -> bool {
        let due = self.next_deadline().is_some_and(|due| due <= now);
        if due {
            self.next = now.plus(KEY_FRAME_REQUEST_INTERVAL);
            self.asked += 1;
        }
        due
    }

    /// When [`ask`](Self::ask) says yes; `None` while pictures are whole.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.wanted.then_some(self.next)
    }

    /// How often was asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEAR: Duration = Duration::from_millis(4);

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    #[test]
    fn a_gap_is_asked_for_after_a_while_and_a_few_times() {
        let mut repair = Repair::new(Some(0xfffe));
        repair.arrived(0xfffe, ms(0));
        repair.arrived(1, ms(0));
        let mut asked = Vec::new();
        for now in 0..200 {
            let numbers = repair.ask(ms(now), NEAR);
            if !numbers.is_empty() {
                assert_eq!(numbers, [0xffff, 0]);
                asked.push(now);
            }
        }
        assert_eq!(asked, [10, 35, 60]);
        assert_eq!(repair.next_deadline(), None);
        repair.arrived(0, ms(70));
        repair.give_up_before(SequenceCounter::START + 0x1_0001);
        let expected = RepairCounters { asked: 2, repaired: 1, given_up: 1 };
        assert_eq!(repair.counters(), expected);
    }

    #[test]
    fn what_was_only_overtaken_is_not_asked_for_and_a_far_relay_is_given_time() {
        let mut repair = Repair::new(None);
        repair.arrived(7, ms(0));
        repair.arrived(9, ms(0));
        repair.arrived(8, ms(9));
        assert_eq!(repair.next_deadline(), None);
        repair.arrived(11, ms(20));
        let far = Duration::from_millis(80);
        assert_eq!(repair.ask(ms(30), far), [10]);
        assert_eq!(repair.next_deadline(), Some(ms(130)));
        assert_eq!(repair.counters().asked, 1);
    }

    #[test]
    fn after_an_outage_the_newest_are_asked_for_in_bounded_portions() {
        let mut repair = Repair::new(Some(0));
        repair.arrived(10_000, ms(0));
        let mut numbers = Vec::new();
        while repair.next_deadline().is_some_and(|due| due <= ms(10)) {
            let portion = repair.ask(ms(10), NEAR);
            assert!((1..=NACK_SEQUENCES_MAX).contains(&portion.len()));
            numbers.extend(portion);
        }
        assert!(numbers.into_iter().eq(10_000 - REPAIR_GAPS_MAX as u16..10_000));
    }

    #[test]
    fn a_key_frame_is_asked_for_until_one_came() {
        let mut pictures = Pictures::default();
        assert!(!pictures.ask(ms(0)));
        pictures.frame(true);
        pictures.frame(false);
        assert_eq!(pictures.next_deadline(), None);
        pictures.broken();
        let asked: Vec<_> = (0..1_200)
            .filter(|&now| {
                pictures.frame(false);
                pictures.ask(ms(now))
            })
            .collect();
        assert_eq!(asked, [0, 500, 1_000]);
        pictures.frame(true);
        assert!(!pictures.ask(ms(9_000)));
        pictures.broken();
        assert!(pictures.ask(ms(9_001)));
        assert_eq!(pictures.asked(), 4);
    }

    #[test]
    fn who_comes_amid_the_pictures_asks_for_a_key_frame() {
        let mut pictures = Pictures::default();
        pictures.frame(false);
        assert!(pictures.ask(ms(1)));
    }

    proptest! {
        #[test]
        fn every_number_asked_for_is_repaired_or_given_up(
            steps in prop::collection::vec((0_u16..40, 0_u64..30, any::<bool>()), 1..300),
        ) {
            let mut repair = Repair::new(Some(5));
            let (mut sequence, mut now, mut open) = (5_u16, 0, Vec::new());
            for (jump, wait, heal) in steps {
                now += wait;
                sequence = sequence.wrapping_add(jump);
                repair.arrived(sequence, ms(now));
                open.extend(repair.ask(ms(now), NEAR));
                prop_assert!(repair.gaps.len() <= REPAIR_GAPS_MAX);
                if heal && let Some(asked) = open.pop() {
                    repair.arrived(asked, ms(now));
                }
            }
            repair.give_up_before(u64::MAX);
            let counters = repair.counters();
            prop_assert_eq!(counters.asked, counters.repaired + counters.given_up);
            prop_assert_eq!(repair.next_deadline(), None);
        }
    }
}
