//! Which core gets which shard.

use rustix::thread::{CpuSet, sched_getaffinity};
use std::io;

/// The core of each of `shards` shards. `wanted` are the operator's cores; without any, all that
/// this process may use, the last first: the first cores of a machine serve most interrupts, and
/// the link to control runs wherever there is room. Relay number `relay` begins so many cores
/// further on, so that several relays on one machine do not all choose the same. More shards than
/// cores share.
///
/// # Errors
/// The kernel's, if it does not say which cores this process may use; or the first wanted core
/// that it may not.
pub fn place(shards: u16, relay: u32, wanted: &[usize]) -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let allowed: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
    distribute(shards, relay, wanted, &allowed)
}

/// The same where this process may use the `allowed` cores.
///
/// # Errors
/// There is none, or not the one that is wanted.
pub fn distribute(
    shards: u16,
    relay: u32,
    wanted: &[usize],
    allowed: &[usize],
) -> io::Result<Vec<usize>> {
    if let Some(core) = wanted.iter().find(|core| !allowed.contains(core)) {
        return Err(io::Error::other(format!(
            "`cores` names core {core}, but this process may use only {allowed:?}"
        )));
    }
    if allowed.is_empty() {
        return Err(io::Error::other("this process may use no core at all"));
    }
    let cores: Vec<_> = match wanted {
        [] => {
            let begin = usize::try_from(relay.saturating_sub(1)).unwrap_or(0) % allowed.len();
            let last_first = allowed.iter().rev().cycle().skip(begin);
            last_first.take(allowed.len()).copied().collect()
        }
        wanted => wanted.to_vec(),
    };
    Ok(cores.iter().cycle().take(usize::from(shards)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_spread_and_then_share() {
        assert_eq!(distribute(2, 1, &[], &[0, 1, 2, 3]).unwrap(), [3, 2]);
        assert_eq!(distribute(5, 1, &[], &[0, 1]).unwrap(), [1, 0, 1, 0, 1]);
        assert_eq!(distribute(3, 2, &[5, 4], &[4, 5, 6]).unwrap(), [5, 4, 5]);
    }

    #[test]
    fn relays_of_one_machine_begin_at_different_cores() {
        let first = |relay| distribute(1, relay, &[], &[0, 1, 2]).unwrap()[0];
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(first), [2, 2, 1, 0, 2, 0]);
    }

    #[test]
    fn a_core_out_of_reach_is_named() {
        let text = distribute(1, 1, &[9], &[0, 1]).unwrap_err().to_string();
        assert!(text.contains("core 9") && text.contains("[0, 1]"), "{text}");
        assert!(distribute(1, 1, &[], &[]).is_err());
    }

    #[test]
    fn this_machine_has_a_core() {
        assert_eq!(place(3, 1, &[]).unwrap().len(), 3);
    }
}
