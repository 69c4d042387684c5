//! Datagrams that are to leave: most at once, the packets of a large frame one after the other.
//! Pure.
//!
//! **A key frame that leaves as one burst overruns the narrowest queue on its way, and its tail is
//! lost.** Each frame's packets leave in groups a millisecond apart, or, when the network is known
//! to carry less, as fast as it does; every other datagram, voice above all, passes by them.

use super::Transmit;
use crate::capacity::{OUTBOX_DATAGRAMS_MAX, SPREAD_DATAGRAMS_MAX};
use crate::clock::Moment;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

/// Packets of a frame that leave together: 77 Mbit/s while it lasts. Most frames are smaller.
const GROUP_PACKETS: usize = 8;

/// Time from one group to the next: what a timer keeps without effort.
const GROUP_INTERVAL: Duration = Duration::from_millis(1);

/// Groups a frame is cut into at most, so that it is gone after 8 ms, within the quarter of the
/// interval of 30 pictures a second and before the next of 120.
const GROUPS_MAX: usize = 8;

/// What is to leave.
pub(super) struct Outbox {
    ready: VecDeque<Transmit>,
    /// For each stream, packets that wait for their turn, in order.
    later: Vec<VecDeque<(Moment, Transmit)>>,
    /// When all paced packets have left.
    clear: Moment,
}

impl Outbox {
    /// For media of so many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self { ready: VecDeque::new(), later: vec![VecDeque::new(); streams], clear: Moment::ZERO }
    }

    /// A datagram that leaves at once.
    pub(super) fn push(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.ready.push_back(Transmit { to, bytes: bytes.to_vec() });
    }

    /// The packets of one frame, each to all of `over`. The first leave at once unless some before
    /// them still wait; with a `pace`, each takes its time at so many bits a second. `note` hears
    /// when each leaves.
    pub(super) fn frame(
        &mut self,
        stream: usize,
        packets: Vec<Vec<u8>>,
        over: &[SocketAddr],
        pace: Option<u64>,
        now: Moment,
        mut note: impl FnMut(&[u8], Moment),
    ) {
        let Some(queue) = self.later.get_mut(stream) else { return };
        let group = GROUP_PACKETS.max(packets.len().div_ceil(GROUPS_MAX));
        let mut due = queue.back().map_or(now, |(due, _)| now.max(*due));
        if pace.is_some() {
            due = due.max(self.clear);
        }
        for (at, bytes) in packets.into_iter().enumerate() {
            if pace.is_none() && at > 0 && at % group == 0 {
                due = due.plus(GROUP_INTERVAL);
            }
            note(&bytes, due);
            let bits = bytes.len() as u64 * 8;
            let copies = over.iter().map(|&to| (due, Transmit { to, bytes: bytes.clone() }));
            queue.extend(copies);
            if let Some(micros) = pace.and_then(|pace| (bits * 1_000_000).checked_div(pace)) {
                due = due.plus(Duration::from_micros(micros));
                self.clear = due;
            }
        }
        self.release(now);
    }

    /// Lets go what is due at `now`.
    pub(super) fn release(&mut self, now: Moment) {
        for queue in &mut self.later {
            while let Some((_, packet)) = queue.pop_front_if(|(due, _)| *due <= now) {
                self.ready.push_back(packet);
            }
        }
    }

    /// Lets everything go: nothing follows.
    pub(super) fn release_all(&mut self) {
        let later = self.later.iter_mut().flat_map(|queue| queue.drain(..));
        self.ready.extend(later.map(|(_, packet)| packet));
    }

    /// When [`release`](Self::release) is to be called; `None` while nothing waits.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.later.iter().filter_map(|queue| queue.front()).map(|(due, _)| *due).min()
    }

    /// Old media is worth less than new: the oldest goes if the socket takes none, or frames come
    /// faster than they leave. Gives how many went.
    pub(super) fn bound(&mut self) -> u64 {
        let excess = self.ready.len().saturating_sub(OUTBOX_DATAGRAMS_MAX);
        drop(self.ready.drain(..excess));
        let queues = self.later.iter_mut().map(|queue| {
            let excess = queue.len().saturating_sub(SPREAD_DATAGRAMS_MAX);
            drop(queue.drain(..excess));
            excess
        });
        (excess + queues.sum::<usize>()) as u64
    }

    /// The next datagram that may leave.
    pub(super) fn pop(&mut self) -> Option<Transmit> {
        self.ready.pop_front()
    }

    /// Puts back a datagram the socket did not take.
    pub(super) fn push_again(&mut self, transmit: Transmit) {
        self.ready.push_front(transmit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;

    const OVER: [SocketAddr; 1] = [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9)];

    fn packet(number: u64) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    fn number(packet: &Transmit) -> u64 {
        u64::from_be_bytes(packet.bytes[..].try_into().unwrap())
    }

    fn frame(packets: u64) -> Vec<Vec<u8>> {
        (0..packets).map(packet).collect()
    }

    /// How many leave at each of the outbox's deadlines.
    fn departures(outbox: &mut Outbox, mut now: Moment) -> Vec<usize> {
        let mut counts = Vec::new();
        loop {
            counts.push(core::iter::from_fn(|| outbox.pop()).count());
            let Some(due) = outbox.next_deadline() else { return counts };
            assert_eq!(due.since(now), GROUP_INTERVAL);
            now = due;
            outbox.release(now);
        }
    }

    #[test]
    fn a_large_frame_leaves_within_eight_milliseconds_and_a_small_one_at_once() {
        let mut outbox = Outbox::new(1);
        for (packets, groups) in [
            (1, vec![1]),
            (8, vec![8]),
            (20, vec![8, 8, 4]),
            (64, vec![8; 8]),
            (1_800, vec![225; 8]),
        ] {
            outbox.frame(0, frame(packets), &OVER, None, Moment::ZERO, |_, _| {});
            assert_eq!(departures(&mut outbox, Moment::ZERO), groups, "{packets} packets");
        }
    }

    #[test]
    fn what_is_paced_takes_its_time_and_voice_passes_it() {
        let mut outbox = Outbox::new(3);
        let mut due = Vec::new();
        // 8 bytes at 32 kbit/s take 2 ms; the second stream waits for the first.
        outbox.frame(1, frame(3), &OVER, Some(32_000), Moment::ZERO, |_, at| due.push(at.micros()));
        outbox.frame(2, frame(1), &OVER, Some(32_000), Moment::ZERO, |_, at| due.push(at.micros()));
        assert_eq!(due, [0, 2_000, 4_000, 6_000]);
        outbox.frame(0, vec![packet(1_000)], &OVER, None, Moment::ZERO, |_, _| {});
        let first = core::iter::from_fn(|| outbox.pop()).map(|packet| number(&packet));
        assert!(first.eq([0, 1_000]));
        assert_eq!(outbox.next_deadline(), Some(Moment::from_micros(2_000)));
    }

    #[test]
    fn what_goes_over_two_relays_takes_no_longer() {
        let mut outbox = Outbox::new(1);
        let over = [OVER[0], SocketAddr::from(([127, 0, 0, 1], 10))];
        let mut noted = 0;
        outbox.frame(0, frame(20), &over, None, Moment::ZERO, |_, _| noted += 1);
        assert_eq!(departures(&mut outbox, Moment::ZERO), [16, 16, 8]);
        assert_eq!(noted, 20, "a packet is one packet, however many copies it has");
    }

    #[test]
    fn voice_passes_a_picture_and_the_end_waits_for_nothing() {
        let mut outbox = Outbox::new(2);
        outbox.frame(1, frame(64), &OVER, None, Moment::ZERO, |_, _| {});
        outbox.frame(0, vec![packet(1_000)], &OVER, None, Moment::ZERO, |_, _| {});
        let first = core::iter::from_fn(|| outbox.pop()).map(|packet| number(&packet));
        assert!(first.eq((0..8).chain([1_000])));
        outbox.release_all();
        let rest = core::iter::from_fn(|| outbox.pop()).map(|packet| number(&packet));
        assert!(rest.eq(8..64));
        assert_eq!(outbox.next_deadline(), None);
    }

    #[test]
    fn frames_faster_than_they_leave_push_the_oldest_out() {
        let mut outbox = Outbox::new(1);
        let mut dropped = 0;
        for _ in 0..20 {
            outbox.frame(0, frame(1_000), &OVER, None, Moment::ZERO, |_, _| {});
            dropped += outbox.bound();
        }
        outbox.release_all();
        let left = core::iter::from_fn(|| outbox.pop()).count() as u64;
        assert!(left <= (OUTBOX_DATAGRAMS_MAX + SPREAD_DATAGRAMS_MAX) as u64);
        assert_eq!(dropped + left, 20_000);
    }

    proptest! {
        #[test]
        fn packets_of_a_stream_keep_their_order(
            frames in prop::collection::vec((1_u64..300, 0_u64..40_000), 1..20),
        ) {
            let mut outbox = Outbox::new(1);
            let (mut now, mut count, mut left) = (0, 0, Vec::new());
            for (packets, wait) in frames {
                let packets: Vec<_> = (count..count + packets).map(packet).collect();
                count += packets.len() as u64;
                outbox.frame(0, packets, &OVER, None, Moment::from_micros(now), |_, _| {});
                left.extend(core::iter::from_fn(|| outbox.pop()));
                now += wait;
                outbox.release(Moment::from_micros(now));
            }
            outbox.release_all();
            left.extend(core::iter::from_fn(|| outbox.pop()));
            prop_assert!(left.iter().map(number).eq(0..count));
        }
    }
}
