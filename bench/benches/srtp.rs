//! What protecting, opening and checking one SRTP packet costs, with either provider, and with
//! `--features null` everything but the cipher.
//!
//! Each measurement takes [`PACKETS`] packets of one stream in order, the way a relay meets them;
//! the rate it prints is packets a second on one core. Sizes are those of plain RTP packets: a
//! narrow voice, a wide voice, video.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use kakehashi_srtp::{
    Provider, RTP_OVERHEAD_BYTES, Scratch, SessionKeys, StreamOpener, StreamSealer,
};
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader, Ssrc};
use kakehashi_wire::secret::{MasterKey, Suite};
use std::hint::black_box;

const PACKETS: u16 = 64;
const SSRC: Ssrc = Ssrc(0x1357_9bdf);
const SIZES: [usize; 3] = [60, 200, 1200];

/// Makes keys of one kind.
type Maker = fn() -> SessionKeys;

/// What does the cipher's work, by name.
const CIPHERS: &[(&str, Maker)] = &[
    ("aes-gcm", || derive(Provider::AesGcm)),
    ("aws-lc-rs", || derive(Provider::AwsLcRs)),
    #[cfg(feature = "null")]
    ("null", SessionKeys::null),
];

fn derive(provider: Provider) -> SessionKeys {
    SessionKeys::derive(provider, &MasterKey::new(Suite::AeadAes128Gcm, &[7; 32], &[9; 12]))
}

/// A key, and packets of one size in the clear and sealed with it.
struct Bed {
    keys: SessionKeys,
    plain: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Bed {
    fn new(keys: SessionKeys, size: usize) -> Self {
        let plain: Vec<_> = (0..PACKETS).map(|sequence| packet(sequence, size)).collect();
        let mut sealed = plain.clone();
        seal_all(&keys, &mut sealed);
        Self { keys, plain, sealed }
    }
}

/// A packet of `size` bytes in a buffer with room for the tag.
fn packet(sequence: u16, size: usize) -> Vec<u8> {
    let header = RtpHeader { marker: false, payload_type: 96, sequence, timestamp: 0, ssrc: SSRC };
    let mut buffer = vec![0x5a; size + RTP_OVERHEAD_BYTES];
    buffer[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
    buffer
}

fn seal_all(keys: &SessionKeys, packets: &mut [Vec<u8>]) {
    let mut sealer = StreamSealer::new(SSRC, 0);
    for packet in packets {
        let plain_bytes = packet.len() - RTP_OVERHEAD_BYTES;
        sealer.protect_rtp(keys, packet, plain_bytes).expect("the packet is good");
    }
}

fn authenticate_all(keys: &SessionKeys, packets: &[Vec<u8>], scratch: &mut Scratch) {
    let mut opener = StreamOpener::new(SSRC);
    for packet in packets {
        black_box(opener.authenticate_rtp(keys, packet, scratch)).expect("the packet is good");
    }
}

fn open_all(keys: &SessionKeys, packets: &mut [Vec<u8>], scratch: &mut Scratch) {
    let mut opener = StreamOpener::new(SSRC);
    for packet in packets {
        black_box(opener.unprotect_rtp(keys, packet, scratch)).expect("the packet is good");
    }
}

/// Measures `run` for every cipher and size under one name.
fn measure(criterion: &mut Criterion, name: &str, run: impl Fn(&mut criterion::Bencher<'_>, &Bed)) {
    let mut group = criterion.benchmark_group(format!("srtp/{name}"));
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    for (cipher, keys) in CIPHERS {
        for size in SIZES {
            let bed = Bed::new(keys(), size);
            group.bench_with_input(BenchmarkId::new(*cipher, size), &bed, &run);
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let batch = BatchSize::SmallInput;
    measure(&mut criterion, "protect", |bencher, bed| {
        bencher.iter_batched_ref(
            || bed.plain.clone(),
            |packets| seal_all(&bed.keys, packets),
            batch,
        );
    });
    measure(&mut criterion, "unprotect", |bencher, bed| {
        let mut scratch = Scratch::new();
        bencher.iter_batched_ref(
            || bed.sealed.clone(),
            |packets| open_all(&bed.keys, packets, &mut scratch),
            batch,
        );
    });
    measure(&mut criterion, "authenticate", |bencher, bed| {
        let mut scratch = Scratch::new();
        bencher.iter(|| authenticate_all(&bed.keys, &bed.sealed, &mut scratch));
    });
    criterion.final_summary();
}
