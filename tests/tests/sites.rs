//! Three sites on one machine, each with a control node, a relay and a member of etcd: what calls
//! notice of each drill, in a short version. As root, since the sites are network namespaces.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

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

/// Drills of relays that go past the kernel, each by itself: one that is gone, one that neither
/// moves packets nor lets go of its NIC, and one whose calls must notice nothing.
const DRILLS_PAST_KERNEL: [&str; 3] = ["relay-kill", "relay-freeze", "relay-kill-hitless"];

/// The sites' networks have names: there is one bed at a time.
static BED: Mutex<()> = Mutex::new(());

/// The longest silence that such a machine may make.
const STALL_MS: f64 = 2_000.0;

fn count(drill: &Value, what: &str) -> u64 {
    drill[what].as_u64().unwrap_or_else(|| panic!("no {what} in {drill}"))
}

fn run(folder: &Path, drills: &[&str], io: &str) -> BTreeMap<String, Value> {
    let _one_at_a_time = BED.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(program("kakehashi-sites"))
        .arg("drill")
        .args(drills)
        .args(["--runs", "1", "--quorum-lost-for", "15s", "--calls", &CALLS.to_string()])
        .args(["--io", io])
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
    assert_eq!(read("gaps.svg").matches("<circle").count(), drills.len());
    let reports: Vec<Value> = serde_json::from_str(&read("drills.json")).unwrap();
    let named = |drill: Value| (drill["drill"].as_str().unwrap().to_owned(), drill);
    reports.into_iter().map(named).collect()
}

fn assert_nothing_is_lost(drills: &BTreeMap<String, Value>) {
    for (name, drill) in drills {
        assert_eq!((count(drill, "runs"), count(drill, "calls")), (1, CALLS), "{name}");
        assert_eq!(count(drill, "calls_lost"), 0, "{name}: {drill}");
        assert_eq!(count(drill, "writes_lost"), 0, "{name}: {drill}");
        assert!(count(drill, "writes_acknowledged") > 0, "{name}: {drill}");
        assert_eq!(count(drill, "unclear"), 0, "{name}: {drill}");
    }
}

#[test]
fn calls_and_writes_outlive_every_drill() {
    let folder = tempfile::tempdir().unwrap();
    let drills = run(folder.path(), &DRILLS, "uring");
    assert_eq!(drills.len(), DRILLS.len());
    assert_nothing_is_lost(&drills);
    for name in UNTOUCHED {
        let gap = drills[name]["gap_max_ms"].as_f64().unwrap();
        assert!(gap < STALL_MS, "{name}: {}", drills[name]);
    }
    assert!(count(&drills["quorum-lost"], "refused_clearly") > 0);
    assert!(count(&drills["node-kill"], "sessions_away") <= 2 * CALLS);
}

#[test]
fn calls_outlive_relays_that_go_past_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let drills = run(folder.path(), &DRILLS_PAST_KERNEL, "xdp");
    assert_eq!(drills.len(), DRILLS_PAST_KERNEL.len());
    assert_nothing_is_lost(&drills);
    for (name, drill) in &drills {
        // The drill itself fails if a relay's packets went through the kernel.
        let moved = &drill["past_kernel"];
        assert!(count(moved, "received_nic") > 100 && count(moved, "sent_nic") > 100, "{name}");
    }
}
