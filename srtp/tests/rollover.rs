//! Reordering, loss and late joining around the wrap of the sequence number: what is accepted is
//! exactly what should be, and no stream gets stuck.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod common;

use common::{SSRC, auth, keys, rtp, seal_rtp};
use kakehashi_srtp::capacity::{JOINING_CANDIDATES, REPLAY_WINDOW_PACKETS};
use kakehashi_srtp::{
    AuthKeys, PacketIndex, Provider, RtcpIndex, Scratch, SealerPosition, SessionKeys, SrtpError,
    StreamOpener, StreamPosition, StreamSealer,
};
use kakehashi_wire::secret::Suite;
use proptest::prelude::*;

/// A sender whose packets can be asked for by index, in any order.
struct Sender {
    keys: SessionKeys,
    auth: AuthKeys,
    sealed: Vec<(PacketIndex, Vec<u8>)>,
}

impl Sender {
    /// Seals the packets with these indices, which ascend.
    fn new(indices: impl IntoIterator<Item = u64>) -> Self {
        let keys = keys(Provider::AesGcm, Suite::AeadAes128Gcm);
        let mut sealed = Vec::new();
        for value in indices {
            let index = PacketIndex::from_value(value).unwrap();
            let rtcp = RtcpIndex::from_value(0).unwrap();
            let mut sealer = StreamSealer::resume(SSRC, SealerPosition { rtp: index, rtcp });
            sealed.push((index, seal_rtp(&keys, &mut sealer, &rtp(SSRC, index.sequence(), 20))));
        }
        let auth = auth(Provider::AesGcm, Suite::AeadAes128Gcm);
        Self { keys, auth, sealed }
    }
}

/// The window as RFC 3711 3.3.2 describes it, without rollover: an index is accepted once, if it
/// is not behind the window.
#[derive(Default)]
struct Model(Vec<u64>);

impl Model {
    fn accepts(&mut self, index: u64) -> bool {
        let window = REPLAY_WINDOW_PACKETS as u64;
        let behind = self.0.iter().max().is_some_and(|highest| index + window <= *highest);
        let accepted = !behind && !self.0.contains(&index);
        if accepted {
            self.0.push(index);
        }
        accepted
    }
}

/// Visits every order of `0..items`, by Heap's algorithm.
fn permutations(items: usize, mut visit: impl FnMut(&[usize])) {
    let mut order: Vec<usize> = (0..items).collect();
    let mut turns = vec![0; items];
    visit(&order);
    let mut at = 0;
    while at < items {
        if turns[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
            visit(&order);
            turns[at] += 1;
            at = 0;
        } else {
            turns[at] = 0;
            at += 1;
        }
    }
}

/// Delivers packets in the order given and compares every verdict with the model's.
fn deliver(sender: &Sender, mut opener: StreamOpener, order: impl Iterator<Item = usize>) {
    let (mut model, mut scratch) = (Model::default(), Scratch::new());
    let mut history = Vec::new();
    for at in order {
        let (index, packet) = &sender.sealed[at];
        history.push(index.value());
        let got = opener.authenticate_rtp(&sender.auth, packet, &mut scratch);
        if model.accepts(index.value()) {
            assert_eq!(got, Ok(*index), "{history:?}");
        } else {
            assert_eq!(got, Err(SrtpError::Replayed), "{history:?}");
        }
    }
}

#[test]
fn every_order_and_loss_of_six_packets_around_the_first_wrap() {
    let sender = Sender::new(65_533..65_539);
    let mut runs = 0;
    permutations(6, |order| {
        for lost in 0..1_u32 << 6 {
            let kept = order.iter().copied().filter(|at| lost >> at & 1 == 0);
            deliver(&sender, StreamOpener::new(SSRC), kept);
            runs += 1;
        }
    });
    assert_eq!(runs, 720 * 64);
}

#[test]
fn every_order_of_seven_packets_around_a_later_wrap_each_twice() {
    let sender = Sender::new((9 << 16) - 3..(9 << 16) + 4);
    let before = StreamPosition { rtp: PacketIndex::from_value((9 << 16) - 4), rtcp: None };
    permutations(7, |order| {
        let twice = order.iter().flat_map(|at| [*at, *at]);
        deliver(&sender, StreamOpener::resume(SSRC, before), twice);
    });
}

#[test]
fn a_late_joiner_finds_the_rollover_counter_in_every_order() {
    let rollover = 7;
    let wrap = u64::from(rollover + 1) << 16;
    let sender = Sender::new(wrap - 3..wrap + 3);
    permutations(6, |order| {
        for at_least in [0, rollover] {
            deliver(&sender, StreamOpener::joining(SSRC, at_least), order.iter().copied());
        }
    });
}

#[test]
fn a_late_joiner_searches_as_far_as_promised_and_no_further() {
    let mut scratch = Scratch::new();
    for (rollover, found) in [
        (5, true),
        (5 + u64::from(JOINING_CANDIDATES) - 1, true),
        (5 + u64::from(JOINING_CANDIDATES), false),
        (4, false),
    ] {
        let sender = Sender::new([rollover << 16 | 100]);
        let mut opener = StreamOpener::joining(SSRC, 5);
        let got = opener.authenticate_rtp(&sender.auth, &sender.sealed[0].1, &mut scratch);
        assert_eq!(got.is_ok(), found, "rollover {rollover}");
        assert_eq!(opener.position().rtp.is_some(), found);
    }
}

#[test]
fn the_order_that_confuses_others() {
    // Receivers that count a wrap whenever the number falls end two rollovers ahead here.
    let sender = Sender::new([65_533, 65_535, 65_536, 65_537, 65_534, 65_538]);
    deliver(&sender, StreamOpener::new(SSRC), 0..6);
}

#[test]
fn a_stream_that_lost_its_first_packets_at_the_wrap_is_found() {
    deliver(&Sender::new([65_536, 65_535, 65_540]), StreamOpener::new(SSRC), 0..3);
}

#[test]
fn gaps_of_any_length_below_a_wrap_and_a_half_do_not_mute_a_stream() {
    let base = 3_u64 << 16;
    for start in [0, 5, 32_767, 32_768, 65_535] {
        for gap in [1, 1_023, 1_024, 32_767, 32_768, 32_769, 40_000, 65_534, 65_537, 90_000] {
            let first = base + start;
            let sender = Sender::new([first, first + gap, first + gap + 1]);
            deliver(&sender, StreamOpener::joining(SSRC, 3), 0..3);
        }
    }
}

#[test]
fn after_an_outage_longer_gaps_are_searched() {
    let base = 5_u64 << 16;
    for gap in [98_400, 131_071, 131_072, 200_000, 900_000] {
        let sender = Sender::new([base, base + gap, base + gap + 1]);
        let (mut opener, mut scratch) = (StreamOpener::joining(SSRC, 5), Scratch::new());
        let mut offer = |opener: &mut StreamOpener, at: usize| {
            opener.authenticate_rtp(&sender.auth, &sender.sealed[at].1, &mut scratch)
        };
        offer(&mut opener, 0).unwrap();
        offer(&mut opener, 1).unwrap_err();
        opener.resume_after_outage();
        // At a whole number of wraps the number looks like the first packet's: that one is lost.
        let repeated = gap % (1 << 16) == 0;
        assert_eq!(offer(&mut opener, 1).is_ok(), !repeated, "gap {gap}");
        assert_eq!(offer(&mut opener, 2), Ok(sender.sealed[2].0), "gap {gap}");
        // Which reason depends on the rollover counter that the old number suggests.
        assert!(offer(&mut opener, 0).is_err(), "gap {gap}");
    }
}

#[test]
fn a_forged_high_sequence_number_moves_nothing() {
    let sender = Sender::new(100..104);
    let (mut opener, mut scratch) = (StreamOpener::new(SSRC), Scratch::new());
    opener.authenticate_rtp(&sender.auth, &sender.sealed[0].1, &mut scratch).unwrap();
    let before = opener.clone();
    for sequence in [101_u16, 2_000, 32_868, 32_869, 65_535, 99] {
        let mut forged = sender.sealed[1].1.clone();
        forged[2..4].copy_from_slice(&sequence.to_be_bytes());
        forged[40] ^= 1;
        let kept = forged.clone();
        let got = opener.unprotect_rtp(&sender.keys, &mut forged, &mut scratch);
        assert_eq!(got, Err(SrtpError::Forged), "{sequence}");
        assert!(forged == kept && opener == before, "{sequence}");
    }
    deliver(&sender, StreamOpener::new(SSRC), 0..4);
}

#[test]
fn a_position_hands_over_without_accepting_twice() {
    let sender = Sender::new(65_530..65_545);
    let (mut first, mut scratch) = (StreamOpener::new(SSRC), Scratch::new());
    for (_, packet) in &sender.sealed[..10] {
        first.authenticate_rtp(&sender.auth, packet, &mut scratch).unwrap();
    }
    let mut second = StreamOpener::resume(SSRC, first.position());
    assert_eq!(second.position(), first.position());
    for (at, (index, packet)) in sender.sealed.iter().enumerate() {
        let got = second.authenticate_rtp(&sender.auth, packet, &mut scratch);
        assert_eq!(got, if at < 10 { Err(SrtpError::Replayed) } else { Ok(*index) });
    }
}

#[test]
fn keys_end_after_the_last_index() {
    let keys = keys(Provider::AwsLcRs, Suite::AeadAes256Gcm);
    let auth = auth(Provider::AwsLcRs, Suite::AeadAes256Gcm);
    let last = SealerPosition { rtp: PacketIndex::MAX, rtcp: RtcpIndex::MAX };
    let mut sealer = StreamSealer::resume(SSRC, last);
    assert_eq!(sealer.position(), Some(last));
    let packet = seal_rtp(&keys, &mut sealer, &rtp(SSRC, 65_535, 9));
    let report = common::seal_rtcp(&keys, &mut sealer, &common::rtcp(SSRC, 3));

    let mut plain = rtp(SSRC, 0, 40);
    assert_eq!(sealer.next_sequence(), Err(SrtpError::IndexExhausted));
    assert_eq!(sealer.protect_rtp(&keys, &mut plain, 30), Err(SrtpError::IndexExhausted));
    let mut plain = common::rtcp(SSRC, 20);
    let privacy = kakehashi_srtp::RtcpPrivacy::Encrypted;
    let sealed = sealer.protect_rtcp(&keys, &mut plain, 20, privacy);
    assert_eq!((sealed, sealer.position()), (Err(SrtpError::IndexExhausted), None));

    let (mut opener, mut scratch) = (StreamOpener::joining(SSRC, u32::MAX), Scratch::new());
    let got = opener.authenticate_rtp(&auth, &packet, &mut scratch);
    assert_eq!(got, Ok(PacketIndex::MAX));
    let got = opener.authenticate_rtcp(&keys, &report, &mut scratch);
    assert_eq!(got, Ok(RtcpIndex::MAX));
    assert!(opener.authenticate_rtp(&auth, &packet, &mut scratch).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_long_stream_with_reorder_loss_and_repeats(
        start in prop_oneof![60_000_u64..66_000, 120_000_u64..140_000],
        steps in prop::collection::vec((1_u64..900, 0_usize..9, any::<bool>()), 50..300),
    ) {
        let mut indices = vec![start];
        for (step, _, _) in &steps {
            indices.push(indices.last().unwrap() + step);
        }
        // Each packet is delayed by up to eight places, and some come twice.
        let mut order: Vec<(usize, usize)> = vec![(0, 0)];
        for (at, (_, delay, repeated)) in steps.iter().enumerate() {
            order.push((at + 1 + delay, at + 1));
            if *repeated {
                order.push((at + 2, at + 1));
            }
        }
        order.sort_unstable();
        let sender = Sender::new(indices);
        let first = PacketIndex::from_value(start).unwrap();
        let (mut opener, mut scratch) =
            (StreamOpener::joining(SSRC, first.rollover()), Scratch::new());
        let mut model = Model::default();
        for (_, at) in order {
            let (index, packet) = &sender.sealed[at];
            let got = opener.authenticate_rtp(&sender.auth, packet, &mut scratch);
            prop_assert_eq!(got.is_ok(), model.accepts(index.value()), "index {}", index);
        }
    }
}
