//! Datagrams from strangers at both ports: cheap, hardly answered, and in nobody's way.

use super::common::terminal::Terminal;
use super::common::{PASSWORD, client_tls, dial, within};
use super::crowd::first_packets;
use super::process::{Process, add_people, configure, free_port};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::Pki;
use kakehashi_wire::frame::ALPN_TERMINAL;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next(256) as u8).collect()
    }

    /// Something that looks less or more like QUIC.
    fn datagram(&mut self, real: &[Vec<u8>]) -> Vec<u8> {
        const VERSION_1: [u8; 5] = [0xc3, 0, 0, 0, 1];
        let length = self.next(1400);
        let mut bytes = self.bytes(length);
        let head: &[u8] = match self.next(6) {
            // Any version, which asks for Version Negotiation.
            0 => &[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8],
            // Initial, and too long connection IDs.
            1 => &[VERSION_1.as_slice(), &[8]].concat(),
            2 => &[VERSION_1.as_slice(), &[255]].concat(),
            // A short header, which asks for a stateless reset.
            3 => &[0x43],
            4 => {
                bytes.clone_from(&real[self.next(real.len())]);
                let at = self.next(bytes.len());
                bytes[at] ^= 1 << self.next(8);
                &[]
            }
            _ => &[],
        };
        let head = &head[..head.len().min(bytes.len())];
        bytes[..head.len()].copy_from_slice(head);
        if !head.is_empty() && head[0] & 0x80 != 0 {
            // As long as a first packet must be (RFC 9000 14.1).
            bytes.resize(bytes.len().max(1200), 0);
        }
        bytes
    }
}

/// A stranger's socket towards one port, and what went each way.
struct Stranger {
    socket: UdpSocket,
    node: SocketAddr,
    sent: usize,
    heard: usize,
}

impl Stranger {
    fn new(node: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.3:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, node, sent: 0, heard: 0 }
    }

    fn send(&mut self, datagram: &[u8]) {
        self.sent += self.socket.send_to(datagram, self.node).unwrap();
        self.listen();
    }

    fn listen(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard += length;
        }
    }
}

async fn flood(strangers: &mut [Stranger; 2], draw: &mut Draw, real: &[Vec<u8>], count: usize) {
    for nth in 0..count {
        strangers[nth % 2].send(&draw.datagram(real));
        if nth % 32 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    strangers.iter_mut().for_each(Stranger::listen);
}

#[tokio::test]
async fn garbage_at_both_ports_costs_little_and_hinders_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (terminals, relays) = (free_port(), free_port());
    let config = configure(folder.path(), terminals, relays);
    let log = folder.path().join("log");
    let mut node = Process::start_logging(&config, &log);
    add_people(folder.path()).await;
    let pki = folder.path().join("pki");
    let pki = Pki::open_or_create(&pki, UnixMs::now(), Entropy::system()).unwrap();
    let sign_in = async || {
        let tls = client_tls(&pki).with_no_client_auth();
        let mut terminal = Terminal::open(dial(tls, ALPN_TERMINAL, terminals).await).await;
        terminal.sign_in("shop", "a", PASSWORD, 1).await.unwrap();
    };

    let real = first_packets(&pki, 10).await;
    let mut strangers = [Stranger::new(terminals), Stranger::new(relays)];
    let mut draw = Draw(7);
    sign_in().await;
    flood(&mut strangers, &mut draw, &real, 2000).await;
    let before = node.resident_kib();
    flood(&mut strangers, &mut draw, &real, 20_000).await;
    let after = node.resident_kib();
    // A sign-in takes memory of its own, so it is measured apart.
    let meanwhile = async {
        tokio::join!(flood(&mut strangers, &mut draw, &real, 4000), sign_in());
    };
    within(meanwhile).await;
    assert!(node.is_running());
    for stranger in &strangers {
        eprintln!("{} bytes sent, {} answered", stranger.sent, stranger.heard);
        assert!(stranger.heard > 0, "nobody listens, so this shows nothing");
        assert!(stranger.heard <= 3 * stranger.sent, "RFC 9000 8.1");
    }
    eprintln!("resident: {before} KiB before, {after} KiB after");
    assert!(after <= before + 4096, "{before} -> {after} KiB");
    let lines = std::fs::read_to_string(&log).unwrap().lines().count();
    assert!(lines < 30, "{lines} lines in the log");
}

/// Handshakes that are well-formed and lead to nothing are counted, not listed.
#[tokio::test]
async fn strangers_do_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (terminals, relays) = (free_port(), free_port());
    let log = folder.path().join("log");
    let config = configure(folder.path(), terminals, relays);
    let _node = Process::start_logging(&config, &log);
    add_people(folder.path()).await;
    let pki = folder.path().join("pki");
    let pki = Pki::open_or_create(&pki, UnixMs::now(), Entropy::system()).unwrap();
    let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
    let before = lines();
    for _ in 0..60 {
        let tls = client_tls(&pki).with_no_client_auth();
        let mut terminal = Terminal::open(dial(tls, ALPN_TERMINAL, terminals).await).await;
        terminal.say_bytes(b"GET / HTTP/1.1\r\n").await;
        terminal.session_ended().await;
    }
    let said = lines() - before;
    assert!((1..=10).contains(&said), "{said} lines for 60 connections");
}
