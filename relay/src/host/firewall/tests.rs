//! The sets as `nft` shows them, and what the rules make of packets.

use super::*;
use crate::testing::namespaces::{DEVICE, Pair, in_pair};
use core::net::IpAddr;
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

const RULES: &str = "
table inet gate {
    set terminals_v4 { type ipv4_addr; flags timeout; }
    set terminals_v6 { type ipv6_addr; flags timeout; }
    chain input {
        type filter hook input priority filter; policy accept;
        udp dport 40000 ip saddr @terminals_v4 accept
        udp dport 40000 ip6 saddr @terminals_v6 accept
        udp dport 40000 drop
    }
}
";

/// Runs `nft` on the calling thread's side; returns what it printed.
fn nft(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("these tests need `nft` (nftables) and root");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "nft {arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn host(ip: &str) -> Host {
    Host::from(ip.parse::<IpAddr>().unwrap())
}

/// Runs `test` behind a packet filter that lets in what is in its sets.
fn with_rules(test: impl FnOnce(&Pair) + Send) {
    in_pair(|pair| {
        for (ip, near) in [("192.0.2.1/24", true), ("192.0.2.2/24", false)] {
            let address = format!("address add {ip} dev {DEVICE}");
            if near {
                pair.near(&address)
            } else {
                pair.far(&address)
            };
        }
        nft(&["-f", "-"], RULES);
        test(pair);
    });
}

/// Waits until both sets together hold these addresses.
fn holds(wanted: &[&str]) -> bool {
    let has = || {
        let listed = nft(&["list", "table", "inet", "gate"], "");
        let elements = listed.matches(" expires ").count();
        elements == wanted.len()
            && wanted.iter().all(|ip| listed.contains(&format!("{ip} timeout")))
    };
    soon(has)
}

fn soon(what: impl Fn() -> bool) -> bool {
    (0..200).any(|_| what() || pause(Duration::from_millis(20)))
}

fn pause(time: Duration) -> bool {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    let _ = never.wait_timeout(lock.lock().unwrap(), time);
    false
}

#[test]
fn the_sets_are_where_terminals_are_seen() {
    with_rules(|_| {
        let firewall = Firewall::start("gate").unwrap();
        let door = firewall.door();
        door.let_in(host("192.0.2.2"));
        door.let_in(host("2001:db8::2"));
        assert!(holds(&["192.0.2.2", "2001:db8::2"]));
        door.shut_out(host("192.0.2.2"));
        // Gone before anybody was told of it.
        door.let_in(host("192.0.2.3"));
        door.shut_out(host("192.0.2.3"));
        door.let_in(host("192.0.2.4"));
        assert!(holds(&["2001:db8::2", "192.0.2.4"]));
        drop(firewall);
        assert!(holds(&[]), "a relay that ends in good order lets nobody in");
    });
}

#[test]
fn packets_come_in_from_there_and_from_nowhere_else() {
    with_rules(|pair| {
        let firewall = Firewall::start("gate").unwrap();
        let media = UdpSocket::bind("192.0.2.1:40000").unwrap();
        media.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let far = pair.on_far_side(|| UdpSocket::bind("192.0.2.2:0").unwrap());
        let comes = || {
            far.send_to(b"media", "192.0.2.1:40000").unwrap();
            media.recv(&mut [0; 9]).is_ok()
        };
        assert!(!comes());
        firewall.door().let_in(host("192.0.2.2"));
        assert!(soon(comes));
        firewall.door().shut_out(host("192.0.2.2"));
        assert!(soon(|| !comes()));
        assert!(!comes());
    });
}

#[test]
fn rules_that_are_loaded_anew_have_their_addresses_back() {
    with_rules(|_| {
        let mut sets = Sets::open("gate").unwrap();
        let (add, delete) = ([host("192.0.2.2")], [host("192.0.2.9")]);
        for _ in 0..2 {
            sets.change(&add, &delete).unwrap();
            assert!(holds(&["192.0.2.2"]));
        }
        assert!(sets.has(add[0]).unwrap() && !sets.has(delete[0]).unwrap());
        nft(&["delete", "table", "inet", "gate"], "");
        assert!(!sets.has(add[0]).unwrap());
        let error = sets.change(&add, &delete).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        nft(&["-f", "-"], RULES);
        sets.change(&add, &[]).unwrap();
        assert!(holds(&["192.0.2.2"]));
        // A relay sees to it by itself.
        let firewall = Firewall::start("gate").unwrap();
        firewall.door().let_in(add[0]);
        assert!(holds(&["192.0.2.2"]));
        nft(&["delete", "table", "inet", "gate"], "");
        firewall.door().let_in(delete[0]);
        pause(Duration::from_millis(50));
        nft(&["-f", "-"], RULES);
        assert!(holds(&["192.0.2.2", "192.0.2.9"]));
    });
}

#[test]
fn many_come_and_go_at_once() {
    with_rules(|_| {
        let mut sets = Sets::open("gate").unwrap();
        let count = 3 * FIREWALL_ELEMENTS_PER_CHANGE + 7;
        let v4 = (0..count as u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let v6 =
            (1..=count as u128).map(|n| IpAddr::from((0x2001_0db8_u128 << 96 | n).to_be_bytes()));
        let hosts: Vec<_> = v4.chain(v6).map(Host::from).collect();
        let listed = || nft(&["list", "table", "inet", "gate"], "").matches(" expires ").count();
        for _ in 0..2 {
            sets.change(&hosts, &[]).unwrap();
            assert_eq!(listed(), 2 * count);
        }
        sets.change(&[], &hosts).unwrap();
        assert_eq!(listed(), 0);
    });
}

#[test]
fn what_is_missing_is_said() {
    in_pair(|_| {
        let text = |table| Firewall::start(table).err().unwrap().to_string();
        assert!(
            text("gate").contains("no set `terminals_v4` in table `inet gate`"),
            "{}",
            text("gate")
        );
        nft(
            &["-f", "-"],
            "table inet gate { set terminals_v4 { type ipv4_addr; flags timeout; }; }",
        );
        assert!(text("gate").contains("no set `terminals_v6`"), "{}", text("gate"));
    });
}
