//! Sends an authentic SRTP packet to those who receive its stream: the same bytes, in the train of
//! its stream, a hop for each.

use super::authenticate::{Authentic, Proof};
use super::batch::{Outgoing, TrainKey};
use super::verdict::PathCounters;
use crate::legs::{LegTable, Members};
use crate::tick::Tick;

/// The train of a stream that its own sender sealed.
fn key(packet: &Authentic<'_>) -> TrainKey {
    let control = u64::from(matches!(packet.proof, Proof::Rtcp { .. }));
    let stream = u64::from(packet.leg.number()) << 2 | u64::from(packet.stream.number());
    TrainKey(control << 62 | stream)
}

/// One hop for each receiver that has an address and whose time is not over, or a place in the
/// train that goes to them already. Gives how many there are.
pub(super) fn pass(
    legs: &LegTable,
    packet: &Authentic<'_>,
    receivers: Members,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> u64 {
    if receivers.is_empty() {
        return 0;
    }
    let (key, bytes) = (key(packet), packet.bytes.len());
    if let Some(hops) = out.join(key, packet.place) {
        counters.count_hops(bytes, u64::from(hops));
        return u64::from(hops);
    }
    let legs_of = receivers.filter_map(|position| legs.leg(legs.member(packet.leg, position)?));
    let living = legs_of.filter(|leg| !leg.has_ended(now));
    let mut places = living.filter_map(|leg| leg.latch().address()).peekable();
    if places.peek().is_none() {
        return 0;
    }
    let Some(train) = out.begin(key, packet.place) else { return 0 };
    let hops = places.map(|place| u64::from(out.hop(train, place))).sum();
    counters.count_hops(bytes, hops);
    hops
}
