//! A million forged and garbage packets at the port of a live call: none is accepted, none is
//! answered, the call goes on, every packet is in one counter, and memory stays as it was.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::hostile::{self, Seen};
use kakehashi_loadgen::steady::{self, Rate, Report};
use kakehashi_tests::children::pause;
use kakehashi_tests::platform::Platform;
use std::collections::BTreeMap;
use std::time::Duration;

/// From a stranger's address.
const FOREIGN_PACKETS: u64 = 800_000;
/// From the address of a leg of the call, as if the attacker could forge it.
const SPOOFED_PACKETS: u64 = 200_000;
const HOSTILE_PACKETS: u64 = FOREIGN_PACKETS + SPOOFED_PACKETS;

/// Counters that say how a received packet ended; `received` is their sum.
const NOT_VERDICTS: [&str; 6] =
    ["received", "received_bytes", "hops", "hop_bytes", "hops_not_shown", "latched_by_media"];

#[tokio::test(flavor = "multi_thread")]
async fn a_million_hostile_packets_change_nothing() {
    let platform = Platform::start(1);
    let (call, mut from, mut to) = platform.bound_call().await;
    let sealed = from.send(0, 160).unwrap();
    let packet = from.last_sent(sealed).to_vec();
    let (stranger, spoofed) =
        (hostile::stranger(from.relay_address()).unwrap(), from.spoofed().unwrap());
    let seen = Seen {
        packet: &packet,
        ssrc: call.caller.ready.streams[0].ssrc,
        fragment: call.caller.ready.paths[0].leg.fragment(),
    };

    let before = memory_kib(&platform);
    let rate = Rate { burst: 1, interval: Duration::from_millis(2), payload_bytes: 160 };
    let (report, answered) = std::thread::scope(|threads| {
        let voice = threads
            .spawn(|| steady::run(&mut from, &mut to, rate, Duration::from_secs(15)).unwrap());
        let pace = || pause(Duration::from_micros(400));
        let answered = hostile::flood(&stranger, &seen, FOREIGN_PACKETS, 7, pace).unwrap()
            + hostile::flood(&spoofed, &seen, SPOOFED_PACKETS, 8, pace).unwrap();
        (voice.join().unwrap(), answered)
    });
    let after = memory_kib(&platform);
    println!("voice during the flood: {report:?}; relays' memory: {before} -> {after} KiB");

    assert_eq!(answered, 0, "the relay answered hostile packets");
    assert_eq!(report.refused, 0, "hostile packets reached the receiver");
    assert!(report.lost() * 1_000 <= report.sent, "{report:?}");
    let growth = after.saturating_sub(before);
    assert!(growth <= 1_024, "memory grew from {before} to {after} KiB");
    check_counters(&settled_counters(&platform), report);
}

/// Every packet is in exactly one counter, and only ours were forwarded.
fn check_counters(counters: &BTreeMap<String, u64>, voice: Report) {
    println!("{counters:#?}");
    let verdicts: Vec<u64> = kakehashi_relay::path::verdict::Verdict::ALL
        .iter()
        .map(|verdict| counters.get(verdict.name()).copied().unwrap_or(0))
        .collect();
    assert!(NOT_VERDICTS.iter().all(|name| counters.contains_key(*name)));
    let count = |name: &str| counters.get(name).copied().unwrap_or(0);
    assert_eq!(verdicts.iter().sum::<u64>(), count("received"), "verdicts do not add up");
    // One packet of ours came before the flood, to show the attacker something real.
    let ours = voice.sent + 1;
    let bindings = count("stun_answered");
    let reached = count("received") + count("dropped_truncated") + count("dropped_unaddressed");
    let queued = reached + count("receive_queue_overflowed");
    assert_eq!(queued, HOSTILE_PACKETS + ours + bindings, "packets are unaccounted for");
    assert!(count("forwarded") <= ours, "a hostile packet was forwarded");
    assert_eq!(count("stun_moved") + count("stun_challenged"), 0, "a leg was moved");
    for name in
        ["forged", "replayed", "wrong_address", "unknown_ssrc", "stun_bad_integrity", "too_short"]
    {
        assert!(count(name) > 0, "the flood never reached `{name}`");
    }
}

/// Counters once all packets are in them: relays report every second.
fn settled_counters(platform: &Platform) -> BTreeMap<String, u64> {
    let mut last = 0;
    for _ in 0..20 {
        pause(Duration::from_millis(2_500));
        let counters = platform.counters();
        if counters["received"] == last {
            return counters;
        }
        last = counters["received"];
    }
    panic!("the relays' counters do not settle");
}

/// Resident memory of all relays in KiB.
fn memory_kib(platform: &Platform) -> u64 {
    let resident = |pid: u32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let relays = platform.relay_processes();
    assert_eq!(relays.len(), 2, "a platform has two relays");
    relays.into_iter().map(resident).sum()
}
