//! What only the kernel's own path does, on loopback; what both back ends do is in `suite`.

use super::*;
use crate::capacity::BATCH_DATAGRAMS_MAX;
use crate::io::bind;
use crate::path::batch::{Place, TrainFlow};
use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::net::UdpSocket;

const PATIENCE: Duration = Duration::from_millis(500);
/// Tick and gathering.
const PACE: (Duration, Duration) = (PATIENCE, Duration::from_micros(50));

fn outgoing() -> Outgoing {
    Outgoing::new(16)
}

/// Sends a packet to an address, by itself.
fn hop(outgoing: &mut Outgoing, packet: Place, destination: SocketAddr) {
    let train = outgoing.alone(packet).unwrap();
    assert!(outgoing.hop(train, destination));
}

/// A packet of the batch.
fn first(io: &UringIo<'_>) -> Place {
    io.packets(0).next().unwrap().place()
}

/// Lines up a train of packets that are written here.
fn train(outgoing: &mut Outgoing, packets: &[&[u8]], destination: SocketAddr) {
    for packet in packets {
        outgoing.space(packet.len()).unwrap().copy_from_slice(packet);
        let place = outgoing.written(packet.len());
        if outgoing.join(TrainFlow(1), place).is_none() {
            let train = outgoing.begin(TrainFlow(1), place).unwrap();
            assert!(outgoing.hop(train, destination));
        }
    }
}

/// Runs `test` with packet I/O on `listen` and the address a client reaches it at.
fn with_io(listen: &str, test: impl FnOnce(&mut UringIo<'_>, u16, &Bell)) {
    let mut ring = Ring::new().unwrap();
    let socket = bind(listen.parse().unwrap()).unwrap();
    let port = socket.local().port();
    let mailbox = Arc::new(Bell::new().unwrap());
    let mut io = UringIo::new(&mut ring, socket, Arc::clone(&mailbox), PACE).unwrap();
    test(&mut io, port, &mailbox);
}

fn client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Turns that send each packet back, until nothing comes any more.
fn echo(io: &mut UringIo<'_>) -> usize {
    let mut leaving = outgoing();
    let mut handled = 0;
    let mut quiet = 0;
    while quiet < 3 {
        let packets = io.receive(Patience::None);
        let mut taken = 0;
        while taken < packets {
            for packet in io.packets(taken) {
                hop(&mut leaving, packet.place(), packet.source);
                taken += 1;
                if !leaving.has_room() {
                    break;
                }
            }
            io.send(&leaving);
            leaving.clear();
        }
        handled += packets;
        if packets > 0 {
            quiet = 0;
        } else if !io.has_work() {
            io.wait().unwrap();
            quiet += 1;
        }
    }
    handled
}

fn read_all(client: &UdpSocket, count: usize) -> BTreeSet<Vec<u8>> {
    let mut buffer = [0; 4096];
    (0..count)
        .map(|_| {
            let length = client.recv(&mut buffer).expect("every packet comes back");
            buffer[..length].to_vec()
        })
        .collect()
}

#[test]
fn an_ipv4_socket_reaches_ipv4_only() {
    with_io("127.0.0.1:0", |io, port, _| {
        let client = client("127.0.0.1:0");
        client.send_to(b"hello", ("127.0.0.1", port)).unwrap();
        io.wait().unwrap();
        assert_eq!(io.receive(Patience::None), 1);
        let packet = first(io);
        let mut leaving = outgoing();
        for destination in [client.local_addr().unwrap(), "[::1]:9".parse().unwrap()] {
            hop(&mut leaving, packet, destination);
        }
        io.send(&leaving);
        assert_eq!(read_all(&client, 1), BTreeSet::from([b"hello".to_vec()]));
        assert_eq!((io.counters().packets_sent, io.counters().send_unreachable), (1, 1));
    });
}

#[test]
fn a_burst_beyond_a_batch_loses_nothing_silently() {
    with_io("127.0.0.1:0", |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for i in 0..1_000_u16 {
            client.send(&i.to_be_bytes()).unwrap();
        }
        let handled = echo(io);
        io.refresh_counters();
        let counters = *io.counters();
        let lost = counters.receive_queue_overflowed;
        assert_eq!(handled as u64 + lost, 1_000, "{counters:?}");
        assert_eq!(counters.packets_received, handled as u64);
    });
}

#[test]
fn one_turn_takes_one_batch_and_leaves_the_rest() {
    with_io("127.0.0.1:0", |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for _ in 0..BATCH_DATAGRAMS_MAX + 100 {
            client.send(&[7; 20]).unwrap();
        }
        let mut sizes = Vec::new();
        for _ in 0..200 {
            let taken = io.receive(Patience::None);
            assert!(taken <= BATCH_DATAGRAMS_MAX);
            sizes.push(taken);
        }
        assert_eq!(sizes.iter().sum::<usize>(), BATCH_DATAGRAMS_MAX + 100, "{sizes:?}");
    });
}

#[test]
fn the_longest_and_the_shortest_datagram_come_whole() {
    with_io("127.0.0.1:0", |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for length in [65_507, 9_000, 0] {
            client.send(&vec![1; length]).unwrap();
        }
        io.wait().unwrap();
        assert_eq!(io.receive(Patience::None), 3);
        let lengths: Vec<_> = io.packets(0).map(|packet| packet.bytes.len()).collect();
        assert_eq!(lengths, [65_507, 9_000, 0]);
        assert_eq!((io.counters().packets_received, io.counters().dropped_truncated), (3, 0));
    });
}

/// Packets of one length but the last, as a stream sends them.
fn frame() -> Vec<Vec<u8>> {
    let mut packets: Vec<_> = (0..9_u8).map(|n| vec![n; 1_200]).collect();
    packets.push(vec![9; 333]);
    packets
}

#[test]
fn a_train_leaves_whole_and_arrives_whole() {
    with_io("127.0.0.1:0", |from, port, _| {
        with_io("127.0.0.1:0", |io, here, _| {
            let frame = frame();
            let packets: Vec<_> = frame.iter().map(Vec::as_slice).collect();
            let mut leaving = outgoing();
            train(&mut leaving, &packets, SocketAddr::from(([127, 0, 0, 1], here)));
            from.send(&leaving);
            assert_eq!((from.counters().sends, from.counters().packets_sent), (1, 10));
            assert_eq!(from.counters().packets_sent_in_trains, 10);
            io.wait().unwrap();
            assert_eq!(io.receive(Patience::None), 10);
            let counters = io.counters();
            assert_eq!((counters.datagrams_received, counters.packets_received_in_trains), (1, 10));
            let got: Vec<_> = io.packets(0).map(|packet| packet.bytes.to_vec()).collect();
            assert_eq!(got, frame);
            assert!(io.packets(0).all(|packet| packet.source.port() == port));
            assert_eq!(io.packets(7).count(), 3);
        });
    });
}

/// A train that came whole but for a packet that is left out leaves whole: two pieces, one send.
#[test]
fn a_train_with_a_gap_leaves_in_one_send() {
    with_io("127.0.0.1:0", |from, _, _| {
        with_io("127.0.0.1:0", |io, here, _| {
            let frame = frame();
            let packets: Vec<_> = frame.iter().map(Vec::as_slice).collect();
            let mut leaving = outgoing();
            train(&mut leaving, &packets, SocketAddr::from(([127, 0, 0, 1], here)));
            from.send(&leaving);
            io.wait().unwrap();
            io.receive(Patience::None);
            let client = client("127.0.0.1:0");
            let mut leaving = outgoing();
            for packet in io.packets(0).filter(|packet| packet.bytes[0] != 4) {
                if leaving.join(TrainFlow(5), packet.place()).is_none() {
                    let train = leaving.begin(TrainFlow(5), packet.place()).unwrap();
                    assert!(leaving.hop(train, client.local_addr().unwrap()));
                }
            }
            io.send(&leaving);
            assert_eq!((io.counters().sends, io.counters().packets_sent), (1, 9));
            let wanted = frame.iter().filter(|packet| packet[0] != 4).cloned().collect();
            assert_eq!(read_all(&client, 9), wanted);
        });
    });
}

/// The kernel refuses to cut trains of a socket without checksums (EINVAL), as it does where a
/// device or path cannot (EIO, EMSGSIZE): the packets go singly.
#[test]
fn a_train_that_cannot_leave_whole_leaves_packet_by_packet() {
    with_io("127.0.0.1:0", |io, _, _| {
        setup::without_checksums(&io.socket);
        let client = client("127.0.0.1:0");
        let frame = frame();
        let packets: Vec<_> = frame.iter().map(Vec::as_slice).collect();
        let mut leaving = outgoing();
        let destination = client.local_addr().unwrap();
        train(&mut leaving, &packets, destination);
        assert!(leaving.answer(b"alone", destination));
        io.send(&leaving);
        let counters = io.counters();
        assert_eq!((counters.trains_sent_singly, counters.packets_sent), (1, 11));
        assert_eq!((counters.packets_sent_in_trains, counters.sends_failed()), (0, 0));
        let wanted = frame.into_iter().chain([b"alone".to_vec()]).collect();
        assert_eq!(read_all(&client, 11), wanted);
    });
}

/// One device that cannot cut trains apart (EIO) is enough: from then on none is tried.
#[test]
fn after_a_device_has_refused_trains_are_cut_apart_here() {
    with_io("127.0.0.1:0", |io, _, _| {
        io.sender.stop_segmenting();
        let client = client("127.0.0.1:0");
        let mut leaving = outgoing();
        train(&mut leaving, &[&[1; 100], &[2; 100], &[3; 60]], client.local_addr().unwrap());
        io.send(&leaving);
        assert_eq!((io.counters().trains_sent_singly, io.counters().sends), (1, 3));
        let wanted = [vec![1; 100], vec![2; 100], vec![3; 60]];
        assert_eq!(read_all(&client, 3), BTreeSet::from(wanted));
    });
}

#[test]
fn a_refused_send_is_known_when_send_returns() {
    with_io("[::]:0", |io, port, _| {
        let client = client("127.0.0.1:0");
        client.send_to(b"to port zero", ("127.0.0.1", port)).unwrap();
        io.wait().unwrap();
        assert_eq!(io.receive(Patience::None), 1);
        let packet = first(io);
        let mut leaving = outgoing();
        let refused: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for destination in [refused, client.local_addr().unwrap(), refused] {
            hop(&mut leaving, packet, destination);
        }
        io.send(&leaving);
        let counters = io.counters();
        assert_eq!((counters.packets_sent, counters.sends_failed()), (1, 2), "{counters:?}");
        assert_eq!(counters.bytes_sent, 12);
        assert_eq!(read_all(&client, 1).len(), 1);
    });
}

#[test]
fn more_hops_than_one_call_takes_all_leave() {
    with_io("127.0.0.1:0", |io, port, _| {
        let sender = client("127.0.0.1:0");
        for _ in 0..200 {
            sender.send_to(&[9; 30], ("127.0.0.1", port)).unwrap();
        }
        let mut taken = 0;
        let mut sent = 0;
        while taken < 200 {
            io.wait().unwrap();
            taken += io.receive(Patience::None);
            let mut leaving = outgoing();
            for packet in io.packets(0) {
                let train = leaving.alone(packet.place()).unwrap();
                for _ in 0..5 {
                    assert!(leaving.hop(train, sender.local_addr().unwrap()));
                    sent += 1;
                }
            }
            io.send(&leaving);
        }
        assert_eq!(io.counters().packets_sent + io.counters().sends_failed(), sent);
        assert_eq!(sent, 1_000);
    });
}

#[test]
fn a_closed_ring_gives_its_port_back_at_once() {
    let port = free_again(0);
    for _ in 0..20 {
        assert_eq!(free_again(port), port);
    }
}

fn free_again(port: u16) -> u16 {
    let mut ring = Ring::new().unwrap();
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let port = socket.local().port();
    let io = UringIo::new(&mut ring, socket, Arc::new(Bell::new().unwrap()), PACE).unwrap();
    drop(io);
    port
}

#[test]
fn a_confined_ring_opens_no_files() {
    let mut ring = Ring::new().unwrap();
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mailbox = Arc::new(Bell::new().unwrap());
    let mut io = UringIo::new(&mut ring, socket, mailbox, PACE).unwrap();
    let results = setup::attempt_forbidden(&mut io);
    assert_eq!(results, [-libc::EACCES; 3]);
}
