//! Chooses the shards a call lives on. Pure.
//!
//! All legs of a call share one shard per relay, so that no packet crosses cores. The standby
//! is on another relay, at another site if one there has room; a fleet of one relay has none.
//!
//! A standby holds all legs of its calls, so what a relay may have to take over counts as what it
//! has: its room is never given away twice, and fail-over fills no relay.
//!
//! A shard is as loaded as the fuller of two shares, since either runs out by itself:
//! - of its room: `legs / legs_max`;
//! - of its time: `packets_per_s / max(busiest shard's packets_per_s, SHARD_PACKETS_PER_S)`. What a
//!   core can do is not known, but the busiest does it.

use crate::capacity::SHARD_PACKETS_PER_S;
use kakehashi_wire::id::{RelayId, ShardIndex};
use std::collections::BTreeMap;

/// A shard that could take a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its relay.
    pub relay: RelayId,
    /// The relay's site, by the first relay that is there.
    pub site: RelayId,
    /// Which shard of it.
    pub shard: ShardIndex,
    /// Legs it holds or has been told to hold.
    pub legs: u32,
    /// Legs it can hold.
    pub legs_max: u32,
    /// Packets it receives and sends in a second, or will when all its legs are there.
    pub packets_per_s: u32,
}

impl Candidate {
    fn has_room(&self, legs: u32) -> bool {
        self.legs.checked_add(legs).is_some_and(|sum| sum <= self.legs_max)
    }
}

/// A shard that was chosen.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Its relay.
    pub relay: RelayId,
    /// Which shard of it.
    pub shard: ShardIndex,
}

/// Where a call lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Carries the media.
    pub primary: Seat,
    /// Ready to take over, on another relay.
    pub standby: Option<Seat>,
}

/// Chooses for a call of `legs` legs the least loaded shard, and the least loaded of the other
/// relays for the standby, of those at other sites if one of them has room; among equals that of
/// the less loaded relay, then the lower numbers. `None` if no shard has room.
pub fn choose(candidates: &[Candidate], legs: u32) -> Option<Placement> {
    let primary = best(candidates, &[], &[], legs)?;
    let standby = best(candidates, &[primary.relay], &[primary.relay], legs);
    Some(Placement { primary, standby })
}

/// Chooses for a call of `legs` legs, by the same measure, a relay that is none of those it `has`;
/// if it can be, at none of the sites of those that `carry` it. `None` if no other has room.
pub fn another(
    candidates: &[Candidate],
    has: &[RelayId],
    carry: &[RelayId],
    legs: u32,
) -> Option<Seat> {
    best(candidates, has, carry, legs)
}

fn best(
    candidates: &[Candidate],
    except: &[RelayId],
    beside: &[RelayId],
    legs: u32,
) -> Option<Seat> {
    let of_beside = candidates.iter().filter(|shard| beside.contains(&shard.relay));
    let sites: Vec<_> = of_beside.map(|shard| shard.site).collect();
    let busiest = busiest(candidates);
    let mut together = BTreeMap::<RelayId, Used>::new();
    for shard in candidates {
        let relay = together.entry(shard.relay).or_default();
        *relay = relay.and(shard, busiest);
    }
    candidates
        .iter()
        .filter(|shard| !except.contains(&shard.relay) && shard.has_room(legs))
        .min_by_key(|shard| {
            let relay = together.get(&shard.relay).map(Used::load);
            let load = Used::default().and(shard, busiest).load();
            (sites.contains(&shard.site), load, relay, shard.relay, shard.shard)
        })
        .map(|shard| Seat { relay: shard.relay, shard: shard.shard })
}

/// The packet rate that counts for a full shard.
fn busiest(candidates: &[Candidate]) -> u32 {
    let rates = candidates.iter().map(|shard| shard.packets_per_s);
    rates.max().unwrap_or(0).max(SHARD_PACKETS_PER_S)
}

/// What some shards have, and how much of it is in use.
#[derive(Clone, Copy, Default)]
struct Used {
    legs: u64,
    legs_max: u64,
    packets_per_s: u64,
    packets_per_s_max: u64,
}

impl Used {
    /// With one more shard.
    fn and(self, shard: &Candidate, busiest: u32) -> Self {
        Self {
            legs: self.legs + u64::from(shard.legs),
            legs_max: self.legs_max + u64::from(shard.legs_max),
            packets_per_s: self.packets_per_s + u64::from(shard.packets_per_s),
            packets_per_s_max: self.packets_per_s_max + u64::from(busiest),
        }
    }

    /// The fuller of both shares, in millionths.
    fn load(&self) -> u64 {
        let share = |used: u64, of: u64| used.saturating_mul(1_000_000) / of.max(1);
        share(self.legs, self.legs_max).max(share(self.packets_per_s, self.packets_per_s_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shard(relay: u32, shard: u16, legs: u32, legs_max: u32) -> Candidate {
        let (relay, shard) = (RelayId(relay), ShardIndex(shard));
        Candidate { relay, site: relay, shard, legs, legs_max, packets_per_s: 0 }
    }

    fn busy(relay: u32, shard: u16, legs: u32, packets_per_s: u32) -> Candidate {
        Candidate { packets_per_s, ..self::shard(relay, shard, legs, 20_000) }
    }

    fn seat(relay: u32, shard: u16) -> Seat {
        Seat { relay: RelayId(relay), shard: ShardIndex(shard) }
    }

    #[test]
    fn the_least_loaded_shard_is_primary_and_the_next_relays_standby() {
        let fleet =
            [shard(1, 0, 8, 10), shard(1, 1, 0, 10), shard(2, 0, 3, 10), shard(2, 1, 2, 10)];
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

    prop_compose! {
        fn fleet()(list in prop::collection::vec(
            (0_u32..4, 0_u32..20, 0_u32..20, prop_oneof![Just(0), 0_u32..200_000, any::<u32>()]),
            0..12,
        )) -> Vec<Candidate> {
            let shards = (0_u16..).zip(list);
            shards.map(|(i, (relay, legs, max, packets_per_s))| {
                Candidate { packets_per_s, ..shard(relay, i, legs, max) }
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
            let seat = |c: &Candidate| Seat { relay: c.relay, shard: c.shard };
            let Some(Placement { primary, standby }) = placement else { return Ok(()) };
            let roomy = || fleet.iter().filter(|shard| shard.has_room(legs));
            for (chosen, except) in [(Some(primary), None), (standby, Some(primary.relay))] {
                let others = || roomy().filter(|shard| Some(shard.relay) != except);
                let Some(chosen) = others().find(|c| Some(seat(c)) == chosen) else { continue };
                prop_assert!(others().all(|shard| load_of(chosen) <= load_of(shard)));
                let idle = |c: &Candidate| c.packets_per_s == 0 && c.legs == 0;
                prop_assert!(!others().any(idle) || idle(chosen) || load_of(chosen) == 0);
            }
        }
    }
}
