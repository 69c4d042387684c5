//! The ring against real sockets on loopback.

use super::*;
use crate::capacity::{BATCH_PACKETS_MAX, DATAGRAM_BYTES_MAX};
use crate::io::bind;
use crate::path::batch::Answer;
use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::net::UdpSocket;

const PATIENCE: Duration = Duration::from_millis(500);

/// Runs `test` with packet I/O on `listen` and the address a client reaches it at.
fn with_io(listen: &str, buffers: u16, test: impl FnOnce(&mut UringIo<'_>, u16, &Bell)) {
    let mut ring = Ring::new().unwrap();
    let socket = bind(listen.parse().unwrap()).unwrap();
    let port = socket.local().port();
    let mailbox = Arc::new(Bell::new().unwrap());
    let mut io = UringIo::new(&mut ring, socket, Arc::clone(&mailbox), buffers).unwrap();
    test(&mut io, port, &mailbox);
}

fn client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Turns that send each packet back, until nothing comes any more.
fn echo(io: &mut UringIo<'_>) -> usize {
    let mut outgoing = Outgoing::default();
    let mut handled = 0;
    let mut quiet = 0;
    while quiet < 3 {
        let packets = io.receive();
        for packet in io.packets() {
            assert!(outgoing.hop(Hop { slot: packet.slot, destination: packet.source }));
        }
        io.send(&outgoing).unwrap();
        outgoing.clear();
        io.finish().unwrap();
        handled += packets;
        if packets > 0 {
            quiet = 0;
        } else if !io.has_work() {
            io.finish_and_wait(Duration::from_millis(20)).unwrap();
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
fn a_batch_comes_back_byte_for_byte_over_both_families() {
    with_io("[::]:0", 256, |io, port, _| {
        for (from, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
            let client = client(from);
            client.connect(format!("{to}:{port}")).unwrap();
            let sent: BTreeSet<Vec<u8>> =
                (0..100_u8).map(|i| vec![i; 40 + usize::from(i) * 13]).collect();
            for packet in &sent {
                client.send(packet).unwrap();
            }
            assert_eq!(echo(io), 100);
            assert_eq!(read_all(&client, 100), sent);
        }
        let counters = io.counters();
        assert_eq!((counters.packets_received, counters.packets_sent), (200, 200));
        assert_eq!(counters.bytes_received, counters.bytes_sent);
        assert_eq!(counters.sends_failed(), 0);
    });
}

#[test]
fn sources_are_plain_addresses() {
    with_io("[::]:0", 16, |io, port, _| {
        let clients = [client("127.0.0.1:0"), client("[::1]:0")];
        clients[0].send_to(b"four", ("127.0.0.1", port)).unwrap();
        clients[1].send_to(b"six", ("::1", port)).unwrap();
        io.finish_and_wait(PATIENCE).unwrap();
        assert_eq!(io.receive(), 2);
        let sources: Vec<SocketAddr> = io.packets().map(|packet| packet.source).collect();
        assert_eq!(sources, clients.map(|client| client.local_addr().unwrap()));
        io.finish().unwrap();
    });
}

#[test]
fn an_ipv4_socket_reaches_ipv4_only() {
    with_io("127.0.0.1:0", 16, |io, port, _| {
        let client = client("127.0.0.1:0");
        client.send_to(b"hello", ("127.0.0.1", port)).unwrap();
        io.finish_and_wait(PATIENCE).unwrap();
        assert_eq!(io.receive(), 1);
        let slot = io.packets().next().unwrap().slot;
        let mut outgoing = Outgoing::default();
        for destination in [client.local_addr().unwrap(), "[::1]:9".parse().unwrap()] {
            assert!(outgoing.hop(Hop { slot, destination }));
        }
        io.send(&outgoing).unwrap();
        io.finish().unwrap();
        assert_eq!(read_all(&client, 1), BTreeSet::from([b"hello".to_vec()]));
        assert_eq!((io.counters().packets_sent, io.counters().send_unreachable), (1, 1));
    });
}

#[test]
fn a_burst_beyond_the_buffers_loses_nothing_silently() {
    with_io("127.0.0.1:0", 16, |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for i in 0..1_000_u16 {
            client.send(&i.to_be_bytes()).unwrap();
        }
        let handled = echo(io);
        io.refresh_counters();
        let counters = *io.counters();
        assert!(counters.receive_buffers_exhausted > 0, "{counters:?}");
        let lost = counters.receive_queue_overflowed;
        assert_eq!(handled as u64 + lost, 1_000, "{counters:?}");
        assert_eq!(counters.packets_received, handled as u64);
    });
}

#[test]
fn one_turn_takes_one_batch_and_leaves_the_rest() {
    with_io("127.0.0.1:0", 1_024, |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for _ in 0..BATCH_PACKETS_MAX + 100 {
            client.send(&[7; 20]).unwrap();
        }
        let mut sizes = Vec::new();
        for _ in 0..200 {
            let taken = io.receive();
            assert!(taken <= BATCH_PACKETS_MAX);
            sizes.push(taken);
            io.finish().unwrap();
        }
        assert_eq!(sizes.iter().sum::<usize>(), BATCH_PACKETS_MAX + 100, "{sizes:?}");
    });
}

#[test]
fn a_datagram_too_long_is_dropped_and_counted() {
    with_io("127.0.0.1:0", 16, |io, port, _| {
        let client = client("127.0.0.1:0");
        client.connect(("127.0.0.1", port)).unwrap();
        for length in [DATAGRAM_BYTES_MAX + 1, DATAGRAM_BYTES_MAX, 9_000, 0] {
            client.send(&vec![1; length]).unwrap();
        }
        assert_eq!(echo(io), 2);
        let counters = io.counters();
        assert_eq!((counters.packets_received, counters.dropped_truncated), (4, 2));
        let lengths: BTreeSet<_> = read_all(&client, 2).iter().map(Vec::len).collect();
        assert_eq!(lengths, BTreeSet::from([0, DATAGRAM_BYTES_MAX]));
    });
}

#[test]
fn a_refused_send_is_known_when_finish_returns() {
    with_io("[::]:0", 16, |io, port, _| {
        let client = client("127.0.0.1:0");
        client.send_to(b"to port zero", ("127.0.0.1", port)).unwrap();
        io.finish_and_wait(PATIENCE).unwrap();
        assert_eq!(io.receive(), 1);
        let slot = io.packets().next().unwrap().slot;
        let mut outgoing = Outgoing::default();
        let refused: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for destination in [refused, client.local_addr().unwrap(), refused] {
            assert!(outgoing.hop(Hop { slot, destination }));
        }
        io.send(&outgoing).unwrap();
        io.finish().unwrap();
        // No enter since: what is in the queue was put there while the sends were submitted.
        assert_eq!(io.receive(), 0);
        let counters = io.counters();
        assert_eq!((counters.packets_sent, counters.sends_failed()), (1, 2), "{counters:?}");
        assert_eq!(counters.bytes_sent, 12);
        assert_eq!(read_all(&client, 1).len(), 1);
    });
}

#[test]
fn more_hops_than_one_submission_holds_all_leave() {
    with_io("127.0.0.1:0", 256, |io, port, _| {
        let sender = client("127.0.0.1:0");
        for _ in 0..200 {
            sender.send_to(&[9; 30], ("127.0.0.1", port)).unwrap();
        }
        let mut taken = 0;
        let mut sent = 0;
        while taken < 200 {
            io.finish_and_wait(PATIENCE).unwrap();
            taken += io.receive();
            let mut outgoing = Outgoing::default();
            for packet in io.packets() {
                for _ in 0..15 {
                    let destination = sender.local_addr().unwrap();
                    assert!(outgoing.hop(Hop { slot: packet.slot, destination }));
                    sent += 1;
                }
            }
            io.send(&outgoing).unwrap();
            io.finish().unwrap();
        }
        io.receive();
        assert_eq!(io.counters().packets_sent + io.counters().sends_failed(), sent);
        assert_eq!(sent, 3_000);
    });
}

#[test]
fn answers_are_copied_and_sent() {
    with_io("[::]:0", 16, |io, _, _| {
        let client = client("[::1]:0");
        let mut outgoing = Outgoing::default();
        let destination = client.local_addr().unwrap();
        for text in [&b"one"[..], b"two"] {
            assert!(outgoing.answer(Answer::new(text, destination).unwrap()));
        }
        io.send(&outgoing).unwrap();
        drop(outgoing);
        io.finish().unwrap();
        let got = read_all(&client, 2);
        assert_eq!(got, BTreeSet::from([b"one".to_vec(), b"two".to_vec()]));
    });
}

#[test]
fn the_mailbox_ends_a_wait_again_and_again() {
    with_io("127.0.0.1:0", 16, |io, _, mailbox| {
        for _ in 0..5 {
            mailbox.ring();
            let start = crate::shard::Clock::start();
            io.finish_and_wait(Duration::from_secs(10)).unwrap();
            assert!(start.now().0 < Duration::from_secs(5));
            assert_eq!(io.receive(), 0);
            io.finish().unwrap();
        }
    });
}

#[test]
fn the_bell_rings_for_an_arrival_and_only_while_armed() {
    let mut ring = Ring::new().unwrap();
    let bell = Arc::new(Bell::new().unwrap());
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local().port();
    let mut io = UringIo::new(&mut ring, socket, Arc::clone(&bell), 16).unwrap();
    let client = client("127.0.0.1:0");

    assert!(io.arm_bell().unwrap());
    client.send_to(b"wake", ("127.0.0.1", port)).unwrap();
    bell.wait().unwrap();
    assert!(!io.arm_bell().unwrap(), "something has arrived: no sleep");
    io.silence_bell();
    assert_eq!(echo(&mut io), 1);
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
    let io = UringIo::new(&mut ring, socket, Arc::new(Bell::new().unwrap()), 16).unwrap();
    drop(io);
    port
}

#[test]
fn a_confined_ring_opens_no_files() {
    let mut ring = Ring::new().unwrap();
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mailbox = Arc::new(Bell::new().unwrap());
    let mut io = UringIo::new(&mut ring, socket, mailbox, 16).unwrap();
    let results = setup::attempt_forbidden(&mut io);
    assert_eq!(results, [-libc::EACCES; 3]);
}
