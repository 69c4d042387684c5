//! Calls between real `kakehashi-terminal` processes, as the README describes them.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::platform::{Account, Platform};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../terminal/samples").join(name)
}

/// A terminal that waits, once it has signed in.
struct Waiting {
    _program: Program,
    lines: Lines,
}

impl Waiting {
    fn start(platform: &Platform, account: &Account, arguments: &[&str]) -> Self {
        let mut command = platform.terminal(account);
        command.args(["--json", "wait"]).args(arguments);
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let lines = Lines::of(program.stdout.take().unwrap());
        lines.until("\"signed_in\"", SOON);
        Self { _program: program, lines }
    }
}

fn run(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

fn call(platform: &Platform, caller: &Account, callee: &str, arguments: &[&str]) -> Output {
    let mut command = platform.terminal(caller);
    command.args(["--json", "call", callee]).args(arguments);
    run(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The summary a terminal printed at the end.
fn summary(printed: &str) -> Value {
    let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut summaries = lines.filter(|event| event["event"] == "summary");
    summaries.next_back().unwrap_or_else(|| panic!("no summary in:\n{printed}"))
}

#[test]
fn two_terminals_call_and_the_operator_sees_it() {
    let platform = Platform::start(2);
    let (store, concierge) = platform.add_pair();
    let folder = platform.data().join("recordings");
    let waiting = Waiting::start(
        &platform,
        &concierge,
        &["--calls", "1", "--record", folder.to_str().unwrap()],
    );
    let speech = sample("speech.opus");
    let video = sample("vp9.ivf");
    let arguments = ["--seconds", "3", "--loop", "--audio", speech.to_str().unwrap(), "--video"];
    let arguments = [&arguments[..], &[video.to_str().unwrap()]].concat();
    let output = call(&platform, &store, "concierge-1", &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let sent = summary(&text(&output.stdout));
    waiting.lines.until("\"summary\"", SOON);
    let got = summary(&waiting.lines.so_far());
    for (sent, got) in [(0, 0), (1, 1)].map(|(sent_at, got_at)| {
        (&sent["media"]["sent"][sent_at], &got["media"]["received"][got_at])
    }) {
        assert_eq!(sent["packets"], got["packets"], "{sent}\n{got}");
        assert_eq!(got["lost"], 0);
    }
    assert!(folder.join("store-1-audio.opus").exists());
    assert!(folder.join("store-1-video.ivf").exists());

    let calls = platform.run_well(&["calls"]);
    assert!(calls.contains("store-1") && calls.contains("concierge-1"), "{calls}");
    let accounts = platform.run_well(&["account", "list", "ginza"]);
    assert!(accounts.contains("store-1"), "{accounts}");
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let platform = Platform::start(1);
    let (store, _concierge) = platform.add_pair();
    platform.add_tenant("umeda");
    let stranger = platform.add_account("umeda", "concierge-9");

    let refused = |account: &Account, callee: &str| -> String {
        let output = call(&platform, account, callee, &[]);
        assert!(!output.status.success(), "{} called {callee}", account.login);
        let errors = text(&output.stderr);
        assert!(!errors.contains("panicked"), "{errors}");
        errors
    };
    // Nobody there, nobody of that name, somebody of another tenant: the last two are one answer.
    let offline = refused(&store, "concierge-1");
    let unknown = refused(&store, "concierge-8");
    let foreign = refused(&store, "concierge-9");
    assert_ne!(offline, unknown);
    assert_eq!(unknown.replace("concierge-8", "X"), foreign.replace("concierge-9", "X"));
    let _stranger = Waiting::start(&platform, &stranger, &[]);
    let foreign = refused(&store, "concierge-9");
    assert_eq!(unknown.replace("concierge-8", "X"), foreign.replace("concierge-9", "X"));

    // A wrong password, an unknown account and an unknown tenant are one answer too.
    let wrong = |change: fn(&mut Account)| {
        let mut account = store.clone();
        change(&mut account);
        refused(&account, "concierge-1")
    };
    let password = wrong(|account| account.password.push('x'));
    let login = wrong(|account| account.login.push('x'));
    let tenant = wrong(|account| account.tenant.push('x'));
    assert!(password.contains("password"), "{password}");
    assert_eq!(password, login);
    assert_eq!(password, tenant);
}

#[test]
fn another_device_of_an_account_signs_in_beside_the_first() {
    let platform = Platform::start(1);
    let (_store, concierge) = platform.add_pair();
    let _first = Waiting::start(&platform, &concierge, &[]);
    let mut second = platform.terminal(&concierge);
    second.args(["--device", "77", "--json", "wait"]).stdout(Stdio::piped());
    let mut second = Program::start(&mut second);
    let lines = Lines::of(second.stdout.take().unwrap());
    lines.until("signed_in", SOON);
    let sessions = platform.run_well(&["sessions"]);
    let held = sessions.lines().filter(|line| line.contains("concierge-1")).count();
    assert_eq!(held, 2, "{sessions}");
}

#[test]
fn a_declined_call_ends_for_both() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let waiting = Waiting::start(&platform, &concierge, &["--reject", "--calls", "1"]);
    let output = call(&platform, &store, "concierge-1", &[]);
    assert!(!output.status.success(), "a declined call is no success");
    assert!(text(&output.stderr).contains("declined"), "{}", text(&output.stderr));
    waiting.lines.until("signed_out", SOON);
}

#[test]
fn a_second_platform_on_the_same_ports_says_what_is_in_use() {
    let platform = Platform::start(1);
    let data = tempfile::tempdir().unwrap();
    let port = platform.control().rsplit_once(':').unwrap().1.to_owned();
    let mut second = Command::new(kakehashi_tests::platform::program("kakehashi"));
    second.args(["up", "--control-port", &port, "--data"]).arg(data.path()).stdin(Stdio::null());
    let output = run(second);
    assert!(!output.status.success());
    let errors = text(&output.stderr);
    assert!(errors.contains(&port) && errors.contains("in use"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_named_with_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("part.toml");
    std::fs::write(&config, "no_such_key = 1\n").unwrap();
    for part in ["control", "relay"] {
        let mut command = Command::new(kakehashi_tests::platform::program("kakehashi"));
        command.args([part, "--config"]).arg(&config);
        let errors = text(&run(command).stderr);
        assert!(errors.contains("no_such_key") && errors.contains("part.toml"), "{errors}");
        let mut command = Command::new(kakehashi_tests::platform::program("kakehashi"));
        command.args([part, "--config", "/no/such/file.toml"]);
        let errors = text(&run(command).stderr);
        assert!(errors.contains("/no/such/file.toml"), "{errors}");
    }
}
