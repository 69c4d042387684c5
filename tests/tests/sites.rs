//! Three sites on one machine, each with a control node, a relay and a member of etcd: what calls
//! notice when a relay or a node dies. As root, since the sites are network namespaces.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::program;
use serde_json::Value;
use std::process::Command;

/// Calls that go on.
const CALLS: u64 = 3;

#[test]
fn calls_outlive_a_relay_and_a_node_of_three_sites() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let output = Command::new(program("kakehashi-sites"))
        .args(["drill", "relay-kill", "node-kill", "--runs", "1"])
        .args(["--calls", &CALLS.to_string(), "--data"])
        .arg(folder.path().join("sites"))
        .arg("--json")
        .arg(&report)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success());
    let drills: Vec<Value> = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(drills.len(), 2);
    for drill in drills {
        assert_eq!(drill["calls"].as_u64(), Some(CALLS), "{drill}");
        assert_eq!(drill["calls_lost"].as_u64(), Some(0), "{drill}");
    }
}
