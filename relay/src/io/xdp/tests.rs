//! The NIC's own queue against the kernel's stack: a pair of virtual Ethernet devices in two
//! network namespaces, with AF_XDP on the near side and ordinary sockets on the far one.

use super::*;
use crate::config::{Config, IoChoice, Xdp, XdpMode};
use crate::host::routes::Routes;
use crate::io::{Queues, Ring, bind, open_queues};
use crate::orders::bell::Bell;
use crate::shard::Clock;
use crate::testing::namespaces::{DEVICE, Pair, in_pair};
use core::time::Duration;
use std::net::UdpSocket;

const PORT: u16 = 40_000;
const PATIENCE: Duration = Duration::from_secs(5);

/// Both sides have addresses of both families.
fn address(pair: &Pair) {
    pair.near(&format!("address add 192.0.2.1/24 dev {DEVICE}"));
    pair.far(&format!("address add 192.0.2.2/24 dev {DEVICE}"));
    pair.near(&format!("address add 2001:db8::1/64 dev {DEVICE} nodad"));
    pair.far(&format!("address add 2001:db8::2/64 dev {DEVICE} nodad"));
}

fn config(shards: u16) -> Config {
    let xdp = Xdp { interface: DEVICE.to_owned(), mode: XdpMode::Driver, busy_poll_us: 0 };
    Config { io: IoChoice::Xdp, first_port: PORT, shards, xdp, ..Config::default() }
}

/// Runs `test` with packet I/O of shard 0 over the near device.
fn with_io(pair: &Pair, test: impl FnOnce(&mut XdpIo<'_>, &Pair)) {
    let mut ring = Ring::new().unwrap();
    let socket = bind(SocketAddr::new("::".parse().unwrap(), PORT)).unwrap();
    let bell = Arc::new(Bell::new().unwrap());
    let pace = (Duration::from_millis(20), Duration::ZERO);
    let kernel = UringIo::new(&mut ring, socket, bell, pace).unwrap();
    let Queues { mut shards, routes } = open_queues(&config(1)).unwrap().unwrap();
    let (nic, end) = shards.remove(0);
    let mut io = XdpIo::new(kernel, nic, end).unwrap();
    test(&mut io, pair);
    let _until_here: Routes = routes;
}

/// How long a test waits for what must happen.
struct Waiting(Clock);

impl Waiting {
    fn new() -> Self {
        Self(Clock::start())
    }

    fn check(&self, what: &str) {
        assert!(self.0.now().0 < PATIENCE, "{what}");
    }
}

/// A turn that sends each packet back to where it came from.
fn turn(io: &mut XdpIo<'_>) {
    let (mut out, packets) = (Outgoing::new(16), io.receive(Patience::Linger));
    let mut taken = 0;
    while taken < packets {
        for packet in io.packets(taken) {
            let train = out.alone(packet.place()).unwrap();
            assert!(out.hop(train, packet.source));
            taken += 1;
            if !out.has_room() {
                break;
            }
        }
        io.send(&out);
        out.clear();
    }
}

/// Such turns until `done` or the test's patience is over.
fn echo_until(io: &mut XdpIo<'_>, mut done: impl FnMut(&IoCounters) -> bool) {
    let patience = Waiting::new();
    while !done(io.counters()) {
        patience.check(&format!("nothing happens: {:?}", io.counters()));
        turn(io);
    }
}

/// Sends packets from the far side until one has come back past the kernel both ways.
fn warm_up(io: &mut XdpIo<'_>, far: &UdpSocket, to: &str) {
    let patience = Waiting::new();
    let before = io.counters().packets_sent_nic;
    while io.counters().packets_sent_nic == before {
        patience.check(&format!("no way past the kernel: {:?}", io.counters()));
        far.send_to(b"warm", to).unwrap();
        let received = io.counters().packets_received;
        echo_until(io, |counters| counters.packets_received > received);
        far.recv(&mut [0; 16]).unwrap();
    }
}

fn far_socket(pair: &Pair, address: &str) -> UdpSocket {
    let socket = pair.on_far_side(|| UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn packets_come_and_go_past_the_kernel_over_both_families() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            for (far, near) in
                [("192.0.2.2:0", "192.0.2.1:40000"), ("[2001:db8::2]:0", "[2001:db8::1]:40000")]
            {
                let far = far_socket(pair, far);
                warm_up(io, &far, near);
                for bytes in [1, 2, 3, 160, 1_400] {
                    let packet: Vec<u8> = (0..bytes).map(|byte| byte as u8).collect();
                    far.send_to(&packet, near).unwrap();
                    let sent = io.counters().packets_sent_nic;
                    echo_until(io, |counters| counters.packets_sent_nic > sent);
                    let mut back = [0; 2_000];
                    let (length, from) = far.recv_from(&mut back).unwrap();
                    assert_eq!((&back[..length], from.to_string().as_str()), (&packet[..], near));
                }
            }
            assert_eq!(io.counters().packets_copied, 0, "each left in its own frame");
        });
    });
}

#[test]
fn a_burst_comes_back_whole() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let far = far_socket(pair, "192.0.2.2:0");
            warm_up(io, &far, "192.0.2.1:40000");
            let before = io.counters().packets_sent_nic;
            for round in 0..20_u16 {
                for number in 0..100_u16 {
                    far.send_to(&(100 * round + number).to_be_bytes(), "192.0.2.1:40000").unwrap();
                }
                let wanted = before + u64::from(round + 1) * 100;
                echo_until(io, |counters| counters.packets_sent_nic >= wanted);
                for number in 0..100_u16 {
                    let mut back = [0; 2];
                    far.recv(&mut back).unwrap();
                    assert_eq!(u16::from_be_bytes(back), 100 * round + number);
                }
            }
        });
    });
}

#[test]
fn what_is_not_media_goes_to_the_kernel() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            // Another socket of this machine, TCP, and an echo request.
            let other = UdpSocket::bind("192.0.2.1:5000").unwrap();
            other.set_read_timeout(Some(PATIENCE)).unwrap();
            let far = far_socket(pair, "192.0.2.2:0");
            far.send_to(b"other", "192.0.2.1:5000").unwrap();
            assert_eq!(other.recv(&mut [0; 9]).unwrap(), 5);
            let listener = std::net::TcpListener::bind("192.0.2.1:80").unwrap();
            let stream = pair.on_far_side(|| std::net::TcpStream::connect("192.0.2.1:80"));
            listener.accept().unwrap();
            stream.unwrap();
            // A datagram in fragments is put together by the kernel, and comes by the socket.
            let long = vec![7; 1_900];
            far.send_to(&long, "192.0.2.1:40000").unwrap();
            let before = io.counters().bytes_received;
            echo_until(io, |counters| counters.bytes_received >= before + 1_900);
            let mut back = vec![0; 2_048];
            assert_eq!(far.recv(&mut back).unwrap(), 1_900);
            assert_eq!(io.counters().packets_received_nic, 0);
        });
    });
}

#[test]
fn one_packet_to_several_is_copied_and_the_last_is_not() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let ears = ["192.0.2.2:0", "192.0.2.2:0", "[2001:db8::2]:0"];
            let ears = ears.map(|address| far_socket(pair, address));
            warm_up(io, &ears[0], "192.0.2.1:40000");
            warm_up(io, &ears[2], "[2001:db8::1]:40000");
            ears[0].send_to(b"to all of you", "192.0.2.1:40000").unwrap();
            let (mut out, before) = (Outgoing::new(16), *io.counters());
            while io.receive(Patience::Linger) == 0 {}
            let packet = io.packets(0).next().unwrap().place();
            let train = out.alone(packet).unwrap();
            for ear in &ears {
                assert!(out.hop(train, ear.local_addr().unwrap()));
            }
            assert!(out.answer(b"and an answer", ears[1].local_addr().unwrap()));
            io.send(&out);
            let mut heard = [0; 64];
            for ear in &ears {
                let length = ear.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], b"to all of you");
            }
            let length = ears[1].recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"and an answer");
            let counters = io.counters();
            assert_eq!(counters.packets_sent_nic - before.packets_sent_nic, 4);
            assert_eq!(counters.packets_copied - before.packets_copied, 3);
        });
    });
}

/// Sends one packet there and back, past the kernel both ways or not.
fn there_and_back(io: &mut XdpIo<'_>, far: &UdpSocket) -> bool {
    let before = *io.counters();
    far.send_to(b"there", "192.0.2.1:40000").unwrap();
    echo_until(io, |counters| counters.packets_sent > before.packets_sent);
    assert_eq!(far.recv(&mut [0; 9]).unwrap(), 5);
    let counters = io.counters();
    counters.packets_received_nic > before.packets_received_nic
        && counters.packets_sent_nic > before.packets_sent_nic
}

#[test]
fn what_comes_on_another_queue_is_delivered_all_the_same() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let far = far_socket(pair, "192.0.2.2:0");
            warm_up(io, &far, "192.0.2.1:40000");
            // As if shard 0 had lost its queue: its packets are another's.
            io.nic.gate.unset_socket(0);
            let before = *io.counters();
            for _ in 0..10 {
                assert!(!there_and_back(io, &far));
            }
            io.refresh_counters();
            assert_eq!(io.counters().packets_sent_nic - before.packets_sent_nic, 10);
            assert_eq!(io.counters().gate_to_kernel - before.gate_to_kernel, 10);
        });
    });
}

#[test]
fn a_neighbour_that_changes_is_followed() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let far = far_socket(pair, "192.0.2.2:0");
            warm_up(io, &far, "192.0.2.1:40000");
            assert!(there_and_back(io, &far));
            pair.far(&format!("link set {DEVICE} address 02:00:00:00:00:77"));
            pair.near(&format!(
                "neigh replace 192.0.2.2 lladdr 02:00:00:00:00:77 dev {DEVICE} nud reachable"
            ));
            // Until the change is known packets go to the old address, where nobody is.
            far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let patience = Waiting::new();
            loop {
                patience.check("the neighbour is not followed");
                far.send_to(b"there", "192.0.2.1:40000").unwrap();
                let sent = io.counters().packets_sent;
                echo_until(io, |counters| counters.packets_sent > sent);
                if far.recv(&mut [0; 9]).is_ok() {
                    break;
                }
            }
            far.set_read_timeout(Some(PATIENCE)).unwrap();
            assert!(there_and_back(io, &far));
        });
    });
}

#[test]
fn a_link_that_goes_down_and_comes_back_heals() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let far = far_socket(pair, "192.0.2.2:0");
            warm_up(io, &far, "192.0.2.1:40000");
            for _ in 0..3 {
                pair.near(&format!("link set {DEVICE} down"));
                // What leaves meanwhile has nowhere to go, and does no harm.
                let (mut out, to) = (Outgoing::new(16), far.local_addr().unwrap());
                for _ in 0..300 {
                    assert_eq!(io.receive(Patience::None), 0);
                    assert!(out.answer(b"lost", to));
                    io.send(&out);
                    out.clear();
                }
                pair.near(&format!("link set {DEVICE} up"));
                let patience = Waiting::new();
                far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let mut heard = [0; 9];
                while !matches!(far.recv(&mut heard), Ok(5)) {
                    patience.check("the link does not heal");
                    far.send_to(b"there", "192.0.2.1:40000").unwrap();
                    turn(io);
                }
                far.set_read_timeout(Some(PATIENCE)).unwrap();
                warm_up(io, &far, "192.0.2.1:40000");
            }
        });
    });
}
