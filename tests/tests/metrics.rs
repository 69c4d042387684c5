//! What relay and control show to whoever watches them, and what is made of it: the alert rules,
//! the dashboards, and a Prometheus server that notices when a relay dies.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_relay::path::verdict::Verdict;
use kakehashi_tests::children::{Program, pause};
use kakehashi_tests::platform::{Platform, free_ports, program};
use kakehashi_tests::scrape::{complaints, figures, get, names, sum};
use kakehashi_tests::talk::Talk;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tries of what comes by and by, and the pause between them: two minutes in all.
const TRIES: usize = 600;
const PAUSE: Duration = Duration::from_millis(200);

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Waits until something is there.
fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let found = (0..TRIES).find_map(|_| {
        let found = find();
        if found.is_none() {
            pause(PAUSE);
        }
        found
    });
    found.unwrap_or_else(|| panic!("{what} does not come"))
}

/// Every name of ours in `text` that is one of a figure, without those of the probe.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let ours = ["kakehashi_relay_", "kakehashi_control_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// Fails if a rule, its test, a dashboard or the runbook names a figure that is not `shown`.
fn all_that_is_named_is_among(shown: &BTreeSet<String>) {
    for file in [
        "tuning/prometheus/kakehashi.rules.yml",
        "tuning/prometheus/kakehashi.tests.yml",
        "tuning/grafana/overview.json",
        "tuning/grafana/relay.json",
        "tuning/grafana/control.json",
        "tuning/RUNBOOK.md",
    ] {
        let text = read(file);
        let named = named(&text);
        assert!(!named.is_empty(), "{file} names no figure");
        for name in named {
            // Of a histogram, its family may be named; without an archive nothing waits for it.
            let is_family = shown.contains(&format!("{name}_bucket"));
            let is_elsewhere = name == "kakehashi_control_audit_unarchived";
            let is_shown = shown.contains(name) || is_family || is_elsewhere;
            assert!(is_shown, "{file} names `{name}`, which nobody shows");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_a_call_is_true_well_formed_and_all_that_rules_and_dashboards_name() {
    let platform = Platform::start(1);
    let (call, from, to) = platform.bound_call().await;
    let talk = Talk::start(from, to);
    talk.goes_on().await;
    let parts = platform.metrics(2);
    // Shards publish, and the core is asked, a few times a second.
    let control = eventually("the call at control", || {
        let control = figures(parts[0]);
        let connected = sum(&control, "kakehashi_control_calls", "connected");
        let legs = sum(&control, "kakehashi_control_relay_legs", "");
        (connected == 1.0 && legs == 4.0).then_some(control)
    });
    let relays: Vec<String> = eventually("media at a relay", || {
        let relays: Vec<_> = parts[1..].iter().map(|relay| figures(*relay)).collect();
        let forwarded = relays.iter().map(|relay| {
            sum(relay, "kakehashi_relay_packets_handled_total", "outcome=\"forwarded\"")
        });
        (forwarded.sum::<f64>() > 0.0).then_some(relays)
    });
    for shown in relays.iter().chain([&control]) {
        assert_eq!(complaints(shown), "", "{shown}");
    }

    let counted = |name, labels| sum(&control, name, labels);
    assert_eq!(counted("kakehashi_control_sessions", "connected"), 2.0);
    assert_eq!(counted("kakehashi_control_sign_ins_total", "session"), 2.0);
    assert_eq!(counted("kakehashi_control_call_requests_total", "account"), 1.0);
    assert_eq!(counted("kakehashi_control_call_setup_seconds_count", "ringing"), 1.0);
    assert_eq!(counted("kakehashi_control_call_setup_seconds_count", "ready"), 1.0);
    assert_eq!(counted("kakehashi_control_leads", ""), 1.0);
    assert!(counted("kakehashi_control_store_seconds_count", "transact") > 0.0);
    for relay in &relays {
        assert_eq!(sum(relay, "kakehashi_relay_legs", ""), 2.0);
        assert_eq!(sum(relay, "kakehashi_relay_link_up", ""), 1.0);
        assert!(sum(relay, "kakehashi_relay_heartbeats_received_total", "") > 0.0);
        let dropped = sum(relay, "kakehashi_relay_packets_dropped_total", "forged");
        assert_eq!(dropped, 0.0);
    }

    let mut shown = names(&control);
    shown.extend(relays.iter().flat_map(|relay| names(relay)));
    all_that_is_named_is_among(&shown);
    let _reports = talk.end();
    drop(call);
    eventually("the end of the call", || {
        let ended = sum(&figures(parts[0]), "kakehashi_control_calls_ended_total", "");
        (ended == 1.0).then_some(())
    });
}

#[test]
fn the_rules_are_well_formed_and_fire_when_they_should_and_only_then() {
    let folder = repository().join("tuning/prometheus");
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "kakehashi.rules.yml"],
        ["test", "rules", "kakehashi.tests.yml"],
    ] {
        let output = Command::new("promtool").args(arguments).current_dir(&folder).output();
        let output = output.expect("promtool starts: it is in Debian's package `prometheus`");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_is_tested_and_explained_and_so_is_every_reason_of_a_drop() {
    let (rules, tests) = (
        read("tuning/prometheus/kakehashi.rules.yml"),
        read("tuning/prometheus/kakehashi.tests.yml"),
    );
    let runbook = read("tuning/RUNBOOK.md");
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 20, "{alerts:?}");
    for alert in &alerts {
        assert!(tests.contains(&format!("{alert} fires\n")), "{alert} is not tested");
        assert!(tests.contains(&format!("{alert} does not fire\n")), "{alert} is not tested");
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert} is not explained");
        let link = format!("tuning/RUNBOOK.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} does not lead to the runbook");
    }
    for place in ["severity: ", "summary: ", "for: "] {
        let count = rules.lines().filter(|line| line.trim().starts_with(place)).count();
        assert_eq!(count, alerts.len(), "each alert has one `{place}`");
    }
    for verdict in Verdict::ALL.iter().filter(|verdict| verdict.is_drop()) {
        let name = format!("`{}`", verdict.name());
        assert!(runbook.contains(&name), "{name} is not explained");
    }
}

#[test]
fn the_dashboards_can_be_read_by_grafana() {
    for (file, panels_least) in [("overview", 15), ("relay", 15), ("control", 15)] {
        let text = read(&format!("tuning/grafana/{file}.json"));
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(dashboard["uid"], format!("kakehashi-{file}"));
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{file}");
        let shows = panels.iter().filter(|panel| panel["type"] != "row");
        let targets: Vec<_> = shows.flat_map(|it| it["targets"].as_array().unwrap()).collect();
        assert!(targets.len() >= panels_least, "{file}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let source = &target["datasource"]["uid"];
            assert!(!expression.is_empty() && source == "${datasource}", "{file}: {target}");
        }
    }
}

/// A part of a platform as a process of the test's own.
fn part(data: &Path, kind: &str, name: &str) -> Program {
    let log = fs::File::create(data.join(format!("{name}.own.log"))).unwrap();
    let mut command = Command::new(program("kakehashi"));
    command.args([kind, "--config"]).arg(data.join(format!("{name}.toml"))).current_dir(data);
    Program::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))
}

/// A Prometheus server with our configuration, but for what a test cannot wait for: it scrapes and
/// evaluates every second instead of every 15, alerts fire after one second whatever their `for`,
/// and the targets are `parts`.
fn prometheus(folder: &Path, parts: &[SocketAddr]) -> (Program, SocketAddr) {
    let replace = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "`{from}` is not in {text}");
        text.replace(from, to)
    };
    let config = replace(&read("tuning/prometheus/prometheus.yml"), ": 15s", ": 1s");
    let config = replace(&config, "127.0.0.1:4437", &parts[0].to_string());
    let config = replace(&config, "127.0.0.1:4438", &parts[1].to_string());
    let config = replace(&config, "127.0.0.1:4439", &parts[2].to_string());
    let rules = read("tuning/prometheus/kakehashi.rules.yml");
    let shortened = rules.lines().map(|line| match line.trim().starts_with("for: ") {
        true => "        for: 1s".to_owned(),
        false => line.to_owned(),
    });
    let written = |name: &str, text: String| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    written("kakehashi.rules.yml", shortened.collect::<Vec<_>>().join("\n"));
    let config = written("prometheus.yml", config);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1).0));
    let log = fs::File::create(folder.join("prometheus.log")).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    (Program::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log)), address)
}

/// What the server's API answers.
fn api(address: SocketAddr, path: &str) -> Option<Value> {
    let answer: Value = serde_json::from_str(&get(address, path)?).ok()?;
    (answer["status"] == "success").then(|| answer["data"].clone())
}

/// Whether an alert fires for `instance`.
fn fires(address: SocketAddr, alert: &str, instance: SocketAddr) -> Option<bool> {
    let alerts = api(address, "/api/v1/alerts")?;
    let fires = alerts["alerts"].as_array()?.iter().any(|it| {
        it["labels"]["alertname"] == alert
            && it["labels"]["instance"] == instance.to_string()
            && it["state"] == "firing"
    });
    Some(fires)
}

#[test]
fn a_prometheus_server_notices_a_relay_that_dies_and_one_that_comes_back() {
    let platform = Platform::start(1);
    let parts = platform.metrics(2);
    // The same platform, but nobody starts again what dies.
    let data = platform.end();
    let _control = part(data.path(), "control", "control");
    let relays = ["relay-1", "relay-2"].map(|name| part(data.path(), "relay", name));
    let folder = tempfile::tempdir().unwrap();
    let (_server, address) = prometheus(folder.path(), &parts);
    eventually("three targets that are up", || {
        let targets = api(address, "/api/v1/targets?state=active")?;
        let targets = targets["activeTargets"].as_array()?;
        let up = targets.iter().filter(|target| target["health"] == "up").count();
        (up == 3 && targets.len() == 3).then_some(())
    });
    eventually("a lead", || {
        let answer = api(address, "/api/v1/query?query=sum(kakehashi_control_leads)")?;
        (answer["result"][0]["value"][1] == "1").then_some(())
    });
    let (alive, dying) = (parts[1], parts[2]);
    assert_eq!(fires(address, "KakehashiRelayDown", dying), Some(false));

    let [_first, second] = relays;
    drop(second);
    let until = |wanted: bool| {
        eventually("the alert as it should be", || {
            let now = fires(address, "KakehashiRelayDown", dying)?;
            (now == wanted).then_some(())
        });
    };
    until(true);
    assert_eq!(fires(address, "KakehashiRelayDown", alive), Some(false));
    let _second = part(data.path(), "relay", "relay-2");
    until(false);
}
