//! What a leg sends over its rate costs nobody but itself.

use super::verdict::Verdict;
use crate::testing::{Departure, Phone, World};
use kakehashi_wire::relay::{Order, Outcome};
use std::net::SocketAddr;

const PAYLOAD_BYTES: usize = 1_000;

type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

fn packets(phone: &mut Phone, count: usize) -> Datagrams {
    (0..count).map(|_| (phone.address, phone.rtp_of(0, &[3; PAYLOAD_BYTES]))).collect()
}

/// One after the other, a packet of each in turn as long as each has one.
fn mix(senders: &[Datagrams]) -> Datagrams {
    let longest = senders.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|n| senders.iter().filter_map(move |of| of.get(n)));
    rounds.cloned().collect()
}

/// Packets of one sender that reached an address.
fn arrived(left: &[Departure], to: SocketAddr, from: &Datagrams) -> usize {
    let all = left.iter().filter(|it| it.to == to).flat_map(|it| &it.packets);
    all.filter(|packet| from.iter().any(|(_, bytes)| bytes == *packet)).count()
}

#[test]
fn a_leg_over_its_rate_loses_only_its_own_packets() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n)).into_iter().collect::<Vec<_>>();
    phones.extend([Phone::new(2, 4), Phone::new(2, 5)]);
    phones[0].rate_kbps = 1_000;
    phones[1].rate_kbps = 1_000;
    let mut world = World::with(&phones);
    let (mut sent, mut lost) = (0, 0);
    for _ in 0..50 {
        // 50 ms: room for six packets of the two, of which the first sends forty.
        world.now = world.now.after_ms(50);
        let senders = [(0, 40), (1, 5), (2, 20), (3, 20)];
        let of: Vec<_> = senders.map(|(n, count)| packets(&mut phones[n], count)).into();
        let left = world.send_batch(16, &mix(&of));
        for (sender, receiver) in [(1, 0), (1, 2), (2, 0), (2, 1), (3, 4)] {
            let count = arrived(&left, phones[receiver].address, &of[sender]);
            assert_eq!(count, of[sender].len(), "{sender} to {receiver}");
        }
        let greedy = [1, 2].map(|to| arrived(&left, phones[to].address, &of[0]));
        assert_eq!(greedy[0], greedy[1], "a packet over the rate reaches nobody");
        sent += of[0].len();
        lost += of[0].len() - greedy[0];
    }
    assert_eq!(world.counters.of(Verdict::OverRate), lost as u64);
    // A full bucket, 65,536 bytes, and 49 times what comes in while 50 ms pass.
    let packet = PAYLOAD_BYTES + 12 + 16;
    let may = (49 * 125_000 / 20 + 65_536) / packet;
    let passed = sent - lost;
    assert!(passed <= may && passed + 1 >= may, "{passed} of {sent} passed, {may} may");
}

#[test]
fn every_leg_has_a_bucket_of_its_own_in_both_lanes() {
    let mut phones: Vec<_> = (0..4).map(|n| Phone::new(1, n)).collect();
    phones.push(Phone::new(1, 4).sealed());
    phones.iter_mut().for_each(|phone| phone.rate_kbps = 8);
    let mut world = World::with(&phones);
    // The whole bucket of each: the last of these packets is over.
    let most = 65_536 / (PAYLOAD_BYTES + 28);
    for phone in &mut phones {
        let batch = packets(phone, most + 1);
        let over = world.counters.of(Verdict::OverRate);
        world.send_batch(16, &batch);
        assert_eq!(world.counters.of(Verdict::OverRate), over + 1);
    }
}

#[test]
fn what_is_not_authentic_spends_nothing() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    phones[0].rate_kbps = 8;
    let mut world = World::with(&phones);
    let first = packets(&mut phones[0], 1);
    world.send_batch(16, &first);
    for _ in 0..200 {
        let mut forged = packets(&mut phones[0], 1).remove(0);
        forged.1[40] ^= 1;
        assert!(world.send(forged.0, &forged.1).is_silent());
        assert_eq!(world.send(first[0].0, &first[0].1).verdict, Verdict::Replayed);
    }
    let rest = 65_536 / (PAYLOAD_BYTES + 28) - 1;
    let batch = packets(&mut phones[0], rest);
    world.send_batch(16, &batch);
    assert_eq!(world.counters.of(Verdict::OverRate), 0);
}

#[test]
fn an_order_changes_the_rate_at_once_and_gives_no_tokens_back() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    phones[0].rate_kbps = 8;
    let mut world = World::with(&phones);
    let over = |world: &mut World, phone: &mut Phone, count: usize| {
        let before = world.counters.of(Verdict::OverRate);
        let batch = packets(phone, count);
        world.send_batch(16, &batch);
        world.counters.of(Verdict::OverRate) - before
    };
    assert_eq!(over(&mut world, &mut phones[0], 70), 70 - 63);
    phones[0].rate_kbps = 10_000;
    assert_eq!(world.apply(Order::Install(phones[0].install(2))), Outcome::Applied);
    assert_eq!(over(&mut world, &mut phones[0], 10), 10, "what is spent is spent");
    world.now = world.now.after_ms(100);
    // 125,000 bytes came in, 772 were left.
    assert_eq!(over(&mut world, &mut phones[0], 130), 130 - 122);
    phones[0].rate_kbps = 0;
    assert_eq!(world.apply(Order::Install(phones[0].install(3))), Outcome::Applied);
    assert_eq!(over(&mut world, &mut phones[0], 1_000), 0, "no limit");
    phones[0].rate_kbps = 8;
    assert_eq!(world.apply(Order::Install(phones[0].install(4))), Outcome::Applied);
    assert!(over(&mut world, &mut phones[0], 130) >= 130 - 64, "a bucket of the new size");
}
