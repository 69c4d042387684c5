//! Three sites on one machine, each with a control node, a relay and a member of etcd: what calls
//! notice of each drill, in a short version. As root, since the sites are network namespaces.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Calls that go on.
const CALLS: u64 = 3;

/// The drills of which one run takes seconds. The rest is a minute long by its nature: a relay that
/// cannot be told keeps a leg for that long at least.
const DRILLS: [&str; 14] = [
    "relay-kill",
    "relay-freeze",
    "site-cut",
    "one-way-cut",
    "loss",
    "node-kill",
    "node-freeze",
    "etcd-leader-kill",
    "quorum-lost",
    "restart-all",
    "rolling-upgrade",
    "suspension",
    "relay-kill-hitless",
    "clock-jump",
];

/// Drills in which all media goes on as if nothing happened, unless this machine drops packets that
/// it has no time for.
const UNTOUCHED: [&str; 4] = ["node-freeze", "etcd-leader-kill", "quorum-lost", "suspension"];

/// The longest silence that such a machine may make.
const STALL_MS: f64 = 2_000.0;

fn count(drill: &Value, what: &str) -> u64 {
    drill[what].as_u64().unwrap_or_else(|| panic!("no {what} in {drill}"))
}

fn run(folder: &Path) -> BTreeMap<String, Value> {
    let output = Command::new(program("kakehashi-sites"))
        .arg("drill")
        .args(DRILLS)
        .args(["--runs", "1", "--quorum-lost-for", "15s", "--calls", &CALLS.to_string()])
        .arg("--data")
        .arg(folder.join("sites"))
        .arg("--report")
        .arg(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success());
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(read("drills.txt").contains("promises met"));
    assert_eq!(read("gaps.svg").matches("<circle").count(), DRILLS.len());
    let drills: Vec<Value> = serde_json::from_str(&read("drills.json")).unwrap();
    let named = |drill: Value| (drill["drill"].as_str().unwrap().to_owned(), drill);
    drills.into_iter().map(named).collect()
}

#[test]
fn calls_and_writes_outlive_every_drill() {
    let folder = tempfile::tempdir().unwrap();
    let drills = run(folder.path());
    assert_eq!(drills.len(), DRILLS.len());
    for (name, drill) in &drills {
        assert_eq!((count(drill, "runs"), count(drill, "calls")), (1, CALLS), "{name}");
        assert_eq!(count(drill, "calls_lost"), 0, "{name}: {drill}");
        assert_eq!(count(drill, "writes_lost"), 0, "{name}: {drill}");
        assert!(count(drill, "writes_acknowledged") > 0, "{name}: {drill}");
        assert_eq!(count(drill, "unclear"), 0, "{name}: {drill}");
    }
    for name in UNTOUCHED {
        let gap = drills[name]["gap_max_ms"].as_f64().unwrap();
        assert!(gap < STALL_MS, "{name}: {}", drills[name]);
    }
    assert!(count(&drills["quorum-lost"], "refused_clearly") > 0);
    assert!(count(&drills["node-kill"], "sessions_away") <= 2 * CALLS);
}
