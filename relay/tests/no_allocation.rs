//! The path of a packet allocates nothing, and what a leg takes: counted, not believed.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "tests may fail by panicking"
)]
#![expect(unsafe_code, reason = "a counting global allocator is an unsafe trait")]

use kakehashi_relay::legs::{Identity, LegTable};
use kakehashi_relay::path::batch::{Outgoing, Received, Slot};
use kakehashi_relay::path::forward;
use kakehashi_relay::path::verdict::{PathCounters, Verdict};
use kakehashi_relay::tick::Tick;
use kakehashi_srtp::{Provider, RtcpPrivacy, SessionKeys, StreamSealer};
use kakehashi_wire::feedback::{NackEntry, PacketMetric};
use kakehashi_wire::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    InstallLeg, LegLane, LegStream, Order, Outcome, RemoveLeg, SealLane, SubscribeLeg, Subscription,
};
use kakehashi_wire::rtcp::RtcpWriter;
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunMessage, TransactionId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes allocated and not freed.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged; counting touches a constant-
// initialised thread-local without a destructor, which itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + layout.size() as i64);
        // SAFETY: the caller upholds the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as i64);
        // SAFETY: the caller upholds the contract of `dealloc`; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALL_LEGS: u64 = 4;
const PACKETS: usize = 250;

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, leg as u8], 4_000))
}

fn master(leg: u64) -> MasterKey {
    MasterKey::new(Suite::AeadAes128Gcm, &[leg as u8; 32], &[leg as u8; 12])
}

fn install(leg: u64) -> Order {
    Order::Install(leg_order(leg))
}

fn leg_order(leg: u64) -> InstallLeg {
    InstallLeg {
        leg: LegId(leg),
        call: CallId(1),
        trace: TraceId(1),
        generation: Generation(1),
        shard: ShardIndex(0),
        key: master(leg),
        relay_password: IcePassword::from_random([1; 24]),
        terminal_password: IcePassword::from_random([2; 24]),
        streams: vec![LegStream { ssrc: Ssrc(leg as u32), rollover: 0 }],
        lane: LegLane::Pass,
        receives: None,
        rate_kbps: 0,
        lifetime_ms: 60_000,
        seen_at: Host::UNKNOWN,
    }
}

fn check(leg: u64) -> Vec<u8> {
    let (fragment, key) = (LegId(leg).fragment(), IcePassword::from_random([1; 24]));
    let id = TransactionId([3; 12]);
    StunMessage::check(id, &fragment, &fragment, 1, key.as_bytes()).bytes().to_vec()
}

fn media(leg: u64) -> Vec<Vec<u8>> {
    let keys = SessionKeys::derive(Provider::AesGcm, &master(leg));
    let ssrc = Ssrc(leg as u32);
    let mut sealer = StreamSealer::new(ssrc, 1);
    let mut packet = |n: usize| {
        let sequence = sealer.next_sequence().unwrap();
        let (marker, payload_type, timestamp) = (false, 111, n as u32 * 960);
        let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc };
        let mut bytes = vec![0x55; 12 + 1_000 + 16];
        bytes[..12].copy_from_slice(&header.to_bytes());
        let length = sealer.protect_rtp(&keys, &mut bytes, 1_012).unwrap();
        bytes.truncate(length);
        bytes
    };
    (0..PACKETS).map(&mut packet).collect()
}

/// Everything a turn may meet: media, replays, forgeries, noise, checks, checks from elsewhere.
fn batch() -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = Vec::new();
    for (n, packet) in media(1).into_iter().enumerate() {
        let mut forged = packet.clone();
        forged[30] ^= 1;
        batch.push((address(1), forged));
        batch.push((address(1), packet.clone()));
        batch.push((address(1), packet.clone()));
        batch.push((address(9), packet));
        batch.push((address(2), check(2)));
        batch.push((address(100 + n as u64 % 100), check(3)));
        batch.push((address(9), vec![n as u8; n]));
    }
    batch
}

#[test]
fn forwarding_allocates_nothing() {
    let packets = batch();
    for provider in [Provider::AesGcm, Provider::AwsLcRs] {
        let identity = Identity { relay: RelayId(1), incarnation: Incarnation(1) };
        let mut legs = LegTable::new(100, provider, identity);
        for leg in 1..=CALL_LEGS {
            assert_eq!(legs.apply(install(leg), Tick(1)).outcome, Outcome::Applied);
        }
        let (mut counters, mut out) = (PathCounters::default(), Outgoing::new(16));
        let mut drawn = 0;
        let mut random = || {
            drawn += 1;
            drawn
        };
        let latching: Vec<_> = (1..=CALL_LEGS).map(|leg| (address(leg), check(leg))).collect();
        let mut allocated = 0;
        for turn in latching.chunks(64).chain(packets.chunks(64)) {
            let received = turn.iter().map(|(source, bytes)| Received {
                slot: Slot(0),
                start: 0,
                source: *source,
                bytes,
            });
            let before = ALLOCATIONS.get();
            forward(&mut legs, received, Tick(2), &mut random, &mut counters, &mut out);
            out.clear();
            allocated += ALLOCATIONS.get() - before;
        }
        assert_eq!(allocated, 0, "{provider:?}");
        // The measurement saw every kind of work.
        let wanted = PACKETS as u64;
        assert_eq!(counters.of(Verdict::Forwarded), wanted);
        assert_eq!(counters.hops(), wanted * (CALL_LEGS - 1));
        assert_eq!(counters.of(Verdict::Replayed), wanted);
        assert_eq!(counters.of(Verdict::Forged), wanted);
        assert_eq!(counters.of(Verdict::WrongAddress), wanted);
        assert!(counters.of(Verdict::Challenged) > 0 && counters.of(Verdict::Answered) > wanted);
        assert_eq!(counters.verdicts(), counters.received());
    }
}

/// Two legs of the call in the seal lane, one of which sees leg 1 under another name.
fn mixed_lanes(provider: Provider) -> LegTable {
    let identity = Identity { relay: RelayId(1), incarnation: Incarnation(1) };
    let mut legs = LegTable::new(100, provider, identity);
    for leg in 1..=CALL_LEGS {
        let mut order = leg_order(leg);
        if leg > 2 {
            let secret = DownlinkSecret::from_random([leg as u8; 32]);
            order.lane = LegLane::Seal(SealLane { suite: Suite::AeadAes128Gcm, secret });
        }
        assert_eq!(legs.apply(Order::Install(order), Tick(1)).outcome, Outcome::Applied);
    }
    let streams = vec![Subscription { source: Ssrc(1), shown_as: Ssrc(77) }];
    let order = SubscribeLeg { leg: LegId(4), generation: Generation(2), streams };
    assert_eq!(legs.apply(Order::Subscribe(order), Tick(1)).outcome, Outcome::Applied);
    legs
}

/// What a receiver says: reports, requests for repetition and for key frames, arrival times.
fn feedback(leg: u64, media: Ssrc) -> Vec<Vec<u8>> {
    let keys = SessionKeys::derive(Provider::AesGcm, &master(leg));
    let from = Ssrc(leg as u32);
    let mut sealer = StreamSealer::new(from, 1);
    let mut seal = |fill: &dyn Fn(&mut RtcpWriter<'_>)| {
        let mut packet = Vec::new();
        fill(&mut RtcpWriter::new(&mut packet));
        let plain = packet.len();
        packet.resize(plain + 20, 0);
        let privacy = RtcpPrivacy::Encrypted;
        let length = sealer.protect_rtcp(&keys, &mut packet, plain, privacy).unwrap();
        packet.truncate(length);
        packet
    };
    let mut packets = Vec::new();
    for first in (1..PACKETS as u16).step_by(16) {
        packets.push(seal(&|out| out.canonical_name(from, b"somebody")));
        packets.push(seal(&|out| out.nack(from, media, [NackEntry { first, next: 0x7fff }])));
        packets.push(seal(&|out| out.picture_loss(from, media)));
        packets.push(seal(&|out| {
            out.congestion(from, 1, |blocks| {
                assert!(blocks.add(media, first, [PacketMetric::MISSING; 16]));
            });
        }));
    }
    packets
}

/// Trains for both lanes, repetitions, and everything said about them.
#[test]
fn trains_sealing_repetitions_and_feedback_allocate_nothing() {
    let mut batch = Vec::new();
    batch.extend((1..=CALL_LEGS).map(|leg| (address(leg), check(leg))));
    batch.extend(media(1).into_iter().map(|packet| (address(1), packet)));
    for (leg, name) in [(2, Ssrc(1)), (3, Ssrc(1)), (4, Ssrc(77))] {
        batch.extend(feedback(leg, name).into_iter().map(|packet| (address(leg), packet)));
    }
    for provider in [Provider::AesGcm, Provider::AwsLcRs] {
        let mut legs = mixed_lanes(provider);
        let slot = legs.find(LegId(1)).unwrap();
        legs.start_keeping(slot);
        let (mut counters, mut out) = (PathCounters::default(), Outgoing::new(16));
        let (mut allocated, mut longest) = (0, 0);
        for turn in batch.chunks(64) {
            let place = |slot: usize| Slot(slot as u16);
            let received = turn.iter().enumerate().map(|(slot, (source, bytes))| Received {
                slot: place(slot),
                start: 0,
                source: *source,
                bytes,
            });
            let before = ALLOCATIONS.get();
            let taken = forward(&mut legs, received, Tick(2), &mut || 1, &mut counters, &mut out);
            allocated += ALLOCATIONS.get() - before;
            assert_eq!(taken, turn.len());
            longest = out.trains().iter().map(|it| it.packets).fold(longest, u16::max);
            out.clear();
        }
        assert_eq!(allocated, 0, "{provider:?}");
        let entries: std::collections::BTreeMap<_, _> = counters.entries().collect();
        assert_eq!(longest, 16);
        assert_eq!(entries["repairs"], 3 * PACKETS as u64);
        assert!(entries["hops"] > 3 * PACKETS as u64);
        assert!(counters.of(Verdict::Repaired) > 0 && counters.of(Verdict::KeyFrameAsked) > 0);
        assert_eq!(counters.verdicts(), counters.received());
    }
}

const MANY: u64 = 100_000;

/// One of many: two legs a call, two streams a leg.
fn one_of_many(leg: u64) -> InstallLeg {
    let ssrc = |n: u64| Ssrc((2 * leg + n) as u32).0.wrapping_mul(0x9e37_79b1);
    let stream = |n| LegStream { ssrc: Ssrc(ssrc(n)), rollover: 0 };
    let streams = vec![stream(0), stream(1)];
    InstallLeg { call: CallId(leg / 2), streams, ..leg_order(leg) }
}

/// Bytes of memory for each leg, keys and replay windows of two streams included.
const LEG_BYTES_MAX: i64 = 2_048;

/// The same where the processor has no AVX-512: the keys of the libraries' ciphers are larger than
/// those of ours, which needs it.
const LEG_BYTES_MAX_NARROW: i64 = 2_560;

fn leg_bytes_max() -> i64 {
    let is_wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
    if is_wide { LEG_BYTES_MAX } else { LEG_BYTES_MAX_NARROW }
}

#[test]
fn a_hundred_thousand_legs_are_held_and_found_in_bounded_memory() {
    let identity = Identity { relay: RelayId(1), incarnation: Incarnation(1) };
    let new = |legs: u64| LegTable::new(legs as usize, Provider::AesGcm, identity);
    let before = LIVE.get();
    // What any table takes: the cache of repetitions, scratch space, memory of removed legs.
    let fixed = {
        let _table = new(1);
        LIVE.get() - before
    };
    let mut legs = new(MANY);
    let (mut generation, mut held) = (1, [0; 2]);
    // Twice, in another order the second time.
    for (step, held) in [1, 48_271].into_iter().zip(&mut held) {
        for n in 0..MANY {
            let mut order = one_of_many(n * step % MANY);
            order.generation = Generation(generation);
            assert_eq!(legs.apply(Order::Install(order), Tick(1)).outcome, Outcome::Applied);
        }
        assert_eq!((legs.len() as u64, legs.calls() as u64), (MANY, MANY / 2));
        for n in 0..MANY {
            let order = one_of_many(n);
            let slot = legs.find(order.leg).unwrap();
            for (at, stream) in order.streams.iter().enumerate() {
                let (owner, index) = legs.find_stream(stream.ssrc).unwrap();
                assert_eq!((owner, usize::from(index.number())), (slot, at));
            }
            let mut others = legs.others(slot).map(|other| legs.leg(other).unwrap().id());
            assert_eq!((others.next(), others.next()), (Some(LegId(n ^ 1)), None));
        }
        let per_leg = (LIVE.get() - before - fixed) / MANY as i64;
        assert!(per_leg <= leg_bytes_max(), "{per_leg} bytes a leg");
        *held = per_leg;
        for n in 0..MANY {
            let (leg, generation) = (LegId(n * 77_773 % MANY), Generation(generation + 1));
            let order = Order::Remove(RemoveLeg { leg, generation });
            assert_eq!(legs.apply(order, Tick(1)).outcome, Outcome::Applied);
        }
        assert!(legs.is_empty() && legs.calls() == 0);
        let order = one_of_many(5);
        assert_eq!((legs.find(order.leg), legs.find_stream(order.streams[0].ssrc)), (None, None));
        generation += 2;
    }
    drop(legs);
    assert_eq!(LIVE.get(), before, "all of it is given back");
    // Only now, since what is printed is kept by this thread, too.
    println!("{held:?} bytes a leg");
}
