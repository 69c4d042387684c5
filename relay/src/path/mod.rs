//! The pure stages a packet passes, and the one function that is its journey.
//!
//! **Datagrams in, hops and answers out, nothing before authentication leaves a trace** but a
//! counter. No clock, no allocation, no system call. The types of the stages make a skipped check
//! a compile error:
//!
//! ```text
//! Received -- demux --> Addressed -- authenticate --> Authentic -- route --> Hop ...
//!         \-- stun ----------------------------------------------------> Answer
//! ```

mod authenticate;
pub mod batch;
mod demux;
mod route;
mod stun;
pub mod verdict;

#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod forged_tests;
#[cfg(test)]
mod roaming_tests;
use crate::legs::LegTable;
use crate::tick::Tick;
use batch::{Outgoing, Received};
use demux::Claim;
use verdict::{PathCounters, Verdict};

/// Takes each packet of a batch to its verdict. Hops and answers are added to `out` in the order
/// of their packets; `random` is drawn from only for the transactions of path challenges.
pub fn forward<'a>(
    legs: &mut LegTable,
    batch: impl Iterator<Item = Received<'a>>,
    now: Tick,
    random: &mut impl FnMut() -> u64,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) {
    for received in batch {
        let verdict = match demux::claim(&received) {
            Ok(Claim::Media(media)) => demux::address(legs, received, media, now)
                .and_then(|addressed| authenticate::authenticate(legs, addressed, counters))
                .and_then(|authentic| route::route(legs, authentic, now, counters, out)),
            Ok(Claim::Stun(message)) => stun::meet(legs, &received, &message, now, random, out),
            Err(verdict) => Err(verdict),
        };
        counters.count(received.bytes.len(), verdict.unwrap_or_else(Verdict::from));
    }
}
