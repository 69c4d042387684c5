//! Tests of the receiver statistics.

use super::*;
use kakehashi_wire::rtp::Ssrc;
use proptest::prelude::*;
use std::collections::HashSet;

fn header(sequence: u16, timestamp: u32) -> RtpHeader {
    RtpHeader { marker: false, payload_type: 111, sequence, timestamp, ssrc: Ssrc(1) }
}

fn feed(stats: &mut ReceiveStats, sequence: u16) -> Arrival {
    stats.packet(&header(sequence, 0), 10, Moment::ZERO)
}

#[test]
fn each_packet_is_named_for_what_it_is() {
    let mut stats = ReceiveStats::new(48_000);
    assert_eq!(feed(&mut stats, 0xfffe), Arrival::InOrder);
    assert_eq!(feed(&mut stats, 0xffff), Arrival::InOrder);
    assert_eq!(feed(&mut stats, 2), Arrival::Ahead { missing: 2 });
    assert_eq!(feed(&mut stats, 1), Arrival::Reordered);
    assert_eq!(feed(&mut stats, 1), Arrival::Duplicate);
    assert_eq!(feed(&mut stats, 0xfffd), Arrival::Reordered, "from before the first");
    assert_eq!(feed(&mut stats, 2 + 1024), Arrival::Ahead { missing: 1023 });
    assert_eq!(feed(&mut stats, 2), Arrival::TooOld);
    assert_eq!(feed(&mut stats, 3), Arrival::Reordered, "in a slot used before");
    let summary = stats.summary();
    assert_eq!((summary.received, summary.duplicates, summary.reordered), (7, 1, 3));
    assert_eq!((summary.expected, summary.lost), (5 + 1025, 1030 - 7));
    assert_eq!(summary.payload_bytes, 70);
}

#[test]
fn a_report_covers_the_interval_since_the_one_before() {
    let mut stats = ReceiveStats::new(90_000);
    assert_eq!(stats.report(), None);
    for sequence in [0xffff, 0, 1, 3] {
        feed(&mut stats, sequence);
    }
    let report = stats.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (51, 1));
    assert_eq!(report.extended_highest, 0x0001_0003, "one cycle");
    // A late packet makes the interval's loss negative, which reads as none (A.3).
    feed(&mut stats, 2);
    let report = stats.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0));
}

#[test]
fn even_arrivals_have_no_jitter_and_uneven_ones_their_mean() {
    let mut stats = ReceiveStats::new(48_000);
    for at in 0..50_u16 {
        let arrival = Moment::from_micros(u64::from(at) * 20_000 + 3_000);
        stats.packet(&header(at, u32::from(at) * 960), 10, arrival);
    }
    assert_eq!(stats.summary().jitter, Duration::ZERO);
    // Every other packet 5 ms late: |D| is 5 ms each time, to which J converges.
    for at in 50..450_u16 {
        let arrival = Moment::from_micros(u64::from(at) * 20_000 + u64::from(at % 2) * 5_000);
        stats.packet(&header(at, u32::from(at) * 960), 10, arrival);
    }
    let jitter = stats.summary().jitter;
    assert!(jitter.abs_diff(Duration::from_millis(5)) < Duration::from_micros(100), "{jitter:?}");
    let units = stats.report().unwrap().jitter;
    assert!((238..=240).contains(&units), "{units}");
}

#[test]
fn the_round_trip_of_the_standard_comes_out() {
    // RFC 3550 6.4.1, figure 2: 6.125 s
    let trip = round_trip(0xb710_8000, 0xb705_2000, 0x0005_4000).unwrap();
    assert_eq!(trip, Duration::from_millis(6_125));
    assert_eq!(round_trip(5, 0, 0), None, "no sender report yet");
    assert_eq!(round_trip(5, 4, 2), None, "held longer than it took");
    assert_eq!(round_trip(1, u32::MAX - 1, 1), Some(Duration::from_micros(30)), "over the wrap");
}

proptest! {
    #[test]
    fn any_order_loss_and_repetition_adds_up(
        start: u16,
        picks in prop::collection::vec(0_u16..600, 1..400),
    ) {
        let mut stats = ReceiveStats::new(90_000);
        let mut seen = HashSet::new();
        for &pick in &picks {
            let arrival = feed(&mut stats, start.wrapping_add(pick));
            prop_assert_eq!(arrival == Arrival::Duplicate, !seen.insert(pick));
        }
        let summary = stats.summary();
        let span = picks.iter().max().unwrap() - picks.iter().min().unwrap() + 1;
        prop_assert_eq!(summary.received, seen.len() as u64);
        prop_assert_eq!(summary.expected, u64::from(span));
        prop_assert_eq!(summary.lost, summary.expected - summary.received);
        prop_assert_eq!(summary.duplicates, (picks.len() - seen.len()) as u64);
    }

    #[test]
    fn no_input_panics(
        packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<u64>()), 0..200),
        clock: u32,
    ) {
        let mut stats = ReceiveStats::new(clock);
        for (sequence, timestamp, micros) in packets {
            stats.packet(&header(sequence, timestamp), 1, Moment::from_micros(micros));
            let summary = stats.summary();
            prop_assert!(summary.received <= summary.expected);
            stats.report();
        }
    }
}
