//! A platform whose first relay has a NIC to itself: calls go past the kernel, and go on when that
//! relay is gone.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::Link;
use kakehashi_tests::children::pause;
use kakehashi_tests::ethernet::{
    CALL_SECONDS, NIC, PAIR, call, counted, far, knock, near, nft, with_options, with_platform,
};
use kakehashi_tests::platform::Platform;
use serde_json::Value;
use std::net::Ipv4Addr;
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

/// Gives all packets of the far side another source from now on, as an address translator does that
/// has forgotten what it did before.
fn translate(link: &Link, from: Ipv4Addr, to: Ipv4Addr) {
    let rules = format!(
        "table ip translator {{
            chain out {{
                type filter hook postrouting priority 0;
                oifname {NIC} ip saddr {from} ip saddr set {to}
            }}
            chain back {{
                type filter hook prerouting priority -300;
                iifname {NIC} ip daddr {to} ip daddr set {from}
            }}
        }}"
    );
    let done = link.load.run(|| Ok(nft(&["-f", "-"], &rules)));
    done.unwrap();
}

#[test]
fn terminals_that_are_seen_elsewhere_within_a_call_are_let_in_from_there() {
    with_options("xdp", &["--signed-in-only"], 2, |platform, link| {
        let other = Ipv4Addr::new(192, 0, 2, 77);
        let address = format!("address add {other}/32 dev {NIC}");
        let added =
            link.load.run(|| Ok(Command::new("ip").args(address.split(' ')).status()?.success()));
        assert!(added.unwrap(), "the other side answers for the address");
        let both = call(platform, &link.load, || {
            pause(Duration::from_secs(1));
            translate(link, far(link), other);
        });
        let dropped = platform.counters()["gate_unknown_source"];
        println!("{dropped} packets dropped until relays knew: {both:?}");
        for received in &both {
            // A second until control and relays know, at most.
            assert!(packets(received) >= (CALL_SECONDS - 2) * PACKETS_A_SECOND, "{received}");
        }
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
