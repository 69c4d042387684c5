//! Golden bytes: every message of both families encodes to exactly what `golden.txt` holds and
//! decodes back to the same bytes. A change here is a change of the wire format: raise the version
//! or undo it. `KAKEHASHI_WRITE_GOLDEN=1 cargo test -p kakehashi-wire --test golden` rewrites the
//! file after a deliberate change.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

#[path = "golden/node.rs"]
mod node;

use kakehashi_wire::DecodeError;
use kakehashi_wire::device::{DeviceKey, DeviceProof};
use kakehashi_wire::frame::FrameHeader;
use kakehashi_wire::id::{
    AccountId, CallId, DeviceId, Epoch, Generation, Incarnation, LegId, MemberId, RelayId,
    RequestId, SessionId, ShardIndex, TenantId, Term, TraceId,
};
use kakehashi_wire::media::{
    Codec, Host, RelayPath, RelayRole, SealedDownlink, Sender, StreamKind, StreamOffer, StreamPlan,
};
use kakehashi_wire::node::{FromNode, ToNode};
use kakehashi_wire::relay::{
    Counter, CounterReport, FromRelay, Hello, InstallLeg, LegLane, LegStream, NodeHeartbeat, Order,
    OrderResult, Orders, OrdersDone, Outcome, Outdated, RelayHeartbeat, RemoveLeg, RenewLeg,
    Resync, Rollovers, SealLane, ShardLoad, ShardOffer, SubscribeLeg, Subscription, ToRelay,
    Welcome,
};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{
    DownlinkSecret, IcePassword, MasterKey, Password, ResumeToken, Suite,
};
use kakehashi_wire::terminal::{
    Accept, AddDesk, AddDeskFailed, AddFailed, AddMember, CallEnd, CallEnded, CallReady, Cancel,
    ChangePassword, ChooseLayer, Done, EndWrapUp, FromTerminal, HangUp, Hold, Incoming, Invite,
    InviteDesk, Layer, Listen, MemberPhase, MemberState, Members, Merge, Merged, Missed,
    MissedCall, MissedCalls, Mute, PathRenewed, PathsChanged, Ping, Presence, PresenceEntry,
    PresenceState, QueueNews, Queued, Refusal, Refused, Reject, ReportQuality, Resume, Resumed,
    Ringing, Role, SessionEnd, SessionEnded, SetAway, Share, SignIn, SignOut, SignedIn, Taken,
    ToTerminal, TokenRenewed, WatchPresence, WayToRelay,
};
use std::fmt::Write;
use std::net::SocketAddr;

const REQUEST: RequestId = RequestId(0x0102_0304);
const TERM: Term = Term(0x41);
const CALL: CallId = CallId(0x1112_1314_1516_1718);

fn offers() -> Vec<StreamOffer> {
    vec![
        StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus },
        StreamOffer { kind: StreamKind::Camera, codec: Codec::Vp8 },
    ]
}

fn plans() -> Vec<StreamPlan> {
    let plan = |kind, codec, ssrc| {
        let (ssrc, first_sequence, rollover) = (Ssrc(ssrc), 77, 3);
        StreamPlan { kind, codec, ssrc, first_sequence, rollover }
    };
    vec![
        plan(StreamKind::Audio, Codec::Opus, 0xa1a2_a3a4),
        plan(StreamKind::Screen, Codec::Vp9, 0xb1b2_b3b4),
    ]
}

fn key(suite: Suite) -> MasterKey {
    MasterKey::new(suite, &[0x5a; 32], &[0xa5; 12])
}

fn password(seed: u8) -> IcePassword {
    IcePassword::from_random([seed; 24])
}

fn host(last: u8) -> Host {
    std::net::IpAddr::from([192, 0, 2, last]).into()
}

fn epoch() -> Epoch {
    Epoch { incarnation: Incarnation(8), generation: Generation(0x31) }
}

fn secret() -> DownlinkSecret {
    DownlinkSecret::from_random([0x3c; 32])
}

fn path(role: RelayRole, address: &str) -> RelayPath {
    let downlink = SealedDownlink { suite: Suite::AeadAes128Gcm, secret: secret(), epoch: epoch() };
    RelayPath {
        relay: RelayId(7),
        role,
        address: address.parse::<SocketAddr>().unwrap().into(),
        leg: LegId(0x2122_2324_2526_2728),
        relay_password: password(1),
        terminal_password: password(2),
        downlink: (role == RelayRole::Standby).then_some(downlink),
    }
}

fn token() -> ResumeToken {
    ResumeToken::new((0..129).collect())
}

fn from_terminal() -> Vec<FromTerminal> {
    vec![
        SignIn {
            request: REQUEST,
            tenant: "ginza".into(),
            login: "store-1".into(),
            password: Password::new("correct horse battery".into()),
            device: DeviceId(9),
            device_key: DeviceKey([0xd1; 32]),
            device_proof: DeviceProof([0xd2; 64]),
            software: "kakehashi-terminal 0.1.0".into(),
        }
        .into(),
        SignOut { request: REQUEST }.into(),
        WatchPresence { request: REQUEST }.into(),
        Invite { request: REQUEST, login: "concierge-1".into(), streams: offers() }.into(),
        Accept { request: REQUEST, call: CALL, streams: offers() }.into(),
        Reject { request: REQUEST, call: CALL }.into(),
        Cancel { request: REQUEST, call: CALL }.into(),
        HangUp { request: REQUEST, call: CALL }.into(),
        ReportQuality {
            call: CALL,
            packets_sent: 1,
            packets_received: 2,
            packets_lost: 3,
            jitter_us: 4,
            round_trip_us: 5,
            packets_concealed: 6,
            ways: vec![WayToRelay { relay: RelayId(7), round_trip_us: 7 }],
        }
        .into(),
        Resume {
            request: REQUEST,
            token: token(),
            device_proof: DeviceProof([0xd2; 64]),
            software: "kakehashi-terminal 0.1.0".into(),
        }
        .into(),
        ChangePassword {
            request: REQUEST,
            old: Password::new("correct horse battery".into()),
            new: Password::new("tangerine umbrella".into()),
        }
        .into(),
        SetAway { request: REQUEST, away: true }.into(),
        InviteDesk { request: REQUEST, desk: "reception".into(), streams: offers() }.into(),
        Hold { request: REQUEST, call: CALL, on: true }.into(),
        Mute { request: REQUEST, call: CALL, on: false }.into(),
        Share { request: REQUEST, call: CALL, on: true }.into(),
        ChooseLayer { request: REQUEST, call: CALL, member: MemberId(1), layer: Layer::Low }.into(),
        AddMember { request: REQUEST, call: CALL, login: "concierge-2".into(), then_leave: true }
            .into(),
        Merge { request: REQUEST, call: CALL, with: CallId(2), then_leave: false }.into(),
        Listen { request: REQUEST, call: CALL, streams: offers() }.into(),
        Missed { request: REQUEST, seen_until_ms: 1_767_225_600_000 }.into(),
        EndWrapUp { request: REQUEST }.into(),
        AddDesk { request: REQUEST, call: CALL, desk: "repairs".into(), then_leave: true }.into(),
        Ping { at_ms: 1_500 }.into(),
    ]
}

fn members() -> Members {
    let member = |member, login: &str, phase| MemberState {
        member: MemberId(member),
        login: login.into(),
        display: "案内係".into(),
        phase,
        muted: member == 0,
        sharing: true,
    };
    let members =
        vec![member(0, "store-1", MemberPhase::In), member(1, "concierge-1", MemberPhase::Held)];
    Members { call: CALL, members }
}

fn signed_in() -> SignedIn {
    SignedIn {
        request: REQUEST,
        session: SessionId(1),
        tenant: TenantId(2),
        account: AccountId(3),
        display: "Ginza store".into(),
        must_change_password: true,
        role: Role::Supervisor,
        token: token(),
        grace_ms: 20_000,
    }
}

fn resumed() -> Resumed {
    Resumed {
        request: REQUEST,
        session: SessionId(4),
        token: token(),
        grace_ms: 20_000,
        calls: vec![CALL],
        rings: vec![CallId(6), CallId(7)],
        merged: vec![Merged { call: CallId(9), into: CALL }],
        over: vec![CallEnded { call: CallId(8), reason: CallEnd::PeerLost }],
    }
}

fn to_terminal() -> Vec<ToTerminal> {
    let key_of_sender = Some(key(Suite::AeadAes256Gcm));
    let member = MemberId(1);
    let sender = Sender { member, login: "store-1".into(), key: key_of_sender, streams: plans() };
    let entry = PresenceEntry {
        login: "concierge-1".into(),
        display: "案内係".into(),
        state: PresenceState::Waiting,
    };
    vec![
        signed_in().into(),
        Done { request: REQUEST }.into(),
        Refused { request: REQUEST, reason: Refusal::InAnotherCall, retry_after_ms: 1500 }.into(),
        Presence { complete: true, entries: vec![entry] }.into(),
        Ringing { request: REQUEST, call: CALL }.into(),
        Incoming {
            call: CALL,
            login: "store-1".into(),
            display: "Ginza store".into(),
            desk: "reception".into(),
            streams: offers(),
        }
        .into(),
        CallReady {
            call: CALL,
            round: 3,
            key: key(Suite::AeadAes128Gcm),
            streams: plans(),
            senders: vec![sender.clone(), Sender { key: None, ..sender }],
            paths: vec![
                path(RelayRole::Primary, "192.0.2.1:40000"),
                path(RelayRole::Standby, "[2001:db8::1]:40001"),
            ],
            hitless: true,
        }
        .into(),
        CallEnded { call: CALL, reason: CallEnd::HungUp }.into(),
        SessionEnded { reason: SessionEnd::Replaced }.into(),
        PathRenewed { call: CALL, leg: LegId(5), epoch: epoch() }.into(),
        resumed().into(),
        Queued { request: REQUEST, call: CALL, position: 3, wait_ms: 90_000, announce: true }
            .into(),
        members().into(),
        Taken { call: CALL }.into(),
        MissedCalls {
            calls: vec![MissedCall {
                login: "concierge-1".into(),
                at_ms: 1_767_225_600_000,
                calls: 2,
            }],
        }
        .into(),
        QueueNews { call: CALL, position: 2, wait_ms: 60_000, overflow: true }.into(),
        AddFailed { call: CALL, login: "concierge-2".into(), reason: CallEnd::NoAnswer }.into(),
        Merged { call: CALL, into: CallId(2) }.into(),
        TokenRenewed { token: token() }.into(),
        AddDeskFailed { call: CALL, desk: "repairs".into(), reason: CallEnd::NobodyAtDesk }.into(),
        PathsChanged {
            call: CALL,
            round: 3,
            paths: vec![
                path(RelayRole::Primary, "[2001:db8::1]:40001"),
                path(RelayRole::Standby, "192.0.2.9:40000"),
            ],
            hitless: true,
        }
        .into(),
    ]
}

fn stream(ssrc: u32) -> LegStream {
    LegStream { ssrc: Ssrc(ssrc), rollover: 9 }
}

fn subscribe(streams: usize) -> Order {
    let subscription = Subscription { source: Ssrc(6), shown_as: Ssrc(7) };
    let streams = vec![subscription; streams];
    Order::Subscribe(SubscribeLeg { leg: LegId(5), generation: Generation(0x34), streams })
}

fn to_relay() -> Vec<ToRelay> {
    let generation = Generation(0x31);
    let install = InstallLeg {
        leg: LegId(5),
        call: CALL,
        trace: TraceId(0x71ace),
        generation,
        shard: ShardIndex(1),
        key: key(Suite::AeadAes256Gcm),
        relay_password: password(3),
        terminal_password: password(4),
        streams: vec![stream(1), stream(2)],
        lane: LegLane::Seal(SealLane { suite: Suite::AeadAes256Gcm, secret: secret() }),
        receives: Some(vec![Subscription { source: Ssrc(6), shown_as: Ssrc(7) }]),
        rate_kbps: 4_000,
        lifetime_ms: 3_600_000,
        seen_at: host(7),
    };
    let renew = RenewLeg {
        leg: LegId(5),
        generation: Generation(0x32),
        lifetime_ms: 60_000,
        seen_at: host(8),
    };
    let remove = RemoveLeg { leg: LegId(5), generation: Generation(0x33) };
    vec![
        Welcome { heartbeat_ms: 200, lost_after_ms: 600 }.into(),
        Orders {
            term: TERM,
            orders: vec![
                Order::Install(install.clone()),
                Order::Install(InstallLeg { lane: LegLane::Pass, receives: None, ..install }),
                Order::Renew(renew),
                Order::Remove(remove),
                subscribe(2),
            ],
        }
        .into(),
        Resync { term: TERM, first: LegId(0), last: LegId(u64::MAX), keep: vec![LegId(5)] }.into(),
        NodeHeartbeat { beat: 12 }.into(),
    ]
}

fn from_relay() -> Vec<FromRelay> {
    let shard = ShardOffer {
        shard: ShardIndex(0),
        address: "192.0.2.1:40000".parse::<SocketAddr>().unwrap().into(),
        legs_max: 1000,
    };
    let result = OrderResult {
        leg: LegId(5),
        generation: Generation(0x31),
        outcome: Outcome::Applied,
        life: Generation(0x30),
        silent_ms: Some(0x20),
    };
    let load =
        ShardLoad { legs: 1, packets_received: 2, packets_sent: 3, bytes_sent: 4, cpu_us: 5 };
    vec![
        Hello {
            relay: RelayId(7),
            incarnation: Incarnation(8),
            software: "kakehashi-relay 0.1.0".into(),
            site: "tokyo".into(),
            shards: vec![shard],
        }
        .into(),
        OrdersDone { results: vec![result] }.into(),
        RelayHeartbeat { beat: 12, term: TERM, shards: vec![load] }.into(),
        CounterReport { counters: vec![Counter { name: "forged".into(), value: 9 }] }.into(),
        Rollovers { streams: vec![stream(1)] }.into(),
        Outdated { refused: TERM, newest: Term(0x42) }.into(),
    ]
}

/// Encodes every message of a direction, checks that it decodes to itself and that the direction
/// has no message without a sample.
macro_rules! lines {
    ($out:expr, $family:ty, $samples:expr) => {{
        let samples: Vec<$family> = $samples;
        let mut seen = Vec::new();
        for sample in &samples {
            let bytes = sample.encode().unwrap();
            let (header, body) = bytes.split_first_chunk::<{ FrameHeader::BYTES }>().unwrap();
            let header = FrameHeader::parse(header).unwrap();
            assert_eq!(header.body_bytes(), body.len());
            let again = <$family>::decode(header.kind(), body).unwrap().encode().unwrap();
            assert_eq!(again, bytes, "{}", sample.name());
            seen.push((header.kind(), sample.name()));
            writeln!($out, "{} {}", sample.name(), hex::encode(&bytes)).unwrap();
            for length in 0..body.len() {
                // Never a panic; a shorter archive may still be valid, but then over what it says.
                let _ = <$family>::decode(header.kind(), &body[..length]);
            }
        }
        seen.dedup();
        assert_eq!(seen, <$family>::KINDS, "every message has a sample, in order");
    }};
}

#[test]
fn every_message_keeps_its_bytes() {
    let mut lines = String::new();
    lines!(lines, FromTerminal, from_terminal());
    lines!(lines, ToTerminal, to_terminal());
    lines!(lines, ToRelay, to_relay());
    lines!(lines, FromRelay, from_relay());
    lines!(lines, FromNode, node::from_node());
    lines!(lines, ToNode, node::to_node());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
    if std::env::var_os("KAKEHASHI_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &lines).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, golden) in lines.lines().zip(golden.lines()) {
        assert_eq!(line, golden, "the wire format changed");
    }
    assert_eq!(lines.lines().count(), golden.lines().count());
}

#[test]
fn limits_hold_on_both_sides() {
    let invite = |login: usize, streams: usize| {
        FromTerminal::from(Invite {
            request: REQUEST,
            login: "x".repeat(login),
            streams: vec![offers()[0]; streams],
        })
        .encode()
    };
    assert!(invite(128, 4).is_ok());
    assert_eq!(invite(129, 4).unwrap_err().field, "login");
    assert_eq!(invite(128, 5).unwrap_err().field, "streams");
    let orders = |count: usize| {
        let remove = RemoveLeg { leg: LegId(5), generation: Generation(1) };
        ToRelay::from(Orders { term: TERM, orders: vec![Order::Remove(remove); count] }).encode()
    };
    assert!(orders(32).is_ok());
    assert_eq!(orders(33).unwrap_err().field, "orders");
}

#[test]
fn a_first_sequence_number_may_not_be_near_the_wrap() {
    let ready = || {
        let ready = to_terminal().into_iter().find(|message| message.name() == "CallReady");
        let Some(ToTerminal::CallReady(ready)) = ready else { panic!("there is a sample") };
        ready
    };
    let (mut own, mut other) = (ready(), ready());
    own.streams[1].first_sequence = 32_768;
    other.senders[0].streams[1].first_sequence = 32_768;
    for message in [own, other] {
        let error = ToTerminal::from(message).encode().unwrap_err();
        assert_eq!(error.field, "first_sequence");
    }
    // The bytes of 77 stand in nothing else of the sample.
    let good = ToTerminal::from(ready()).encode().unwrap();
    let places: Vec<_> = (12..good.len() - 1).filter(|at| good[*at..*at + 2] == [77, 0]).collect();
    assert_eq!(places.len(), 6);
    for place in places {
        for (high, refused) in [(0x7f, false), (0x80, true)] {
            let mut body = good[12..].to_vec();
            body[place - 12 + 1] = high;
            let decoded = ToTerminal::decode(0x0207, &body).map(drop);
            let over = DecodeError::OverLimit { field: "first_sequence" };
            assert_eq!(decoded, if refused { Err(over) } else { Ok(()) });
        }
    }
}

#[test]
fn a_full_batch_of_the_longest_orders_fits_a_message() {
    let ToRelay::Orders(batch) = to_relay().remove(1) else { panic!("second is Orders") };
    let Some(Order::Install(mut leg)) = batch.orders.into_iter().next() else { panic!("install") };
    leg.streams = vec![stream(1); 4];
    leg.receives = Some(vec![Subscription { source: Ssrc(6), shown_as: Ssrc(7) }; 124]);
    let full =
        |order: Order| ToRelay::from(Orders { term: TERM, orders: vec![order; 32] }).encode();
    let length = |order| full(order).map(|bytes| bytes.len());
    assert_eq!(length(Order::Install(leg.clone())), Ok(12 + 16 + 32 * (203 + 128 * 8)));
    assert_eq!(length(subscribe(124)), Ok(12 + 16 + 32 * (203 + 124 * 8)));
    assert_eq!(full(subscribe(125)).unwrap_err().field, "streams");
    let mut over = leg.clone();
    over.receives.get_or_insert_default().push(Subscription { source: Ssrc(1), shown_as: Ssrc(1) });
    assert_eq!(full(Order::Install(over)).unwrap_err().field, "receives");
    let presence = |entries: usize, name: usize| {
        let (login, display, state) = ("x".repeat(name), "x".repeat(name), PresenceState::Offline);
        let entries = vec![PresenceEntry { login, display, state }; entries];
        ToTerminal::from(Presence { complete: true, entries }).encode().map(|bytes| bytes.len())
    };
    assert_eq!(presence(128, 128), Ok(12 + 1 + 8 + 128 * (17 + 2 * 128)));
    assert_eq!(presence(256, 119), Ok(12 + 1 + 8 + 256 * (17 + 2 * 119)));
    assert_eq!(presence(256, 128).unwrap_err().field, "body", "why control sends 128 a message");
    assert_eq!(presence(257, 1).unwrap_err().field, "entries");
    let keep = vec![LegId(1); kakehashi_wire::relay::RESYNC_LEGS_MAX];
    assert!(
        ToRelay::from(Resync { term: TERM, first: LegId(0), last: LegId(1), keep })
            .encode()
            .is_ok()
    );
}
