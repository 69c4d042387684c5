//! Sends an authentic packet to those it is for: the same bytes, a hop for each. SRTP leaves in the
//! train of its stream; SRTCP by itself, since each packet may be for others.

use super::authenticate::{Authentic, Proof};
use super::batch::{Outgoing, TrainFlow};
use super::verdict::PathCounters;
use crate::legs::{LegTable, Members};
use crate::tick::Tick;

/// The train of a stream that its own sender sealed; `None` for what leaves by itself.
fn key(packet: &Authentic<'_>) -> Option<TrainFlow> {
    let stream = u64::from(packet.leg.number()) << 2 | u64::from(packet.stream.number());
    matches!(packet.proof, Proof::Rtp { .. }).then_some(TrainFlow(stream))
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
    if let Some(hops) = key.and_then(|key| out.join(key, packet.place)) {
        counters.count_hops(bytes, u64::from(hops));
        return u64::from(hops);
    }
    let legs_of = receivers.filter_map(|position| legs.leg(legs.member(packet.leg, position)?));
    let living = legs_of.filter(|leg| !leg.has_ended(now));
    let mut places = living.filter_map(|leg| leg.latch().address()).peekable();
    if places.peek().is_none() {
        return 0;
    }
    let train = match key {
        Some(key) => out.begin(key, packet.place),
        None => out.alone(packet.place),
    };
    let Some(train) = train else { return 0 };
    let hops = places.map(|place| u64::from(out.hop(train, place))).sum();
    counters.count_hops(bytes, hops);
    hops
}
