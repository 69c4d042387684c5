//! A relay is lost in the middle of a call: the call goes on.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, pause};
use kakehashi_tests::platform::Platform;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const CALL_SECONDS: u64 = 10;
/// A voice packet each 20 ms.
const PACKETS_A_SECOND: u64 = 50;

/// The platform starts it again, and control gives it its legs back.
#[test]
fn a_call_outlives_its_relay_being_killed() {
    call_while_the_primary_gets("-KILL");
}

/// Nothing starts it again: both terminals move their sending to the standby by themselves.
#[test]
fn a_call_outlives_its_relay_falling_silent() {
    call_while_the_primary_gets("-STOP");
}

fn call_while_the_primary_gets(signal: &str) {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let sample = ["--json", "--loop", "--audio", "sample:speech"];
    let mut waiting = platform.terminal(&concierge);
    waiting.args(sample).args(["wait", "--calls", "1"]).stdout(Stdio::piped());
    let mut waiting = waiting.spawn().unwrap();
    let callee = Lines::of(waiting.stdout.take().unwrap());
    callee.until("\"signed_in\"", SOON);
    let seconds = CALL_SECONDS.to_string();
    let mut calling = platform.terminal(&store);
    calling.args(sample).args(["call", "concierge-1", "--seconds", &seconds]);
    let mut calling = calling.stdout(Stdio::piped()).spawn().unwrap();
    let caller = Lines::of(calling.stdout.take().unwrap());
    let progress = caller.until("\"flowing\"", SOON);
    let progress: Value = serde_json::from_str(&progress).unwrap();
    let primary = progress["media"]["paths"][0]["address"].as_str().unwrap().to_owned();

    pause(Duration::from_secs(1));
    let relay = platform.relay_at(&primary);
    let send = |signal: &str| {
        Command::new("kill").args([signal, &relay.to_string()]).status().unwrap().success()
    };
    assert!(send(signal));

    for lines in [&caller, &callee] {
        let summary: Value =
            serde_json::from_str(&lines.until("\"summary\"", SOON + SOON)).unwrap();
        let got = &summary["media"]["received"][0];
        let packets = got["packets"].as_u64().unwrap();
        println!("{got}\n{}", summary["media"]["paths"]);
        // The call lasts ten seconds; all but three of them must have been heard.
        assert!(packets >= (CALL_SECONDS - 3) * PACKETS_A_SECOND, "{got}");
    }
    assert!(calling.wait().unwrap().success());
    assert!(waiting.wait().unwrap().success());
    // A stopped process hears no farewell.
    let _ = send("-CONT");
}
