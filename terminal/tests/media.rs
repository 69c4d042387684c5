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

use kakehashi_srtp::RTP_OVERHEAD_BYTES;
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::media::call::Feed;
use kakehashi_terminal::media::pacer::{IvfSource, MediaFile, OpusSource, Repeat};
use kakehashi_terminal::media::plain::bind_input;
use kakehashi_terminal::media::summary::{Phase, ReceivedStream};
use kakehashi_terminal::media::{
    CallMedia, CallOptions, CallSummary, Engine, FrameSink, FrameSource, MediaError, MediaInput,
    MediaOutput, SinkFactory,
};
use kakehashi_terminal::packets::Frame;
use kakehashi_terminal::samples::{SPEECH_OPUS, VP9_IVF};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::{CallId, LegId, RelayId};
use kakehashi_wire::limits::DATAGRAM_BYTES_MAX;
use kakehashi_wire::media::{Codec, RelayPath, RelayRole, Sender, StreamKind, StreamPlan};
use kakehashi_wire::rtp::{RtpHeader, RtpView, Ssrc};
use kakehashi_wire::secret::{IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};
use kakehashi_wire::terminal::CallReady;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What the relay does with the `n`th media packet: one forwarded copy for each entry, late by so
/// much.
type Fate = fn(n: u64) -> &'static [u64];

const FAITHFUL: Fate = |_| &[0];

#[derive(Default)]
struct Seen {
    addresses: BTreeMap<u64, SocketAddr>,
    challenges_answered: u64,
    rtp: u64,
    rtp_lost: u64,
    rtp_repeated: u64,
    nowhere_to: u64,
}

struct Relay {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn relay_password(leg: u64) -> IcePassword {
    IcePassword::from_random([leg as u8; 24])
}

fn terminal_password(leg: u64) -> IcePassword {
    IcePassword::from_random([leg as u8 ^ 0x20; 24])
}

impl Relay {
    /// A relay with legs `legs` and `legs + 1`. `forge` makes it send a damaged copy of each
    /// packet ahead of it.
    async fn start(legs: u64, fate: Fate, forge: bool) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(serve(socket, legs, Arc::clone(&seen), fate, forge));
        Self { address, seen, task }
    }

    fn path(&self, leg: u64, role: RelayRole) -> RelayPath {
        RelayPath {
            relay: RelayId(leg as u32),
            role,
            address: self.address.into(),
            leg: LegId(leg),
            relay_password: relay_password(leg),
            terminal_password: terminal_password(leg),
            downlink: None,
        }
    }

    fn terminal_address(&self, leg: u64) -> Option<SocketAddr> {
        self.seen.lock().unwrap().addresses.get(&leg).copied()
    }
}

async fn serve(socket: Arc<UdpSocket>, legs: u64, seen: Arc<Mutex<Seen>>, fate: Fate, forge: bool) {
    let mut buffer = [0; 2048];
    loop {
        let (bytes, from) = socket.recv_from(&mut buffer).await.unwrap();
        let datagram = &buffer[..bytes];
        if DatagramKind::of(datagram) == DatagramKind::Stun {
            stun(&socket, legs, &seen, datagram, from).await;
            continue;
        }
        let is_rtp = DatagramKind::of(datagram) == DatagramKind::Rtp;
        let (to, delays) = {
            let mut seen = seen.lock().unwrap();
            let own = seen.addresses.iter().find(|(_, address)| **address == from);
            let Some((&leg, _)) = own else { continue };
            let other = if leg == legs { legs + 1 } else { legs };
            let to = seen.addresses.get(&other).copied();
            let delays = if is_rtp { fate(seen.rtp) } else { &[0] };
            seen.rtp += u64::from(is_rtp);
            seen.rtp_lost += u64::from(is_rtp && delays.is_empty());
            seen.rtp_repeated += u64::from(is_rtp && delays.len() > 1);
            seen.nowhere_to += u64::from(is_rtp && to.is_none());
            (to, delays)
        };
        let Some(to) = to else { continue };
        if forge {
            let mut forged = datagram.to_vec();
            *forged.last_mut().unwrap() ^= 1;
            socket.send_to(&forged, to).await.unwrap();
        }
        for &delay in delays {
            if delay == 0 {
                socket.send_to(datagram, to).await.unwrap();
                continue;
            }
            let (socket, datagram) = (Arc::clone(&socket), datagram.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                socket.send_to(&datagram, to).await.unwrap();
            });
        }
    }
}

async fn stun(
    socket: &UdpSocket,
    legs: u64,
    seen: &Mutex<Seen>,
    datagram: &[u8],
    from: SocketAddr,
) {
    let view = StunView::parse(datagram).unwrap();
    if view.kind() == StunKind::Success {
        let TransactionId(name) = view.transaction();
        let leg = u64::from(name[0]);
        assert!(view.is_keyed_by(terminal_password(leg).as_bytes()));
        seen.lock().unwrap().challenges_answered += 1;
        return;
    }
    let (receiver, sender) = view.fragments().unwrap();
    let leg = LegId::from_fragment(receiver).unwrap();
    assert_eq!(receiver, sender);
    assert!(leg.0 == legs || leg.0 == legs + 1);
    assert!(view.is_keyed_by(relay_password(leg.0).as_bytes()) && view.use_candidate());
    let success = StunMessage::success(view.transaction(), from, relay_password(leg.0).as_bytes());
    socket.send_to(success.bytes(), from).await.unwrap();
    let new = seen.lock().unwrap().addresses.insert(leg.0, from) != Some(from);
    if new {
        let key = terminal_password(leg.0);
        let fragment = leg.fragment();
        let name = TransactionId([leg.0 as u8; 12]);
        let challenge = StunMessage::challenge(name, &fragment, &fragment, key.as_bytes());
        socket.send_to(challenge.bytes(), from).await.unwrap();
    }
}

fn key(of: u8) -> MasterKey {
    MasterKey::new(Suite::AeadAes128Gcm, &[of; 32], &[of; 12])
}

fn plans(first_ssrc: u32, kinds: &[(StreamKind, Codec)]) -> Vec<StreamPlan> {
    let plan = |(at, &(kind, codec)): (usize, &(StreamKind, Codec))| {
        let ssrc = Ssrc(first_ssrc + at as u32);
        // Close to the first wrap of the sequence number.
        StreamPlan { kind, codec, ssrc, first_sequence: 32_700, rollover: 0 }
    };
    kinds.iter().enumerate().map(plan).collect()
}

/// What control would tell the two members, with a primary and maybe a standby.
fn call(kinds: &[(StreamKind, Codec)], relays: &[&Relay]) -> [CallReady; 2] {
    let side = |own: u8, other: u8| CallReady {
        call: CallId(77),
        key: key(own),
        streams: plans(100 * u32::from(own), kinds),
        senders: vec![Sender {
            login: format!("member-{other}"),
            key: Some(key(other)),
            streams: plans(100 * u32::from(other), kinds),
        }],
        paths: relays
            .iter()
            .enumerate()
            .map(|(at, relay)| {
                let role = if at == 0 { RelayRole::Primary } else { RelayRole::Standby };
                relay.path(10 * (at as u64 + 1) + u64::from(own), role)
            })
            .collect(),
    };
    [side(0, 1), side(1, 0)]
}

const BOTH: [(StreamKind, Codec); 2] =
    [(StreamKind::Audio, Codec::Opus), (StreamKind::Camera, Codec::Vp9)];

type Recorded = Arc<Mutex<BTreeMap<&'static str, Vec<Vec<u8>>>>>;

/// Remembers frames by the kind of their stream.
#[derive(Clone, Default)]
struct Memory(Recorded);

struct MemorySink {
    kind: &'static str,
    to: Recorded,
}

impl SinkFactory for Memory {
    fn sink(&mut self, _: &str, plan: StreamPlan) -> Result<Option<Box<dyn FrameSink>>, String> {
        let kind = if plan.kind == StreamKind::Audio { "audio" } else { "camera" };
        Ok(Some(Box::new(MemorySink { kind, to: Arc::clone(&self.0) })))
    }
}

impl FrameSink for MemorySink {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        let mut to = self.to.lock().unwrap();
        to.entry(self.kind).or_default().push(frame.data.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }
}

fn sample_sources() -> Vec<MediaInput> {
    let speech = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap();
    let picture = IvfSource::open(MediaFile::Embedded(VP9_IVF), Repeat::Forever).unwrap();
    vec![
        MediaInput {
            kind: StreamKind::Audio,
            codec: Codec::Opus,
            feed: Feed::Frames(Box::new(speech)),
        },
        MediaInput {
            kind: StreamKind::Camera,
            codec: Codec::Vp9,
            feed: Feed::Frames(Box::new(picture)),
        },
    ]
}

/// The first frames of the samples, as they were sent.
fn sent_frames(kind: &str, count: u64) -> Vec<Vec<u8>> {
    let mut source: Box<dyn FrameSource> = match kind {
        "audio" => {
            Box::new(OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap())
        }
        _ => Box::new(IvfSource::open(MediaFile::Embedded(VP9_IVF), Repeat::Forever).unwrap()),
    };
    (0..count).map(|_| source.next_frame().unwrap().unwrap().data).collect()
}

struct Side {
    media: CallMedia,
    memory: Memory,
}

fn start(ready: &CallReady, millis: Option<u64>) -> Side {
    let memory = Memory::default();
    let output = MediaOutput { sinks: Some(Box::new(memory.clone())), plain: Vec::new() };
    let options =
        CallOptions { send_for: millis.map(Duration::from_millis), leave_when_sent: false };
    Side { media: CallMedia::start(ready, sample_sources(), output, options).unwrap(), memory }
}

/// Waits for both ends; the second member ends because the first says goodbye.
async fn finish(a: &mut Side, b: &mut Side) -> (CallSummary, CallSummary) {
    let ends = async { (a.media.finished().await.unwrap(), b.media.finished().await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(20), ends).await.unwrap()
}

fn stream<'a>(summary: &'a CallSummary, kind: &str) -> &'a ReceivedStream {
    summary.received.iter().find(|stream| stream.kind == kind).unwrap()
}

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
        // Not more is missing than was sent while the silence was not yet certain.
        let lost = stream(receiver, "audio").lost;
        assert!((1..=100).contains(&lost), "{lost} of 225 lost");
        assert_eq!(stream(receiver, "audio").packets + lost, sender.sent[0].packets);
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
    let path = RelayPath {
        relay: RelayId(1),
        role: RelayRole::Primary,
        address: "192.0.2.7:4000".parse::<SocketAddr>().unwrap().into(),
        leg: LegId(10),
        relay_password: relay_password(10),
        terminal_password: terminal_password(10),
        downlink: None,
    };
    let ready = CallReady {
        call: CallId(1),
        key: key(0),
        streams: plans(1, &BOTH),
        senders: Vec::new(),
        paths: vec![path],
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
    let path = RelayPath {
        relay: RelayId(1),
        role: RelayRole::Primary,
        address: address.into(),
        leg: LegId(10),
        relay_password: relay_password(10),
        terminal_password: terminal_password(10),
        downlink: None,
    };
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
