//! Chooses the shards a call lives on. Pure.
//!
//! All legs of a call share one shard per relay, so that no packet crosses cores. The standby
//! is on another relay, at another site if one there has room; a fleet of one relay has none.
//!
//! A shard is as loaded as the fullest of three shares, since each runs out by itself (`load.rs`):
//! - of its room: `legs / legs_max`;
//! - of its core: the processor time that its thread uses;
//! - of its packets: `packets_per_s / max(busiest shard's packets_per_s, SHARD_PACKETS_PER_S)`.
//!   While all cores have little to do, it is this that tells them apart; when one has more, they
//!   are set against `SHARD_PACKETS_PER_S_MAX` instead, and processor time tells.
//!
//! Where terminals have measured how far sites are ([`Nearness`]), one that is nearer comes before
//! one that is less loaded, as long as it could carry what it stands by for as well.
//!
//! **Fail-over fills no shard.** A standby holds all legs of its calls, so its room is never given
//! away twice. What they would cost it is known from the relays that carry them ([`Standbys`]): a
//! shard that could not do that as well comes last. One whose core is busy takes no call at all.

mod load;
mod near;
mod standbys;

pub use near::Nearness;
pub use standbys::Standbys;

use crate::capacity::SHARD_FULL_PERMILLE;
use kakehashi_wire::id::{RelayId, ShardIndex};
use load::{Used, busiest, is_tight, with_reserve};
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
    /// The share of its core that it uses, in thousandths.
    pub cpu_permille: u32,
    /// Packets a second that would come to it with the loss of one site, or of one relay of its
    /// own: the worst of them.
    pub reserve_per_s: u32,
    /// How much longer media of the call's members is under way over its site than over the nearest
    /// ([`Nearness::detour`]).
    pub detour: u32,
}

impl Candidate {
    fn has_room(&self, legs: u32) -> bool {
        let fits = self.legs.checked_add(legs).is_some_and(|sum| sum <= self.legs_max);
        fits && self.cpu_permille < SHARD_FULL_PERMILLE
    }

    fn seat(&self) -> Seat {
        Seat { relay: self.relay, shard: self.shard }
    }
}

/// A shard that was chosen.
#[derive(
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
)]
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

/// Chooses for a call of `legs` legs the least loaded shard of the nearest with a reserve; and of
/// the other relays, at other sites if one of them has room, the shard for the standby that would
/// be the least loaded if it carried all that it stands by for. Among equals that of the less
/// loaded relay, then the lower numbers. `None` if no shard has room.
pub fn choose(candidates: &[Candidate], legs: u32) -> Option<Placement> {
    let primary = best(candidates, Candidate::clone, (&[], &[]), legs)?;
    let beside = [primary.relay];
    let standby = best(candidates, with_reserve, (&beside, &beside), legs);
    Some(Placement { primary, standby })
}

/// Chooses for a call of `legs` legs, by the measure of a standby, a relay that is none of those it
/// `has`; if it can be, at none of the sites of those that `carry` it. `None` if no other has room.
pub fn another(
    candidates: &[Candidate],
    has: &[RelayId],
    carry: &[RelayId],
    legs: u32,
) -> Option<Seat> {
    best(candidates, with_reserve, (has, carry), legs)
}

/// The least loaded of the nearest as it is `seen`, on none of the relays of `except` and beside
/// none of `beside`.
fn best(
    candidates: &[Candidate],
    seen: fn(&Candidate) -> Candidate,
    (except, beside): (&[RelayId], &[RelayId]),
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
            let load = Used::default().and(&seen(shard), busiest).load();
            let apart = (sites.contains(&shard.site), is_tight(shard), shard.detour);
            (apart, load, relay, shard.seat())
        })
        .map(Candidate::seat)
}

#[cfg(test)]
mod tests;
