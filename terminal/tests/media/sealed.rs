//! The seal lane: each relay seals for this terminal with a key of its own.

use crate::relay::{Conduct, Relay, downlink_keys, path};
use crate::sides::{BOTH, call, finish, key, plans, sent_frames, start, stream};
use kakehashi_srtp::{
    PacketIndex, RTP_OVERHEAD_BYTES, RtcpIndex, SealerPosition, SendingSession, StreamSealer,
};
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::media::{Arrival, Engine, MediaError};
use kakehashi_wire::id::{CallId, Epoch, Generation, Incarnation, LegId, MemberId};
use kakehashi_wire::media::{Codec, RelayRole, Sender, StreamKind};
use kakehashi_wire::rtp::{RtpHeader, RtpView, Ssrc};
use kakehashi_wire::terminal::{CallReady, PathsChanged};
use std::net::SocketAddr;
use std::time::Duration;

const FIRST: Epoch = Epoch { incarnation: Incarnation(3), generation: Generation(1) };
const NEXT: Epoch = Epoch { incarnation: Incarnation(4), generation: Generation(1) };

#[tokio::test]
async fn a_sealed_call_arrives_whole_over_two_relays_one_of_which_is_renewed() {
    let seals = Conduct { seals: Some(FIRST), ..Conduct::default() };
    let primary = Relay::that(10, seals).await;
    let standby = Relay::that(20, seals).await;
    let [first, second] = call(&BOTH, &[&primary, &standby]);
    assert!(first.senders[0].key.is_none());
    let (mut a, mut b) = (start(&first, Some(3200)), start(&second, None));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // The terminal is told at once; packets on their way meanwhile are of the old epoch.
    b.media.renew_path(LegId(11), NEXT);
    primary.renew(10, 11, NEXT);
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    for (sender, receiver) in [(&at_a, &at_b), (&at_b, &at_a)] {
        for sent in &sender.sent {
            let received = stream(receiver, sent.kind);
            assert!(received.lost <= 3, "{received:?}");
            assert_eq!(received.packets + received.lost, sent.packets);
        }
        // The copies over the standby are the same packets.
        assert!(stream(receiver, "audio").duplicates >= 1, "{receiver:?}");
        assert!(receiver.drops.forged <= 12, "{:?}", receiver.drops);
        assert!(receiver.paths.iter().all(|path| path.usable));
    }
    assert_eq!(at_a.drops.forged, 0);
    let recorded = a.memory.0.lock().unwrap();
    assert!(recorded["audio"] == sent_frames("audio", at_b.sent[0].frames));
    assert!(at_a.round_trip_us.is_some() && at_b.round_trip_us.is_some(), "RTCP is opened as well");
}

/// A terminal with two sealed paths, fed by hand.
struct Hand {
    engine: Engine,
    addresses: Vec<SocketAddr>,
    paths: Vec<SendingSession>,
}

const SSRC: Ssrc = Ssrc(100);
const LEGS: [u64; 2] = [10, 20];

fn ready(rollover: u32) -> CallReady {
    let mut streams = plans(100, &[(StreamKind::Audio, Codec::Opus)]);
    streams[0].rollover = rollover;
    let address = |at: u64| SocketAddr::from(([192, 0, 2, at as u8], 4000));
    CallReady {
        call: CallId(1),
        round: 0,
        key: key(0),
        streams: plans(0, &[(StreamKind::Audio, Codec::Opus)]),
        senders: vec![Sender { member: MemberId(1), login: "store".into(), key: None, streams }],
        paths: LEGS
            .into_iter()
            .zip([RelayRole::Primary, RelayRole::Standby])
            .map(|(leg, role)| path(leg, role, address(leg), Some(FIRST)))
            .collect(),
        hitless: false,
    }
}

fn sealer(leg: u64, epoch: Epoch, next: u64) -> SendingSession {
    let mut session = SendingSession::new(downlink_keys(leg, epoch));
    let rtcp = RtcpIndex::from_value(0).unwrap();
    let position = SealerPosition { rtp: PacketIndex::from_value(next).unwrap(), rtcp };
    session.add(StreamSealer::resume(SSRC, position)).unwrap();
    session
}

impl Hand {
    fn new(rollover: u32, next: u64) -> Self {
        let ready = ready(rollover);
        let engine =
            Engine::new(&ready, Moment::ZERO, Duration::ZERO, Box::new(|| 7)).ok().unwrap();
        let addresses = ready.paths.iter().map(|path| path.address.into()).collect();
        let paths = LEGS.map(|leg| sealer(leg, FIRST, next)).into();
        Self { engine, addresses, paths }
    }

    /// Sends packet `index` over a path; gives the sequence numbers that came out.
    fn send(&mut self, over: usize, index: u64) -> Vec<u16> {
        let sequence = (index & 0xffff) as u16;
        let header = RtpHeader {
            marker: false,
            payload_type: 111,
            sequence,
            timestamp: 960 * sequence as u32,
            ssrc: SSRC,
        };
        let mut packet = [&header.to_bytes()[..], &[0xf8, 0xff, 0xfe]].concat();
        let plain = packet.len();
        packet.resize(plain + RTP_OVERHEAD_BYTES, 0);
        self.paths[over].protect_rtp(&mut packet, plain).unwrap();
        self.engine.handle_datagram(self.addresses[over], &mut packet, Moment::ZERO);
        let arrivals = core::iter::from_fn(|| self.engine.poll_arrival());
        let packets = arrivals.filter_map(|arrival| match arrival {
            Arrival::Packet { bytes, .. } => {
                Some(RtpView::parse(&bytes).unwrap().header().sequence)
            }
            Arrival::Frame { .. } => None,
        });
        packets.collect()
    }

    fn counts(&self) -> (u64, u64, u64) {
        let summary = self.engine.summary(Moment::ZERO);
        (summary.received[0].packets, summary.received[0].duplicates, summary.drops.forged)
    }
}

#[test]
fn one_packet_over_two_paths_is_one_packet() {
    let mut hand = Hand::new(0, 32_700);
    assert_eq!(hand.send(0, 32_700), [32_700]);
    assert_eq!(hand.send(1, 32_700), [0; 0]);
    assert_eq!(hand.send(1, 32_701), [32_701]);
    assert_eq!(hand.send(0, 32_701), [0; 0]);
    // The primary falls silent for longer than half the numbers.
    for index in 32_702..90_000 {
        assert_eq!(hand.send(1, index), [(index & 0xffff) as u16]);
    }
    assert_eq!(hand.send(0, 32_702), [0; 0], "an old one");
    let (packets, duplicates, forged) = hand.counts();
    assert_eq!((packets, duplicates, forged), (90_000 - 32_700, 2, 0));
}

#[test]
fn a_renewed_path_goes_on_where_the_stream_is() {
    let mut hand = Hand::new(0, 32_700);
    // Over the wrap of the sequence number.
    for index in 32_700..70_000 {
        hand.send(0, index);
    }
    hand.paths[0] = sealer(10, NEXT, 70_000);
    assert_eq!(hand.send(0, 70_000), [0; 0], "not yet told");
    assert_eq!(hand.counts().2, 1);
    assert!(hand.engine.renew_path(LegId(10), NEXT));
    assert!(!hand.engine.renew_path(LegId(99), NEXT));
    // What came in the old epoch is not new because it was sealed again.
    hand.paths[0] = sealer(10, NEXT, 69_991);
    assert_eq!(hand.send(0, 69_991), [0; 0]);
    assert_eq!(hand.send(0, 70_000), [(70_000 - 65_536) as u16]);
    assert_eq!(hand.counts(), (70_001 - 32_700, 1, 1));
    // The other path keeps its key.
    hand.paths[1] = sealer(20, FIRST, 70_001);
    assert_eq!(hand.send(1, 70_001), [(70_001 - 65_536) as u16]);
}

#[test]
fn another_relay_goes_on_where_the_stream_is_and_who_was_left_is_heard_for_a_second() {
    let mut hand = Hand::new(0, 32_700);
    // Over the wrap of the sequence number.
    for index in 32_700..70_000 {
        hand.send(0, index);
    }
    let address = SocketAddr::from(([192, 0, 2, 30], 4000));
    let paths = || {
        let kept = ready(0).paths.remove(1);
        vec![kept, path(30, RelayRole::Standby, address, Some(NEXT))]
    };
    let changed = PathsChanged { call: CallId(1), round: 0, paths: paths(), hitless: false };
    hand.engine.change_paths(&changed, Moment::ZERO);
    hand.addresses.push(address);
    hand.paths.push(sealer(30, NEXT, 70_000));
    assert_eq!(hand.send(2, 70_000), [(70_000 - 65_536) as u16]);
    // What was under way over the relay that was left, and what comes over the one that stays.
    hand.paths[0] = sealer(10, FIRST, 70_001);
    assert_eq!(hand.send(0, 70_001), [(70_001 - 65_536) as u16]);
    hand.paths[1] = sealer(20, FIRST, 70_002);
    assert_eq!(hand.send(1, 70_002), [(70_002 - 65_536) as u16]);
    assert_eq!(hand.engine.drops().foreign_source, 0);
    let paths = hand.engine.summary(Moment::ZERO).paths;
    let relays: Vec<_> = paths.iter().map(|path| path.role).collect();
    assert_eq!(relays, ["standby", "standby"]);
    let mut late = [0; 64];
    let (left, later) = (hand.addresses[0], Moment::from_micros(1_000_001));
    hand.engine.handle_datagram(left, &mut late, later);
    assert_eq!(hand.engine.drops().foreign_source, 1, "no relay of the call any more");
}

#[test]
fn who_joins_late_finds_the_rollover_counter_and_misses_nothing_from_before() {
    let start = 3 * 65_536 + 40_000;
    let mut hand = Hand::new(2, start);
    for index in start..start + 50 {
        assert_eq!(hand.send((index % 2) as usize, index), [(index & 0xffff) as u16]);
    }
    let summary = hand.engine.summary(Moment::ZERO);
    let received = &summary.received[0];
    assert_eq!((received.packets, received.lost, received.frames), (50, 0, 50));
}

#[test]
fn a_sealed_sender_needs_sealed_paths() {
    let mut ready = ready(0);
    ready.paths[1].downlink = None;
    let made = Engine::new(&ready, Moment::ZERO, Duration::ZERO, Box::new(|| 7));
    assert_eq!(made.err(), Some(MediaError::NoKey));
}
