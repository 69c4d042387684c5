//! Chooses the shards a call lives on. Pure.
//!
//! All legs of a call share one shard per relay, so that no packet crosses cores. The standby
//! is on another relay; a fleet of one relay has none.

use kakehashi_wire::id::{RelayId, ShardIndex};

/// A shard that could take a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its relay.
    pub relay: RelayId,
    /// Which shard of it.
    pub shard: ShardIndex,
    /// Legs it holds or has been told to hold.
    pub legs: u32,
    /// Legs it can hold.
    pub legs_max: u32,
}

impl Candidate {
    /// Share of its room in use, in millionths.
    fn load(&self) -> u64 {
        u64::from(self.legs) * 1_000_000 / u64::from(self.legs_max.max(1))
    }

    fn has_room(&self, legs: u32) -> bool {
        self.legs.checked_add(legs).is_some_and(|sum| sum <= self.legs_max)
    }
}

/// A shard that was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// Chooses for a call of `legs` legs: the least loaded shard of the least loaded relay, and the
/// same among the other relays for the standby. `None` if no shard has room.
pub fn choose(candidates: &[Candidate], legs: u32) -> Option<Placement> {
    let primary = best(candidates, legs, None)?;
    let standby = best(candidates, legs, Some(primary.relay));
    Some(Placement { primary, standby })
}

fn best(candidates: &[Candidate], legs: u32, except: Option<RelayId>) -> Option<Seat> {
    candidates
        .iter()
        .filter(|shard| Some(shard.relay) != except && shard.has_room(legs))
        .min_by_key(|shard| {
            (relay_load(candidates, shard.relay), shard.relay, shard.load(), shard.shard)
        })
        .map(|shard| Seat { relay: shard.relay, shard: shard.shard })
}

fn relay_load(candidates: &[Candidate], relay: RelayId) -> u64 {
    let shards = candidates.iter().filter(|shard| shard.relay == relay);
    let (legs, room) = shards.fold((0, 0), |(legs, room), shard| {
        (legs + u64::from(shard.legs), room + u64::from(shard.legs_max))
    });
    legs * 1_000_000 / room.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shard(relay: u32, shard: u16, legs: u32, legs_max: u32) -> Candidate {
        Candidate { relay: RelayId(relay), shard: ShardIndex(shard), legs, legs_max }
    }

    #[test]
    fn the_least_loaded_shard_of_the_least_loaded_relay_is_primary() {
        let fleet =
            [shard(1, 0, 8, 10), shard(1, 1, 0, 10), shard(2, 0, 3, 10), shard(2, 1, 2, 10)];
        let placement = choose(&fleet, 2).unwrap();
        assert_eq!(placement.primary, Seat { relay: RelayId(2), shard: ShardIndex(1) });
        assert_eq!(placement.standby, Some(Seat { relay: RelayId(1), shard: ShardIndex(1) }));
        assert_eq!(choose(&[], 2), None);
        assert_eq!(choose(&fleet[..1], 3), None);
        assert_eq!(choose(&fleet[..1], 2).unwrap().standby, None);
    }

    prop_compose! {
        fn fleet()(list in prop::collection::vec((0_u32..4, 0_u32..20, 0_u32..20), 0..12))
            -> Vec<Candidate>
        {
            (0_u16..).zip(list).map(|(i, (relay, legs, max))| shard(relay, i, legs, max)).collect()
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
    }
}
