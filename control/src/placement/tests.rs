//! Calls placed one after another, and what holds of any fleet.

use super::*;
use crate::capacity::{SHARD_BUSY_PERMILLE, SHARD_PACKETS_PER_S_MAX};
use proptest::prelude::*;

fn shard(relay: u32, shard: u16, legs: u32, legs_max: u32) -> Candidate {
    let (relay, shard) = (RelayId(relay), ShardIndex(shard));
    Candidate {
        relay,
        site: relay,
        shard,
        legs,
        legs_max,
        packets_per_s: 0,
        cpu_permille: 0,
        reserve_per_s: 0,
        detour: 0,
    }
}

fn busy(relay: u32, shard: u16, legs: u32, packets_per_s: u32) -> Candidate {
    Candidate { packets_per_s, ..self::shard(relay, shard, legs, 20_000) }
}

fn seat(relay: u32, shard: u16) -> Seat {
    Seat { relay: RelayId(relay), shard: ShardIndex(shard) }
}

#[test]
fn the_least_loaded_shard_is_primary_and_the_next_relays_standby() {
    let fleet = [shard(1, 0, 8, 10), shard(1, 1, 0, 10), shard(2, 0, 3, 10), shard(2, 1, 2, 10)];
    let placement = choose(&fleet, 2).unwrap();
    assert_eq!(placement, Placement { primary: seat(1, 1), standby: Some(seat(2, 1)) });
    assert_eq!(choose(&[], 2), None);
    assert_eq!(choose(&fleet[..1], 3), None);
    assert_eq!(choose(&fleet[..1], 2).unwrap().standby, None);
}

/// A shard at the site of relay `site`.
fn at(site: u32, shard: Candidate) -> Candidate {
    Candidate { site: RelayId(site), ..shard }
}

#[test]
fn the_standby_is_at_another_site_if_one_has_room_there() {
    let fleet = [
        at(1, shard(1, 0, 0, 10)),
        at(1, shard(2, 0, 1, 10)),
        at(3, shard(3, 0, 7, 10)),
        at(3, shard(4, 0, 9, 10)),
    ];
    let placement = choose(&fleet, 2).unwrap();
    assert_eq!(placement, Placement { primary: seat(1, 0), standby: Some(seat(3, 0)) });
    // Where none has room, a relay of the same site is better than none.
    let standby = choose(&fleet, 4).unwrap().standby;
    assert_eq!(standby, Some(seat(2, 0)));
    // Beside relay 3, which is left with relay 1 lost: away from relay 3's site.
    let (one, three) = (RelayId(1), RelayId(3));
    assert_eq!(another(&fleet, &[one, three], &[three], 1), Some(seat(2, 0)));
    assert_eq!(another(&fleet, &[one, RelayId(2), three], &[three], 1), Some(seat(4, 0)));
    assert_eq!(another(&fleet, &[one, RelayId(2), three], &[three], 2), None);
}

#[test]
fn a_nearer_site_comes_first_until_it_could_carry_no_more() {
    let far = |detour, shard| Candidate { detour, ..shard };
    let fleet =
        [far(2, shard(1, 0, 0, 10)), far(0, shard(2, 0, 7, 10)), far(1, shard(3, 0, 9, 10))];
    let placement = choose(&fleet, 1).unwrap();
    assert_eq!(placement, Placement { primary: seat(2, 0), standby: Some(seat(3, 0)) });
    // Full ones take nothing, however near they are.
    assert_eq!(choose(&fleet, 4).map(|it| it.primary), Some(seat(1, 0)));
    // And one that could not do what it stands by for comes last.
    let tight = Candidate { packets_per_s: SHARD_PACKETS_PER_S_MAX, ..fleet[1] };
    assert_eq!(choose(&[fleet[0], tight], 1).map(|it| it.primary), Some(seat(1, 0)));
    // Among equally near ones load decides.
    let fleet =
        [far(1, shard(1, 0, 5, 10)), far(1, shard(2, 0, 4, 10)), far(1, shard(3, 0, 6, 10))];
    let placement = choose(&fleet, 1).unwrap();
    assert_eq!(placement, Placement { primary: seat(2, 0), standby: Some(seat(1, 0)) });
}

#[test]
fn no_relay_is_filled_beyond_what_it_must_take_over() {
    let mut fleet: Vec<_> = (1..=3).map(|relay| shard(relay, 0, 0, 20)).collect();
    let mut calls = Vec::new();
    while let Some(placement) = choose(&fleet, 2) {
        let seats = [Some(placement.primary), placement.standby];
        for seat in seats.into_iter().flatten() {
            let shard = fleet.iter_mut().find(|shard| shard.relay == seat.relay).unwrap();
            shard.legs += 2;
        }
        calls.push(placement);
    }
    // Whichever dies, every other has room for all that it carries then.
    for lost in fleet.iter().map(|shard| shard.relay) {
        for shard in fleet.iter().filter(|shard| shard.relay != lost) {
            let carries = |call: &&Placement| match call.standby {
                Some(standby) if call.primary.relay == lost => standby.relay == shard.relay,
                _ => call.primary.relay == shard.relay,
            };
            let legs = 2 * calls.iter().filter(carries).count();
            assert!(legs <= shard.legs_max as usize, "{legs} legs at {:?}", shard.relay);
        }
    }
    assert!(calls.len() >= 14, "{} calls", calls.len());
}

#[test]
fn a_few_heavy_calls_fill_a_shard_as_many_legs_do() {
    // Two screens of 40,000 packets/s against five hundred quiet legs, and nothing at all.
    let fleet = [busy(1, 0, 4, 80_000), busy(2, 0, 500, 20_000)];
    assert_eq!(choose(&fleet, 2).unwrap().primary, seat(2, 0));
    let idle = [fleet[0], fleet[1], busy(3, 0, 0, 0)];
    let placement = choose(&idle, 2).unwrap();
    assert_eq!(placement, Placement { primary: seat(3, 0), standby: Some(seat(2, 0)) });
    // The rate of one call in a fleet that is all but idle does not make a shard full.
    let quiet = [busy(1, 0, 2, 100), busy(2, 0, 1_000, 0)];
    assert_eq!(choose(&quiet, 2).unwrap().primary, seat(1, 0));
}

#[test]
fn calls_that_are_placed_one_after_another_spread_over_shards_and_relays() {
    let mut fleet: Vec<_> =
        [(1, 0), (1, 1), (2, 0), (2, 1)].map(|(relay, nth)| busy(relay, nth, 0, 0)).to_vec();
    for _ in 0..100 {
        let placement = choose(&fleet, 2).unwrap();
        for seat in [Some(placement.primary), placement.standby].into_iter().flatten() {
            let taken = |c: &&mut Candidate| (c.relay, c.shard) == (seat.relay, seat.shard);
            let shard = fleet.iter_mut().find(taken).unwrap();
            shard.legs += 2;
            shard.packets_per_s += 2 * crate::capacity::LEG_PACKETS_PER_S;
        }
    }
    assert!(fleet.iter().all(|shard| shard.legs == 100), "{fleet:?}");
}

#[test]
fn a_busy_core_is_avoided_and_a_full_one_takes_nothing() {
    let core = |relay, cpu_permille, packets_per_s| Candidate {
        cpu_permille,
        ..busy(relay, 0, 10, packets_per_s)
    };
    // Packets are dearer on a slower machine: the time they take tells, not their number.
    let fleet = [core(1, 400, 40_000), core(2, 100, 45_000), core(3, 300, 1_000)];
    let placement = choose(&fleet, 2).unwrap();
    assert_eq!(placement, Placement { primary: seat(2, 0), standby: Some(seat(3, 0)) });
    let full = [core(1, SHARD_FULL_PERMILLE, 9), core(2, SHARD_FULL_PERMILLE - 1, 9)];
    let alone = Placement { primary: seat(2, 0), standby: None };
    assert_eq!(choose(&full, 2), Some(alone));
    assert_eq!(choose(&full[..1], 2), None);
    assert_eq!(another(&full, &[RelayId(2)], &[RelayId(2)], 2), None);
}

#[test]
fn what_a_shard_may_have_to_take_over_is_kept_free() {
    let core = |relay, cpu_permille, reserve_per_s| Candidate {
        cpu_permille,
        reserve_per_s,
        ..busy(relay, 0, 10, 100_000)
    };
    // Relay 1 does the least, but could not take over what it stands by for.
    let fleet = [core(1, 300, 200_000), core(2, 500, 20_000), core(3, 350, 100_000)];
    let placement = choose(&fleet, 2).unwrap();
    assert_eq!(placement, Placement { primary: seat(3, 0), standby: Some(seat(2, 0)) });
    // Where nobody could, it is better than nothing.
    assert_eq!(choose(&fleet[..1], 2).unwrap().primary, seat(1, 0));
    // Cores with little to do: what a core can do at least is what counts.
    let idle = [core(1, 10, 350_000), core(2, 20, 0)];
    assert_eq!(choose(&idle, 2).unwrap().primary, seat(2, 0));
}

#[test]
fn a_relay_that_is_added_under_load_gets_the_new_calls() {
    let mut fleet = vec![busy(1, 0, 400, 40_000), busy(2, 0, 400, 38_000)];
    fleet.push(busy(3, 0, 0, 0));
    for _ in 0..50 {
        let placement = choose(&fleet, 2).unwrap();
        assert_eq!(placement.primary, seat(3, 0));
        let new = &mut fleet[2];
        (new.legs, new.packets_per_s) = (new.legs + 2, new.packets_per_s + 200);
    }
}

prop_compose! {
    fn fleet()(list in prop::collection::vec(
        (
            (0_u32..4, 0_u32..20, 0_u32..20),
            prop_oneof![Just(0), 0_u32..200_000, any::<u32>()],
            prop_oneof![Just(0), 0_u32..1_001],
            prop_oneof![Just(0), 0_u32..900_000, any::<u32>()],
        ),
        0..12,
    )) -> Vec<Candidate> {
        let shards = (0_u16..).zip(list);
        shards.map(|(i, ((relay, legs, max), packets_per_s, cpu_permille, reserve_per_s))| {
            let shard = shard(relay, i, legs, max);
            Candidate { packets_per_s, cpu_permille, reserve_per_s, ..shard }
        }).collect()
    }
}

proptest! {
    #[test]
    fn room_is_kept_and_relays_differ(fleet in fleet(), legs in 1_u32..5) {
        let seat_of = |seat: Seat| {
            *fleet.iter().find(|c| c.relay == seat.relay && c.shard == seat.shard).unwrap()
        };
        match choose(&fleet, legs) {
            None => prop_assert!(fleet.iter().all(|shard| !shard.has_room(legs))),
            Some(placement) => {
                prop_assert!(seat_of(placement.primary).has_room(legs));
                let other = |c: &&Candidate| {
                    c.relay != placement.primary.relay && c.has_room(legs)
                };
                prop_assert_eq!(placement.standby.is_some(), fleet.iter().any(|c| other(&c)));
                if let Some(standby) = placement.standby {
                    prop_assert_ne!(standby.relay, placement.primary.relay);
                    prop_assert!(seat_of(standby).has_room(legs));
                }
            }
        }
    }

    #[test]
    fn nothing_less_loaded_is_passed_over_and_order_does_not_matter(
        (fleet, shuffled) in fleet()
            .prop_flat_map(|fleet| (Just(fleet.clone()), Just(fleet).prop_shuffle())),
        legs in 1_u32..5,
    ) {
        let placement = choose(&fleet, legs);
        prop_assert_eq!(choose(&shuffled, legs), placement);
        let load_of = |c: &Candidate| Used::default().and(c, busiest(&fleet)).load();
        let Some(Placement { primary, standby }) = placement else { return Ok(()) };
        let roomy = || fleet.iter().filter(|shard| shard.has_room(legs));
        let seen: [fn(&Candidate) -> Candidate; 2] = [Candidate::clone, with_reserve];
        let seats = [(Some(primary), None), (standby, Some(primary.relay))];
        for ((chosen, except), seen) in seats.into_iter().zip(seen) {
            let others = || roomy().filter(|shard| Some(shard.relay) != except);
            let Some(chosen) = others().find(|c| Some(c.seat()) == chosen) else { continue };
            // Who keeps its reserve comes first, among those the least loaded.
            let key = |c: &Candidate| (is_tight(c), load_of(&seen(c)));
            prop_assert!(others().all(|c| key(chosen) <= key(c)));
        }
    }

    #[test]
    fn a_busier_core_never_attracts_calls(
        fleet in fleet(), legs in 1_u32..5, cpu in 0_u32..200, reserve in any::<u32>(),
    ) {
        let Some(before) = choose(&fleet, legs) else { return Ok(()) };
        let measured = |c: &Candidate| c.cpu_permille >= SHARD_BUSY_PERMILLE;
        for (nth, shard) in fleet.iter().enumerate().filter(|(_, shard)| measured(shard)) {
            if shard.relay == before.primary.relay {
                continue;
            }
            let mut busier = fleet.clone();
            busier[nth].cpu_permille += cpu;
            busier[nth].reserve_per_s = shard.reserve_per_s.saturating_add(reserve);
            prop_assert_ne!(choose(&busier, legs).unwrap().primary, shard.seat());
        }
    }
}
