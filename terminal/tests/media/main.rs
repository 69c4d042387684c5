//! The media engine between two terminals and a tiny relay, over real sockets.
//!
//! The relay here answers STUN, challenges each new address once, and forwards bytes between two
//! legs; it can lose, repeat and delay what it forwards, and send what it should not.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod lost_relay;
mod rates;
mod relay;
mod repair;
mod sealed;
mod sides;

use kakehashi_srtp::RTP_OVERHEAD_BYTES;
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::media::plain::bind_input;
use kakehashi_terminal::media::summary::{Phase, ReceivedStream};
use kakehashi_terminal::media::{
    CallMedia, CallOptions, Engine, Feed, MediaError, MediaInput, MediaOutput,
};
use kakehashi_wire::id::{CallId, Epoch, Generation, Incarnation};
use kakehashi_wire::limits::DATAGRAM_BYTES_MAX;
use kakehashi_wire::media::{Codec, RelayRole, StreamKind};
use kakehashi_wire::rtp::{RtpHeader, RtpView, Ssrc};
use kakehashi_wire::terminal::{CallReady, PathsChanged};
use relay::{Conduct, FAITHFUL, Fate, Relay, path};
use sides::{BOTH, call, finish, key, plans, sent_frames, start, stream};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::UdpSocket;

#[tokio::test]
async fn every_frame_arrives_both_ways_although_one_side_is_late() {
    let primary = Relay::start(10, FAITHFUL, false).await;
    let standby = Relay::start(20, FAITHFUL, false).await;
    let [first, second] = call(&BOTH, &[&primary, &standby]);
    let mut a = start(&first, Some(3200));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut b = start(&second, None);
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    for (sender, receiver, memory) in [(&at_a, &at_b, &b.memory), (&at_b, &at_a, &a.memory)] {
        let recorded = memory.0.lock().unwrap();
        for sent in &sender.sent {
            let received = stream(receiver, sent.kind);
            assert_eq!((received.lost, received.frames_incomplete), (0, 0));
            assert_eq!(received.packets, sent.packets, "{}", sent.kind);
            assert_eq!(received.bytes, sent.bytes);
            assert_eq!(recorded[sent.kind].len() as u64, sent.frames);
            assert!(recorded[sent.kind] == sent_frames(sent.kind, sent.frames), "{}", sent.kind);
            assert_eq!(sent.peer_lost, Some(0));
        }
        assert!(sender.round_trip_us.is_some_and(|micros| micros < 500_000), "{sender:?}");
        assert!(sender.paths.iter().all(|path| path.usable && path.round_trip_us.is_some()));
        assert_eq!((sender.drops.forged, sender.drops.foreign_source), (0, 0));
        // Once a second a packet of each stream goes over the standby as well.
        assert!(stream(sender, "audio").duplicates >= 1, "{sender:?}");
        assert_eq!(sender.phase, Phase::Over);
    }
    // 3.2 s of 20 ms: the schedule neither drifts nor bursts.
    assert_eq!(at_a.sent[0].frames, 160, "{:?}", at_a.sent);
    for relay in [&primary, &standby] {
        let seen = relay.seen.lock().unwrap();
        assert_eq!((seen.nowhere_to, seen.challenges_answered), (0, 2));
    }
}

#[tokio::test]
async fn loss_repetition_and_delay_are_measured_and_survived() {
    // Loses 1 of 40, repeats 1 of 10, delays 1 of 7 by 25 ms.
    let fate: Fate = |n| match n {
        n if n % 40 == 25 => &[],
        n if n % 10 == 3 => &[0, 5],
        n if n % 7 == 1 => &[25],
        _ => &[0],
    };
    let relay = Relay::start(10, fate, false).await;
    let [first, second] = call(&BOTH, &[&relay]);
    let (mut a, mut b) = (start(&first, Some(2500)), start(&second, None));
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    let seen = relay.seen.lock().unwrap();
    let sum = |field: fn(&ReceivedStream) -> u64| -> u64 {
        at_a.received.iter().chain(&at_b.received).map(field).sum()
    };
    assert!(seen.rtp_lost > 3);
    assert_eq!(sum(|stream| stream.lost), seen.rtp_lost);
    assert_eq!(sum(|stream| stream.packets), seen.rtp - seen.rtp_lost);
    assert_eq!(sum(|stream| stream.duplicates), seen.rtp_repeated);
    assert!(sum(|stream| stream.reordered) > 5);
    // Every audio packet that arrived is a frame, in order, whatever happened before it.
    let sent = sent_frames("audio", at_a.sent[0].frames);
    let recorded = &b.memory.0.lock().unwrap()["audio"];
    assert_eq!(recorded.len() as u64, stream(&at_b, "audio").packets);
    let mut rest = sent.iter();
    assert!(recorded.iter().all(|frame| rest.any(|sent| sent == frame)));
}

#[tokio::test]
async fn forged_and_foreign_packets_are_counted_and_change_nothing() {
    let relay = Relay::start(10, FAITHFUL, true).await;
    let [first, second] = call(&BOTH, &[&relay]);
    let (mut a, mut b) = (start(&first, Some(1500)), start(&second, None));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let target = relay.terminal_address(11).unwrap();
    let attacker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let header = RtpHeader {
        marker: false,
        payload_type: 111,
        sequence: 32_710,
        timestamp: 1,
        ssrc: Ssrc(0),
    };
    for _ in 0..200 {
        let port = SocketAddr::new([127, 0, 0, 1].into(), target.port());
        attacker.send_to(&header.to_bytes(), port).await.unwrap();
    }
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    assert_eq!(at_b.drops.foreign_source, 200);
    for (sender, receiver) in [(&at_a, &at_b), (&at_b, &at_a)] {
        assert!(receiver.drops.forged >= sender.packets_sent(), "{:?}", receiver.drops);
        assert_eq!(receiver.packets_lost(), 0);
        assert_eq!(receiver.packets_received(), sender.packets_sent());
    }
}

#[tokio::test]
async fn the_standby_takes_over_when_the_primary_dies() {
    let primary = Relay::start(10, FAITHFUL, false).await;
    let standby = Relay::start(20, FAITHFUL, false).await;
    let [first, second] = call(&BOTH, &[&primary, &standby]);
    let (mut a, mut b) = (start(&first, Some(4500)), start(&second, None));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    drop(primary);
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    for (sender, receiver) in [(&at_a, &at_b), (&at_b, &at_a)] {
        let paths: Vec<_> = receiver.paths.iter().map(|path| path.active).collect();
        assert_eq!(paths, [false, true]);
        // What was said before there was doubt was said again; on a slow machine, most of it.
        let lost = stream(receiver, "audio").lost;
        assert!(lost <= 50, "{lost} of 225 lost");
        assert_eq!(stream(receiver, "audio").packets + lost, sender.sent[0].packets);
    }
}

#[tokio::test]
async fn relays_change_under_a_call_and_nothing_is_lost() {
    let seals = Some(Epoch { incarnation: Incarnation(3), generation: Generation(1) });
    for seals in [None, seals] {
        let conduct = Conduct { seals, ..Conduct::default() };
        let mut relays = Vec::new();
        for legs in [10, 20, 30] {
            relays.push(Relay::that(legs, conduct).await);
        }
        let [first, second] = call(&BOTH, &[&relays[0], &relays[1]]);
        let (mut a, mut b) = (start(&first, Some(4_000)), start(&second, None));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // Each is told when the other may not know yet.
        for (own, side) in [(0, &a), (1, &b)] {
            let paths = vec![
                relays[1].path(20 + own, RelayRole::Primary),
                relays[2].path(30 + own, RelayRole::Standby),
            ];
            let round = first.round;
            side.media.change_paths(PathsChanged {
                call: first.call,
                round,
                paths,
                hitless: false,
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(relays.remove(0));
        let (at_a, at_b) = finish(&mut a, &mut b).await;
        for (sender, receiver) in [(&at_a, &at_b), (&at_b, &at_a)] {
            assert_eq!(receiver.packets_lost(), 0, "{receiver:?}");
            assert_eq!(receiver.packets_received(), sender.packets_sent());
            let paths: Vec<_> = receiver.paths.iter().map(|it| (it.active, it.usable)).collect();
            assert_eq!(paths, [(true, true), (false, true)]);
        }
    }
}

#[tokio::test]
async fn with_hitless_protection_a_relay_that_dies_takes_no_packet_with_it() {
    let primary = Relay::start(10, FAITHFUL, false).await;
    let standby = Relay::start(20, FAITHFUL, false).await;
    let mut sides = call(&BOTH, &[&primary, &standby]);
    sides.iter_mut().for_each(|ready| ready.hitless = true);
    let [first, second] = sides;
    let (mut a, mut b) = (start(&first, Some(3_000)), start(&second, None));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    drop(primary);
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    for (sender, receiver) in [(&at_a, &at_b), (&at_b, &at_a)] {
        assert_eq!(receiver.packets_lost(), 0, "{receiver:?}");
        assert_eq!(receiver.packets_received(), sender.packets_sent());
        assert!(stream(receiver, "audio").duplicates > 30, "{receiver:?}");
    }
}

#[tokio::test]
async fn plain_rtp_goes_in_here_and_comes_out_there() {
    let kinds = [(StreamKind::Camera, Codec::Vp8)];
    let relay = Relay::start(10, FAITHFUL, false).await;
    let [first, second] = call(&kinds, &[&relay]);
    let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let input = bind_input("video=0".parse().unwrap()).unwrap();
    let into = input.local_addr().unwrap();
    let camera = |feed| MediaInput { kind: StreamKind::Camera, codec: Codec::Vp8, feed };
    let options = CallOptions::default();
    let mut a =
        CallMedia::start(&first, vec![camera(Feed::Plain(input))], MediaOutput::default(), options)
            .unwrap();
    let port = format!("video={}", sink.local_addr().unwrap());
    let output = MediaOutput { sinks: None, plain: vec![port.parse().unwrap()] };
    let mut b = CallMedia::start(&second, vec![camera(Feed::Silence)], output, options).unwrap();
    let mut watch = a.watch();
    watch.wait_for(|summary| summary.phase == Phase::Flowing).await.unwrap();

    let source = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 2048];
    for number in 0..50_u16 {
        let header = RtpHeader {
            marker: number % 5 == 4,
            payload_type: 120,
            sequence: 65_520_u16.wrapping_add(number),
            timestamp: u32::from(number) * 3000,
            ssrc: Ssrc(0xabcd),
        };
        let packet = [&header.to_bytes()[..], &[0x90, number as u8, 3]].concat();
        source.send_to(&packet, into).await.unwrap();
        let received = sink.recv_from(&mut buffer);
        let (bytes, _) =
            tokio::time::timeout(Duration::from_secs(2), received).await.unwrap().unwrap();
        let view = RtpView::parse(&buffer[..bytes]).unwrap();
        assert_eq!(view.payload(), [0x90, number as u8, 3]);
        let expected = RtpHeader {
            payload_type: Codec::Vp8.payload_type(),
            sequence: 32_700 + number,
            ssrc: Ssrc(0),
            ..header
        };
        assert_eq!(view.header(), expected);
    }
    a.leave();
    let (at_a, at_b) = (a.finished().await.unwrap(), b.finished().await.unwrap());
    assert_eq!((at_a.sent[0].packets, at_a.sent[0].frames), (50, 10));
    assert_eq!((at_b.received[0].packets, at_b.received[0].lost), (50, 0));
}

#[tokio::test]
async fn a_quiet_local_source_frees_its_port_for_the_next_call() {
    let relay = Relay::start(10, FAITHFUL, false).await;
    let [first, _] = call(&[(StreamKind::Camera, Codec::Vp8)], &[&relay]);
    let mut port = "video=0".to_owned();
    for _ in 0..2 {
        let input = bind_input(port.parse().unwrap()).unwrap();
        port = format!("video={}", input.local_addr().unwrap());
        let (kind, codec, feed) = (StreamKind::Camera, Codec::Vp8, Feed::Plain(input));
        let inputs = vec![MediaInput { kind, codec, feed }];
        let options = CallOptions::default();
        let mut media = CallMedia::start(&first, inputs, MediaOutput::default(), options).unwrap();
        media.leave();
        media.finished().await.unwrap();
    }
}

#[tokio::test]
async fn a_local_packet_no_relay_takes_is_refused_and_counted() {
    let kinds = [(StreamKind::Camera, Codec::Vp8)];
    let relay = Relay::start(10, FAITHFUL, false).await;
    let [first, second] = call(&kinds, &[&relay]);
    let input = bind_input("video=0".parse().unwrap()).unwrap();
    let into = input.local_addr().unwrap();
    let start = |ready, feed| {
        let inputs = vec![MediaInput { kind: StreamKind::Camera, codec: Codec::Vp8, feed }];
        CallMedia::start(ready, inputs, MediaOutput::default(), CallOptions::default()).unwrap()
    };
    let mut a = start(&first, Feed::Plain(input));
    let mut b = start(&second, Feed::Silence);
    a.watch().wait_for(|summary| summary.phase == Phase::Flowing).await.unwrap();

    let source = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let most = DATAGRAM_BYTES_MAX - RTP_OVERHEAD_BYTES;
    // The longest that fits, one byte more, and one that reading cuts off.
    for (sequence, bytes) in [(1, most), (2, most + 1), (3, 9_000), (4, 100)] {
        let mut packet = vec![0x10; bytes];
        let header = RtpHeader {
            marker: true,
            payload_type: 120,
            sequence,
            timestamp: 3_000,
            ssrc: Ssrc(0xabcd),
        };
        packet[..12].copy_from_slice(&header.to_bytes());
        source.send_to(&packet, into).await.unwrap();
    }
    let all = b.watch().wait_for(|summary| summary.packets_received() == 2).await.map(drop);
    all.unwrap();
    a.leave();
    let (at_a, at_b) = (a.finished().await.unwrap(), b.finished().await.unwrap());
    assert_eq!((at_a.sent[0].packets, at_a.drops.too_long), (2, 2));
    assert_eq!((at_b.received[0].packets, at_b.received[0].lost), (2, 2), "the gap shows");
}

#[tokio::test]
async fn who_offers_no_stream_is_refused_and_who_calls_one_is_not_alone_at_once() {
    let relay = Relay::start(10, FAITHFUL, false).await;
    let [first, mut second] = call(&[(StreamKind::Audio, Codec::Opus)], &[&relay]);
    let mut mute = first;
    mute.streams.clear();
    let options = CallOptions::default();
    let refused = CallMedia::start(&mute, Vec::new(), MediaOutput::default(), options);
    assert_eq!(refused.err(), Some(MediaError::NoStream));

    // Another implementation may do so: it can say neither hello nor goodbye.
    second.senders[0].streams.clear();
    let (kind, codec, feed) = (StreamKind::Audio, Codec::Opus, Feed::Silence);
    let inputs = vec![MediaInput { kind, codec, feed }];
    let mut media = CallMedia::start(&second, inputs, MediaOutput::default(), options).unwrap();
    media.watch().wait_for(|summary| summary.phase == Phase::Flowing).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), media.finished()).await;
    assert!(early.is_err(), "{early:?}");
}

#[test]
fn a_call_without_any_answering_relay_fails_and_says_where_it_looked() {
    let address: SocketAddr = "192.0.2.7:4000".parse().unwrap();
    let path = path(10, RelayRole::Primary, address, None);
    let ready = CallReady {
        call: CallId(1),
        round: 0,
        key: key(0),
        streams: plans(1, &BOTH),
        senders: Vec::new(),
        paths: vec![path],
        hitless: false,
    };
    let mut draws = 0;
    let random = Box::new(move || {
        draws += 1;
        draws
    });
    let mut engine = Engine::new(&ready, Moment::ZERO, Duration::ZERO, random).unwrap();
    let (mut now, mut checks) = (Moment::ZERO, 0);
    while let Some(due) = engine.next_deadline() {
        assert!(due >= now);
        now = due;
        engine.handle_timeout(now);
        while engine.poll_transmit().is_some() {
            checks += 1;
        }
    }
    assert_eq!(now, Moment::ZERO.plus(Duration::from_secs(10)));
    assert!((12..20).contains(&checks), "{checks}");
    let Some(MediaError::NoRelayAnswers { addresses }) = engine.failure() else { panic!() };
    assert_eq!(addresses, "192.0.2.7:4000");
}

#[test]
fn fuzz_no_datagram_disturbs_an_engine() {
    let address: SocketAddr = "192.0.2.7:4000".parse().unwrap();
    let path = path(10, RelayRole::Primary, address, None);
    let [mut ready, _] = call(&BOTH, &[]);
    ready.paths = vec![path];
    let engine = Engine::new(&ready, Moment::ZERO, Duration::ZERO, Box::new(|| 7)).unwrap();
    let engine = Mutex::new(engine);
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut engine = engine.lock().unwrap();
        // As it is, and with the first bytes of each kind in front of a known SSRC.
        for head in [
            &[][..],
            &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100],
            &[0x80, 200, 0, 6, 0, 0, 0, 100],
        ] {
            let mut datagram = [head, bytes].concat();
            engine.handle_datagram(address, &mut datagram, Moment::ZERO);
        }
        assert_eq!(engine.phase(), Phase::Binding);
        assert!(engine.poll_arrival().is_none());
    });
}
