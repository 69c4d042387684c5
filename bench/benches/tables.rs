//! What finding a leg costs when few, many and very many are there: packets come from any of them,
//! so what does not fit a cache comes from memory.

use core::hint::black_box;
use criterion::{BatchSize, Criterion, Throughput};
use kakehashi_bench::table::{Datagram, Table, number_of, stream_of};
use kakehashi_relay::path::verdict::Verdict;
use kakehashi_srtp::Provider;

/// Legs of a table: in the caches, a shard at work, a full one.
const LEGS: [u32; 3] = [100, 1_000, 100_000];

/// Packets that are looked up in turn: more than the caches hold of the largest table.
const PACKETS: usize = 65_536;

/// Packets of one turn.
const TURN: usize = 64;

/// Legs in random order, uniformly drawn.
fn drawn(legs: u32) -> impl Iterator<Item = u32> {
    (0..PACKETS).map(move |_| rand::random::<u32>() % legs)
}

fn look_ups(criterion: &mut Criterion, table: &Table, legs: u32) {
    let mut group = criterion.benchmark_group(format!("tables/{legs} legs"));
    let streams: Vec<_> = drawn(legs).map(stream_of).collect();
    let mut next = streams.iter().cycle();
    group.bench_function("by stream", |bencher| {
        bencher.iter(|| table.legs().find_stream(*next.next().expect("it has no end")));
    });
    let numbers: Vec<_> = drawn(legs).map(number_of).collect();
    let mut next = numbers.iter().cycle();
    group.bench_function("by number", |bencher| {
        bencher.iter(|| table.legs().find(*next.next().expect("it has no end")));
    });
    assert!(streams.iter().all(|stream| table.legs().find_stream(*stream).is_some()));
    group.finish();
}

/// A packet from elsewhere passes demultiplexing, look-up and the check of its address, and ends
/// there: before any cipher.
fn demultiplexing(criterion: &mut Criterion, table: &mut Table, legs: u32) {
    let packet = |leg| -> Datagram {
        let mut bytes = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
        bytes.extend(stream_of(leg).0.to_be_bytes());
        bytes.resize(160, 0x55);
        (([192, 0, 2, 1], 9).into(), bytes)
    };
    let packets: Vec<_> = drawn(legs).map(packet).collect();
    table.turn(&packets[..TURN]);
    assert_eq!(table.counted(Verdict::WrongAddress), TURN as u64);
    let mut turns = packets.chunks(TURN).cycle();
    let mut group = criterion.benchmark_group(format!("tables/{legs} legs"));
    group.throughput(Throughput::Elements(TURN as u64));
    group.bench_function("demultiplexing", |bencher| {
        bencher.iter(|| table.turn(black_box(turns.next().expect("it has no end"))));
    });
    group.finish();
}

/// Video packets of legs drawn one by one, so that every packet needs another leg's memory.
fn forwarding(criterion: &mut Criterion, table: &mut Table, legs: u32) {
    let mut phones: Vec<_> = (0..legs).map(|leg| table.phone(leg)).collect();
    let mut turn = || -> Vec<Datagram> {
        let held = phones.len();
        let senders = (0..TURN).map(|_| rand::random_range(0..held));
        senders.flat_map(|sender| phones[sender].packets(1, 1_200)).collect()
    };
    table.turn(&turn());
    assert_eq!(table.counted(Verdict::Forwarded), TURN as u64);
    let mut group = criterion.benchmark_group(format!("tables/{legs} legs"));
    group.throughput(Throughput::Elements(TURN as u64));
    group.bench_function("authenticate and route 1,200 B", |bencher| {
        bencher.iter_batched(&mut turn, |packets| table.turn(&packets), BatchSize::PerIteration);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for legs in LEGS {
        let mut table = Table::new(legs, 2, false, Provider::AwsLcRs);
        look_ups(&mut criterion, &table, legs);
        demultiplexing(&mut criterion, &mut table, legs);
        forwarding(&mut criterion, &mut table, legs);
    }
    criterion.final_summary();
}
