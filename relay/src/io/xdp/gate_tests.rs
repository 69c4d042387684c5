//! The program itself, run by the kernel on frames made here.

use super::super::checksum::Sum;
use super::super::frame::{self, HEADER_BYTES_MAX, Header, Summed, TrafficClass};
use super::*;
use crate::capacity::xdp::FRAME_BYTES;
use crate::host::routes::{Mac, NextHop, VlanId};
use crate::host::{Admission, check_rights};
use crate::io::xdp::{Copies, Sums, XdpPort};
use crate::legs::Guest;
use crate::testing::namespaces::{DEVICE, Pair, in_pair, index};
use aya::programs::{TestRun, TestRunOptions};
use core::net::SocketAddr;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::net::UdpSocket;

const PORT: u16 = 40_000;

/// What a program decides (`linux/bpf.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Drop = 1,
    Pass = 2,
    Redirect = 4,
}

impl Gate {
    /// What it does with a frame on queue 0 of the near device.
    fn meet(&self, frame: &[u8]) -> Action {
        // `struct xdp_md`: data, its end, metadata, interface, queue, outgoing interface.
        let length = u32::try_from(frame.len()).unwrap();
        let context = [0, length, 0, index(DEVICE), 0, 0].map(u32::to_ne_bytes).concat();
        let program = self.program.program("gate").unwrap();
        let program: &Xdp = program.try_into().unwrap();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        match program.test_run(options).unwrap().return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            4 => Action::Redirect,
            other => panic!("action {other}"),
        }
    }
}

/// Runs `test` with a gate on the near device, whose queue 0 has a socket.
fn with_gate(drop_unknown: bool, test: impl FnOnce(&Gate, &Pair) + Send) {
    with_rules(Rules { drop_unknown, ..RULES }, |gate, pair| test(gate, pair));
}

const RULES: Rules = Rules { ports: (PORT, 2), drop_unknown: true, sources_max: None };

/// The same under other rules.
fn with_rules(rules: Rules, test: impl FnOnce(&Arc<Gate>, &Pair) + Send) {
    in_pair(|pair| {
        pair.near(&format!("address add 192.0.2.1/24 dev {DEVICE}"));
        let gate = Gate::put_on(index(DEVICE), Hook::Driver, rules).unwrap();
        let ours = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        gate.set_addresses(&ours.into_iter().collect());
        let port =
            XdpPort::open((index(DEVICE), 0), (Copies::Kernel, Sums::Ours), FRAME_BYTES[0], 0);
        let port = port.unwrap();
        gate.set_socket(0, port.fd()).unwrap();
        test(&gate, pair);
    });
}

fn frame(from: &str, to: &str, vlan: Option<u16>, datagram: &[u8]) -> Vec<u8> {
    let hop = NextHop { to: Mac([2; 6]), from: Mac([4; 6]), vlan: vlan.map(VlanId), mtu: 1_500 };
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let header = Header { hop, from, to, class: TrafficClass(0) };
    let mut frame = [&[0; HEADER_BYTES_MAX], datagram].concat();
    let (room, datagram) = frame.split_at_mut(HEADER_BYTES_MAX);
    let bytes = header.write(room, datagram.len(), Summed::Here(Sum::of(datagram))).unwrap();
    frame.split_off(HEADER_BYTES_MAX - bytes)
}

fn media() -> Vec<u8> {
    frame("192.0.2.2:9", "192.0.2.1:40000", None, b"media")
}

#[test]
fn media_goes_to_the_shard_of_its_queue() {
    with_gate(true, |gate, _| {
        for vlan in [None, Some(7)] {
            let v4 = frame("192.0.2.2:9", "192.0.2.1:40000", vlan, b"media");
            let v6 = frame("[2001:db8::2]:9", "[2001:db8::1]:40000", vlan, b"media");
            assert_eq!((gate.meet(&v4), gate.meet(&v6)), (Action::Redirect, Action::Redirect));
        }
        // Shard 1 has queue 1.
        let other = frame("192.0.2.2:9", "192.0.2.1:40001", None, b"media");
        assert_eq!(gate.meet(&other), Action::Pass);
        assert_eq!(gate.count(0, Gated::ToKernel), Some(1));
    });
}

#[test]
fn what_is_not_media_passes_untouched() {
    with_gate(true, |gate, _| {
        let changed = |at: usize, byte: u8| {
            let mut frame = media();
            frame[at] = byte;
            gate.meet(&frame)
        };
        for (at, byte, what) in [
            (13, 0x06, "ARP"),
            (23, 6, "TCP"),
            (23, 1, "ICMP"),
            (33, 9, "another address"),
            (14, 0x46, "options"),
            (20, 0x20, "a first fragment"),
            (21, 0x01, "another fragment"),
        ] {
            assert_eq!(changed(at, byte), Action::Pass, "{what}");
        }
        let neighbour = frame("[2001:db8::2]:9", "[2001:db8::9]:40000", None, b"media");
        assert_eq!(gate.meet(&neighbour), Action::Pass);
        let mut fragment = frame("[2001:db8::2]:9", "[2001:db8::1]:40000", None, b"media");
        fragment[20] = 44;
        assert_eq!(gate.meet(&fragment), Action::Pass);
        for what in [Gated::ToKernel, Gated::Malformed, Gated::UnknownPort, Gated::UnknownSource] {
            assert_eq!(gate.count(0, what), Some(0), "{what:?}");
        }
    });
}

#[test]
fn media_that_contradicts_itself_is_dropped_and_counted() {
    with_gate(true, |gate, _| {
        let cases =
            [(35, 0, "source port 0"), (39, 8, "empty"), (39, 14, "longer than its packet")];
        for ((at, byte, what), counted) in cases.into_iter().zip(1..) {
            let mut frame = media();
            (frame[34], frame[at]) = (0, byte);
            assert_eq!(gate.meet(&frame), Action::Drop, "{what}");
            assert_eq!(gate.count(0, Gated::Malformed), Some(counted), "{what}");
        }
    });
}

#[test]
fn a_port_that_nobody_listens_to_is_dropped_unless_the_machine_forwards() {
    for drop_unknown in [true, false] {
        with_gate(drop_unknown, |gate, _| {
            let unknown = frame("192.0.2.2:9", "192.0.2.1:5000", None, b"anyone?");
            let wanted = if drop_unknown { Action::Drop } else { Action::Pass };
            assert_eq!(gate.meet(&unknown), wanted);
            assert_eq!(gate.count(0, Gated::UnknownPort), Some(drop_unknown.into()));
            let _listening = UdpSocket::bind("192.0.2.1:5000").unwrap();
            assert_eq!(gate.meet(&unknown), Action::Pass);
        });
    }
}

#[test]
fn media_comes_in_from_where_terminals_are_seen_and_from_nowhere_else() {
    use Guest::{Comes, Goes};
    let host = |ip: &str| Host::from(ip.parse::<IpAddr>().unwrap());
    with_rules(Rules { sources_max: Some(2), ..RULES }, |gate, _| {
        let admission = Admission::new(vec![Arc::clone(gate) as Arc<dyn Door>]).unwrap();
        let note = |guests: &[Guest]| admission.note(guests.iter().copied());
        let met = || {
            let v4 = frame("192.0.2.2:9", "192.0.2.1:40000", None, b"media");
            let v6 = frame("[2001:db8::2]:9", "[2001:db8::1]:40000", Some(7), b"media");
            [gate.meet(&v4), gate.meet(&v6)]
        };
        assert_eq!(met(), [Action::Drop; 2]);
        note(&[Comes(host("192.0.2.2")), Comes(host("2001:db8::2")), Comes(host("192.0.2.2"))]);
        assert_eq!(met(), [Action::Redirect; 2]);
        note(&[Goes(host("192.0.2.2")), Goes(host("2001:db8::2"))]);
        assert_eq!(met(), [Action::Redirect, Action::Drop], "one of two legs is left");
        note(&[Comes(host("192.0.2.3")), Goes(host("192.0.2.2"))]);
        assert_eq!(met(), [Action::Drop; 2]);
        assert_eq!(gate.count(0, Gated::UnknownSource), Some(5));
        // Only media: whatever else the machine serves has its own rules.
        let other = frame("192.0.2.2:9", "192.0.2.7:40000", None, b"media");
        assert_eq!(gate.meet(&other), Action::Pass);
    });
}

#[test]
fn an_address_for_which_there_is_no_room_is_let_in_when_there_is() {
    let host = |last| Host::from(IpAddr::from([192, 0, 2, last]));
    with_rules(Rules { sources_max: Some(1), ..RULES }, |gate, _| {
        let admission = Admission::new(vec![Arc::clone(gate) as Arc<dyn Door>]).unwrap();
        let note = |guest| admission.note([guest].into_iter());
        note(Guest::Comes(host(9)));
        note(Guest::Comes(host(2)));
        assert_eq!(gate.meet(&media()), Action::Drop);
        note(Guest::Goes(host(2)));
        note(Guest::Goes(host(9)));
        note(Guest::Comes(host(2)));
        assert_eq!(gate.meet(&media()), Action::Redirect);
    });
}

#[test]
fn addresses_follow() {
    with_gate(true, |gate, _| {
        gate.set_addresses(&BTreeSet::from(["192.0.2.7".parse().unwrap()]));
        assert_eq!(gate.meet(&media()), Action::Pass);
        let to_new = frame("192.0.2.2:9", "192.0.2.7:40000", None, b"media");
        assert_eq!(gate.meet(&to_new), Action::Redirect);
    });
}

#[test]
fn whatever_a_shard_is_given_it_can_read() {
    with_gate(true, |gate, _| {
        bolero::check!().with_iterations(2_000).for_each(|noise: &[u8]| {
            // Noise over a frame that would be taken, so that some of it still is.
            let mut frame = media();
            for pair in noise.chunks_exact(2).take(4) {
                let at = 12 + usize::from(pair[0]) % (frame.len() - 12);
                frame[at] = pair[1];
            }
            if gate.meet(&frame) == Action::Redirect {
                assert!(frame::read(&frame).is_some(), "{frame:02x?}");
            }
        });
    });
}

#[test]
fn a_second_program_on_the_nic_is_refused_and_the_first_leaves_with_its_gate() {
    with_gate(true, |_gate, pair| {
        let error = Gate::put_on(index(DEVICE), Hook::Driver, RULES).err().unwrap().to_string();
        assert!(error.contains("`xdp.interface`"), "{error}");
        assert!(pair.near(&format!("link show {DEVICE}")).contains("prog/xdp"));
    });
    in_pair(|pair| {
        for place in [Hook::Driver, Hook::Generic] {
            let gate = Gate::put_on(index(DEVICE), place, RULES).unwrap();
            assert!(pair.near(&format!("link show {DEVICE}")).contains("prog/xdp"));
            drop(gate);
            assert!(!pair.near(&format!("link show {DEVICE}")).contains("prog/xdp"));
        }
    });
}

#[test]
fn three_rights_are_enough_and_each_is_needed() {
    let needed = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW | CapabilitySet::BPF;
    // Rights are a thread's own, and `in_pair` has one for each test.
    let keep = |kept| {
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
        set_capabilities(None, sets).unwrap();
    };
    in_pair(|_| {
        let nic = index(DEVICE);
        keep(needed);
        check_rights().unwrap();
        let rules = Rules { sources_max: Some(9), ..RULES };
        drop(Gate::put_on(nic, Hook::Driver, rules).unwrap());
        for (lost, name) in [
            (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
            (CapabilitySet::BPF, "CAP_NET_RAW and CAP_BPF"),
        ] {
            keep(capabilities(None).unwrap().effective - lost);
            let text = check_rights().unwrap_err().to_string();
            assert!(text.starts_with(&format!("this process lacks {name}: ")), "{text}");
        }
    });
}
