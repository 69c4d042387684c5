//! The outside probe against a live platform: a healthy one passes, and each fault is found by its
//! name.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::probe::{Round, Status};
use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::detour::{Detour, Weather};
use kakehashi_tests::platform::{Account, Platform, program};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TENANT: &str = "probe";
const SOON: Duration = Duration::from_secs(60);

/// Limits that no noisy machine misses: what is slow has tests of its own.
const PATIENT: &str =
    "[limits]\nsign_in_ms = 14000\nsetup_ms = 9000\nloss_percent = 40.0\ndelay_ms = 500\n";

/// The probe of a platform, as its settings have it.
struct Setting {
    folder: tempfile::TempDir,
    control: String,
    ca: PathBuf,
}

impl Setting {
    /// Makes both accounts.
    fn new(platform: &Platform) -> Self {
        platform.add_tenant(TENANT);
        let folder = tempfile::tempdir().unwrap();
        let (control, ca) = (platform.control(), platform.data().join("ca.pem"));
        let setting = Self { folder, control, ca };
        for login in ["probe-1", "probe-2"] {
            setting.password(&platform.add_account(TENANT, login));
        }
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes down the password of an account.
    fn password(&self, account: &Account) {
        let file = self.path(&format!("{}.password", account.login));
        std::fs::write(file, &account.password).unwrap();
    }

    /// The command, with these tables behind the other settings.
    fn command(&self, tables: &str) -> Command {
        let file = self.path("probe.toml");
        let folder = self.folder.path().to_str().unwrap();
        let text = format!(
            "control = [\"{control}\"]\nca = {ca:?}\nstate = \"{folder}/state\"\ntalk_s = 2\n\
             status = \"{folder}/status.json\"\n\
             [caller]\nlogin = \"probe-1\"\npassword_file = \"{folder}/probe-1.password\"\n\
             [callee]\nlogin = \"probe-2\"\npassword_file = \"{folder}/probe-2.password\"\n\
             {tables}",
            control = self.control,
            ca = self.ca,
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("kakehashi-loadgen"));
        command.args(["probe", "--config"]).arg(file).stdin(Stdio::null());
        command
    }

    /// Probes once with more options.
    fn once(&self, tables: &str, options: &[&str]) -> Round {
        read(&self.command(tables).args(["--once", "--json"]).args(options).output().unwrap())
    }

    /// The faults that are found so, by their names, each once.
    fn faults(&self, tables: &str, options: &[&str]) -> Vec<&'static str> {
        names(&self.once(tables, options))
    }
}

/// The round that was printed; the exit code says the same.
fn read(output: &Output) -> Round {
    let errors = String::from_utf8_lossy(&output.stderr);
    let round: Round =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    println!("{round:#?}");
    assert_eq!(output.status.success(), round.ok, "{errors}");
    assert_eq!(round.ok, round.faults.is_empty());
    round
}

fn names(round: &Round) -> Vec<&'static str> {
    let mut names: Vec<_> = round.faults.iter().map(|finding| finding.fault.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn relay(round: &Round, number: u32) -> &kakehashi_loadgen::probe::record::Relay {
    round.relays.iter().find(|relay| relay.relay == number).unwrap()
}

#[test]
fn a_healthy_platform_passes_over_both_relays_in_both_lanes() {
    for isolation in ["none", "per-leg"] {
        let platform = Platform::start_with(2, &["--isolation", isolation]);
        let setting = Setting::new(&platform);
        let sites = "[[relays]]\nid = 1\nsite = \"tokyo\"\n[[relays]]\nid = 2\nsite = \"osaka\"\n";
        let round = setting.once(&format!("{PATIENT}{sites}"), &[]);
        assert!(round.ok);
        let sign_ins: Vec<_> = round.sign_ins.iter().map(|it| (it.login.as_str(), it.ok)).collect();
        assert_eq!(sign_ins, [("probe-1", true), ("probe-2", true)]);
        assert!(round.setup_ms.is_some_and(|ms| ms > 0.0));
        for (number, site) in [(1, "tokyo"), (2, "osaka")] {
            let relay = relay(&round, number);
            assert_eq!((relay.site.as_str(), relay.ok), (site, true));
            assert!(relay.address.is_some() && relay.round_trip_ms.is_some());
            for way in [&relay.to_callee, &relay.to_caller] {
                let way = way.as_ref().unwrap();
                assert!(way.sent >= 50 && way.received >= 30, "{way:?}");
                assert!(way.delay_ms.is_some_and(|ms| ms >= 0.0));
            }
        }
        let status = std::fs::read(setting.path("status.json")).unwrap();
        let status: Status = serde_json::from_slice(&status).unwrap();
        assert_eq!(status.rounds, [round]);
        let table = setting.command(&format!("{PATIENT}{sites}")).arg("--once").output().unwrap();
        let table = String::from_utf8(table.stdout).unwrap();
        assert!(table.contains("tokyo") && table.contains("nothing is wrong"), "{table}");
    }
}

#[test]
fn all_of_four_relays_are_heard_and_one_that_stands_still_is_named() {
    let platform = Platform::start_with(4, &[]);
    let setting = Setting::new(&platform);
    let round = setting.once(PATIENT, &["--relays", "4"]);
    assert!(round.ok);
    let heard = round.relays.iter().filter(|relay| relay.ok && relay.to_callee.is_some());
    assert_eq!(heard.map(|relay| relay.relay).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // Without any expectation, too.
    let learnt = setting.once(PATIENT, &[]);
    assert_eq!(learnt.relays.len(), 4);

    let third = platform.media_port() + 2;
    let process = platform.relay_at(&format!("127.0.0.1:{third}")).to_string();
    let send =
        |signal: &str| Command::new("kill").args([signal, &process]).status().unwrap().success();
    assert!(send("-STOP"));
    // Control takes it for dead after 600 ms.
    pause(Duration::from_secs(3));
    let known: String =
        (1..=4).map(|id| format!("[[relays]]\nid = {id}\nsite = \"s\"\n")).collect();
    let round = setting.once(&format!("{PATIENT}{known}"), &[]);
    assert!(send("-CONT"));
    assert_eq!(names(&round), ["relay_missing"]);
    assert!(round.faults[0].what.starts_with("relay 3 "), "{:?}", round.faults);
    let wrong: Vec<_> = round.relays.iter().filter(|relay| !relay.ok).collect();
    assert_eq!(wrong.iter().map(|relay| relay.relay).collect::<Vec<_>>(), [3]);
}

#[test]
fn what_the_network_does_to_one_relay_is_named_and_the_other_passes() {
    let platform = Platform::start(1);
    let setting = Setting::new(&platform);
    let detour = Detour::before(&platform, 1);
    let faults = || {
        let round = setting.once(PATIENT, &["--relays", "2"]);
        assert!(relay(&round, 2).ok, "{round:?}");
        let address = relay(&round, 1).address.clone().unwrap();
        assert!(address.starts_with("127.0.0.9:"), "{address}");
        names(&round)
    };
    assert!(faults().is_empty());
    detour.set(Weather::FirstIsMute);
    assert_eq!(faults(), ["one_way_audio"]);
    detour.set(Weather::Late(Duration::from_millis(400)));
    assert_eq!(faults(), ["delay_high"]);
    detour.set(Weather::Cut);
    assert_eq!(faults(), ["relay_unreachable"]);
    detour.set(Weather::Fair);
    assert!(faults().is_empty());
}

/// Another authority's certificate.
fn other_authority(folder: &Path) -> PathBuf {
    let config = folder.join("other.toml");
    std::fs::write(&config, format!("data = {:?}\n", folder.join("other"))).unwrap();
    let mut command = Command::new(program("kakehashi"));
    command.args(["pki", "relay", "9", "--out"]).arg(folder.join("given")).arg("--config");
    assert!(command.arg(config).output().unwrap().status.success());
    folder.join("given/ca.pem")
}

/// libfaketime, which lets the clock of one program be another.
fn fake_clock() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let library = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    library.into_iter().find(|it| it.exists()).expect("libfaketime: apt-get install faketime")
}

#[test]
fn what_is_wrong_at_the_door_is_named() {
    let platform = Platform::start(1);
    let setting = Setting::new(&platform);
    let ca = other_authority(setting.folder.path());
    let faults = |options: &[&str]| setting.faults(PATIENT, options);
    assert_eq!(faults(&["--ca", ca.to_str().unwrap()]), ["certificate_wrong"]);
    assert_eq!(faults(&["--server-name", "elsewhere.test"]), ["certificate_wrong"]);
    let mut command = setting.command(PATIENT);
    let late = command.env("LD_PRELOAD", fake_clock()).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let late = late.env("FAKETIME", "+20y").args(["--once", "--json"]).output().unwrap();
    assert_eq!(names(&read(&late)), ["certificate_expired"]);

    assert_eq!(faults(&["--control", "127.0.0.1:9"]), ["control_unreachable"]);
    assert_eq!(faults(&["--control", "nowhere.invalid:4433"]), ["name_not_found"]);
    assert_eq!(faults(&["--ca", "/no/such/file"]), ["probe_broken"]);
    // One of two nodes is down: the other carries the calls, and the first is named.
    let both = format!("127.0.0.1:9,{}", platform.control());
    let round = setting.once(PATIENT, &["--control", &both, "--relays", "2"]);
    assert_eq!(names(&round), ["control_unreachable"]);
    assert!(round.relays.iter().all(|relay| relay.ok) && round.relays.len() == 2);
    assert!(round.faults[0].what.contains("127.0.0.1:9"), "{:?}", round.faults);
}

#[test]
fn what_is_wrong_with_the_accounts_is_named() {
    let platform = Platform::start(1);
    let setting = Setting::new(&platform);
    let faults = || setting.faults(PATIENT, &["--relays", "2"]);
    assert!(faults().is_empty());
    platform.run_well(&["account", "suspend", TENANT, "probe-2"]);
    assert_eq!(faults(), ["password_wrong"], "control tells nobody who is suspended");
    platform.run_well(&["account", "reactivate", TENANT, "probe-2"]);
    let line = platform.run_well(&["account", "password", TENANT, "probe-2"]);
    let password = line.split_whitespace().last().unwrap().to_owned();
    let renewed = Account { tenant: TENANT.into(), login: "probe-2".into(), password };
    assert_eq!(faults(), ["password_wrong"]);
    setting.password(&renewed);
    assert_eq!(faults(), ["password_expired"]);
}

#[test]
fn what_is_slow_is_named() {
    let platform = Platform::start(1);
    let setting = Setting::new(&platform);
    let limits = "[limits]\nsign_in_ms = 0\nsetup_ms = 0\nloss_percent = 40.0\ndelay_ms = 500\n";
    let round = setting.once(limits, &["--relays", "2"]);
    assert_eq!(names(&round), ["setup_slow", "sign_in_slow"]);
    assert!(round.relays.iter().all(|relay| relay.ok), "it goes on");
}

/// What the probe says at a path of its door.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn it_probes_for_ever_and_shows_metrics_that_prometheus_takes() {
    let platform = Platform::start(1);
    let setting = Setting::new(&platform);
    let metrics = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let mut command = setting.command(&format!("{PATIENT}{metrics}"));
    command.args(["--json", "--relays", "2", "--interval-s", "1", "--talk-s", "1"]);
    let mut probe = Program::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (rounds, said) = (probe.stdout.take().unwrap(), probe.stderr.take().unwrap());
    let (rounds, said) = (Lines::of(rounds), Lines::of(said));
    let address = said.until("metrics: http://", SOON);
    let address = address.trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    rounds.until("\"ok\":true", SOON);
    let status = setting.path("status.json");
    let mut waited = Duration::ZERO;
    let status = loop {
        let text = std::fs::read(&status).unwrap_or_default();
        match serde_json::from_slice::<Status>(&text) {
            Ok(status) if status.rounds.len() >= 2 => break status,
            _ => assert!(waited < SOON, "no second round: {}", said.so_far()),
        }
        pause(Duration::from_millis(100));
        waited += Duration::from_millis(100);
    };
    assert_eq!(status.interval_s, 1);
    let text = ask(address, "/metrics");
    for name in [
        "success{site=\"unknown\",relay=\"1\"} 1",
        "success{site=\"unknown\",relay=\"2\"} 1",
        "fault{fault=\"relay_unreachable\"} 0",
        "setup_seconds ",
        "signin_seconds ",
        "loss_ratio{relay=\"1\",direction=\"to_callee\"} ",
        "delay_seconds{relay=\"2\",direction=\"to_caller\"} ",
        "last_run_timestamp_seconds ",
    ] {
        let start = format!("kakehashi_probe_{name}");
        assert!(text.lines().any(|line| line.starts_with(&start)), "no {start} in\n{text}");
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut promtool = Program::start(promtool.stderr(Stdio::piped()));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "promtool takes\n{text}");
    let shown: Status = serde_json::from_str(&ask(address, "/status")).unwrap();
    assert!(shown.rounds.len() >= 2);
}
