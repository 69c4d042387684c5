//! A relay is lost in the middle of a call, or taken out of use: the call goes on, and has a
//! standby again.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_terminal::media::CallSummary;
use kakehashi_terminal::media::summary::PathSummary;
use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::party::Party;
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
    let mut waiting = Program::start(&mut waiting);
    let callee = Lines::of(waiting.stdout.take().unwrap());
    callee.until("\"signed_in\"", SOON);
    let seconds = CALL_SECONDS.to_string();
    let mut calling = platform.terminal(&store);
    calling.args(sample).args(["call", "concierge-1", "--seconds", &seconds]);
    let mut calling = Program::start(calling.stdout(Stdio::piped()));
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

fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// The process of the relay that a terminal knows by this number.
fn process_of(platform: &Platform, summary: &CallSummary, relay: &str) -> u32 {
    let path = summary.paths.iter().find(|path| path.relay == relay).unwrap();
    platform.relay_at(&path.address)
}

/// Of three relays one falls silent, and when the call has another for it, the next: only over the
/// one that came in can the two hear each other then.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_lost_is_replaced_in_both_lanes() {
    for isolation in ["none", "per-leg"] {
        let platform = Platform::start_with(3, &["--isolation", isolation]);
        let (store, concierge) = platform.add_pair();
        let a = Party::start(&platform, &store).await;
        let b = Party::start(&platform, &concierge).await;
        let call = a.call(&b).await;
        let mut stopped = Vec::new();
        let stop = |relay: &str, stopped: &mut Vec<u32>| {
            stopped.push(process_of(&platform, &a.media(call), relay));
            send("-STOP", *stopped.last().unwrap());
        };
        let first = a.relays(call)[0].clone();
        stop(&first, &mut stopped);
        for party in [&a, &b] {
            let replaced = |summary: &CallSummary| {
                let there = |path: &PathSummary| path.usable && path.relay != first;
                summary.paths.len() == 2 && summary.paths.iter().all(there)
            };
            party.until_media(call, "another relay answers", replaced).await;
        }
        let second = a.relays(call)[0].clone();
        stop(&second, &mut stopped);
        b.hears(call, &a).await;
        a.hears(call, &b).await;
        assert!(a.relays(call)[0] != second && b.relays(call)[0] != second);
        for process in stopped {
            send("-CONT", process);
        }
        a.terminal.hang_up(call).await.unwrap();
        b.ends(call).await;
    }
}

/// Nobody misses a packet of a call whose relays are taken out of use one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn draining_relays_under_a_call_loses_nothing() {
    let platform = Platform::start_with(3, &[]);
    let (store, concierge) = platform.add_pair();
    let a = Party::start(&platform, &store).await;
    let b = Party::start(&platform, &concierge).await;
    let call = a.call(&b).await;
    for _ in 0..3 {
        let relay = a.relays(call)[0].clone();
        let number = u32::from_str_radix(&relay, 16).unwrap().to_string();
        let printed = platform.run_well(&["relay", "drain", &number, "--within", "30"]);
        assert_eq!(printed.trim(), format!("relay {number}  drained"));
        for party in [&a, &b] {
            let left = |summary: &CallSummary| {
                summary.paths.len() == 2 && summary.paths.iter().all(|path| path.relay != relay)
            };
            party.until_media(call, "the relay is left", left).await;
        }
        b.hears(call, &a).await;
        a.hears(call, &b).await;
        platform.run_well(&["relay", "undrain", &number]);
    }
    for party in [&a, &b] {
        let media = party.media(call);
        assert_eq!(media.packets_lost(), 0, "{media:?}");
        assert!(media.packets_received() > 100, "{media:?}");
    }
    let unknown = platform.run(&["relay", "drain", "9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no relay 9"));
    a.terminal.hang_up(call).await.unwrap();
    b.ends(call).await;
}
