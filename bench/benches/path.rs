//! What a packet's way through the relay costs without the kernel: the whole path, and how far
//! each kind of packet gets that is refused on it.

use criterion::{BatchSize, Criterion, Throughput};
use kakehashi_bench::table::{Datagram, TRAIN, Table};
use kakehashi_relay::path::verdict::Verdict;
use kakehashi_srtp::Provider;

/// Packets of one turn.
const TURN: usize = 64;

fn providers() -> Vec<Provider> {
    let null: &[Provider] = &[
        #[cfg(feature = "null")]
        Provider::Null,
    ];
    [&Provider::ALL, null].concat()
}

/// One way through the whole path.
struct Whole {
    name: &'static str,
    receivers: u32,
    is_sealed: bool,
    packet_bytes: usize,
    /// Packets that come one behind the other.
    train: usize,
}

const WHOLE: [Whole; 4] = [
    Whole { name: "pass 160 B", receivers: 1, is_sealed: false, packet_bytes: 160, train: 1 },
    Whole { name: "pass train", receivers: 1, is_sealed: false, packet_bytes: 1_200, train: TRAIN },
    Whole { name: "seal train", receivers: 1, is_sealed: true, packet_bytes: 1_200, train: TRAIN },
    Whole {
        name: "pass to 20",
        receivers: 20,
        is_sealed: false,
        packet_bytes: 1_200,
        train: TRAIN,
    },
];

/// Every packet is new, authentic and forwarded.
fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    group.throughput(Throughput::Elements(TURN as u64));
    for way in &WHOLE {
        for provider in providers() {
            let (call_legs, senders) = (way.receivers + 1, TURN / way.train);
            let calls = u32::try_from(senders).expect("a turn has few senders");
            let mut table = Table::new(calls * call_legs, call_legs, way.is_sealed, provider);
            let mut phones: Vec<_> = (0..calls).map(|call| table.phone(call * call_legs)).collect();
            let mut next = || -> Vec<Datagram> {
                phones.iter_mut().flat_map(|it| it.packets(way.train, way.packet_bytes)).collect()
            };
            table.turn(&next());
            assert_eq!(table.counted(Verdict::Forwarded), TURN as u64, "{}", way.name);
            group.bench_function(format!("{}/{provider}", way.name), |bencher| {
                bencher.iter_batched(&mut next, |turn| table.turn(&turn), BatchSize::PerIteration);
            });
            assert_eq!(table.counted(Verdict::Forged) + table.counted(Verdict::Replayed), 0);
        }
    }
    group.finish();
}

/// Packets that end at one stage each: the difference to the one before is what a stage costs.
fn stages(criterion: &mut Criterion) {
    let mut table = Table::new(64, 2, false, Provider::AwsLcRs);
    let mut phone = table.phone(6);
    let known = phone.packets(TURN, 1_200);
    let with = |change: &dyn Fn(&mut Datagram)| {
        let mut packets = known.clone();
        packets.iter_mut().for_each(change);
        packets
    };
    // Where each ends, in the order of the stages.
    let cases = [
        ("noise", Verdict::ForeignDatagram, with(&|packet| packet.1[0] = 0x7f)),
        ("unknown stream", Verdict::UnknownSsrc, with(&|packet| packet.1[8] ^= 0x55)),
        ("wrong address", Verdict::WrongAddress, with(&|packet| packet.0.set_port(9))),
        ("forged", Verdict::Forged, with(&|packet| packet.1[1_000] ^= 1)),
        ("replayed", Verdict::Replayed, known.clone()),
    ];
    table.turn(&known[..1]);
    let mut group = criterion.benchmark_group("path/refused");
    group.throughput(Throughput::Elements(TURN as u64));
    for (name, verdict, packets) in &cases {
        // The replayed ones are taken once.
        table.turn(packets);
        let before = table.counted(*verdict);
        group.bench_function(*name, |bencher| bencher.iter(|| table.turn(packets)));
        assert!(table.counted(*verdict) > before, "{name} packets end elsewhere");
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    whole(&mut criterion);
    stages(&mut criterion);
    criterion.final_summary();
}
