//! What shards would have to carry if others were lost. Pure.

use super::{Candidate, Seat};
use kakehashi_wire::id::RelayId;
use std::collections::BTreeMap;

/// Which relays carry how many legs, and where those would go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standbys {
    carried: BTreeMap<RelayId, u32>,
    /// Legs of the calls that a relay carries, by the shard that stands by for them.
    legs: BTreeMap<(RelayId, Seat), u32>,
}

impl Standbys {
    /// A call of `legs` legs is carried by one relay, and these stand by for it.
    pub fn note(&mut self, carries: RelayId, standbys: impl Iterator<Item = Seat>, legs: u32) {
        let add = |at: &mut u32| *at = at.saturating_add(legs);
        add(self.carried.entry(carries).or_default());
        for seat in standbys {
            add(self.legs.entry((carries, seat)).or_default());
        }
    }

    /// Says of each candidate what would come to it with the loss of one site, or of one relay of
    /// its own site: the worst of them. A leg brings what legs of the relay that carries it cost on
    /// average; `rate` has the packets a second of relays, `site` where they are.
    pub(crate) fn reserve(
        &self,
        candidates: &mut [Candidate],
        rate: impl Fn(RelayId) -> u32,
        site: impl Fn(RelayId) -> RelayId,
    ) {
        for shard in candidates {
            let mut lost = BTreeMap::<(bool, RelayId), u64>::new();
            for ((carries, _), legs) in self.legs.iter().filter(|((_, at), _)| *at == shard.seat())
            {
                let carried = self.carried.get(carries).copied().unwrap_or(0).max(1);
                let brings = u64::from(rate(*carries)) * u64::from(*legs) / u64::from(carried);
                let beside = site(*carries) == shard.site;
                // What is at its own site is lost one by one, or with itself.
                let with = if beside { *carries } else { site(*carries) };
                *lost.entry((beside, with)).or_default() += brings;
            }
            let worst = lost.into_values().max().unwrap_or(0);
            shard.reserve_per_s = u32::try_from(worst).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::ShardIndex;

    fn seat(relay: u32) -> Seat {
        Seat { relay: RelayId(relay), shard: ShardIndex(0) }
    }

    /// What relay 1 would have to carry more, with relays 1 and 2 at one site, 3 and 4 at another.
    fn reserve(standbys: &Standbys) -> u32 {
        let mut candidates = [Candidate {
            relay: RelayId(1),
            site: RelayId(1),
            shard: ShardIndex(0),
            legs: 0,
            legs_max: 1_000,
            packets_per_s: 0,
            cpu_permille: 0,
            reserve_per_s: 99,
            detour: 0,
        }];
        let site = |relay: RelayId| RelayId(if relay.0 <= 2 { 1 } else { 3 });
        standbys.reserve(&mut candidates, |relay| relay.0 * 1_000, site);
        candidates[0].reserve_per_s
    }

    #[test]
    fn a_leg_brings_what_legs_cost_where_it_is() {
        assert_eq!(reserve(&Standbys::default()), 0);
        let mut standbys = Standbys::default();
        standbys.note(RelayId(3), [seat(1)].into_iter(), 2);
        standbys.note(RelayId(3), [seat(2)].into_iter(), 6);
        standbys.note(RelayId(3), [].into_iter(), 2);
        assert_eq!(reserve(&standbys), 600, "two of ten legs, which move 3,000 packets");
    }

    #[test]
    fn sites_are_lost_whole_and_relays_beside_one_by_one() {
        let mut standbys = Standbys::default();
        for carries in [2, 3, 4] {
            standbys.note(RelayId(carries), [seat(1)].into_iter(), 1);
        }
        assert_eq!(reserve(&standbys), 7_000, "of relays 3 and 4");
        let mut beside = Standbys::default();
        for carries in [1, 2] {
            beside.note(RelayId(carries), [seat(1)].into_iter(), 1);
        }
        assert_eq!(reserve(&beside), 2_000, "of one of them");
    }
}
