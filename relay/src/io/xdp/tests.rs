//! What only the way past the kernel does; what both do is in `suite`.

use super::*;
use crate::capacity::xdp::FRAME_BYTES;
use crate::io::suite::{
    FAR, NEAR, PATIENCE, Waiting, address, config, echo_until, far_socket, turn, warm_up,
    with_uring, with_xdp, with_xdp_as,
};
use crate::io::{Queues, open_queues};
use crate::testing::namespaces::{DEVICE, Pair, in_pair, index};
use core::time::Duration;
use kakehashi_wire::media::Host;
use std::net::UdpSocket;

/// Runs `test` with packet I/O over the near device.
fn with_io(pair: &Pair, test: impl FnOnce(&mut XdpIo<'_>, &Pair)) {
    with_xdp(|mut io, _| test(&mut io, pair));
}

#[test]
fn packets_come_and_go_past_the_kernel_over_both_families() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            for (far, near) in FAR.into_iter().zip(NEAR) {
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

/// Runs `test` with packet I/O over the near device that has its checksums added up so.
fn with_sums(sums: Sums, test: impl FnOnce(&mut XdpIo<'_>)) {
    let Queues { mut shards, routes, .. } = open_queues(&config(1)).unwrap().unwrap();
    let (NicQueue { queue, port, gate, local }, end) = shards.remove(0);
    drop(port);
    let place = (index(DEVICE), queue);
    let patience = Waiting::new();
    // The kernel gives a queue back a little later than its socket.
    let port = loop {
        match XdpPort::open(place, (Copies::Kernel, sums), FRAME_BYTES[0], 0) {
            Ok(port) => break port,
            Err(error) => patience.check(&format!("the queue stays taken: {error}")),
        }
    };
    assert_eq!(port.sums(), sums, "this needs Linux 6.11");
    let nic = NicQueue { queue, port, gate, local };
    with_uring(|kernel, _| test(&mut XdpIo::new(kernel, nic, end).unwrap()));
    drop(routes);
}

#[test]
fn checksums_are_right_whoever_adds_them_up() {
    for (sums, by_device) in [(Sums::Ours, true), (Sums::Theirs, true), (Sums::Theirs, false)] {
        in_pair(|pair| {
            address(pair);
            if !by_device {
                // The kernel adds up instead, and the other side's checks what it did.
                pair.near_ethtool(&format!("-K {DEVICE} tx off"));
            }
            with_sums(sums, |io| {
                for (far, near) in FAR.into_iter().zip(NEAR) {
                    let far = far_socket(pair, far);
                    warm_up(io, &far, near);
                    let sent = io.counters().packets_sent_nic;
                    for bytes in [1, 2, 3, 160, 161, 1_400] {
                        let packet: Vec<u8> = (0..bytes).map(|byte| byte as u8).collect();
                        far.send_to(&packet, near).unwrap();
                        let before = io.counters().packets_sent;
                        echo_until(io, |counters| counters.packets_sent > before);
                        let mut back = [0; 2_000];
                        let length = far.recv(&mut back).unwrap();
                        assert_eq!(back[..length], packet, "{sums:?}");
                    }
                    assert_eq!(io.counters().packets_sent_nic - sent, 6, "{sums:?}");
                }
            });
        });
    }
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

const FLOOD: u64 = 20_000;

/// Has media go there and back while `hostile` floods an address of the relay; gives the counters
/// before and after. No packet of the flood reaches the shard.
fn flooded(io: &mut XdpIo<'_>, far: &UdpSocket, hostile: &UdpSocket, at: &str) -> [IoCounters; 2] {
    warm_up(io, far, NEAR[0]);
    io.refresh_counters();
    let before = *io.counters();
    let mut media = 0;
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            for _ in 0..FLOOD {
                hostile.send_to(&[0; 200], at).unwrap();
            }
        });
        while !flood.is_finished() {
            assert!(there_and_back(io, far));
            media += 1;
        }
    });
    io.refresh_counters();
    let after = *io.counters();
    assert_eq!(after.packets_received - before.packets_received, media);
    assert_eq!(after.receive_queue_overflowed, before.receive_queue_overflowed);
    [before, after]
}

#[test]
fn a_flood_of_what_nobody_wants_does_not_reach_the_shard() {
    in_pair(|pair| {
        address(pair);
        with_io(pair, |io, pair| {
            let (far, hostile) = (far_socket(pair, FAR[0]), far_socket(pair, FAR[0]));
            let [before, after] = flooded(io, &far, &hostile, "192.0.2.1:9");
            assert_eq!(after.gate_unknown_port - before.gate_unknown_port, FLOOD);
        });
    });
}

#[test]
fn a_flood_of_media_from_strangers_does_not_reach_the_shard() {
    in_pair(|pair| {
        address(pair);
        pair.far(&format!("address add 192.0.2.66/24 dev {DEVICE}"));
        let mut config = config(1);
        config.xdp.signed_in_only = true;
        with_xdp_as(&config, |mut io, _, door| {
            let (far, hostile) = (far_socket(pair, FAR[0]), far_socket(pair, "192.0.2.66:0"));
            let terminal = Host::from(far.local_addr().unwrap().ip());
            door.unwrap().let_in(terminal);
            let [before, after] = flooded(&mut io, &far, &hostile, NEAR[0]);
            assert_eq!(after.gate_unknown_source - before.gate_unknown_source, FLOOD);
        });
    });
}
