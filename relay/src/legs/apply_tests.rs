//! Orders against the table: generations, refusals, expiry, resync.

use super::{ResyncCursor, Wanted};
use crate::capacity::{SWEEP_LEGS, TOMBSTONES};
use crate::legs::leg::Leg;
use crate::path::verdict::Verdict;
use crate::testing::{LIFETIME_MS, Phone, World, address, master_key, stream};
use kakehashi_wire::id::{CallId, Generation, LegId, Term};
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    LegLane, Order, Outcome, RemoveLeg, RenewLeg, Resync, SubscribeLeg, Subscription,
};
use kakehashi_wire::rtp::Ssrc;
use std::fmt::Write;
use std::os::unix::fs::FileExt;

fn order(kind: &str, phone: &Phone, generation: u64) -> Order {
    let leg = phone.leg;
    let generation = Generation(generation);
    match kind {
        "install" => Order::Install(phone.install(generation.0)),
        "renew" => Order::Renew(RenewLeg {
            leg,
            generation,
            lifetime_ms: LIFETIME_MS,
            seen_at: Host::UNKNOWN,
        }),
        "subscribe" => {
            let streams = vec![Subscription { source: Ssrc(7), shown_as: Ssrc(7) }];
            Order::Subscribe(SubscribeLeg { leg, generation, streams })
        }
        _ => Order::Remove(RemoveLeg { leg, generation }),
    }
}

/// Every order of generation 4, 5 and 6 on a leg that has last seen generation 5.
#[test]
fn the_generation_table() {
    let mut table = String::new();
    for history in ["never", "install", "renew", "subscribe", "remove"] {
        for kind in ["install", "renew", "subscribe", "remove"] {
            for generation in [4, 5, 6] {
                let (phone, mut world) = (Phone::new(1, 1), World::new(4));
                if history != "never" {
                    world.apply(order("install", &phone, if history == "install" { 5 } else { 3 }));
                    world.apply(order(history, &phone, 5));
                }
                let before = world.legs.snapshot();
                let outcome = world.apply(order(kind, &phone, generation));
                let held = if world.legs.is_empty() { "gone" } else { "held" };
                writeln!(table, "{history} 5, {kind} {generation}: {outcome:?}, {held}").unwrap();
                let after = world.legs.snapshot();
                if outcome != Outcome::Applied && history != "never" && kind != "remove" {
                    assert_eq!(after, before, "{history} {kind} {generation}");
                }
                let again = world.apply(order(kind, &phone, generation));
                assert_ne!(again, Outcome::Applied, "{history} {kind} {generation} twice");
                assert_eq!(world.legs.snapshot(), after, "{history} {kind} {generation} twice");
            }
        }
    }
    assert_eq!(table, include_str!("apply_table.txt"), "\n{table}");
}

#[test]
fn a_removal_says_how_long_ago_media_of_the_leg_was_sent_on() {
    let mut phones = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
    world.now = world.now.after_ms(30);
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Replayed);
    world.now = world.now.after_ms(12);
    let mut silent_ms = |kind, phone: &Phone, generation| {
        world.legs.apply(order(kind, phone, generation), world.now).silent_ms
    };
    assert_eq!(silent_ms("renew", &phones[0], 8), None, "only a removal says it");
    assert_eq!(silent_ms("remove", &phones[0], 9), Some(42));
    assert_eq!(silent_ms("remove", &phones[0], 9), None, "it is not held any more");
    assert_eq!(silent_ms("remove", &phones[1], 9), None, "it has sent nothing");
}

#[test]
fn an_order_that_contradicts_itself_or_the_table_changes_nothing() {
    let [a, b] = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&[a, b]);
    let [a, b] = [1, 2].map(|n| Phone::new(1, n));
    let before = world.legs.snapshot();
    let mut refused = |change: &dyn Fn(&mut kakehashi_wire::relay::InstallLeg), wanted| {
        let mut order = a.install(9);
        change(&mut order);
        assert_eq!(world.apply(Order::Install(order)), wanted);
        assert_eq!(world.legs.snapshot(), before);
    };
    refused(&|order| order.streams.clear(), Outcome::BadOrder);
    refused(&|order| order.streams.push(order.streams[0]), Outcome::BadOrder);
    refused(&|order| order.streams = (1..=5).map(|n| stream(Ssrc(n))).collect(), Outcome::BadOrder);
    refused(&|order| order.call = CallId(77), Outcome::BadOrder);
    refused(&|order| order.lifetime_ms = 0, Outcome::BadOrder);
    refused(&|order| order.streams = vec![stream(b.ssrc)], Outcome::SsrcTaken);
    refused(&|order| order.leg = LegId(1), Outcome::SsrcTaken);
}

#[test]
fn a_full_table_and_a_full_call_take_no_more_and_give_room_back() {
    let mut world = World::new(LEGS_PER_CALL_MAX + 1);
    let phones: Vec<_> = (0..LEGS_PER_CALL_MAX as u16 + 2).map(|n| Phone::new(1, n)).collect();
    for phone in &phones[..LEGS_PER_CALL_MAX] {
        assert_eq!(world.apply(order("install", phone, 1)), Outcome::Applied);
    }
    let extra = &phones[LEGS_PER_CALL_MAX];
    assert_eq!(world.apply(order("install", extra, 1)), Outcome::NoRoom, "the call is full");
    let alone = Phone::new(2, 100);
    assert_eq!(world.apply(order("install", &alone, 1)), Outcome::Applied);
    let third = Phone::new(3, 101);
    assert_eq!(world.apply(order("install", &third, 1)), Outcome::NoRoom, "the shard is full");
    assert_eq!(world.apply(order("remove", &alone, 2)), Outcome::Applied);
    assert_eq!((world.legs.len(), world.legs.calls()), (LEGS_PER_CALL_MAX, 1));
    assert_eq!(world.apply(order("install", &third, 1)), Outcome::Applied);
}

#[test]
fn a_newer_order_keeps_address_and_replay_state_only_under_the_same_key() {
    let mut phones = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);

    let mut wider = phones[0].install(2);
    wider.streams.insert(0, stream(Ssrc(5)));
    assert_eq!(world.apply(Order::Install(wider)), Outcome::Applied);
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Replayed);
    let next = phones[0].rtp();
    assert_eq!(world.send(address(1, 5), &next).verdict, Verdict::WrongAddress);
    assert_eq!(world.send(phones[0].address, &next).verdict, Verdict::Forwarded);

    let mut rekeyed = phones[0].install(3);
    rekeyed.key = master_key(200);
    assert_eq!(world.apply(Order::Install(rekeyed)), Outcome::Applied);
    let next = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &next).verdict, Verdict::Forged);
    assert_eq!(world.apply(Order::Install(phones[0].install(4))), Outcome::Applied);
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
    let ssrcs: Vec<_> = world.legs.snapshot().streams.into_keys().collect();
    assert_eq!(ssrcs, [phones[0].ssrc, phones[1].ssrc]);
}

/// A node that takes over states every leg: what is equal goes on as if nothing had been said.
#[test]
fn an_equal_leg_of_a_newer_order_goes_on_in_its_life() {
    for sealed in [false, true] {
        let of = |n| if sealed { Phone::new(1, n).sealed() } else { Phone::new(1, n) };
        let mut phones = [1, 2].map(of);
        let mut world = World::with(&phones);
        let mut ear = sealed.then(|| phones[1].ear());
        let mut heard = |world: &mut World, phones: &mut [Phone; 2]| {
            let packet = phones[0].rtp();
            let effect = world.send(phones[0].address, &packet);
            assert_eq!(effect.verdict, Verdict::Forwarded);
            if let Some(ear) = &mut ear {
                let (_, sealed) = &effect.answers[0];
                ear.hear(sealed).expect("sealed in the same life, with a number of its own");
            }
            packet
        };
        let first = heard(&mut world, &mut phones);
        world.now = world.now.after_ms(u64::from(LIFETIME_MS) - 1);
        for (n, phone) in (0..).zip(&phones) {
            let before = world.legs.snapshot().legs[&phone.leg].clone();
            let mut install = phone.install(100 + n);
            install.rate_kbps = 4_000;
            let result = world.legs.apply(Order::Install(install), world.now);
            assert_eq!((result.outcome, result.life), (Outcome::Applied, Generation(1)));
            let after = world.legs.snapshot().legs[&phone.leg].clone();
            assert_eq!((after.latch, after.openers), (before.latch, before.openers));
            assert_eq!(after.ends, world.now.after_ms(u64::from(LIFETIME_MS)));
        }
        assert_eq!(world.send(phones[0].address, &first).verdict, Verdict::Replayed);
        world.now = world.now.after_ms(u64::from(LIFETIME_MS) - 1);
        heard(&mut world, &mut phones);
        // What was ordered before the take-over comes too late.
        assert_eq!(world.apply(order("remove", &phones[0], 2)), Outcome::Stale);
        let again = world.legs.apply(order("install", &phones[0], 100), world.now);
        assert_eq!((again.outcome, again.life), (Outcome::Unchanged, Generation(1)));
    }
}

#[test]
fn a_leg_that_differs_in_what_it_is_begins_another_life() {
    let phone = Phone::new(1, 1).sealed();
    let changes: [&dyn Fn(&mut kakehashi_wire::relay::InstallLeg); 5] = [
        &|order| order.key = master_key(200),
        &|order| order.streams = vec![stream(Ssrc(5))],
        &|order| order.lane = LegLane::Pass,
        &|order| order.lane = Phone::new(1, 2).sealed().lane,
        &|order| order.relay_password = Phone::new(1, 2).relay_password,
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let mut world = World::new(4);
        world.apply(order("install", &phone, 1));
        let mut other = phone.install(7);
        change(&mut other);
        let result = world.legs.apply(Order::Install(other), world.now);
        assert_eq!((result.outcome, result.life), (Outcome::Applied, Generation(7)), "{nth}");
        let renewed = world.legs.apply(order("renew", &phone, 8), world.now);
        assert_eq!(renewed.life, Generation(7), "a renewal begins none");
    }
}

#[test]
fn an_order_says_what_a_leg_receives_also_of_one_that_goes_on() {
    let mut phones = [1, 2, 3].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    let receives = |world: &mut World, phones: &mut [Phone; 3], source: usize| {
        let packet = phones[source].rtp();
        world.send(phones[source].address, &packet).hops.contains(&phones[2].address)
    };
    let of = |ssrc| Subscription { source: ssrc, shown_as: ssrc };
    let only_first = Some(vec![of(phones[0].ssrc)]);
    let wishes = [(None, true, true), (only_first, true, false), (Some(vec![]), false, false)];
    let all = wishes.iter().chain(wishes.iter().rev());
    for (generation, (wish, first, second)) in (10..).zip(all) {
        let mut install = phones[2].install(generation);
        install.receives = wish.clone();
        let result = world.legs.apply(Order::Install(install), world.now);
        assert_eq!((result.outcome, result.life), (Outcome::Applied, Generation(1)));
        assert_eq!(receives(&mut world, &mut phones, 0), *first);
        assert_eq!(receives(&mut world, &mut phones, 1), *second);
    }
    let mut renamed = phones[2].install(99);
    let [a, b] = [Ssrc(1), Ssrc(2)];
    renamed.receives = Some(vec![Subscription { source: a, shown_as: b }]);
    assert_eq!(world.apply(Order::Install(renamed.clone())), Outcome::BadOrder, "not in this lane");
    renamed.receives = Some(vec![of(a), of(a)]);
    assert_eq!(world.apply(Order::Install(renamed)), Outcome::BadOrder, "twice");
}

#[test]
fn whoever_states_what_is_wanted_is_told_again_what_has_wrapped() {
    let mut phone = Phone::new(1, 1).known_to_have_wrapped(3).having_wrapped(3);
    let mut world = World::new(4);
    world.apply(order("install", &phone, 1));
    world.send(phone.address, &phone.check());
    let packet = phone.rtp();
    world.send(phone.address, &packet);
    let told = |world: &mut World| {
        let mut told = Vec::new();
        world.legs.sweep(world.now, |it| {
            told.push(it);
            true
        });
        told
    };
    let wrapped = vec![kakehashi_wire::relay::LegStream { ssrc: phone.ssrc, rollover: 3 }];
    assert_eq!((told(&mut world), told(&mut world)), (wrapped.clone(), Vec::new()));
    let keep = vec![phone.leg];
    let (first, last) = (LegId(0), LegId(u64::MAX));
    let stated = Wanted::from(Resync { term: Term(2), first, last, keep });
    assert!(world.legs.resync(&stated, &mut ResyncCursor::default()));
    assert_eq!(told(&mut world), wrapped);
}

#[test]
fn a_leg_is_silent_when_its_lifetime_ends_and_swept_soon_after() {
    let mut phones = [1, 2].map(|n| Phone::new(1, n));
    let mut world = World::with(&phones);
    world.now = world.now.after_ms(u64::from(LIFETIME_MS) - 1);
    assert_eq!(world.apply(order("renew", &phones[1], 2)), Outcome::Applied);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);

    world.now = world.now.after_ms(1);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::LegEnded);
    let check = phones[0].check();
    assert_eq!(world.send(phones[0].address, &check).verdict, Verdict::LegEnded);
    let packet = phones[1].rtp();
    let effect = world.send(phones[1].address, &packet);
    assert_eq!((effect.verdict, effect.hops.len()), (Verdict::NoReceiver, 0));

    assert_eq!((world.legs.sweep(world.now, |_| true), world.legs.len()), (1, 1));
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::UnknownSsrc);
    assert_eq!(world.apply(order("renew", &phones[0], 2)), Outcome::NoSuchLeg);
    assert_eq!(world.apply(order("install", &phones[0], 1)), Outcome::Applied, "control insists");
}

#[test]
fn an_ended_leg_that_was_not_swept_yet_cannot_be_renewed() {
    let phone = Phone::new(1, 1);
    let mut world = World::new(2);
    world.apply(order("install", &phone, 1));
    world.now = world.now.after_ms(u64::from(LIFETIME_MS));
    assert_eq!(world.apply(order("renew", &phone, 2)), Outcome::NoSuchLeg);
    assert!(world.legs.is_empty());
}

#[test]
fn an_ended_leg_keeps_no_ssrc_from_another() {
    let mut world = World::new(2);
    world.apply(order("install", &Phone::new(1, 1), 1));
    let mut heir = Phone::new(2, 2).install(1);
    heir.streams = vec![stream(Phone::new(1, 1).ssrc)];
    assert_eq!(world.apply(Order::Install(heir.clone())), Outcome::SsrcTaken);
    world.now = world.now.after_ms(u64::from(LIFETIME_MS));
    assert_eq!(world.apply(Order::Install(heir)), Outcome::Applied);
    let left: Vec<_> = world.legs.snapshot().legs.into_keys().collect();
    assert_eq!(left, [Phone::new(2, 2).leg]);
}

#[test]
fn sweeps_are_bounded_and_reach_every_leg() {
    let count = SWEEP_LEGS as usize * 2 + 10;
    let mut world = World::new(count);
    for n in 0..count as u64 {
        let phone = Phone::new(n, 1);
        let mut install = phone.install(1);
        (install.leg, install.streams) = (LegId(n), vec![stream(Ssrc(n as u32))]);
        assert_eq!(world.apply(Order::Install(install)), Outcome::Applied);
    }
    assert_eq!(world.legs.sweep(world.now, |_| true), 0);
    let end = world.now.after_ms(u64::from(LIFETIME_MS));
    let dropped: Vec<_> = (0..3).map(|_| world.legs.sweep(end, |_| true)).collect();
    assert!(dropped.iter().all(|dropped| *dropped <= SWEEP_LEGS as usize), "{dropped:?}");
    assert_eq!(dropped.iter().sum::<usize>() + world.legs.sweep(end, |_| true), count);
    assert_eq!(world.legs.calls(), 0);
}

#[test]
fn a_resync_drops_what_is_not_wanted_in_its_range_and_nothing_else() {
    let phones: Vec<_> = (0..10).map(|n| Phone::new(u64::from(n / 2), n)).collect();
    let mut world = World::with(&phones);
    let resync = Resync {
        term: Term::ALONE,
        first: phones[2].leg,
        last: phones[7].leg,
        keep: vec![phones[6].leg, phones[3].leg, LegId(12)],
    };
    let mut cursor = ResyncCursor::default();
    while !world.legs.resync(&Wanted::from(resync.clone()), &mut cursor) {}
    let left: Vec<_> = world.legs.snapshot().legs.into_keys().collect();
    assert_eq!(left, [0, 1, 3, 6, 8, 9].map(|n: usize| phones[n].leg));
    assert_eq!(world.apply(order("install", &phones[2], 1)), Outcome::Applied, "wanted again");
    let before = world.legs.snapshot();
    let term = Term::ALONE;
    let all = Resync { term, first: LegId(0), last: LegId(u64::MAX), keep: left.clone() };
    let mut kept = Wanted::from(Resync { keep: vec![phones[2].leg], ..all.clone() });
    assert!(kept.drops(left[0]) && !kept.drops(phones[2].leg));
    kept = Wanted::from(Resync { keep: before.legs.keys().copied().collect(), ..all });
    assert!(world.legs.resync(&kept, &mut ResyncCursor::default()));
    assert_eq!(world.legs.snapshot(), before);
}

fn install(world: &mut World, phone: &Phone, lane: LegLane, generation: u64) -> Outcome {
    let mut order = phone.install(generation);
    order.lane = lane;
    world.apply(Order::Install(order))
}

/// Drops a leg as if control had not named it.
fn drop_leg(world: &mut World, leg: LegId) {
    let unwanted =
        Wanted::from(Resync { term: Term::ALONE, first: leg, last: leg, keep: Vec::new() });
    while !world.legs.resync(&unwanted, &mut ResyncCursor::default()) {}
}

/// So many removals that none before is remembered.
fn forget(world: &mut World, generation: u64) {
    for n in 0..=TOMBSTONES as u64 {
        let remove = RemoveLeg { leg: LegId(n), generation: Generation(generation) };
        world.apply(Order::Remove(remove));
    }
}

/// The keys that a sealed leg's order made have sealed: that order makes no leg again.
#[test]
fn the_order_of_a_sealed_leg_that_went_in_whichever_way_never_installs_again() {
    for way in ["expiry", "resync", "removal"] {
        for forgotten in [false, true] {
            let (phone, mut world) = (Phone::new(1, 1).sealed(), World::new(4));
            assert_eq!(world.apply(order("install", &phone, 5)), Outcome::Applied);
            match way {
                "expiry" => {
                    world.now = world.now.after_ms(u64::from(LIFETIME_MS));
                    assert_eq!(world.legs.sweep(world.now, |_| true), 1);
                }
                "resync" => drop_leg(&mut world, phone.leg),
                _ => assert_eq!(world.apply(order("remove", &phone, 6)), Outcome::Applied),
            }
            assert!(world.legs.is_empty());
            if forgotten {
                forget(&mut world, 7);
            }
            for old in 1..=5 {
                assert_eq!(world.apply(order("install", &phone, old)), Outcome::Stale, "{way}");
            }
            assert_eq!(world.apply(order("install", &phone, 8)), Outcome::Applied, "{way}");
        }
    }
}

/// Nor after a time in the pass lane, whose legs are not remembered.
#[test]
fn a_time_in_the_pass_lane_does_not_make_a_sealed_life_forgotten() {
    let phone = Phone::new(1, 1).sealed();
    let (seal, pass) = (phone.lane.clone(), LegLane::Pass);
    for (gone_before, forgotten) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new(4);
        assert_eq!(install(&mut world, &phone, seal.clone(), 5), Outcome::Applied);
        if gone_before {
            drop_leg(&mut world, phone.leg);
        }
        assert_eq!(install(&mut world, &phone, pass.clone(), 6), Outcome::Applied);
        drop_leg(&mut world, phone.leg);
        if forgotten {
            forget(&mut world, 7);
        }
        assert_eq!(install(&mut world, &phone, seal.clone(), 5), Outcome::Stale);
    }
    // What is forgotten is not believed of a leg that came back in the pass lane, either.
    let mut world = World::new(4);
    assert_eq!(install(&mut world, &phone, seal.clone(), 5), Outcome::Applied);
    drop_leg(&mut world, phone.leg);
    forget(&mut world, 7);
    assert_eq!(install(&mut world, &phone, pass.clone(), 4), Outcome::Applied);
    assert_eq!(install(&mut world, &phone, seal.clone(), 5), Outcome::Stale);
    assert_eq!(install(&mut world, &phone, pass, 5), Outcome::Applied, "no key comes of it");
    assert_eq!(install(&mut world, &phone, seal, 8), Outcome::Applied);
}

#[test]
fn removals_of_any_number_of_unknown_legs_take_bounded_memory() {
    let mut world = World::new(2);
    for n in 0..3 * TOMBSTONES as u64 {
        let remove = RemoveLeg { leg: LegId(n), generation: Generation(1) };
        assert_eq!(world.apply(Order::Remove(remove)), Outcome::Unchanged);
    }
    assert_eq!(world.legs.tombstones(), TOMBSTONES);
}

/// The memory of this process from `address` on.
fn memory(address: usize, bytes: usize) -> Vec<u8> {
    let own = std::fs::File::open("/proc/self/mem").unwrap();
    let mut found = vec![0; bytes];
    own.read_exact_at(&mut found, address as u64).unwrap();
    found
}

/// Without optimisation, an emptied place takes over whatever bytes lay on the stack: here the
/// leg's own, from when it was made.
#[inline(never)]
fn overwrite_stack() {
    core::hint::black_box(&mut [0xee_u8; 256 * 1_024]);
}

#[test]
fn a_removed_leg_leaves_no_secret_where_it_was() {
    for way in ["removal", "resync"] {
        let (phone, mut world) = (Phone::new(1, 0x5d), World::new(4));
        world.apply(order("install", &phone, 1));
        let leg = world.legs.leg(world.legs.find(phone.leg).unwrap()).unwrap();
        let place = core::ptr::from_ref(leg).addr();
        let master = master_key(0x5d);
        let passwords = [phone.relay_password.as_bytes(), phone.terminal_password.as_bytes()];
        let held = |secret: &[u8]| {
            let found = memory(place, size_of::<Leg>());
            found.windows(secret.len()).any(|bytes| bytes == secret)
        };
        let all = || [master.key(), master.salt(), &passwords[0][..], &passwords[1][..]].map(held);
        assert_eq!(all(), [true; 4], "it is looked for in the right place");
        overwrite_stack();
        if way == "removal" {
            world.apply(order("remove", &phone, 2));
        } else {
            drop_leg(&mut world, phone.leg);
        }
        assert!(world.legs.is_empty(), "{way}");
        assert_eq!(all(), [false; 4], "{way}");
    }
}
