//! What both back ends must do alike, against the kernel's own sockets on the other side of a pair
//! of virtual Ethernet devices.

use super::xdp::XdpIo;
use super::{IoCounters, PacketIo, Patience, Queues, Ring, UringIo, bind, open_queues};
use crate::capacity::BATCH_DATAGRAMS_MAX;
use crate::config::{Config, IoChoice, Xdp, XdpMode};
use crate::host::Door;
use crate::orders::bell::Bell;
use crate::path::batch::{Outgoing, Place, Received, TrainFlow};
use crate::shard::Clock;
use crate::testing::namespaces::{DEVICE, Pair, in_pair};
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

pub(super) const PORT: u16 = 40_000;
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Where the relay is, seen from the other side.
pub(crate) const NEAR: [&str; 2] = ["192.0.2.1:40000", "[2001:db8::1]:40000"];
/// Where sockets of the other side are.
pub(crate) const FAR: [&str; 2] = ["192.0.2.2:0", "[2001:db8::2]:0"];

/// Either back end.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum AnyIo<'ring> {
    Uring(UringIo<'ring>),
    Xdp(XdpIo<'ring>),
}

impl PacketIo for AnyIo<'_> {
    fn receive(&mut self, patience: Patience) -> usize {
        match self {
            Self::Uring(io) => io.receive(patience),
            Self::Xdp(io) => io.receive(patience),
        }
    }

    fn packets(&self, from: usize) -> impl Iterator<Item = Received<'_>> {
        let packets: Box<dyn Iterator<Item = Received<'_>>> = match self {
            Self::Uring(io) => Box::new(io.packets(from)),
            Self::Xdp(io) => Box::new(io.packets(from)),
        };
        packets
    }

    fn send(&mut self, outgoing: &Outgoing) {
        match self {
            Self::Uring(io) => io.send(outgoing),
            Self::Xdp(io) => io.send(outgoing),
        }
    }

    fn has_work(&mut self) -> bool {
        match self {
            Self::Uring(io) => io.has_work(),
            Self::Xdp(io) => io.has_work(),
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        match self {
            Self::Uring(io) => io.wait(),
            Self::Xdp(io) => io.wait(),
        }
    }

    fn counters(&self) -> &IoCounters {
        match self {
            Self::Uring(io) => io.counters(),
            Self::Xdp(io) => io.counters(),
        }
    }

    fn refresh_counters(&mut self) {
        match self {
            Self::Uring(io) => io.refresh_counters(),
            Self::Xdp(io) => io.refresh_counters(),
        }
    }
}

/// Gives both sides addresses of both families.
pub(crate) fn address(pair: &Pair) {
    pair.near(&format!("address add 192.0.2.1/24 dev {DEVICE}"));
    pair.far(&format!("address add 192.0.2.2/24 dev {DEVICE}"));
    pair.near(&format!("address add 2001:db8::1/64 dev {DEVICE} nodad"));
    pair.far(&format!("address add 2001:db8::2/64 dev {DEVICE} nodad"));
}

/// The settings of a relay that has the near device.
pub(crate) fn config(shards: u16) -> Config {
    let interface = DEVICE.to_owned();
    let xdp = Xdp { interface, mode: XdpMode::Driver, ..Xdp::default() };
    Config { io: IoChoice::Xdp, first_port: PORT, shards, xdp, ..Config::default() }
}

/// Runs `test` with the socket's packet I/O on the near side.
pub(super) fn with_uring(test: impl FnOnce(UringIo<'_>, &Arc<Bell>)) {
    let mut ring = Ring::new().unwrap();
    let socket = bind(SocketAddr::new("::".parse().unwrap(), PORT)).unwrap();
    let bell = Arc::new(Bell::new().unwrap());
    let pace = (Duration::from_millis(20), Duration::ZERO);
    test(UringIo::new(&mut ring, socket, Arc::clone(&bell), pace).unwrap(), &bell);
}

/// The same past the kernel, over the near device.
pub(super) fn with_xdp(test: impl FnOnce(XdpIo<'_>, &Arc<Bell>)) {
    with_xdp_as(&config(1), |io, bell, _| test(io, bell));
}

/// The same with these settings, and the first gate if they say that not all are let in.
pub(super) fn with_xdp_as(
    config: &Config,
    test: impl FnOnce(XdpIo<'_>, &Arc<Bell>, Option<Arc<dyn Door>>),
) {
    let Queues { mut shards, routes, door } = open_queues(config).unwrap().unwrap();
    with_uring(|kernel, bell| {
        let (nic, end) = shards.remove(0);
        test(XdpIo::new(kernel, nic, end).unwrap(), bell, door);
    });
    drop(routes);
}

/// Runs `test` with each back end, in a network of its own.
fn with_each(test: impl Fn(&mut AnyIo<'_>, &Pair, &Bell) + Send + Sync) {
    in_pair(|pair| {
        address(pair);
        with_uring(|io, bell| test(&mut AnyIo::Uring(io), pair, bell));
    });
    in_pair(|pair| {
        address(pair);
        with_xdp(|io, bell| {
            let mut io = AnyIo::Xdp(io);
            // The ways are known, so that what is tested goes past the kernel.
            for (far, near) in FAR.into_iter().zip(NEAR) {
                warm_up(&mut io, &far_socket(pair, far), near);
            }
            test(&mut io, pair, bell);
        });
    });
}

/// How long a test waits for what must happen.
pub(super) struct Waiting(Clock);

impl Waiting {
    pub(super) fn new() -> Self {
        Self(Clock::start())
    }

    pub(super) fn check(&self, what: &str) {
        assert!(self.0.now().0 < PATIENCE, "{what}");
    }
}

/// A turn that sends each packet back to where it came from.
pub(super) fn turn(io: &mut impl PacketIo) {
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
pub(super) fn echo_until(io: &mut impl PacketIo, mut done: impl FnMut(&IoCounters) -> bool) {
    let patience = Waiting::new();
    while !done(io.counters()) {
        patience.check(&format!("nothing happens: {:?}", io.counters()));
        turn(io);
    }
}

/// Sends packets from the far side until one has come back past the kernel both ways.
pub(super) fn warm_up(io: &mut impl PacketIo, far: &UdpSocket, to: &str) {
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

pub(crate) fn far_socket(pair: &Pair, address: &str) -> UdpSocket {
    let socket = pair.on_far_side(|| UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receives until there is something.
fn receive(io: &mut AnyIo<'_>) -> usize {
    let patience = Waiting::new();
    loop {
        let packets = io.receive(Patience::Linger);
        if packets > 0 {
            return packets;
        }
        patience.check("nothing comes");
    }
}

fn read_all(far: &UdpSocket, count: usize) -> BTreeSet<Vec<u8>> {
    let mut buffer = [0; 4_096];
    let read = (0..count).map(|_| {
        let length = far.recv(&mut buffer).expect("every packet comes");
        buffer[..length].to_vec()
    });
    read.collect()
}

/// Lines up a train of packets that are written here.
fn line_up(out: &mut Outgoing, packets: &[Vec<u8>], destination: SocketAddr) {
    for packet in packets {
        out.space(packet.len()).unwrap().copy_from_slice(packet);
        let place = out.written(packet.len());
        join(out, place, destination);
    }
}

fn join(out: &mut Outgoing, place: Place, destination: SocketAddr) {
    if out.join(TrainFlow(1), place).is_none() {
        let train = out.begin(TrainFlow(1), place).unwrap();
        assert!(out.hop(train, destination));
    }
}

/// Packets of one length but the last, as a stream sends them.
fn picture() -> Vec<Vec<u8>> {
    let mut packets: Vec<_> = (0..9_u8).map(|n| vec![n; 1_200]).collect();
    packets.push(vec![9; 333]);
    packets
}

#[test]
fn a_batch_comes_back_byte_for_byte_over_both_families() {
    with_each(|io, pair, _| {
        for (far, near) in FAR.into_iter().zip(NEAR) {
            let far = far_socket(pair, far);
            let packet = |i: u8| vec![i; 40 + usize::from(i) * 13];
            let sent: BTreeSet<Vec<u8>> = (0..100).map(packet).collect();
            let before = io.counters().packets_sent;
            for packet in &sent {
                far.send_to(packet, near).unwrap();
            }
            echo_until(io, |counters| counters.packets_sent >= before + 100);
            assert_eq!(read_all(&far, 100), sent);
        }
        assert_eq!(io.counters().sends_failed(), 0);
    });
}

#[test]
fn sources_are_plain_addresses() {
    with_each(|io, pair, _| {
        for (far, near) in FAR.into_iter().zip(NEAR) {
            let far = far_socket(pair, far);
            far.send_to(b"who am I", near).unwrap();
            assert_eq!(receive(io), 1);
            assert_eq!(io.packets(0).next().unwrap().source, far.local_addr().unwrap());
        }
    });
}

/// Packets that came to the machine and not to the shard.
fn lost(counters: &IoCounters) -> u64 {
    counters.receive_queue_overflowed + counters.nic_dropped + counters.nic_receive_ring_full
}

#[test]
fn a_burst_beyond_a_batch_loses_nothing_silently() {
    with_each(|io, pair, _| {
        let far = far_socket(pair, FAR[0]);
        io.refresh_counters();
        let before = *io.counters();
        for i in 0..5_000_u16 {
            far.send_to(&i.to_be_bytes(), NEAR[0]).unwrap();
        }
        let patience = Waiting::new();
        loop {
            let taken = io.receive(Patience::Linger);
            assert!(taken <= BATCH_DATAGRAMS_MAX);
            io.refresh_counters();
            let now = io.counters();
            let lost = lost(now) - lost(&before);
            let received = now.packets_received - before.packets_received;
            if received + lost == 5_000 {
                return;
            }
            patience.check(&format!("{received} came, {lost} were lost: {now:?}"));
        }
    });
}

#[test]
fn the_longest_datagram_comes_whole() {
    with_each(|io, pair, _| {
        let far = far_socket(pair, FAR[0]);
        for length in [65_507, 9_000, 1_472] {
            far.send_to(&vec![1; length], NEAR[0]).unwrap();
            assert_eq!(receive(io), 1);
            assert_eq!(io.packets(0).next().unwrap().bytes.len(), length);
        }
    });
}

#[test]
fn a_train_arrives_in_order_with_and_without_a_gap() {
    with_each(|io, pair, _| {
        let (far, picture) = (far_socket(pair, FAR[0]), picture());
        let mut out = Outgoing::new(16);
        line_up(&mut out, &picture, far.local_addr().unwrap());
        io.send(&out);
        let mut buffer = [0; 2_048];
        for packet in &picture {
            let length = far.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], packet);
        }
        // The same out of received packets, of which one is left out.
        for packet in &picture {
            far.send_to(packet, NEAR[0]).unwrap();
        }
        let (before, mut seen) = (io.counters().packets_sent, 0);
        while seen < picture.len() {
            let mut out = Outgoing::new(16);
            seen += receive(io);
            for packet in io.packets(0).filter(|packet| packet.bytes[0] != 4) {
                join(&mut out, packet.place(), packet.source);
            }
            io.send(&out);
        }
        assert_eq!(io.counters().packets_sent - before, 9);
        for packet in picture.iter().filter(|packet| packet[0] != 4) {
            let length = far.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], packet);
        }
    });
}

#[test]
fn a_packet_to_many_and_an_answer_all_leave() {
    with_each(|io, pair, _| {
        let ears: Vec<_> = (0..40).map(|n| far_socket(pair, FAR[n % 2])).collect();
        ears[0].send_to(b"to all", NEAR[0]).unwrap();
        receive(io);
        let mut out = Outgoing::new(16);
        let train = out.alone(io.packets(0).next().unwrap().place()).unwrap();
        for ear in &ears {
            assert!(out.hop(train, ear.local_addr().unwrap()));
            assert!(out.answer(b"to you", ear.local_addr().unwrap()));
        }
        io.send(&out);
        let wanted = BTreeSet::from([b"to all".to_vec(), b"to you".to_vec()]);
        for ear in &ears {
            assert_eq!(read_all(ear, 2), wanted);
        }
    });
}

#[test]
fn a_send_without_a_way_is_counted() {
    with_each(|io, _, _| {
        let mut out = Outgoing::new(16);
        assert!(out.answer(b"nobody", "198.51.100.9:9".parse().unwrap()));
        io.send(&out);
        assert_eq!(io.counters().send_unreachable, 1, "{:?}", io.counters());
    });
}

#[test]
fn the_mailbox_ends_a_wait_again_and_again() {
    with_each(|io, _, bell| {
        for _ in 0..20 {
            bell.ring();
            io.wait().unwrap();
            assert_eq!(io.receive(Patience::None), 0);
        }
    });
}
