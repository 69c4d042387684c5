//! A platform whose first relay has a NIC to itself: calls go past the kernel, and go on when that
//! relay is gone.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::{Link, Medium, Side};
use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::platform::{Account, Platform};
use serde_json::Value;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const CALL_SECONDS: u64 = 6;
/// A voice packet each 20 ms.
const PACKETS_A_SECOND: u64 = 50;
/// The device that joins both sides.
const NIC: &str = "kk0";

/// Runs `test` with a platform on one side of a pair of virtual Ethernet devices, and the other
/// side, where terminals are.
fn with_platform(io: &str, test: impl FnOnce(&Platform, &Link) + Send) {
    with_options(&["--io", io], test);
}

/// The same, with options of `kakehashi up`.
fn with_options(options: &[&str], test: impl FnOnce(&Platform, &Link) + Send) {
    let link = Link::new(Medium::Veth, 0, 1).unwrap();
    let tested = link.subject.run(|| {
        let options = [options, &["--interface", NIC]].concat();
        test(&Platform::start_at(link.subject.ip, 2, &options), &link);
        Ok(())
    });
    tested.unwrap();
}

/// A program that is started on one side.
fn start_on(side: &Side, command: &mut Command) -> (Program, Lines) {
    side.run(|| {
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let lines = Lines::of(program.stdout.take().unwrap());
        Ok((program, lines))
    })
    .unwrap()
}

fn terminal(platform: &Platform, account: &Account) -> Command {
    let mut command = platform.terminal(account);
    command.args(["--json", "--loop", "--audio", "sample:speech"]);
    command
}

/// Lets two terminals on the far side call each other while `meanwhile` happens; gives what each of
/// them received.
fn call(platform: &Platform, far: &Side, meanwhile: impl FnOnce()) -> [Value; 2] {
    let (store, concierge) = platform.add_pair();
    let mut waiting = terminal(platform, &concierge);
    waiting.args(["wait", "--calls", "1"]);
    let (mut waiting, callee) = start_on(far, &mut waiting);
    callee.until("\"signed_in\"", SOON);
    let mut calling = terminal(platform, &store);
    calling.args(["call", "concierge-1", "--seconds", &CALL_SECONDS.to_string()]);
    let (mut calling, caller) = start_on(far, &mut calling);
    caller.until("\"flowing\"", SOON);
    meanwhile();
    let summary = |lines: &Lines| -> Value {
        serde_json::from_str(&lines.until("\"summary\"", SOON)).unwrap()
    };
    let received = [&caller, &callee].map(|lines| summary(lines)["media"]["received"][0].clone());
    assert!(calling.wait().unwrap().success() && waiting.wait().unwrap().success());
    received
}

fn packets(received: &Value) -> u64 {
    received["packets"].as_u64().unwrap()
}

#[test]
fn a_call_goes_past_the_kernel() {
    with_platform("xdp", |platform, link| {
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

/// Sends so many datagrams to the first relay's media port.
fn knock(link: &Link, platform: &Platform, datagrams: u64) {
    let at = (link.subject.ip, platform.media_port());
    let sent = link.load.run(|| {
        let socket = UdpSocket::bind((link.load.ip, 0))?;
        for _ in 0..datagrams {
            socket.send_to(b"is anybody there?", at)?;
        }
        Ok(())
    });
    sent.unwrap();
}

/// Waits until a counter of the relays stands at this, or above.
fn counted(platform: &Platform, name: &str, least: u64) -> u64 {
    let value = || platform.counters().get(name).copied().unwrap_or(0);
    for _ in 0..100 {
        if value() >= least {
            break;
        }
        pause(Duration::from_millis(100));
    }
    value()
}

#[test]
fn the_gate_is_open_to_a_terminal_while_it_is_in_a_call() {
    const KNOCKS: u64 = 100;
    with_options(&["--io", "xdp", "--signed-in-only"], |platform, link| {
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
    with_platform("xdp", |platform, link| {
        let has_program = || link.show(NIC).unwrap().contains("prog/xdp");
        assert!(has_program());
        let first = format!("{}:{}", link.subject.ip, platform.media_port());
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
    with_platform("auto", |platform, link| {
        // A pair of virtual devices can; the loopback interface cannot.
        assert!(link.show(NIC).unwrap().contains("prog/xdp"));
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
