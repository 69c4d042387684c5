//! The controller against a simulated bottleneck: a rate, a queue, random loss. Seeded.

use super::arrivals::ArrivalLog;
use super::{RateControl, RateLimits};
use crate::clock::{Moment, NtpTime};
use core::time::Duration;
use kakehashi_wire::rtcp::{RtcpPacket, RtcpView, RtcpWriter};
use kakehashi_wire::rtp::Ssrc;
use std::collections::VecDeque;

const SSRC: Ssrc = Ssrc(9);
const PACKET_BYTES: usize = 500;
const MILLI: Duration = Duration::from_millis(1);

/// A link that sends one packet after the other and drops what finds its queue full.
struct Link {
    bits_per_second: u64,
    queue_most: Duration,
    delay: Duration,
    lost_of_thousand: u64,
    busy_until: Moment,
    under_way: VecDeque<(Moment, u16)>,
    seed: u64,
}

impl Link {
    fn new(bits_per_second: u64, seed: u64) -> Self {
        Self {
            bits_per_second,
            queue_most: Duration::from_millis(800),
            delay: Duration::from_millis(30),
            lost_of_thousand: 0,
            busy_until: Moment::ZERO,
            under_way: VecDeque::new(),
            seed,
        }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ self.seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn queue(&self, now: Moment) -> Duration {
        self.busy_until.since(now)
    }

    fn send(&mut self, sequence: u16, now: Moment) {
        let unlucky = self.random() % 1_000 < self.lost_of_thousand;
        if self.queue(now) > self.queue_most || unlucky {
            return;
        }
        let micros = PACKET_BYTES as u64 * 8_000_000 / self.bits_per_second;
        self.busy_until = self.busy_until.max(now).plus(Duration::from_micros(micros));
        self.under_way.push_back((self.busy_until.plus(self.delay), sequence));
    }
}

/// A sender that obeys, a link, and a receiver whose clock is an hour ahead.
struct World {
    control: RateControl,
    links: Vec<(Link, ArrivalLog)>,
    reports: VecDeque<(Moment, usize, Vec<u8>)>,
    now: Moment,
    credit_bits: u64,
    sequence: u16,
    /// What the application has to send at most.
    wants: u64,
    /// Once a second: target, and the longest queue of any link.
    seconds: Vec<(u64, Duration)>,
}

impl World {
    fn new(links: Vec<Link>) -> Self {
        let limits = RateLimits::between(50_000, 5_000_000);
        Self {
            control: RateControl::new([SSRC].into_iter(), links.len(), limits, Moment::ZERO),
            links: links.into_iter().map(|link| (link, ArrivalLog::default())).collect(),
            reports: VecDeque::new(),
            now: Moment::ZERO,
            credit_bits: 0,
            sequence: 0,
            wants: u64::MAX,
            seconds: Vec::new(),
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let mut longest = Duration::ZERO;
            for _ in 0..1_000 {
                self.now = self.now.plus(MILLI);
                self.step();
                let queues = self.links.iter().map(|(link, _)| link.queue(self.now));
                longest = queues.max().unwrap_or_default().max(longest);
            }
            self.seconds.push((self.control.target(), longest));
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.credit_bits += self.control.target().min(self.wants) / 1_000;
        // 25 pictures a second, each of whole packets.
        if now.micros().is_multiple_of(40_000) {
            while self.credit_bits >= 8 * PACKET_BYTES as u64 {
                self.credit_bits -= 8 * PACKET_BYTES as u64;
                self.control.sent(0, self.sequence, PACKET_BYTES, now);
                self.links.iter_mut().for_each(|(link, _)| link.send(self.sequence, now));
                self.sequence = self.sequence.wrapping_add(1);
            }
        }
        for (at, (link, log)) in self.links.iter_mut().enumerate() {
            while let Some((_, sequence)) = link.under_way.pop_front_if(|(due, _)| *due <= now) {
                log.arrived(sequence, now);
            }
            if now.micros().is_multiple_of(60_000)
                && let Some((first, metrics)) = log.report(now)
            {
                let unix = Duration::from_secs(3_600) + now.since(Moment::ZERO);
                let mut bytes = Vec::new();
                RtcpWriter::new(&mut bytes).congestion(
                    Ssrc(1),
                    NtpTime::from_unix(unix).middle(),
                    |blocks| assert!(blocks.add(SSRC, first, metrics)),
                );
                self.reports.push_back((now.plus(link.delay), at, bytes));
            }
        }
        while let Some((_, from, bytes)) = self.reports.pop_front_if(|(due, ..)| *due <= now) {
            let view = RtcpView::parse(&bytes).unwrap();
            let Some(RtcpPacket::Congestion(feedback)) = view.packets().next() else { panic!() };
            self.control.feedback(from, &feedback, false, now);
        }
        self.control.tick(now);
    }

    fn mean(&self, last: usize) -> u64 {
        let seconds = &self.seconds[self.seconds.len() - last..];
        seconds.iter().map(|(target, _)| target).sum::<u64>() / last as u64
    }

    fn longest_queue(&self, last: usize) -> Duration {
        let seconds = &self.seconds[self.seconds.len() - last..];
        seconds.iter().map(|(_, queue)| *queue).max().unwrap()
    }
}

#[test]
fn a_bottleneck_is_found_and_its_queue_stays_short() {
    let mut world = World::new(vec![Link::new(300_000, 1)]);
    world.run(60);
    let mean = world.mean(40);
    assert!((210_000..300_000).contains(&mean), "{mean} {:?}", world.seconds);
    assert!(world.longest_queue(40) < Duration::from_millis(200), "{:?}", world.seconds);
}

#[test]
fn it_recovers_when_the_way_widens_and_yields_when_it_narrows() {
    let mut world = World::new(vec![Link::new(300_000, 2)]);
    world.run(20);
    world.links[0].0.bits_per_second = 1_000_000;
    world.run(40);
    let wide = world.mean(10);
    assert!((700_000..1_000_000).contains(&wide), "{wide} {:?}", world.seconds);
    world.links[0].0.bits_per_second = 200_000;
    world.run(20);
    let narrow = world.mean(10);
    assert!((120_000..200_000).contains(&narrow), "{narrow} {:?}", world.seconds);
    assert!(world.longest_queue(10) < Duration::from_millis(250), "{:?}", world.seconds);
}

#[test]
fn one_percent_of_random_loss_costs_little() {
    for seed in 0..8 {
        let mut link = Link::new(600_000, seed);
        link.lost_of_thousand = 10;
        let mut world = World::new(vec![link]);
        world.run(60);
        let mean = world.mean(30);
        assert!(mean > 380_000, "seed {seed}: {mean} {:?}", world.seconds);
    }
}

#[test]
fn heavy_loss_in_a_short_queue_is_congestion() {
    let mut link = Link::new(400_000, 3);
    // So short that no delay shows.
    link.queue_most = Duration::from_millis(30);
    let mut world = World::new(vec![link]);
    world.run(60);
    let mean = world.mean(30);
    assert!((250_000..480_000).contains(&mean), "{mean} {:?}", world.seconds);
}

#[test]
fn without_reports_the_rate_falls_to_a_safe_one() {
    let mut world = World::new(vec![Link::new(10_000_000, 4)]);
    world.run(10);
    assert!(world.control.target() > 2_000_000);
    world.links[0].0.lost_of_thousand = 1_000;
    world.run(12);
    assert_eq!(world.control.target(), RateLimits::default().safe);
    assert!(world.control.is_limited(world.now));
    world.links[0].0.lost_of_thousand = 0;
    world.run(20);
    assert!(world.control.target() > 1_000_000, "{:?}", world.seconds);
}

#[test]
fn the_slowest_receiver_decides_as_long_as_it_reports() {
    let mut world = World::new(vec![Link::new(2_000_000, 5), Link::new(300_000, 6)]);
    world.run(30);
    assert!(world.mean(10) < 300_000, "{:?}", world.seconds);
    // The slow one leaves.
    world.links.pop();
    world.run(40);
    assert!(world.mean(5) > 900_000, "{:?}", world.seconds);
}

#[test]
fn what_was_never_tried_is_not_promised() {
    let mut world = World::new(vec![Link::new(50_000_000, 7)]);
    world.wants = 100_000;
    world.run(30);
    assert_eq!(world.control.target(), RateLimits::default().start);
    assert!(!world.control.is_limited(world.now));
}

#[test]
fn a_longer_way_is_not_a_queue_for_long() {
    let mut world = World::new(vec![Link::new(1_500_000, 8)]);
    world.run(30);
    let before = world.mean(10);
    world.links[0].0.delay += Duration::from_millis(90);
    world.run(60);
    assert!(world.mean(10) > before * 7 / 10, "{before} {:?}", world.seconds);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut link = Link::new(500_000, seed);
        link.lost_of_thousand = 30;
        let mut world = World::new(vec![link]);
        world.run(20);
        world.seconds
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}
