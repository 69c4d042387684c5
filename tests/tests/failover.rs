//! The load generator's relays that die, with few calls: all go on, and with hitless protection
//! nothing is missing. How long gaps are is measured in release builds: see LIMITS.md.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::Platform;
use serde_json::Value;

fn failover(platform: &Platform, options: &[&str]) -> Value {
    let usual = ["failover", "--runs", "1", "--calls", "3", "--p99-ms", "60000", "--quiet"];
    let report = platform.load(&[&usual, options].concat());
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("calls"), count("calls_lost")), (3, 0), "{report:#}");
    assert!(count("streams_hit") >= 2 && count("packets") > 3 * 2 * 100, "{report:#}");
    report
}

#[test]
fn calls_outlive_a_relay_that_is_killed_or_stands_still() {
    let platform = Platform::start(1);
    for death in ["kill", "stop"] {
        let report = failover(&platform, &["--death", death]);
        // Far below what a second of silence would cost: the gap is the fifth part of that.
        let hit = report["streams_hit"].as_u64().unwrap();
        assert!(report["packets_lost"].as_u64().unwrap() < 50 * hit, "{report:#}");
    }
}

#[test]
fn hitless_calls_lose_nothing_with_their_relay() {
    let platform = Platform::start(1);
    for death in ["kill", "stop"] {
        let report = failover(&platform, &["--death", death, "--hitless"]);
        assert_eq!(report["packets_lost"], 0, "{report:#}");
    }
}
