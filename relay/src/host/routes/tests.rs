//! The thread against a real kernel, in network namespaces of its own.

use super::netlink::{Events, Heard};
use super::*;
use crate::shard::Clock;
use crate::testing::namespaces::{DEVICE, Pair, in_pair, index};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};

/// Longer than anything here takes, also on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long news of a neighbour may take.
const SOON: Duration = Duration::from_secs(2);

const NEAR: Mac = Mac([2, 0, 0, 0, 0, 1]);
const FAR: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn direct(to: Mac, vlan: Option<u16>, source: &str) -> Way {
    let hop = NextHop { to, from: NEAR, vlan: vlan.map(VlanId), mtu: 1_500 };
    Way::Direct { hop, source: ip(source) }
}

/// A shard that follows what it is told, and what it heard of addresses.
struct Follower {
    routes: Routes,
    end: RoutesEnd,
    ways: HashMap<IpAddr, Way>,
    addresses: Receiver<BTreeSet<IpAddr>>,
}

impl Follower {
    fn start() -> Self {
        let (send, addresses) = channel();
        let tell = move |addresses: &BTreeSet<IpAddr>| send.send(addresses.clone()).unwrap();
        let (routes, mut ends) = Routes::start(index(DEVICE), 1, tell).unwrap();
        Self { routes, end: ends.pop().unwrap(), ways: HashMap::new(), addresses }
    }

    /// Waits until what was told last of a destination is as expected.
    fn expect_within(&mut self, limit: Duration, destination: &str, expected: Way) {
        let clock = Clock::start();
        loop {
            while let Some(told) = self.end.told() {
                self.ways.insert(told.destination, told.way);
                if told == (Told { destination: ip(destination), way: expected }) {
                    return;
                }
            }
            let known = self.ways.get(&ip(destination));
            if known == Some(&expected) {
                return;
            }
            let waited = clock.now().0;
            assert!(waited < limit, "{destination}: {known:?} after {waited:?}, not {expected:?}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn expect(&mut self, destination: &str, expected: Way) {
        self.expect_within(DEADLINE, destination, expected);
    }

    fn ask(&mut self, destination: &str, expected: Way) {
        assert!(self.end.ask(ip(destination)));
        self.expect(destination, expected);
    }

    fn expect_addresses(&self, expected: &[&str]) {
        let expected: BTreeSet<_> = expected.iter().map(|text| ip(text)).collect();
        loop {
            let heard = self.addresses.recv_timeout(DEADLINE);
            let heard = heard.unwrap_or_else(|_| panic!("never heard of {expected:?}"));
            if heard == expected {
                break;
            }
        }
        assert_eq!(self.routes.addresses(), expected);
    }
}

fn with_addresses(pair: &Pair) {
    pair.near(&format!("address add 192.0.2.1/24 dev {DEVICE}"));
    pair.far(&format!("address add 192.0.2.2/24 dev {DEVICE}"));
}

#[test]
fn a_neighbour_is_found_and_followed() {
    in_pair(|pair| {
        with_addresses(pair);
        let mut shard = Follower::start();
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        let moved = Mac([2, 0, 0, 0, 0, 0x22]);
        pair.far(&format!("link set {DEVICE} address 02:00:00:00:00:22"));
        pair.near(&format!(
            "neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:22 dev {DEVICE} nud reachable"
        ));
        shard.expect_within(SOON, "192.0.2.2", direct(moved, None, "192.0.2.1"));
        pair.near(&format!("neighbour delete 192.0.2.2 dev {DEVICE}"));
        shard.expect("192.0.2.2", Way::Kernel);
        shard.expect("192.0.2.2", direct(moved, None, "192.0.2.1"));
        assert!(shard.end.forget(ip("192.0.2.2")));
    });
}

#[test]
fn a_neighbour_that_falls_silent_is_noticed_and_heals_by_traffic() {
    in_pair(|pair| {
        with_addresses(pair);
        // The kernel's patience, cut short: it probes at once, and gives up soon.
        for (setting, value) in
            [("delay_first_probe_time", "1"), ("retrans_time_ms", "50"), ("ucast_solicit", "1")]
        {
            let place = format!("/proc/sys/net/ipv4/neigh/{DEVICE}/{setting}");
            std::fs::write(place, value).unwrap();
        }
        pair.near(&format!(
            "neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev {DEVICE} nud stale"
        ));
        pair.far(&format!("link set {DEVICE} arp off"));
        let mut shard = Follower::start();
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        shard.expect("192.0.2.2", Way::Kernel);
        pair.far(&format!("link set {DEVICE} arp on"));
        let socket = std::net::UdpSocket::bind("192.0.2.1:0").unwrap();
        socket.send_to(b"through the kernel", "192.0.2.2:9").unwrap();
        shard.expect("192.0.2.2", direct(FAR, None, "192.0.2.1"));
    });
}

#[test]
fn what_does_not_leave_by_a_next_hop_is_for_the_kernel() {
    in_pair(|pair| {
        with_addresses(pair);
        // Another interface, though its packets leave by the same device.
        pair.near(&format!("link add link {DEVICE} name other type macvlan mode bridge"));
        pair.near("address add 203.0.113.1/24 dev other");
        pair.near("link set other up");
        pair.near("neighbour add 203.0.113.9 lladdr 02:00:00:00:00:09 dev other");
        pair.near("route add blackhole 198.51.100.0/25");
        pair.near("route add unreachable 198.51.100.128/25");
        pair.near("route add unreachable 2001:db8:1::/48");
        pair.near("route add blackhole 2001:db8:2::/48");
        let mut shard = Follower::start();
        for destination in [
            "192.0.2.1",
            "192.0.2.255",
            "203.0.113.9",
            "198.51.100.1",
            "198.51.100.200",
            "233.252.0.1",
            "10.0.0.1",
            "127.0.0.1",
            "::1",
            "fe80::2",
            "2001:db8:1::1",
            "2001:db8:2::1",
            "2001:db8:3::1",
        ] {
            shard.ask(destination, Way::Kernel);
        }
    });
}

#[test]
fn routes_over_gateways_are_followed() {
    in_pair(|pair| {
        with_addresses(pair);
        // A gateway that an operator wrote down is used as it is, and stays as it is.
        let fixed = Mac([2, 0, 0, 0, 0, 0x33]);
        pair.near(&format!(
            "neighbour add 192.0.2.3 lladdr 02:00:00:00:00:33 dev {DEVICE} nud permanent"
        ));
        let mut shard = Follower::start();
        shard.ask("198.51.100.1", Way::Kernel);
        pair.near("route add default via 192.0.2.2");
        shard.expect("198.51.100.1", direct(FAR, None, "192.0.2.1"));
        pair.near("route replace default via 192.0.2.3");
        shard.expect("198.51.100.1", direct(fixed, None, "192.0.2.1"));
        shard.ask("198.51.100.2", direct(fixed, None, "192.0.2.1"));
        let shown = pair.near(&format!("neighbour show 192.0.2.3 dev {DEVICE}"));
        assert!(shown.contains("PERMANENT"), "{shown}");
        pair.near(&format!("address add 192.0.2.77/32 dev {DEVICE}"));
        pair.near("route add 198.51.100.2/32 via 192.0.2.2 src 192.0.2.77 mtu 1400");
        let hop = NextHop { to: FAR, from: NEAR, vlan: None, mtu: 1_400 };
        shard.expect("198.51.100.2", Way::Direct { hop, source: ip("192.0.2.77") });
        shard.expect("198.51.100.1", direct(fixed, None, "192.0.2.1"));
        pair.near("rule add to 198.51.100.1 unreachable");
        shard.expect("198.51.100.1", Way::Kernel);
    });
}

#[test]
#[ignore = "needs a kernel with VLANs (CONFIG_VLAN_8021Q)"]
fn a_vlan_on_the_interface_is_part_of_it() {
    in_pair(|pair| {
        with_addresses(pair);
        let mut shard = Follower::start();
        shard.ask("203.0.113.2", Way::Kernel);
        for (side, address) in [
            (&Pair::far as &dyn Fn(&Pair, &str) -> String, "203.0.113.2"),
            (&Pair::near, "203.0.113.1"),
        ] {
            side(pair, &format!("link add link {DEVICE} name kk0.7 type vlan id 7"));
            side(pair, &format!("address add {address}/24 dev kk0.7"));
            side(pair, "link set kk0.7 up");
        }
        shard.expect("203.0.113.2", direct(FAR, Some(7), "203.0.113.1"));
        shard.expect_addresses(&["192.0.2.1", "203.0.113.1"]);
        pair.near("link delete kk0.7");
        shard.expect("203.0.113.2", Way::Kernel);
        shard.expect_addresses(&["192.0.2.1"]);
        // A tag of another kind is not the tag that would be written.
        pair.near(&format!("link add link {DEVICE} name kk0.8 type vlan proto 802.1ad id 7"));
        pair.near("address add 203.0.113.1/24 dev kk0.8");
        pair.near("link set kk0.8 up");
        pair.near("neighbour add 203.0.113.3 lladdr 02:00:00:00:00:33 dev kk0.8");
        shard.ask("203.0.113.3", Way::Kernel);
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
    });
}

#[test]
fn ipv6_is_followed_the_same_way() {
    in_pair(|pair| {
        with_addresses(pair);
        for (near, far) in [("2001:db8::1", "2001:db8::2"), ("fe80::1", "fe80::2")] {
            pair.near(&format!("address add {near}/64 dev {DEVICE} nodad"));
            pair.far(&format!("address add {far}/64 dev {DEVICE} nodad"));
        }
        let mut shard = Follower::start();
        shard.expect_addresses(&["192.0.2.1", "2001:db8::1", "fe80::1"]);
        shard.ask("2001:db8::2", direct(FAR, None, "2001:db8::1"));
        shard.ask("2001:db8:1::1", Way::Kernel);
        pair.near(&format!("route add 2001:db8:1::/48 via fe80::2 dev {DEVICE}"));
        shard.expect("2001:db8:1::1", direct(FAR, None, "2001:db8::1"));
        // Packets of IPv4 may go to a neighbour of IPv6 (RFC 5549).
        pair.near(&format!("route add 198.51.100.0/24 via inet6 fe80::2 dev {DEVICE}"));
        shard.ask("198.51.100.1", direct(FAR, None, "192.0.2.1"));
        shard.ask("fe80::2", Way::Kernel);
    });
}

#[test]
fn a_link_that_goes_down_heals_when_it_comes_up() {
    in_pair(|pair| {
        with_addresses(pair);
        let mut shard = Follower::start();
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        for _ in 0..2 {
            pair.near(&format!("link set {DEVICE} down"));
            shard.expect("192.0.2.2", Way::Kernel);
            pair.near(&format!("link set {DEVICE} up"));
            shard.expect("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        }
        pair.far(&format!("link set {DEVICE} down"));
        shard.expect("192.0.2.2", Way::Kernel);
        pair.far(&format!("link set {DEVICE} up"));
        shard.expect("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        pair.near(&format!("link delete {DEVICE}"));
        shard.expect("192.0.2.2", Way::Kernel);
    });
}

#[test]
fn addresses_are_told_before_the_start_is_over() {
    in_pair(|pair| {
        with_addresses(pair);
        let shard = Follower::start();
        assert_eq!(shard.addresses.try_recv().unwrap(), BTreeSet::from([ip("192.0.2.1")]));
        pair.near(&format!("address add 192.0.2.10/24 dev {DEVICE}"));
        shard.expect_addresses(&["192.0.2.1", "192.0.2.10"]);
        pair.near(&format!("address delete 192.0.2.10/24 dev {DEVICE}"));
        shard.expect_addresses(&["192.0.2.1"]);
        // One that is checked for duplicates comes when it has been.
        pair.near(&format!("address add 2001:db8::1/64 dev {DEVICE}"));
        shard.expect_addresses(&["192.0.2.1", "2001:db8::1"]);
    });
}

#[test]
fn an_interface_that_cannot_serve_is_refused() {
    in_pair(|_| {
        let start = |number| Routes::start(number, 1, |_| {}).err().unwrap().kind();
        assert_eq!(start(index("lo")), io::ErrorKind::Unsupported);
        assert_eq!(start(9_999), io::ErrorKind::NotFound);
    });
}

#[test]
fn events_that_found_no_room_are_missed() {
    in_pair(|pair| {
        let mut events = Events::open(1).unwrap();
        assert_eq!(events.read(|_| {}).unwrap(), Heard::Nothing);
        pair.near_batch(&flood(100, 1_500));
        let mut outcomes = std::iter::from_fn(|| Some(events.read(|_| {}).unwrap()));
        assert!(outcomes.any(|heard| heard == Heard::Lost));
        assert!(events.drain());
        assert_eq!(events.read(|_| {}).unwrap(), Heard::Nothing);
    });
}

#[test]
fn a_thread_that_missed_events_knows_the_newest() {
    in_pair(|pair| {
        with_addresses(pair);
        let (entered, is_inside) = channel();
        let (let_go, may_go) = channel::<()>();
        let mut is_first = true;
        let hold = move |_: &BTreeSet<IpAddr>| {
            if !core::mem::replace(&mut is_first, false) {
                entered.send(()).unwrap();
                let _ = may_go.recv();
            }
        };
        let (routes, mut ends) = Routes::start(index(DEVICE), 1, hold).unwrap();
        let (_, addresses) = channel();
        let end = ends.pop().unwrap();
        let mut shard = Follower { routes, end, ways: HashMap::new(), addresses };
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        pair.near(&format!("address add 192.0.2.10/24 dev {DEVICE}"));
        is_inside.recv_timeout(DEADLINE).unwrap();
        pair.near_batch(&flood(10_000, 1_400));
        pair.near(&format!("address delete 192.0.2.10/24 dev {DEVICE}"));
        drop(let_go);
        let hop = NextHop { to: FAR, from: NEAR, vlan: None, mtu: 1_400 };
        shard.expect("192.0.2.2", Way::Direct { hop, source: ip("192.0.2.1") });
        assert!(!shard.routes.addresses().contains(&ip("192.0.2.10")));
    });
}

/// Commands that change the longest packet of the link so many times, and at last to this.
fn flood(times: usize, last: u32) -> String {
    let change = |bytes: u32| format!("link set {DEVICE} mtu {bytes}\n");
    (0..times).map(|at| change(1_000 + (at % 2) as u32)).chain([change(last)]).collect()
}

#[test]
fn a_shard_that_is_gone_and_one_that_does_not_listen_hold_nobody_up() {
    in_pair(|pair| {
        with_addresses(pair);
        let (routes, mut ends) = Routes::start(index(DEVICE), 3, |_| {}).unwrap();
        let (deaf, gone) = (&mut ends.pop().unwrap(), ends.pop().unwrap());
        drop(gone);
        let clock = Clock::start();
        let others =
            (1..=u32::MAX).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
        let asked = others.take(2 * ROUTES_TOLD);
        for destination in asked {
            while !deaf.ask(destination) {
                assert!(clock.now().0 < DEADLINE, "the ring is never emptied");
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        let (_, addresses) = channel();
        let end = ends.pop().unwrap();
        let mut shard = Follower { routes, end, ways: HashMap::new(), addresses };
        shard.ask("192.0.2.2", direct(FAR, None, "192.0.2.1"));
        let mut told = 0;
        while told < 2 * ROUTES_TOLD {
            told += usize::from(deaf.told().is_some());
            assert!(clock.now().0 < 2 * DEADLINE, "only {told} answers");
        }
    });
}

#[test]
fn a_full_ring_says_so() {
    let (mut end, _worker) = ring_pair();
    assert!((0..ROUTE_ASKS).all(|_| end.ask(ip("192.0.2.2"))));
    assert!(!end.ask(ip("192.0.2.2")) && !end.forget(ip("192.0.2.2")));
    assert_eq!(end.told(), None);
}
