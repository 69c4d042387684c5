//! Sends an authentic packet to every other leg of its call: the same bytes, one hop each.

use super::authenticate::Authentic;
use super::batch::{Hop, Outgoing};
use super::verdict::{Dropped, PathCounters, Verdict};
use crate::legs::LegTable;
use crate::tick::Tick;

/// One hop for each other leg of the call that has an address and whose time is not over.
pub(super) fn route(
    legs: &LegTable,
    packet: Authentic,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> Result<Verdict, Dropped> {
    let living = legs.others(packet.leg()).filter(|leg| !leg.has_ended(now));
    let (mut wanted, mut sent) = (0_usize, 0_usize);
    for destination in living.filter_map(|leg| leg.latch().address()) {
        let fits = out.hop(Hop { slot: packet.buffer(), destination });
        counters.count_hop(packet.bytes(), fits);
        wanted += 1;
        sent += usize::from(fits);
    }
    match (wanted, sent) {
        (0, _) => Err(Dropped(Verdict::NoReceiver)),
        (_, 0) => Err(Dropped(Verdict::NoRoom)),
        _ => Ok(Verdict::Forwarded),
    }
}
