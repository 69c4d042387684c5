//! The path of a packet allocates nothing: counted, not believed.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests may fail by panicking"
)]
#![expect(unsafe_code, reason = "a counting global allocator is an unsafe trait")]

use kakehashi_relay::legs::{Identity, LegTable};
use kakehashi_relay::path::batch::{Outgoing, Received, Slot};
use kakehashi_relay::path::forward;
use kakehashi_relay::path::verdict::{PathCounters, Verdict};
use kakehashi_relay::tick::Tick;
use kakehashi_srtp::{Provider, SessionKeys, StreamSealer};
use kakehashi_wire::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex};
use kakehashi_wire::relay::{InstallLeg, LegLane, LegStream, Order, Outcome};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use kakehashi_wire::secret::{IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunMessage, TransactionId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged; counting touches a constant-
// initialised thread-local without a destructor, which itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
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
    Order::Install(InstallLeg {
        leg: LegId(leg),
        call: CallId(1),
        generation: Generation(1),
        shard: ShardIndex(0),
        key: master(leg),
        relay_password: IcePassword::from_random([1; 24]),
        terminal_password: IcePassword::from_random([2; 24]),
        streams: vec![LegStream { ssrc: Ssrc(leg as u32), rollover: 0 }],
        lane: LegLane::Pass,
        rate_kbps: 0,
        lifetime_ms: 60_000,
    })
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
