//! Who hears whom: media reaches every other leg of the call and nobody else.

use super::batch::{Outgoing, Received, Slot};
use super::forward;
use super::verdict::{PathCounters, Verdict};
use crate::capacity::BATCH_HOPS_MAX;
use crate::testing::{Phone, World, address};
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;
use kakehashi_wire::relay::{Order, Outcome, RemoveLeg};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn a_group_hears_every_member_once() {
    let mut phones: Vec<_> = (0..LEGS_PER_CALL_MAX as u16).map(|n| Phone::new(1, n)).collect();
    let mut world = World::with(&phones);
    for at in 0..phones.len() {
        for packet in [phones[at].rtp(), phones[at].rtcp()] {
            let effect = world.send(phones[at].address, &packet);
            assert_eq!(effect.verdict, Verdict::Forwarded);
            let others = phones.iter().filter(|other| other.leg != phones[at].leg);
            let wanted: BTreeSet<_> = others.map(|other| other.address).collect();
            assert_eq!(effect.hops.len(), LEGS_PER_CALL_MAX - 1);
            assert_eq!(effect.hops.into_iter().collect::<BTreeSet<_>>(), wanted);
        }
    }
}

#[test]
fn counters_add_up_and_carry_the_bytes() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    world.send(phones[0].address, &packet);
    let entries: std::collections::BTreeMap<_, _> = world.counters.entries().collect();
    assert_eq!((entries["hops"], entries["hop_bytes"]), (2, 2 * packet.len() as u64));
    assert_eq!((entries["forwarded"], entries["stun_answered"], entries["received"]), (1, 3, 4));
    assert_eq!(entries["received_bytes"], (packet.len() + 3 * phones[0].check().len()) as u64);
    assert_eq!(entries["latched_by_media"], 0);
}

#[test]
fn a_turn_without_room_says_so() {
    let mut phones = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let packets: Vec<_> = (0..BATCH_HOPS_MAX + 5).map(|_| phones[0].rtp()).collect();
    let source = phones[0].address;
    let batch = packets.iter().map(|bytes| Received { slot: Slot(0), source, bytes });
    let (mut counters, mut out) = (PathCounters::default(), Outgoing::default());
    forward(&mut world.legs, batch, world.now, &mut || 0, &mut counters, &mut out);
    assert_eq!(out.hops().len(), BATCH_HOPS_MAX);
    assert_eq!((counters.of(Verdict::NoRoom), counters.hops()), (5, BATCH_HOPS_MAX as u64));
    assert_eq!(counters.verdicts(), counters.received());
}

/// What may happen to a phone of a random scene.
#[derive(Clone, Copy, Debug)]
enum Act {
    Rtp,
    Rtcp,
    Check,
    Move,
    Remove,
    Install,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let acts = prop_oneof![
        6 => Just(Act::Rtp), 2 => Just(Act::Rtcp), 3 => Just(Act::Check),
        2 => Just(Act::Move), 1 => Just(Act::Remove), 2 => Just(Act::Install),
    ];
    (0_usize..9, acts)
}

proptest! {
    /// Three calls of three; legs come, go and roam in any order.
    #[test]
    fn calls_never_leak_into_each_other(acts in prop::collection::vec(act(), 1..120)) {
        let mut phones: Vec<_> = (0..9).map(|n| Phone::new(u64::from(n / 3), n)).collect();
        let mut world = World::new(16);
        let mut places = [0_u16; 9];
        for (step, (n, act)) in acts.into_iter().enumerate() {
            world.now = world.now.after_ms(700);
            let (source, generation) = (address(n as u16, places[n]), step as u64 + 1);
            let effect = match act {
                Act::Rtp => { let packet = phones[n].rtp(); Some(world.send(source, &packet)) }
                Act::Rtcp => { let packet = phones[n].rtcp(); Some(world.send(source, &packet)) }
                Act::Check => Some(world.send(source, &phones[n].check())),
                Act::Move => {
                    let to = address(n as u16, places[n] + 1);
                    let effect = world.send(to, &phones[n].check());
                    let answers = effect.answers.first().filter(|_| effect.verdict == Verdict::Challenged);
                    if let Some((_, challenge)) = answers {
                        let proof = phones[n].proof(challenge, to);
                        prop_assert_eq!(world.send(to, &proof).verdict, Verdict::Moved);
                        places[n] += 1;
                    } else if effect.verdict == Verdict::Answered {
                        places[n] += 1;
                    }
                    Some(effect)
                }
                Act::Remove => {
                    let leg = phones[n].leg;
                    let generation = kakehashi_wire::id::Generation(generation);
                    world.apply(Order::Remove(RemoveLeg { leg, generation }));
                    None
                }
                Act::Install => {
                    let outcome = world.apply(Order::Install(phones[n].install(generation)));
                    prop_assert_eq!(outcome, Outcome::Applied);
                    None
                }
            };
            for hop in effect.into_iter().flat_map(|effect| effect.hops) {
                let member = (0..9_u16).find(|m| (0..=places[usize::from(*m)]).any(|p| address(*m, p) == hop));
                let member = usize::from(member.expect("hops go to phones"));
                prop_assert_ne!(member, n);
                prop_assert_eq!(member / 3, n / 3, "call {} heard call {}", member / 3, n / 3);
                prop_assert_eq!(hop, address(member as u16, places[member]), "an old address");
            }
        }
        world.legs.snapshot();
    }
}
