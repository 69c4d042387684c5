//! The pure stages a packet passes, and the one function that is its journey.
//!
//! **Datagrams in, hops out, nothing before authentication leaves a trace** but a counter. No
//! clock, no allocation, no system call. The types of the stages make a skipped check a compile
//! error:
//!
//! ```text
//! Received -- demux --> Addressed -- authenticate --> Authentic -+-- pass --> Hop ...
//!         \\                                                      +-- seal --> Hop ...
//!          \\                                                     +-- feedback --> Hop ...
//!           \\-- stun ------------------------------------------------------> Hop
//! ```

mod authenticate;
pub mod batch;
mod demux;
mod feedback;
mod repair;
mod route;
mod seal;
mod stun;
pub mod verdict;

#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod fairness_tests;
#[cfg(test)]
mod forged_tests;
#[cfg(test)]
mod nonce_ledger_tests;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod roaming_tests;
#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod trains_tests;

use crate::capacity::FETCH_AHEAD;
use crate::legs::LegTable;
use crate::tick::Tick;
use authenticate::{Authentic, Proof};
use batch::{Outgoing, Received};
use demux::Claim;
use verdict::{Dropped, PathCounters, Verdict};

/// Takes packets of a batch to their verdicts until it ends or `out` has no room for another; gives
/// how many it took. Hops are added in the order of their packets; `random` is drawn from only for
/// the transactions of path challenges.
pub fn forward<'a>(
    legs: &mut LegTable,
    mut batch: impl Iterator<Item = Received<'a>>,
    now: Tick,
    random: &mut impl FnMut() -> u64,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> usize {
    let (mut taken, mut group, mut trail) = (0, [const { None }; FETCH_AHEAD], None);
    loop {
        group.fill_with(|| batch.next());
        fetch_ahead(legs, &group);
        for received in group.iter().map_while(Option::as_ref) {
            let verdict = match demux::claim(received) {
                Ok(Claim::Media(media)) => demux::address(legs, *received, media, now, &mut trail)
                    .and_then(|packet| authenticate::authenticate(legs, packet, now, counters, out))
                    .and_then(|packet| send_on(legs, &packet, now, counters, out)),
                Ok(Claim::Stun(message)) => {
                    trail = None;
                    stun::meet(legs, received, &message, now, random, out)
                }
                Err(verdict) => Err(verdict),
            };
            counters.count(received.bytes.len(), verdict.unwrap_or_else(Verdict::from));
            taken += 1;
            if !out.has_room() {
                return taken;
            }
        }
        if group.iter().any(Option::is_none) {
            return taken;
        }
    }
}

/// Fetches the memory that packets will need, in the order in which one thing leads to the next:
/// the index, the leg, its call, its receivers. All of a group wait for memory together instead of
/// one after the other.
fn fetch_ahead(legs: &LegTable, group: &[Option<Received<'_>>]) {
    if legs.fits_cache() {
        return;
    }
    let ssrcs = || {
        let mut last = None;
        let glances = group.iter().flatten().filter_map(demux::glance);
        // Packets of a train come one behind the other and need the same memory.
        glances.filter(move |ssrc| last.replace(*ssrc) != Some(*ssrc))
    };
    ssrcs().for_each(|ssrc| legs.prefetch_stream(ssrc));
    let mut found = [None; FETCH_AHEAD];
    for (found, ssrc) in found.iter_mut().zip(ssrcs()) {
        *found = legs.prefetch_leg(ssrc);
    }
    found.iter().flatten().for_each(|leg| legs.prefetch_call(*leg));
    found.iter().flatten().for_each(|leg| legs.prefetch_receivers(*leg));
}

/// An authentic packet goes to those it concerns.
fn send_on(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> Result<Verdict, Dropped> {
    let hops = match packet.proof {
        Proof::Rtp { index, receivers, plain_bytes } => {
            if receivers.keep {
                legs.keep(packet.leg, packet.stream, packet.ssrc, index, packet.bytes);
            }
            let passed = route::pass(legs, packet, receivers.pass, now, counters, out);
            let plain = (index, plain_bytes);
            passed + seal::seal(legs, packet, plain, receivers.seal, now, counters, out)
        }
        Proof::Rtcp { plain_bytes } => {
            return feedback::handle(legs, packet, plain_bytes, now, counters, out);
        }
    };
    if hops == 0 {
        return Err(Dropped(Verdict::NoReceiver));
    }
    if let Some(leg) = legs.leg_mut(packet.leg) {
        leg.note_sent(now);
    }
    Ok(Verdict::Forwarded)
}
