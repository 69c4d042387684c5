//! Which of the last packets of one SSRC have been accepted (RFC 3711 3.3.2).
//!
//! ```text
//!            older                 REPLAY_WINDOW_PACKETS                      newer
//!   ... too old ... | fresh or seen, one bit each ............ highest | fresh ...
//!                     next - 1024                              next - 1  next
//! ```
//! The bit of index i is bit i mod 1,024, so moving the window on only clears the bits of the
//! positions it newly covers. Asking and committing are two steps: a packet is committed only
//! after its tag has verified.

use crate::capacity::REPLAY_WINDOW_PACKETS;

const WORDS: usize = REPLAY_WINDOW_PACKETS / 64;
const WINDOW: u64 = REPLAY_WINDOW_PACKETS as u64;

/// Where an index lies in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    /// Ahead of the window, or inside and not accepted so far.
    Fresh,
    /// Inside the window and accepted before.
    Duplicate,
    /// Behind the window: unknown.
    TooOld,
}

/// The window of one SSRC; RTP and RTCP have one each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReplayWindow {
    /// One more than the highest accepted index; 0 before the first.
    next: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has accepted nothing.
    pub(crate) const fn new() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// A window that takes everything up to `highest` for accepted. What others accepted is not
    /// known bit by bit, and losing a late packet is better than accepting one twice.
    pub(crate) const fn resume(highest: u64) -> Self {
        Self { next: highest.saturating_add(1), seen: [u64::MAX; WORDS] }
    }

    /// The highest accepted index.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Whether `index` may be accepted. Changes nothing.
    pub(crate) fn check(&self, index: u64) -> Freshness {
        if index >= self.next {
            return Freshness::Fresh;
        }
        if self.next - index > WINDOW {
            return Freshness::TooOld;
        }
        let (word, bit) = place(index);
        if self.seen[word] & bit == 0 { Freshness::Fresh } else { Freshness::Duplicate }
    }

    /// Marks `index`, which [`check`](Self::check) called fresh and whose packet is authentic.
    pub(crate) fn commit(&mut self, index: u64) {
        debug_assert_eq!(self.check(index), Freshness::Fresh, "commit follows check");
        if index >= self.next {
            if index - self.next >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for passed in self.next..index {
                    let (word, bit) = place(passed);
                    self.seen[word] &= !bit;
                }
            }
            self.next = index + 1;
        }
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }
}

fn place(index: u64) -> (usize, u64) {
    let at = usize::try_from(index % WINDOW).expect("invariant: below the window's size");
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The window as a set: slow and obvious.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn check(&self, index: u64) -> Freshness {
            match self.0.last() {
                Some(&highest) if index + WINDOW <= highest => Freshness::TooOld,
                _ if self.0.contains(&index) => Freshness::Duplicate,
                _ => Freshness::Fresh,
            }
        }
    }

    #[test]
    fn the_edges_of_the_window_are_exact() {
        let mut window = ReplayWindow::new();
        window.commit(5_000);
        assert_eq!(window.check(5_000), Freshness::Duplicate);
        assert_eq!(window.check(5_000 - WINDOW + 1), Freshness::Fresh);
        assert_eq!(window.check(5_000 - WINDOW), Freshness::TooOld);
        window.commit(5_000 - WINDOW + 1);
        window.commit(5_001);
        assert_eq!(window.check(5_000 - WINDOW + 1), Freshness::TooOld);
        assert_eq!(window.check(5_000 - WINDOW + 2), Freshness::Fresh);
        assert_eq!(window.highest(), Some(5_001));
    }

    #[test]
    fn a_resumed_window_accepts_only_what_is_newer() {
        let mut window = ReplayWindow::resume(700);
        assert_eq!(window.check(700), Freshness::Duplicate);
        assert_eq!(window.check(1), Freshness::Duplicate);
        window.commit(703);
        assert_eq!(window.check(701), Freshness::Fresh);
        assert_eq!(window.check(700), Freshness::Duplicate);
    }

    proptest! {
        #[test]
        fn the_window_equals_a_set(
            start in 0_u64..3_000,
            steps in prop::collection::vec(
                prop_oneof![8 => -6_i64..6, 2 => -1_100_i64..1_100, 1 => -3_000_i64..3_000],
                1..400,
            ),
        ) {
            let (mut window, mut model, mut at) = (ReplayWindow::new(), Model::default(), start);
            for step in steps {
                at = at.saturating_add_signed(step);
                let verdict = window.check(at);
                prop_assert_eq!(verdict, model.check(at), "index {}", at);
                if verdict == Freshness::Fresh {
                    window.commit(at);
                    model.0.insert(at);
                }
                prop_assert_eq!(window.highest(), model.0.last().copied());
            }
        }
    }
}
