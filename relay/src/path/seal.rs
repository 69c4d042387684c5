//! Seals an authentic SRTP packet anew for each receiver in the seal lane: its key, its names, its
//! numbers (see [`Downlink`](crate::legs::downlink::Downlink)).

use super::authenticate::Authentic;
use super::batch::{Outgoing, TrainFlow};
use super::verdict::PathCounters;
use crate::legs::downlink::{Downlink, Rewritten};
use crate::legs::leg::Leg;
use crate::legs::{LegTable, Members, Slot};
use crate::tick::Tick;
use core::net::SocketAddr;
use kakehashi_srtp::{PacketIndex, RTP_OVERHEAD_BYTES, seal_rtp_at};
use kakehashi_wire::rtp;

/// The train of a stream that the relay sealed for one leg.
fn key(packet: &Authentic<'_>, receiver: Slot) -> TrainFlow {
    let sender = u64::from(packet.leg.number()) << 2 | u64::from(packet.stream.number());
    TrainFlow(1 << 63 | u64::from(receiver.number()) << 32 | sender & u64::from(u32::MAX))
}

/// A sealed copy for each receiver that has an address and whose time is not over. Gives how many
/// there are. The plain packet, `plain_bytes` long, is in the work space.
pub(super) fn seal(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    (index, plain_bytes): (PacketIndex, usize),
    receivers: Members,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> u64 {
    let mut sealed = 0;
    for position in receivers {
        let Some(receiver) = legs.member(packet.leg, position) else { continue };
        let Some(leg) = legs.leg_mut(receiver) else { continue };
        let Some(address) = reachable(leg, now) else { continue };
        let Some(downlink) = leg.downlink_mut() else { continue };
        let Some(became) = downlink.rewrite(packet.ssrc, index) else {
            counters.count_not_shown();
            continue;
        };
        let key = key(packet, receiver);
        if write(downlink, became, plain_bytes, Some(key), address, out) {
            counters.count_hops(plain_bytes + RTP_OVERHEAD_BYTES, 1);
            sealed += 1;
        } else {
            counters.count_not_sealed();
        }
    }
    sealed
}

/// Where a leg can be sent to.
pub(super) fn reachable(leg: &Leg, now: Tick) -> Option<SocketAddr> {
    leg.latch().address().filter(|_| !leg.has_ended(now))
}

/// Seals the plain packet in the work space as what it became, and sends it: in the train of `key`,
/// or by itself.
pub(super) fn write(
    downlink: &Downlink,
    became: Rewritten,
    plain_bytes: usize,
    key: Option<TrainFlow>,
    address: SocketAddr,
    out: &mut Outgoing,
) -> bool {
    let Some(space) = out.copy_of_work(plain_bytes, RTP_OVERHEAD_BYTES) else { return false };
    if !rtp::renumber(space, became.ssrc, became.index.sequence()) {
        return false;
    }
    let Ok(bytes) = seal_rtp_at(downlink.keys(), became.index, space, plain_bytes) else {
        return false;
    };
    let place = out.written(bytes);
    if let Some(key) = key {
        return out.join(key, place).is_some()
            || out.begin(key, place).is_some_and(|train| out.hop(train, address));
    }
    out.alone(place).is_some_and(|train| out.hop(train, address))
}
