//! What goes over relays that are not in use: now and then a packet of each stream, and, when the
//! relay in use may be lost, what was said last. Pure.
//!
//! What a lost relay took with it is repeated by nobody else, and waiting for the next frame would
//! make the silence longer. Whoever has received it drops the copy, as it does any replay.

use crate::capacity::RECENT_PACKETS_MAX;
use crate::clock::Moment;
use core::time::Duration;
use std::collections::VecDeque;

/// How often one media packet of each stream goes over the standby as well, so that its address,
/// replay window and rollover counter stay current.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far back what is said again reaches: the silence after which a relay is in doubt, and a long
/// way to it.
const REACH: Duration = Duration::from_millis(250);

/// A packet as it left.
pub(super) struct Said {
    /// Of which of this terminal's streams.
    pub(super) stream: usize,
    /// Sealed.
    pub(super) packet: Vec<u8>,
    at: Moment,
}

/// What was copied, and what may have to be.
pub(super) struct Copies {
    /// When the last packet of each stream was.
    copied: Vec<Moment>,
    /// The last packets of voice, oldest first.
    said: VecDeque<Said>,
}

impl Copies {
    /// For so many streams, none of which has begun at `now`.
    pub(super) fn new(streams: usize, now: Moment) -> Self {
        Self { copied: vec![now; streams], said: VecDeque::new() }
    }

    /// Whether a packet of `stream` that leaves at `now` is to be copied; if so, it counts as that.
    pub(super) fn is_due(&mut self, stream: usize, now: Moment) -> bool {
        let copied = self.copied.get_mut(stream).filter(|at| now.since(**at) >= INTERVAL);
        copied.map(|at| *at = now).is_some()
    }

    /// A packet of `stream` leaves.
    pub(super) fn said(&mut self, stream: usize, packet: &[u8], at: Moment) {
        if self.said.len() == RECENT_PACKETS_MAX {
            self.said.pop_front();
        }
        self.said.push_back(Said { stream, packet: packet.to_vec(), at });
    }

    /// Takes out what left a moment ago, oldest first.
    pub(super) fn take_said(&mut self, now: Moment) -> impl Iterator<Item = Said> + use<> {
        let all = core::mem::take(&mut self.said);
        all.into_iter().filter(move |said| now.since(said.at) <= REACH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_a_moment_ago_is_said_again_in_order_and_once() {
        let mut copies = Copies::new(1, Moment::ZERO);
        let at = |ms: u64| Moment::from_micros(ms * 1_000);
        for n in 0..40_u8 {
            copies.said(0, &[n], at(u64::from(n) * 20));
        }
        let again = |copies: &mut Copies| -> Vec<u8> {
            copies.take_said(at(780)).map(|said| said.packet[0]).collect()
        };
        assert_eq!(again(&mut copies), (27..40).collect::<Vec<_>>());
        assert!(again(&mut copies).is_empty());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut copies = Copies::new(1, Moment::ZERO);
        for n in 0..200_u8 {
            copies.said(0, &[n], Moment::ZERO);
        }
        let kept: Vec<u8> = copies.take_said(Moment::ZERO).map(|said| said.packet[0]).collect();
        assert_eq!(kept.len(), RECENT_PACKETS_MAX);
        assert_eq!(kept.last(), Some(&199));
    }
}
