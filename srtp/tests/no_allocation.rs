//! Nothing on a packet's way allocates: a counting allocator watches each operation.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; there is no other way")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{SSRC, SUITES, keys, master, rtcp, rtp};
use kakehashi_srtp::{
    AuthKeys, Authenticator, Provider, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, RtcpKeys,
    RtcpPrivacy, Scratch, StreamOpener, StreamSealer, reopen_rtp, seal_rtcp_at, seal_rtp_at,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread apart.
struct Counting;

// SAFETY: every call goes to `System` unchanged, which keeps the trait's contract; the counter is
// a thread-local without destructor and lazy state, so touching it cannot allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `System.alloc` with this layout, as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates in Rust. AWS-LC's own C code calls `malloc`, which is not seen here;
/// it does so where a key is expanded.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn packets_cost_no_allocation() {
    for provider in Provider::ALL {
        for suite in SUITES {
            let (keys, mut scratch) = (keys(provider, suite), Scratch::new());
            let usable = Authenticator::ALL.into_iter().filter(|one| one.is_available());
            let derive = |one| AuthKeys::derive(one, &master(suite));
            let mut relays: Vec<_> =
                usable.map(|one| (derive(one), StreamOpener::new(SSRC))).collect();
            let mut sealer = StreamSealer::new(SSRC, 65_530);
            let (mut reports, mut receiver) = (StreamOpener::new(SSRC), StreamOpener::new(SSRC));
            let (mut beside, mut out) = (StreamOpener::new(SSRC), vec![0; 2_000]);
            let mut packets: Vec<Vec<u8>> = (0..20)
                .map(|at| rtp(SSRC, 65_530_u16.wrapping_add(at), usize::from(at) * 60))
                .collect();
            packets.iter_mut().for_each(|packet| packet.resize(packet.len() + 16, 0));
            let rtcp_keys = RtcpKeys::derive(&master(suite));
            let mut report = rtcp(SSRC, 12);
            report.resize(report.len() + RTCP_OVERHEAD_BYTES, 0);
            let mut garbage = vec![0x80; 300];

            let count = allocations(|| {
                for packet in &mut packets {
                    let plain = packet.len() - RTP_OVERHEAD_BYTES;
                    sealer.protect_rtp(&keys, packet, plain).unwrap();
                    for (auth, relay) in &mut relays {
                        relay.authenticate_rtp(auth, packet, &mut scratch).unwrap();
                        relay.authenticate_rtp(auth, packet, &mut scratch).unwrap_err();
                    }
                    packet[20] ^= 1;
                    receiver.unprotect_rtp(&keys, packet, &mut scratch).unwrap_err();
                    packet[20] ^= 1;
                    let index = beside.unprotect_rtp_into(&keys, packet, &mut out).unwrap().index;
                    reopen_rtp(&keys, packet, index, &mut out).unwrap();
                    seal_rtp_at(&keys, index, &mut out, plain).unwrap();
                    receiver.unprotect_rtp(&keys, packet, &mut scratch).unwrap();
                }
                for privacy in [RtcpPrivacy::Encrypted, RtcpPrivacy::Readable] {
                    let plain = report.len() - RTCP_OVERHEAD_BYTES;
                    sealer.protect_rtcp(&keys, &mut report, plain, privacy).unwrap();
                    reports.authenticate_rtcp(&rtcp_keys, &report, &mut scratch).unwrap();
                    let opened = beside.unprotect_rtcp_into(&keys, &report, &mut out).unwrap();
                    seal_rtcp_at(&keys, opened.index, &mut out, plain).unwrap();
                    receiver.unprotect_rtcp(&keys, &mut report, &mut scratch).unwrap();
                }
                receiver.unprotect_rtp(&keys, &mut garbage, &mut scratch).unwrap_err();
            });
            assert_eq!(count, 0, "{provider} {suite:?}");
        }
    }
}
