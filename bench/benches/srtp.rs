//! What checking, opening and sealing one SRTP packet costs: with every authenticator and provider,
//! with one key, and with 1,000 and 100,000 keys in random order, as a relay meets its legs. With
//! `--features null` also everything but the cipher.
//!
//! Each measurement takes [`PACKETS`] packets of one stream in order; the rate it prints is packets
//! a second on one core. Sizes are those of plain RTP packets: voice, and video. The many keys are
//! copies of one in different places of memory, so that the same few packets fit all of them.

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use kakehashi_srtp::{
    AuthKeys, Authenticator, PacketIndex, Provider, RTP_OVERHEAD_BYTES, Scratch, SessionKeys,
    StreamOpener, seal_rtp_at,
};
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader, Ssrc};
use kakehashi_wire::secret::{MasterKey, Suite};
use std::hint::black_box;

const PACKETS: u16 = 64;
const SSRC: Ssrc = Ssrc(0x1357_9bdf);
const SIZES: [usize; 2] = [160, 1_200];

/// Keys in use: always in the first cache, in the second, in none.
const KEYS: [usize; 3] = [1, 1_000, 100_000];

/// Makes keys to check with, or `None` if this machine cannot.
type AuthMaker = fn(&MasterKey) -> Option<AuthKeys>;

/// Makes keys to open and seal with.
type SessionMaker = fn(&MasterKey) -> Option<SessionKeys>;

const AUTHENTICATORS: &[(&str, AuthMaker)] = &[
    ("vpclmulqdq", |master| auth(Authenticator::Vpclmulqdq, master)),
    ("aes-gcm", |master| auth(Authenticator::AesGcm, master)),
    ("aws-lc-rs", |master| auth(Authenticator::AwsLcRs, master)),
    #[cfg(feature = "null")]
    ("null", |_| Some(AuthKeys::null())),
];

const PROVIDERS: &[(&str, SessionMaker)] = &[
    ("vaes", |master| session(Provider::Vaes, master)),
    ("aes-gcm", |master| session(Provider::AesGcm, master)),
    ("aws-lc-rs", |master| session(Provider::AwsLcRs, master)),
    #[cfg(feature = "null")]
    ("null", |_| Some(SessionKeys::null())),
];

fn auth(authenticator: Authenticator, master: &MasterKey) -> Option<AuthKeys> {
    authenticator.is_available().then(|| AuthKeys::derive(authenticator, master))
}

fn session(provider: Provider, master: &MasterKey) -> Option<SessionKeys> {
    provider.is_available().then(|| SessionKeys::derive(provider, master))
}

fn master() -> MasterKey {
    MasterKey::new(Suite::AeadAes128Gcm, &[7; 32], &[9; 12])
}

/// A packet of `size` bytes in a buffer with room for the tag.
fn packet(sequence: u16, size: usize) -> Vec<u8> {
    let header = RtpHeader { marker: false, payload_type: 96, sequence, timestamp: 0, ssrc: SSRC };
    let mut buffer = vec![0x5a; size + RTP_OVERHEAD_BYTES];
    buffer[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
    buffer
}

fn packets(size: usize) -> Vec<Vec<u8>> {
    (0..PACKETS).map(|sequence| packet(sequence, size)).collect()
}

fn seal_all<'a>(packets: &mut [Vec<u8>], mut keys: impl FnMut() -> &'a SessionKeys) {
    for (sequence, packet) in (0..).zip(packets) {
        let (index, plain_bytes) =
            (PacketIndex::new(0, sequence), packet.len() - RTP_OVERHEAD_BYTES);
        let sealed = seal_rtp_at(keys(), index, packet, plain_bytes);
        black_box(sealed).expect("the packet is good");
    }
}

fn sealed(keys: &SessionKeys, size: usize) -> Vec<Vec<u8>> {
    let mut packets = packets(size);
    seal_all(&mut packets, || keys);
    packets
}

fn authenticate_all<'a>(
    packets: &[Vec<u8>],
    scratch: &mut Scratch,
    mut keys: impl FnMut() -> &'a AuthKeys,
) {
    let mut opener = StreamOpener::new(SSRC);
    for packet in packets {
        let index = opener.authenticate_rtp(keys(), packet, scratch);
        black_box(index).expect("the packet is good");
    }
}

fn open_all<'a>(packets: &[Vec<u8>], out: &mut [u8], mut keys: impl FnMut() -> &'a SessionKeys) {
    let mut opener = StreamOpener::new(SSRC);
    for packet in packets {
        let opened = opener.unprotect_rtp_into(keys(), packet, out);
        black_box(opened).expect("the packet is good");
    }
}

/// Many keys, given out in an order that no prefetcher guesses (SplitMix64).
struct Pool<K> {
    keys: Vec<K>,
    state: u64,
}

impl<K> Pool<K> {
    /// `None` if this machine cannot make such keys.
    fn new(count: usize, make: impl Fn(&MasterKey) -> Option<K>) -> Option<Self> {
        let master = master();
        let keys = (0..count).map(|_| make(&master)).collect::<Option<_>>()?;
        Some(Self { keys, state: 0 })
    }

    /// The next key of the walk that `state` stands for.
    fn pick<'a>(keys: &'a [K], state: &mut u64) -> &'a K {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let place = (u128::from(mixed) * keys.len() as u128) >> 64;
        &keys[usize::try_from(place).expect("invariant: below the number of keys")]
    }
}

/// Adds a row for every size to `group`, if this machine can make the keys.
fn rows<K>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (name, make): (&str, impl Fn(&MasterKey) -> Option<K>),
    count: usize,
    mut work: impl FnMut(usize, &mut criterion::Bencher<'_>, &mut Pool<K>),
) {
    let Some(mut pool) = Pool::new(count, make) else {
        return;
    };
    for size in SIZES {
        let id = BenchmarkId::new(format!("{name}/{count} keys"), size);
        group.bench_function(id, |bencher| work(size, bencher, &mut pool));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (what, work) in [
        ("authenticate", authenticate as fn(&mut BenchmarkGroup<'_, WallTime>, usize)),
        ("open", open),
        ("seal", seal),
    ] {
        let mut group = criterion.benchmark_group(format!("srtp/{what}"));
        group.throughput(Throughput::Elements(u64::from(PACKETS)));
        KEYS.into_iter().for_each(|count| work(&mut group, count));
        group.finish();
    }
    criterion.final_summary();
}

fn authenticate(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let real = SessionKeys::derive(Provider::AwsLcRs, &master());
    let mut scratch = Scratch::new();
    for (name, make) in AUTHENTICATORS {
        rows(group, (name, make), count, |size, bencher, pool| {
            let packets = sealed(&real, size);
            let Pool { keys, state } = pool;
            bencher.iter(|| authenticate_all(&packets, &mut scratch, || Pool::pick(keys, state)));
        });
    }
}

fn open(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let mut out = vec![0; 2_000];
    for (name, make) in PROVIDERS {
        rows(group, (name, make), count, |size, bencher, pool| {
            let packets = sealed(&pool.keys[0], size);
            let Pool { keys, state } = pool;
            bencher.iter(|| open_all(&packets, &mut out, || Pool::pick(keys, state)));
        });
    }
}

fn seal(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    for (name, make) in PROVIDERS {
        rows(group, (name, make), count, |size, bencher, pool| {
            let mut packets = packets(size);
            let Pool { keys, state } = pool;
            bencher.iter(|| seal_all(&mut packets, || Pool::pick(keys, state)));
        });
    }
}
