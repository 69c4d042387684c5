//! Which of the last packets of one SSRC have been accepted (RFC 3711 3.3.2).
//!
//! ```text
//!            older                  1,024 packets of RTP                      newer
//!   ... too old ... | fresh or seen, one bit each ............ highest | fresh ...
//!                     next - 1024                              next - 1  next
//! ```
//! The bit of index i is bit i mod 1,024, so moving the window on only clears the bits of the
//! positions it newly covers. A window of RTCP is the same with 128 packets. Asking and committing
//! are two steps: a packet is committed only after its tag has verified.

use crate::capacity::{REPLAY_WINDOW_PACKETS, RTCP_REPLAY_WINDOW_PACKETS};

/// The window of RTP.
pub(crate) type RtpWindow = ReplayWindow<{ REPLAY_WINDOW_PACKETS / 64 }>;

/// The window of RTCP.
pub(crate) type RtcpWindow = ReplayWindow<{ RTCP_REPLAY_WINDOW_PACKETS / 64 }>;

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

/// The window of one SSRC, 64 packets a word; RTP and RTCP have one each.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct ReplayWindow<const WORDS: usize> {
    /// One more than the highest accepted index; 0 before the first.
    next: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const PACKETS: u64 = WORDS as u64 * 64;

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
        if self.next - index > Self::PACKETS {
            return Freshness::TooOld;
        }
        let (word, bit) = Self::place(index);
        if self.seen[word] & bit == 0 { Freshness::Fresh } else { Freshness::Duplicate }
    }

    /// Marks `index`, which [`check`](Self::check) called fresh and whose packet is authentic.
    pub(crate) fn commit(&mut self, index: u64) {
        debug_assert_eq!(self.check(index), Freshness::Fresh, "commit follows check");
        if index >= self.next {
            self.pass_over(index);
            self.next = index + 1;
        }
        let (word, bit) = Self::place(index);
        self.seen[word] |= bit;
    }

    /// Clears the bits of the indices from `next` to before `index`, a word at a time: none in the
    /// ordinary case that no packet is missing.
    fn pass_over(&mut self, index: u64) {
        if index - self.next >= Self::PACKETS {
            self.seen = [0; WORDS];
            return;
        }
        let mut at = self.next;
        while at < index {
            let (word, bit) = Self::place(at);
            let count = (64 - at % 64).min(index - at);
            let ones = if count == 64 { u64::MAX } else { (1 << count) - 1 };
            self.seen[word] &= !(ones * bit);
            at += count;
        }
    }

    fn place(index: u64) -> (usize, u64) {
        let word = usize::try_from(index % Self::PACKETS / 64);
        (word.expect("invariant: below the window's size"), 1 << (index % 64))
    }
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
        fn check(&self, window: u64, index: u64) -> Freshness {
            match self.0.last() {
                Some(&highest) if index + window <= highest => Freshness::TooOld,
                _ if self.0.contains(&index) => Freshness::Duplicate,
                _ => Freshness::Fresh,
            }
        }
    }

    const WINDOW: u64 = RtpWindow::PACKETS;

    #[test]
    fn the_edges_of_the_window_are_exact() {
        let mut window = RtpWindow::new();
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
        let mut window = RtpWindow::resume(700);
        assert_eq!(window.check(700), Freshness::Duplicate);
        assert_eq!(window.check(1), Freshness::Duplicate);
        window.commit(703);
        assert_eq!(window.check(701), Freshness::Fresh);
        assert_eq!(window.check(700), Freshness::Duplicate);
    }

    /// Walks `steps` from `start` with a window and with the set.
    fn walk<const WORDS: usize>(start: u64, steps: &[i64]) {
        let mut window = ReplayWindow::<WORDS>::new();
        let (mut model, mut at) = (Model::default(), start);
        for step in steps {
            at = at.saturating_add_signed(*step);
            let verdict = window.check(at);
            assert_eq!(verdict, model.check(WORDS as u64 * 64, at), "index {at}");
            if verdict == Freshness::Fresh {
                window.commit(at);
                model.0.insert(at);
            }
            assert_eq!(window.highest(), model.0.last().copied());
        }
    }

    proptest! {
        #[test]
        fn the_window_equals_a_set(
            start in 0_u64..3_000,
            steps in prop::collection::vec(
                prop_oneof![
                    8 => -6_i64..6,
                    2 => -140_i64..140,
                    2 => -1_100_i64..1_100,
                    1 => -3_000_i64..3_000,
                ],
                1..400,
            ),
        ) {
            walk::<{ REPLAY_WINDOW_PACKETS / 64 }>(start, &steps);
            walk::<{ RTCP_REPLAY_WINDOW_PACKETS / 64 }>(start, &steps);
        }
    }
}
