//! The load generator against a relay alone and against a whole platform: what it sends arrives,
//! and its reports hold what it found.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::platform::{Platform, free_ports, program};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs the load generator well; gives its report, and its page.
fn run(arguments: &[&str], folder: &Path) -> (Value, String) {
    let (json, html) = (folder.join("report.json"), folder.join("report.html"));
    let output = Command::new(program("kakehashi-loadgen"))
        .args(arguments)
        .args(["--quiet", "--json"])
        .arg(&json)
        .arg("--html")
        .arg(&html)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {printed}\n{errors}");
    let report = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    (report, std::fs::read_to_string(html).unwrap())
}

/// The figures of a run in which nothing may be missing; `copies` of each packet arrive.
fn check(step: &Value, page: &str, copies: u64) {
    let figure = |name: &str| step["totals"][name].as_u64().unwrap();
    assert!(figure("sent") > 100, "{step:#}");
    assert_eq!(figure("expected"), copies * figure("sent"), "{step:#}");
    assert_eq!(figure("received"), figure("expected"), "{step:#}");
    for none in ["lost", "duplicates", "refused"] {
        assert_eq!(figure(none), 0, "{step:#}");
    }
    let intervals = step["intervals"].as_array().unwrap();
    let received: u64 = intervals.iter().map(|row| row["received"].as_u64().unwrap()).sum();
    assert_eq!(received, figure("received"), "{step:#}");
    let shown = format!("{} of {} packets", figure("received"), figure("expected"));
    assert!(page.contains(&shown) && page.contains("<svg"), "{page}");
}

#[test]
fn a_relay_alone_carries_every_packet_of_a_mix_in_either_lane() {
    let folder = tempfile::tempdir().unwrap();
    let relay = program("kakehashi-relay");
    let relay = relay.to_str().unwrap();
    for lane in ["pass", "seal"] {
        let media = "--legs 6 --calls-of 3 --seconds 2 --screen-percent 50 --leave-after 1";
        let mut arguments = vec!["media", "--start-relay", relay, "--seed", "7", "--lane", lane];
        arguments.extend(media.split(' '));
        let (report, page) = run(&arguments, folder.path());
        check(&report["steps"][0], &page, 2);
        assert_eq!(report["steps"][0]["legs"], 6);
        assert!(report["steps"][0]["relay_cpu"].is_object(), "{report:#}");
    }
}

#[test]
fn a_file_of_orders_and_its_seed_drive_every_shard_of_a_relay() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, settings) = (folder.path().join("orders"), folder.path().join("relay.toml"));
    let shape = "--legs 8 --calls-of 2 --shards 2 --seed 5";
    let written = Command::new(program("kakehashi-loadgen"))
        .arg("orders")
        .args(shape.split(' '))
        .arg("--out")
        .arg(&orders)
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let (_, _, port) = free_ports(2);
    let text = format!("listen_ip = \"127.0.0.1\"\nfirst_port = {port}\nshards = 2\n");
    std::fs::write(&settings, text).unwrap();
    let mut command = Command::new(program("kakehashi-relay"));
    command.arg("--config").arg(&settings).arg("--orders").arg(&orders);
    let mut relay = Program::start(command.stderr(Stdio::piped()));
    let log = Lines::of(relay.stderr.take().unwrap());
    log.until("orders carried out", Duration::from_secs(60));

    let at = format!("127.0.0.1:{port}");
    let mut arguments = vec!["media", "--relay", &at, "--seconds", "1", "--mix", "video"];
    arguments.extend(shape.split(' '));
    let (report, page) = run(&arguments, folder.path());
    check(&report["steps"][0], &page, 1);
}

#[test]
fn a_search_ends_at_its_maximum_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let relay = program("kakehashi-relay");
    let relay = relay.to_str().unwrap();
    // A search of two steps: every load asked for passes.
    let (report, page) = run(
        &[
            "capacity",
            "--start-relay",
            relay,
            "--mix",
            "voice",
            "--calls-from",
            "2",
            "--calls-max",
            "4",
            "--step-seconds",
            "1",
            "--p999-ms",
            "10000",
        ],
        folder.path(),
    );
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.len() >= 2, "{report:#}");
    assert_eq!(report["headline"]["calls"], 4, "{report:#}");
    assert_eq!(report["headline"]["at_least"], true);
    assert!(page.contains("Carries at least 8 legs in 4 calls"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_carries_every_packet_of_real_calls() {
    let platform = Platform::start(1);
    let folder = tempfile::tempdir().unwrap();
    let (control, kakehashi) = (platform.control(), program("kakehashi"));
    let ca = platform.data().join("ca.pem");
    let arguments = [
        "media",
        "--control",
        &control,
        "--ca",
        ca.to_str().unwrap(),
        "--data",
        platform.data().to_str().unwrap(),
        "--kakehashi",
        kakehashi.to_str().unwrap(),
        "--legs",
        "4",
        "--seconds",
        "2",
    ];
    // The second time the accounts are there.
    for _ in 0..2 {
        let (report, page) = run(&arguments, folder.path());
        check(&report["steps"][0], &page, 1);
        assert_eq!(report["steps"][0]["calls"], 2);
    }
    let accounts = platform.run_well(&["account", "list", "loadgen"]);
    assert_eq!(accounts.lines().filter(|line| line.starts_with("load-")).count(), 4);
}
