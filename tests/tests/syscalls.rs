//! A relay under steady load makes far fewer system calls than it moves packets.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::steady::{self, Rate};
use kakehashi_tests::children::pause;
use kakehashi_tests::platform::Platform;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_relay_makes_well_under_one_system_call_a_packet() {
    let platform = Platform::start(1);
    let (_call, mut from, mut to) = platform.bound_call().await;

    let pids = platform.relay_processes();
    let table = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(table.path());
    for pid in &pids {
        strace.args(["-p", &pid.to_string()]);
    }
    let mut strace = strace
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is there: apt-get install strace");
    pause(Duration::from_secs(1));
    // Video of several calls at once: a burst of 16 packets 125 times a second.
    let rate = Rate { burst: 16, interval: Duration::from_millis(8), payload_bytes: 1_100 };
    let report = steady::run(&mut from, &mut to, rate, Duration::from_secs(8)).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap().success()
    );
    strace.wait().unwrap();

    let table = std::fs::read_to_string(table.path()).unwrap();
    let calls = total_calls(&table);
    // Relays report their counters every second. What they moved counts, not what was sent or
    // arrived: on a busy machine the tracer slows a relay until its socket overflows.
    pause(Duration::from_secs(3));
    let counters = platform.counters();
    let packets = counters["packets_received"] + counters["packets_sent"];
    println!("{table}\n{report:?}\n{calls} system calls for {packets} packets in and out");
    assert!(packets > 1_000, "{report:?} {counters:#?}");
    assert!(calls * 2 <= packets, "{calls} system calls for {packets} packets");
}

/// The number of calls in the last line of `strace -c`.
fn total_calls(table: &str) -> u64 {
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total")).unwrap();
    // % time, seconds, usecs/call, calls, (errors), "total"
    total.split_whitespace().nth(3).unwrap().parse().unwrap()
}
