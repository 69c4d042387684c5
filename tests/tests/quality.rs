//! How media arrived, as a call's record says it: what was measured at the terminals, and nothing
//! that was only on hold.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::pause;
use kakehashi_tests::platform::{Platform, TENANT};
use kakehashi_tests::typed::Typed;
use serde_json::Value;
use std::net::UdpSocket;
use std::time::Duration;

const SPEECH: [&str; 4] = ["--audio", "sample:speech", "--loop", "wait"];

/// Packets of voice that a source makes, 20 ms each, and those of them that it loses.
const MADE: u16 = 200;
const LOST: [u16; 5] = [50, 90, 91, 92, 130];

/// A packet of a source of plain RTP: 20 ms of Opus.
fn voice(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend((60_000_u16.wrapping_add(number)).to_be_bytes());
    packet.extend((u32::from(number) * 960).to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.extend([1 << 3, 7]);
    packet
}

/// What the record of the call says of a member, in the order of `logins`.
fn quality<const N: usize>(platform: &Platform, logins: [&str; N]) -> [Value; N] {
    for left in (0..100).rev() {
        let listed = platform.run_well(&["call", "list", "--tenant", TENANT, "--json"]);
        // The record is written when the call is over, which the terminals need not have heard of:
        // for a moment it is neither a live call nor an ended one.
        let row: Value =
            listed.lines().next().map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
        let members = row["record"]["members"].as_array().cloned().unwrap_or_default();
        let of = logins.map(|login| {
            let member = members.iter().find(|member| member["login"] == login);
            member.map_or(Value::Null, |member| member["quality"].clone())
        });
        if of.iter().all(|quality| !quality.is_null()) {
            return of;
        }
        assert!(left > 0, "a member's quality is missing: {row:#}");
        pause(Duration::from_millis(200));
    }
    unreachable!("the last try fails")
}

#[test]
fn loss_jitter_round_trip_and_concealment_are_those_that_the_terminals_measured() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let concierge = Typed::start(&platform, &concierge, &SPEECH);
    let input = format!("audio={port}");
    let mut store = Typed::start(&platform, &store, &["--rtp-in", &input, "wait"]);
    store.types("call concierge-1");
    concierge.says(r#""event":"connected""#);
    store.says(r#""event":"connected""#);
    pause(Duration::from_secs(1));

    let source = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in (0..MADE).filter(|number| !LOST.contains(number)) {
        // Every other one is 8 ms late.
        let late = u64::from(number % 2) * 8;
        pause(Duration::from_millis(20 + late - 8 * u64::from(number % 2 == 0)));
        source.send_to(&voice(number), ("127.0.0.1", port)).unwrap();
    }
    pause(Duration::from_secs(2));
    store.types("hangup");
    store.says(r#""event":"summary""#);
    concierge.says(r#""event":"summary""#);

    let [from, to] = quality(&platform, ["store-1", "concierge-1"]);
    let sent = u64::from(MADE) - LOST.len() as u64;
    assert_eq!((&from["packets_sent"], &to["packets_received"]), (&sent.into(), &sent.into()));
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap();
    for name in ["packets_lost", "packets_concealed"] {
        assert_eq!(count(&to, name), LOST.len() as u64, "{name}");
        assert_eq!(count(&from, name), 0, "{name}");
    }
    // |D| is 8 ms each time, to which the jitter converges.
    assert!((4_000..200_000).contains(&count(&to, "jitter_us")), "{to}");
    for of in [&from, &to] {
        assert!((1..1_000_000).contains(&count(of, "round_trip_us")), "{of}");
    }
    assert!(count(&from, "packets_received") > 200, "{from}");
}

#[test]
fn what_was_on_hold_or_muted_was_not_lost() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let third = platform.add_account(TENANT, "concierge-2");
    let mut store = Typed::start(&platform, &store, &SPEECH);
    let mut concierge = Typed::start(&platform, &concierge, &SPEECH);
    let mut third = Typed::start(&platform, &third, &SPEECH);
    store.types("call concierge-1");
    concierge.says(r#""event":"connected""#);
    concierge.types("add concierge-2");
    third.says(r#""event":"connected""#);
    let step = || pause(Duration::from_millis(1_500));
    step();
    // Two go on speaking meanwhile, in numbers that the third never gets.
    third.types("hold");
    store.says(r#""holds":true"#);
    step();
    third.types("resume");
    third.says(r#"{"command":"resume","event":"done"}"#);
    step();
    for line in ["mute", "unmute"] {
        concierge.types(line);
        concierge.says(&format!(r#"{{"command":"{line}","event":"done"}}"#));
        step();
    }
    store.types("hangup");
    store.says(r#""event":"summary""#);
    step();
    concierge.types("hangup");
    for terminal in [&store, &concierge, &third] {
        terminal.says(r#""event":"summary""#);
    }
    for of in quality(&platform, ["store-1", "concierge-1", "concierge-2"]) {
        assert!(of["packets_received"].as_u64().unwrap() > 200, "{of}");
        assert_eq!((&of["packets_lost"], &of["packets_concealed"]), (&0.into(), &0.into()), "{of}");
    }
}
