//! How loaded a shard is, and how loaded it would be if it carried all that it stands by for.

use super::Candidate;
use crate::capacity::{
    SHARD_BUSY_PERMILLE, SHARD_LOAD_MAX_PERMILLE, SHARD_PACKETS_PER_S, SHARD_PACKETS_PER_S_MAX,
};

/// The packet rate that counts for a full shard. Where cores have something to do it is what they
/// tell that counts, and packets only when they are more than a core forwards.
pub(super) fn busiest(candidates: &[Candidate]) -> u32 {
    let is_busy = candidates.iter().any(|shard| shard.cpu_permille >= SHARD_BUSY_PERMILLE);
    let least = if is_busy { SHARD_PACKETS_PER_S_MAX } else { SHARD_PACKETS_PER_S };
    let rates = candidates.iter().map(|shard| shard.packets_per_s);
    rates.max().unwrap_or(0).max(least)
}

/// The shard as if it carried all that it stands by for. Packets cost what they cost it now, if it
/// has enough to do for that to be known.
pub(super) fn with_reserve(shard: &Candidate) -> Candidate {
    let packets = shard.packets_per_s.saturating_add(shard.reserve_per_s);
    let cpu = if is_measured(shard) { scaled(shard, packets) } else { shard.cpu_permille.into() };
    let cpu_permille = u32::try_from(cpu).unwrap_or(u32::MAX);
    Candidate { packets_per_s: packets, cpu_permille, reserve_per_s: 0, ..*shard }
}

/// Whether the shard could not carry all that it stands by for, as far as that is known.
pub(super) fn is_tight(shard: &Candidate) -> bool {
    let packets = shard.packets_per_s.saturating_add(shard.reserve_per_s);
    let share = if is_measured(shard) {
        scaled(shard, packets)
    } else {
        u64::from(packets) * 1_000 / u64::from(SHARD_PACKETS_PER_S_MAX)
    };
    share > SHARD_LOAD_MAX_PERMILLE.into()
}

/// Whether its processor time tells what its packets cost.
fn is_measured(shard: &Candidate) -> bool {
    shard.cpu_permille >= SHARD_BUSY_PERMILLE && shard.packets_per_s > 0
}

/// The share of its core that so many packets would take, in thousandths.
fn scaled(shard: &Candidate, packets: u32) -> u64 {
    u64::from(shard.cpu_permille) * u64::from(packets) / u64::from(shard.packets_per_s.max(1))
}

/// What some shards have, and how much of it is in use.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    legs: u64,
    legs_max: u64,
    packets_per_s: u64,
    packets_per_s_max: u64,
    cpu_permille: u64,
    cpu_permille_max: u64,
}

impl Used {
    /// With one more shard.
    pub(super) fn and(self, shard: &Candidate, busiest: u32) -> Self {
        Self {
            legs: self.legs + u64::from(shard.legs),
            legs_max: self.legs_max + u64::from(shard.legs_max),
            packets_per_s: self.packets_per_s + u64::from(shard.packets_per_s),
            packets_per_s_max: self.packets_per_s_max + u64::from(busiest),
            cpu_permille: self.cpu_permille + u64::from(shard.cpu_permille),
            cpu_permille_max: self.cpu_permille_max + 1_000,
        }
    }

    /// The fullest of its shares, in millionths.
    pub(super) fn load(&self) -> u64 {
        let share = |used: u64, of: u64| used.saturating_mul(1_000_000) / of.max(1);
        let cpu = share(self.cpu_permille, self.cpu_permille_max);
        let packets = share(self.packets_per_s, self.packets_per_s_max);
        share(self.legs, self.legs_max).max(packets).max(cpu)
    }
}
