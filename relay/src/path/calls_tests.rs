//! Who hears whom: media reaches every other leg of the call and nobody else.

use super::batch::{Outgoing, Received, Slot};
use super::forward;
use super::verdict::{PathCounters, Verdict};
use crate::capacity::{SENDS_PER_CALL, TURN_HOPS_MAX};
use crate::testing::{Phone, World, address};
use kakehashi_wire::id::Generation;
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;
use kakehashi_wire::relay::{Order, Outcome, RemoveLeg};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;

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

/// A relay that restarts, or becomes a standby, gets legs whose streams have wrapped.
#[test]
fn a_stream_that_wrapped_before_its_leg_came_is_forwarded() {
    for rollover in [0, 1, 2, 3, 15] {
        let mut phones = [Phone::new(1, 1).having_wrapped(rollover), Phone::new(1, 2)];
        let mut world = World::with(&phones);
        for packet in [phones[0].rtp(), phones[0].rtcp(), phones[0].rtp()] {
            let mut forged = packet.clone();
            *forged.last_mut().unwrap() ^= 1;
            let dropped = world.send(phones[0].address, &forged);
            assert!(dropped.is_silent() && dropped.verdict != Verdict::Forwarded);
            let effect = world.send(phones[0].address, &packet);
            assert_eq!(effect.verdict, Verdict::Forwarded, "rollover {rollover}");
        }
    }
    let mut phones = [Phone::new(1, 1).having_wrapped(16), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    assert_ne!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded, "the bound");
}

/// A leg that is installed again under its key keeps its place; one that was removed joins.
#[test]
fn a_leg_that_comes_back_hours_later_is_heard() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
    let (leg, generation) = (phones[0].leg, Generation(2));
    assert_eq!(world.apply(Order::Remove(RemoveLeg { leg, generation })), Outcome::Applied);
    let [first, second] = phones;
    phones = [first.having_wrapped(9), second];
    assert_eq!(world.apply(Order::Install(phones[0].install(3))), Outcome::Applied);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
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

/// A turn's room ends before its batch does: the rest is taken after what there is was sent.
#[test]
fn a_turn_without_room_stops_and_goes_on_and_nothing_is_lost() {
    let mut phones = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let packets: Vec<_> = (0..3 * SENDS_PER_CALL).map(|_| phones[0].rtp()).collect();
    let source = phones[0].address;
    let batch = |from: usize| {
        let rest = packets.iter().skip(from);
        rest.map(|bytes| Received { slot: Slot(0), start: 0, source, bytes })
    };
    let (mut counters, mut out, mut sizes) = (PathCounters::default(), Outgoing::new(1), vec![]);
    let mut taken = 0;
    while taken < packets.len() {
        let now = world.now;
        let one = forward(&mut world.legs, batch(taken), now, &mut || 0, &mut counters, &mut out);
        assert_eq!(one, out.hops().len(), "one hop a packet");
        taken += one;
        sizes.push(one);
        out.clear();
    }
    assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= TURN_HOPS_MAX), "{sizes:?}");
    assert_eq!((counters.hops(), counters.of(Verdict::NoRoom)), (packets.len() as u64, 0));
    assert_eq!(counters.verdicts(), counters.received());
}

/// Three calls of three phones.
struct Scene {
    phones: Vec<Phone>,
    /// The network each is in; it may have left all lower ones.
    places: [u16; 9],
    world: World,
}

/// What may happen to a phone.
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

impl Scene {
    fn new() -> Self {
        let phones = (0..9).map(|n| Phone::new(u64::from(n / 3), n)).collect();
        Self { phones, places: [0; 9], world: World::new(16) }
    }

    /// Lets phone `n` act; where its media went.
    fn act(&mut self, n: usize, act: Act, generation: u64) -> Vec<SocketAddr> {
        let (world, phone) = (&mut self.world, &mut self.phones[n]);
        let source = address(n as u16, self.places[n]);
        world.now = world.now.after_ms(700);
        match act {
            Act::Rtp => world.send(source, &phone.rtp()).hops,
            Act::Rtcp => world.send(source, &phone.rtcp()).hops,
            Act::Check => world.send(source, &phone.check()).hops,
            Act::Move => {
                self.roam(n);
                Vec::new()
            }
            Act::Remove => {
                let (leg, generation) = (phone.leg, Generation(generation));
                world.apply(Order::Remove(RemoveLeg { leg, generation }));
                Vec::new()
            }
            Act::Install => {
                let outcome = world.apply(Order::Install(phone.install(generation)));
                assert_eq!(outcome, Outcome::Applied);
                Vec::new()
            }
        }
    }

    fn roam(&mut self, n: usize) {
        let to = address(n as u16, self.places[n] + 1);
        let effect = self.world.send(to, &self.phones[n].check());
        match effect.verdict {
            Verdict::Answered => {}
            Verdict::Challenged => {
                let proof = self.phones[n].proof(&effect.answers[0].1, to);
                assert_eq!(self.world.send(to, &proof).verdict, Verdict::Moved);
            }
            _ => return,
        }
        self.places[n] += 1;
    }

    /// The phone that is or was at an address.
    fn resident(&self, at: SocketAddr) -> usize {
        let lived = |n: &usize| (0..=self.places[*n]).any(|place| address(*n as u16, place) == at);
        (0..9).find(lived).expect("hops go to phones")
    }
}

proptest! {
    /// Legs come, go and roam in any order.
    #[test]
    fn calls_never_leak_into_each_other(acts in prop::collection::vec(act(), 1..120)) {
        let mut scene = Scene::new();
        for (generation, (n, act)) in (1..).zip(acts) {
            for hop in scene.act(n, act, generation) {
                let hearer = scene.resident(hop);
                prop_assert_ne!(hearer, n);
                prop_assert_eq!(hearer / 3, n / 3, "call {} heard call {}", hearer / 3, n / 3);
                let current = address(hearer as u16, scene.places[hearer]);
                prop_assert_eq!(hop, current, "an address it has left");
            }
        }
        scene.world.legs.snapshot();
    }
}
