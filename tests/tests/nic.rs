//! A platform whose first relay has a NIC to itself: calls go past the kernel, and go on when that
//! relay is gone.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::pause;
use kakehashi_tests::ethernet::{
    CALL_SECONDS, PAIR, call, counted, knock, near, with_options, with_platform,
};
use kakehashi_tests::platform::Platform;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// A voice packet each 20 ms.
const PACKETS_A_SECOND: u64 = 50;

fn packets(received: &Value) -> u64 {
    received["packets"].as_u64().unwrap()
}

#[test]
fn a_call_goes_past_the_kernel() {
    with_platform("xdp", 2, |platform, link| {
        let both = call(platform, &link.load, || {});
        for received in &both {
            assert!(packets(received) >= (CALL_SECONDS - 1) * PACKETS_A_SECOND, "{received}");
            assert_eq!(received["lost"].as_u64(), Some(0), "{received}");
        }
        let counters = platform.counters();
        let past = |name: &str| counters.get(name).copied().unwrap_or(0);
        // Either relay may be the call's primary; the other gets a packet a second, and bindings.
        assert!(past("packets_received_nic") > 10, "{counters:?}");
        assert!(past("packets_sent_nic") > 10, "{counters:?}");
    });
}

#[test]
fn the_gate_is_open_to_a_terminal_while_it_is_in_a_call() {
    const KNOCKS: u64 = 100;
    with_options("xdp", &["--signed-in-only"], 2, |platform, link| {
        let shut = "gate_unknown_source";
        knock(link, platform, KNOCKS);
        assert_eq!(counted(platform, shut, KNOCKS), KNOCKS, "nobody has called yet");
        let both = call(platform, &link.load, || {
            pause(Duration::from_secs(1));
            // From the terminals' address: the path tells it from theirs, not the gate.
            knock(link, platform, KNOCKS);
        });
        for received in &both {
            assert_eq!(received["lost"].as_u64(), Some(0), "{received}");
        }
        pause(Duration::from_secs(2));
        let during = counted(platform, shut, KNOCKS);
        // Bindings that were on their way when the call was over, and no knock.
        assert!(during < 2 * KNOCKS, "{during}");
        knock(link, platform, KNOCKS);
        let after = counted(platform, shut, during + KNOCKS);
        assert!(after >= during + KNOCKS, "{after}");
    });
}

#[test]
fn a_relay_that_is_killed_leaves_no_program_and_gets_its_nic_back() {
    with_platform("xdp", 2, |platform, link| {
        let has_program = || link.show(PAIR).unwrap().contains("prog/xdp");
        assert!(has_program());
        let first = format!("{}:{}", near(link), platform.media_port());
        let both = call(platform, &link.load, || {
            pause(Duration::from_secs(1));
            let relay = platform.relay_at(&first).to_string();
            assert!(Command::new("kill").args(["-KILL", &relay]).status().unwrap().success());
            let gone = (0..200).any(|_| {
                pause(Duration::from_millis(5));
                !has_program()
            });
            assert!(gone, "the program of a killed relay stays on the NIC");
        });
        for received in &both {
            assert!(packets(received) >= (CALL_SECONDS - 2) * PACKETS_A_SECOND, "{received}");
        }
        let back = (0..600).any(|_| {
            pause(Duration::from_millis(50));
            has_program()
        });
        assert!(back, "the relay that was started again has no NIC");
    });
}

#[test]
fn auto_says_why_it_goes_through_the_kernel() {
    with_platform("auto", 2, |platform, link| {
        // A pair of virtual devices can; the loopback interface cannot.
        assert!(link.show(PAIR).unwrap().contains("prog/xdp"));
        let log = log_of_relay(platform);
        assert!(log.contains("packets go past the kernel (AF_XDP)"), "{log}");
    });
    let platform = Platform::start_with(1, &["--io", "auto", "--interface", "lo"]);
    let log = log_of_relay(&platform);
    assert!(log.contains("packets go through the kernel (io_uring)"), "{log}");
    assert!(log.contains("`lo` is no Ethernet device"), "{log}");
}

fn log_of_relay(platform: &Platform) -> String {
    std::fs::read_to_string(platform.data().join("logs/relay-1.log")).unwrap()
}
