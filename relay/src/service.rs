//! What a relay tells whoever runs it as a service: that its shards work.

use crate::capacity::SHARD_ANSWER_MS;
use crate::orders::report::Published;
use core::time::Duration;
use kakehashi_log::service;
use std::sync::Arc;
use tokio::time::Instant;

/// Says that the shards work, as long as each of them does. Never returns.
pub(crate) async fn guard(shards: &[Arc<Published>]) {
    let start = Instant::now();
    let mut pulse = Pulse::default();
    let mut was_well = true;
    service::guard(async || {
        let is_well = pulse.is_well(shards.iter().map(|shard| shard.beats()), start.elapsed());
        if was_well && !is_well {
            tracing::error!(
                event = "shard_stands_still",
                "a shard stands still: whoever runs the relay should start it again"
            );
        }
        was_well = is_well;
        is_well
    })
    .await;
}

/// Judges by how often each shard has published its figures whether all of them work: they do so
/// several times a second, also when there is nothing to do.
#[derive(Default)]
struct Pulse {
    /// How often, and when that was first seen.
    seen: Vec<(u64, Duration)>,
}

impl Pulse {
    fn is_well(&mut self, beats: impl IntoIterator<Item = u64>, now: Duration) -> bool {
        let mut is_well = true;
        for (shard, beats) in beats.into_iter().enumerate() {
            match self.seen.get_mut(shard) {
                Some((known, _)) if *known == beats => {}
                Some(seen) => *seen = (beats, now),
                None => self.seen.push((beats, now)),
            }
            let since = now.saturating_sub(self.seen[shard].1);
            is_well &= since <= Duration::from_millis(SHARD_ANSWER_MS);
        }
        is_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_shard_that_stands_still_is_enough() {
        let mut pulse = Pulse::default();
        for step in 0..20 {
            assert!(pulse.is_well([step, 7 * step], at(step * 300)));
        }
        let (beats, stopped) = (7 * 19, 19 * 300);
        for step in 20..26 {
            assert!(pulse.is_well([step, beats], at(step * 300)), "for a moment it may");
        }
        for step in 26..40 {
            let now = step * 300;
            let is_well = pulse.is_well([step, beats], at(now));
            assert_eq!(is_well, now - stopped <= SHARD_ANSWER_MS, "{now}");
        }
        assert!(pulse.is_well([40, beats + 1], at(12_000)), "it works again");
    }

    #[test]
    fn all_that_stand_still_are_no_better_than_one() {
        let mut pulse = Pulse::default();
        assert!(pulse.is_well([0, 0, 0], at(0)));
        assert!(!pulse.is_well([0, 0, 0], at(SHARD_ANSWER_MS + 1)));
    }
}
