//! Packets of one stream that are received together leave together, and no packet but a bad one
//! pays for being in company.

use super::batch::{Outgoing, Received, Slot};
use super::forward;
use super::verdict::{PathCounters, Verdict};
use crate::capacity::TRAIN_PACKETS_MAX;
use crate::testing::{Departure, Phone, World, address};
use kakehashi_wire::feedback::NackEntry;
use kakehashi_wire::rtcp::RtcpWriter;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;

type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

/// The next `count` packets of a phone's stream, `bytes` of payload each.
fn packets(phone: &mut Phone, stream: usize, count: usize, bytes: usize) -> Datagrams {
    (0..count).map(|_| (phone.address, phone.rtp_of(stream, &vec![7; bytes]))).collect()
}

fn bytes_of(datagrams: &[(SocketAddr, Vec<u8>)]) -> Vec<Vec<u8>> {
    datagrams.iter().map(|(_, bytes)| bytes.clone()).collect()
}

/// How many packets each train to `to` had.
fn lengths(left: &[Departure], to: SocketAddr) -> Vec<usize> {
    left.iter().filter(|it| it.to == to).map(|it| it.packets.len()).collect()
}

#[test]
fn packets_of_one_stream_leave_as_one_train_to_each_receiver() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let batch = packets(&mut phones[0], 0, 16, 1_100);
    let left = world.send_batch(64, &batch);
    let train = bytes_of(&batch);
    let wanted = [1, 2].map(|n| Departure { to: phones[n].address, packets: train.clone() });
    assert_eq!(left, wanted);
}

#[test]
fn a_bad_packet_inside_a_train_drops_alone_and_the_others_stay_in_order() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(2, 3)];
    let mut world = World::with(&phones);
    let good = packets(&mut phones[0], 0, 8, 1_000);
    let foreign = packets(&mut phones[2], 0, 1, 1_000).remove(0);
    let mut forged = packets(&mut phones[0], 0, 1, 1_000).remove(0);
    forged.1[40] ^= 1;
    let elsewhere = (address(9, 9), packets(&mut phones[0], 0, 1, 1_000).remove(0).1);
    let garbage = (phones[0].address, vec![0xff; 1_028]);
    let (replayed, mut too_short) = (good[0].clone(), good[3].clone());
    too_short.1.truncate(20);
    for (bad, verdict) in [
        (forged, Verdict::Forged),
        (replayed, Verdict::Replayed),
        (foreign, Verdict::NoReceiver),
        (elsewhere, Verdict::WrongAddress),
        (garbage, Verdict::ForeignDatagram),
        (too_short, Verdict::TooShort),
    ] {
        // Phones seal again from where they are: the same places in another world.
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(2, 3)];
        let mut world = World::with(&phones);
        let mut batch = packets(&mut phones[0], 0, 8, 1_000);
        assert_eq!(batch, good);
        batch.insert(4, bad);
        let left = world.send_batch(64, &batch);
        assert_eq!(left, [Departure { to: phones[1].address, packets: bytes_of(&good) }]);
        assert_eq!(world.counters.of(verdict), 1, "{verdict:?}");
        assert_eq!(world.counters.of(Verdict::Forwarded), 8);
    }
    assert_eq!(world.send_batch(64, &good).len(), 1);
}

#[test]
fn packets_over_the_rate_drop_alone_and_the_rest_is_one_train() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    phones[0].rate_kbps = 8;
    let mut world = World::with(&phones);
    // The bucket holds 65,536 bytes: 59 of these.
    let mut batch = packets(&mut phones[0], 0, 62, 1_066);
    // A small one after three that found no tokens still finds enough.
    batch.extend(packets(&mut phones[0], 0, 1, 100));
    let left = world.send_batch(128, &batch);
    let fits = 65_536 / batch[0].1.len();
    let mut wanted = bytes_of(&batch[..fits]);
    wanted.push(batch[62].1.clone());
    assert_eq!(left, [Departure { to: phones[1].address, packets: wanted }]);
    assert_eq!(world.counters.of(Verdict::OverRate), 62 - fits as u64);
}

#[test]
fn a_shorter_packet_ends_a_train_and_a_longer_one_begins_another() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    for (sizes, wanted) in [
        (&[900, 900, 300][..], &[3][..]),
        (&[900, 900, 300, 900, 900], &[3, 2]),
        (&[900, 300, 300, 300], &[2, 2]),
        (&[300, 900, 900], &[1, 2]),
        (&[100, 200, 300, 300, 299, 298], &[1, 1, 3, 1]),
    ] {
        let one = |bytes: &usize| packets(&mut phones[0], 0, 1, *bytes).remove(0);
        let batch: Vec<_> = sizes.iter().map(one).collect();
        let left = world.send_batch(64, &batch);
        assert_eq!(lengths(&left, phones[1].address), wanted, "{sizes:?}");
        let all: Vec<_> = left.into_iter().flat_map(|train| train.packets).collect();
        assert_eq!(all, bytes_of(&batch));
    }
}

#[test]
fn interleaved_streams_of_two_legs_each_keep_their_own_train() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let first = packets(&mut phones[0], 0, 10, 1_000);
    let second = packets(&mut phones[1], 0, 10, 700);
    let both = first.iter().zip(&second).flat_map(|(a, b)| [a.clone(), b.clone()]);
    let left = world.send_batch(64, &both.collect::<Vec<_>>());
    let train =
        |to: usize, of: &Datagrams| Departure { to: phones[to].address, packets: bytes_of(of) };
    assert_eq!(left, [train(1, &first), train(2, &first), train(0, &second), train(2, &second)]);
}

#[test]
fn audio_between_video_packets_does_not_tear_the_video_train() {
    for seal in [false, true] {
        let mut phones = [Phone::new(1, 1).with_streams(2), Phone::new(1, 2)];
        if seal {
            let [sender, receiver] = phones;
            phones = [sender, receiver.sealed()];
        }
        let mut world = World::with(&phones);
        let mut batch = packets(&mut phones[0], 1, 12, 1_100);
        for at in [3, 7] {
            batch.insert(at, packets(&mut phones[0], 0, 1, 80).remove(0));
        }
        let left = world.send_batch(64, &batch);
        assert_eq!(lengths(&left, phones[1].address), [12, 2], "sealed: {seal}");
    }
}

#[test]
fn no_train_is_longer_than_the_cap_and_a_cap_of_one_makes_none() {
    for (cap, wanted) in [(1, vec![1; 9]), (4, vec![4, 4, 1]), (9, vec![9]), (128, vec![9])] {
        for seal in [false, true] {
            let receiver = Phone::new(1, 2);
            let receiver = if seal { receiver.sealed() } else { receiver };
            let mut phones = [Phone::new(1, 1), receiver];
            let mut world = World::with(&phones);
            let batch = packets(&mut phones[0], 0, 9, 500);
            let left = world.send_batch(cap, &batch);
            assert_eq!(lengths(&left, phones[1].address), wanted, "{cap}, sealed: {seal}");
        }
    }
}

#[test]
fn a_train_of_as_many_packets_as_the_kernel_makes_is_taken_whole() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let batch = packets(&mut phones[0], 0, TRAIN_PACKETS_MAX, 400);
    let left = world.send_batch(TRAIN_PACKETS_MAX as u16, &batch);
    let wanted = Departure { to: phones[1].address, packets: bytes_of(&batch) };
    assert_eq!(left, [wanted]);
    // Longer packets: a datagram holds no more than 65,000 bytes of them.
    let batch = packets(&mut phones[0], 0, TRAIN_PACKETS_MAX, 1_400);
    let left = world.send_batch(TRAIN_PACKETS_MAX as u16, &batch);
    let most = 65_000 / batch[0].1.len();
    assert_eq!(lengths(&left, phones[1].address), [most, most, TRAIN_PACKETS_MAX - 2 * most]);
    let all: Vec<_> = left.into_iter().flat_map(|train| train.packets).collect();
    assert_eq!(all, bytes_of(&batch));
}

#[test]
fn a_train_of_another_turn_is_never_joined() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let (mut counters, mut out) = (PathCounters::default(), Outgoing::new(64));
    for (_, bytes) in packets(&mut phones[0], 0, 3, 500) {
        let received =
            Received { slot: Slot(0), start: 0, source: phones[0].address, bytes: &bytes };
        let (batch, now) = (std::iter::once(received), world.now);
        forward(&mut world.legs, batch, now, &mut || 0, &mut counters, &mut out);
        assert_eq!((out.trains().len(), out.hops().len()), (1, 1));
        assert_eq!(out.train(out.hops()[0].train).packets, 1);
        out.clear();
    }
}

/// A report to everyone and requests to one leg differ in whom they reach.
#[test]
fn reports_and_requests_of_one_batch_each_reach_those_they_concern() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let request = {
        let mut plain = Vec::new();
        RtcpWriter::new(&mut plain).picture_loss(phones[0].ssrc, phones[1].ssrc);
        plain
    };
    let report = |phone: &mut Phone| {
        let mut plain = Vec::new();
        RtcpWriter::new(&mut plain).canonical_name(phone.ssrc, b"a");
        phone.rtcp_of(&plain)
    };
    let source = phones[0].address;
    let (first, asked) = (report(&mut phones[0]), phones[0].rtcp_of(&request));
    let last = report(&mut phones[0]);
    let batch = [&first, &asked, &last].map(|bytes| (source, bytes.clone()));
    let left = world.send_batch(64, &batch);
    let to = |n: usize| -> Vec<_> {
        let trains = left.iter().filter(|it| it.to == phones[n].address);
        trains.flat_map(|it| it.packets.clone()).collect()
    };
    assert_eq!(to(1), [first.clone(), asked, last.clone()]);
    assert_eq!(to(2), [first, last]);
}

/// What a datagram of a random batch is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Good,
    Forged,
    Replayed,
    Elsewhere,
    Report,
    KeyFrame,
    Nack,
    Noise,
}

fn datagram() -> impl Strategy<Value = (usize, usize, usize, Kind)> {
    let kind = prop_oneof![
        12 => Just(Kind::Good), 1 => Just(Kind::Forged), 1 => Just(Kind::Replayed),
        1 => Just(Kind::Elsewhere), 1 => Just(Kind::Report), 1 => Just(Kind::KeyFrame),
        1 => Just(Kind::Nack), 1 => Just(Kind::Noise),
    ];
    let size = prop_oneof![Just(60_usize), Just(60), Just(900), Just(900), Just(1_100)];
    (0_usize..7, 0_usize..2, size, kind)
}

fn make(
    phones: &mut [Phone],
    sent: &[Vec<u8>],
    (n, stream, bytes, kind): (usize, usize, usize, Kind),
) -> (SocketAddr, Vec<u8>) {
    let media = phones[(n + 1) % phones.len()].ssrc_of(stream);
    let phone = &mut phones[n];
    let (source, from) = (phone.address, phone.ssrc);
    let mut plain = Vec::new();
    let mut writer = RtcpWriter::new(&mut plain);
    match kind {
        Kind::Good => return (source, phone.rtp_of(stream, &vec![n as u8; bytes])),
        Kind::Forged => {
            let mut packet = phone.rtp_of(stream, &vec![n as u8; bytes]);
            packet[30] ^= 4;
            return (source, packet);
        }
        Kind::Replayed => {
            let old = sent.get(bytes % sent.len().max(1));
            return (source, old.cloned().unwrap_or_default());
        }
        Kind::Elsewhere => return (address(77, 1), phone.rtp_of(stream, &vec![1; bytes])),
        Kind::Noise => return (source, vec![bytes as u8; bytes]),
        Kind::Report => writer.canonical_name(from, b"somebody"),
        Kind::KeyFrame => writer.picture_loss(from, media),
        Kind::Nack => writer.nack(from, media, [NackEntry { first: 100, next: 0xff }]),
    }
    (source, phone.rtcp_of(&plain))
}

/// A receiver's stream; RTP and RTCP of an SSRC apart.
type Heard = (SocketAddr, bool, [u8; 4]);

/// What each receiver got of each stream: first copies in order, and how many of each packet.
#[derive(PartialEq, Eq, Default)]
struct Inbox {
    order: BTreeMap<Heard, Vec<Vec<u8>>>,
    copies: BTreeMap<(Heard, Vec<u8>), u32>,
}

impl Inbox {
    fn take(&mut self, to: SocketAddr, packet: Vec<u8>) {
        let control = (192..=223).contains(&packet[1]);
        let at = if control { 4 } else { 8 };
        let stream = (to, control, *packet[at..].first_chunk().unwrap());
        let count = self.copies.entry((stream, packet.clone())).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.order.entry(stream).or_default().push(packet);
        }
    }
}

proptest! {
    // Each case is some hundred packets, twice.
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However packets share batches: each receiver gets what it would get if every packet came
    /// alone, each stream in the same order.
    #[test]
    fn company_changes_nothing_of_what_is_received(
        sealed in 0_u8..128,
        limited in 0_u8..128,
        cap in prop_oneof![Just(1_u16), Just(3), Just(64)],
        batches in prop::collection::vec(prop::collection::vec(datagram(), 1..60), 1..4),
    ) {
        // A call of four and one of three.
        let mut phones: Vec<_> = (0..7_u16).map(|n| {
            let phone = Phone::new(u64::from(n / 4), n).with_streams(2);
            let mut phone = if sealed >> n & 1 == 1 { phone.sealed() } else { phone };
            phone.rate_kbps = u32::from(limited >> n & 1);
            phone
        }).collect();
        let (mut together, mut alone) = (World::with(&phones), World::with(&phones));
        let (mut sent, mut got, mut wanted) = (Vec::new(), Inbox::default(), Inbox::default());
        for batch in batches {
            let datagrams: Datagrams = batch.into_iter().map(|it| {
                let made = make(&mut phones, &sent, it);
                sent.push(made.1.clone());
                made
            }).collect();
            for train in together.send_batch(cap, &datagrams) {
                train.packets.into_iter().for_each(|packet| got.take(train.to, packet));
            }
            for (source, bytes) in datagrams {
                let effect = alone.send(source, &bytes);
                effect.answers.into_iter().for_each(|(to, packet)| wanted.take(to, packet));
                effect.hops.into_iter().for_each(|to| wanted.take(to, bytes.clone()));
            }
            prop_assert_eq!(&together.counters, &alone.counters);
        }
        prop_assert!(got == wanted);
    }
}
