//! The highest load that still passes: doubling until one fails, then halving the gap. Pure.

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Put this load on and [`tell`](Search::tell) whether it passed.
    Try(u64),
    /// The search is over.
    Done {
        /// The highest load that passed, if any did.
        highest: Option<u64>,
        /// Whether a higher one failed; otherwise the search ended at its own maximum.
        failed_above: bool,
    },
}

/// A search for the highest load. A load fails when it failed twice: one disturbance from elsewhere
/// must not halve what a relay is said to carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    next: u64,
    max: u64,
    gap_percent: u64,
    passed: Option<u64>,
    failed: Option<u64>,
    failed_once: bool,
}

impl Search {
    /// Begins with `start` and goes up to `max`; ends when the gap between what passed and what
    /// failed is at most `gap_percent` of what passed, or 1.
    pub fn new(start: u64, max: u64, gap_percent: u64) -> Self {
        let max = max.max(1);
        let next = start.clamp(1, max);
        Self { next, max, gap_percent, passed: None, failed: None, failed_once: false }
    }

    /// What to do now.
    pub fn next(&self) -> Next {
        let done = Next::Done { highest: self.passed, failed_above: self.failed.is_some() };
        match (self.passed, self.failed) {
            (Some(passed), Some(failed))
                if failed - passed <= (passed * self.gap_percent / 100).max(1) =>
            {
                done
            }
            (Some(passed), None) if passed >= self.max => done,
            (None, Some(1)) => done,
            _ => Next::Try(self.next),
        }
    }

    /// What became of the load last tried.
    pub fn tell(&mut self, passed: bool) {
        if !passed && !self.failed_once {
            self.failed_once = true;
            return;
        }
        self.failed_once = false;
        if passed {
            self.passed = Some(self.next);
        } else {
            self.failed = Some(self.next);
        }
        self.next = match (self.passed, self.failed) {
            (passed, Some(failed)) => {
                let passed = passed.unwrap_or(0);
                (passed + (failed - passed) / 2).max(1)
            }
            (Some(passed), None) => passed.saturating_mul(2).min(self.max),
            (None, None) => self.next,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches a modelled relay; gives the result and every load tried.
    fn searched(mut search: Search, mut relay: impl FnMut(u64) -> bool) -> (Next, Vec<u64>) {
        let mut tried = Vec::new();
        loop {
            match search.next() {
                Next::Try(load) => {
                    tried.push(load);
                    assert!(tried.len() < 500, "it does not end: {tried:?}");
                    search.tell(relay(load));
                }
                done => return (done, tried),
            }
        }
    }

    fn done(highest: Option<u64>, failed_above: bool) -> Next {
        Next::Done { highest, failed_above }
    }

    #[test]
    fn it_ramps_and_bisects() {
        let (found, tried) = searched(Search::new(4, 1_000, 0), |load| load <= 37);
        assert_eq!(found, done(Some(37), true));
        assert_eq!(tried[..5], [4, 8, 16, 32, 64]);
    }

    #[test]
    fn what_carries_all_ends_at_the_maximum_and_what_carries_nothing_at_one() {
        assert_eq!(searched(Search::new(3, 100, 5), |_| true).0, done(Some(100), false));
        assert_eq!(searched(Search::new(64, 100, 5), |_| false).0, done(None, true));
    }

    #[test]
    fn one_disturbance_changes_nothing() {
        let mut count = 0;
        let disturbed = |load| {
            count += 1;
            load <= 20 && count != 3
        };
        assert_eq!(searched(Search::new(4, 100, 0), disturbed).0, done(Some(20), true));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_relay_carries(
            carries in 0_u64..2_000,
            start in 0_u64..3_000,
            max in 0_u64..2_500,
            gap_percent in 0_u64..20,
        ) {
            let search = Search::new(start, max, gap_percent);
            let (found, tried) = searched(search, |load| load <= carries);
            let max = max.max(1);
            prop_assert!(tried.iter().all(|load| (1..=max).contains(load)));
            prop_assert!(tried.len() <= 2 * 26);
            let best = carries.min(max);
            match found {
                Next::Done { highest: Some(highest), failed_above } => {
                    prop_assert!(highest <= best);
                    prop_assert!(best - highest <= (highest * gap_percent / 100).max(1));
                    prop_assert!(failed_above || highest == max);
                    prop_assert!(gap_percent > 0 || highest == best);
                }
                Next::Done { highest: None, failed_above } => {
                    prop_assert!(failed_above && carries == 0);
                }
                Next::Try(_) => unreachable!("searched until done"),
            }
        }
    }
}
