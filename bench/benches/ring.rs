//! What a whole relay takes over the loopback device, ring and sockets included: packets from all
//! senders at once, until all of them have been received and opened again.

use criterion::{Criterion, Throughput};
use kakehashi_bench::subject::relay_here;
use kakehashi_bench::workload::{VIDEO, VIDEO_SEALED, VOICE, Workload};
use kakehashi_loadgen::clock::Clock;

const WAYS: [(&str, Workload); 3] = [
    ("64 singles of 160 B", VOICE),
    ("8 trains of 8 x 1,200 B", Workload { flows: 8, ..VIDEO }),
    ("8 trains, sealed anew", Workload { flows: 8, ..VIDEO_SEALED }),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("ring");
    for (name, workload) in WAYS {
        let folder = tempfile::tempdir().expect("a folder for settings and orders");
        let mut traffic = relay_here(workload, folder.path(), Clock::start())
            .expect("a relay runs over the loopback device");
        let packets = u64::from(workload.flows) * u64::from(workload.train);
        group.throughput(Throughput::Elements(packets));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let arrived = traffic.volley().expect("every packet arrives");
                assert_eq!(arrived, packets);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
