//! What legs say to each other about their media: reports go to everyone, a request goes to the leg
//! whose stream it is about, and requests that the relay can meet go no further.
//!
//! - **Generic NACK** (RFC 4585 6.2.1): answered out of the cache of forwarded packets. Repetitions
//!   spend the asker's own rate. What is not there is asked of the sender. The first request of a
//!   call has its packets kept: where nothing is lost, keeping them would be in vain.
//! - **PLI and FIR**: one for each stream in [`KEY_FRAME_PAUSE_MS`](crate::capacity), whoever asks;
//!   a key frame that was asked for a moment ago is on its way.
//! - **Congestion feedback** (RFC 8888): to the senders it is about.
//!
//! To the pass lane a datagram goes as it came, or not at all; to the seal lane it is sealed anew,
//! in that leg's numbers.

use super::authenticate::Authentic;
use super::batch::Outgoing;
use super::verdict::{Dropped, PathCounters, Verdict};
use super::{repair, route, seal};
use crate::legs::{LegTable, Members, Slot};
use crate::tick::Tick;
use kakehashi_srtp::{RTCP_OVERHEAD_BYTES, seal_rtcp_at};
use kakehashi_wire::rtcp::{RtcpPacket, RtcpView};
use kakehashi_wire::rtcp_renumber::{Elsewhere, renumber};
use kakehashi_wire::rtp::Ssrc;

/// Whom a datagram concerns, and what of it the relay has met itself.
#[derive(Default)]
struct Concern {
    targets: Members,
    met: Option<Verdict>,
}

/// Sends an authentic SRTCP packet, whose plain text of `plain_bytes` is in the work space, to
/// those it concerns.
pub(super) fn handle(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    plain_bytes: usize,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> Result<Verdict, Dropped> {
    let concern = read(legs, packet, plain_bytes, now, counters, out)?;
    if concern.targets.is_empty() {
        return concern.met.ok_or(Dropped(Verdict::NoReceiver));
    }
    let sealed = concern.targets.and(legs.sealed(packet.leg));
    let passed = concern.targets.without(sealed);
    let hops = route::pass(legs, packet, passed, now, counters, out)
        + seal_each(legs, packet, plain_bytes, sealed, now, counters, out);
    match (hops, concern.met) {
        (0, None) => Err(Dropped(Verdict::NoReceiver)),
        (0, Some(met)) => Ok(met),
        _ => Ok(Verdict::Forwarded),
    }
}

/// Reads the plain text and meets what it asks of the relay.
fn read(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    plain_bytes: usize,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> Result<Concern, Dropped> {
    let (mut concern, mut requests) = (Concern::default(), repair::Requests::default());
    let plain = out.work().get(..plain_bytes).ok_or(Dropped(Verdict::RtcpMalformed))?;
    let view = RtcpView::parse(plain).map_err(|_| Dropped(Verdict::RtcpMalformed))?;
    for part in view.packets() {
        match part {
            RtcpPacket::Nack(nack) => requests.add(nack.media, nack.sequences()),
            RtcpPacket::PictureLoss { media, .. } => concern.key_frame(legs, packet, media, now),
            RtcpPacket::FullIntra(intra) => {
                for request in intra.requests() {
                    concern.key_frame(legs, packet, request.media, now);
                }
            }
            RtcpPacket::Congestion(congestion) => {
                for block in congestion.blocks() {
                    concern.about(legs, packet.leg, block.media);
                }
            }
            _ => concern.targets = concern.targets.or(legs.other_members(packet.leg)),
        }
    }
    if !requests.is_empty() {
        legs.start_keeping(packet.leg);
    }
    for media in requests.media() {
        if repair::meet(legs, packet, media, &requests, now, counters, out) {
            concern.met = concern.met.or(Some(Verdict::Repaired));
        } else {
            concern.about(legs, packet.leg, media);
        }
    }
    Ok(concern)
}

impl Concern {
    /// The leg whose stream this is about has to hear of it.
    fn about(&mut self, legs: &LegTable, from: Slot, media: Ssrc) {
        if let Some((sender, _)) = legs.heard(from, media) {
            self.targets = self.targets.or(legs.membership(sender));
        }
    }

    /// Someone needs a key frame of a stream.
    fn key_frame(&mut self, legs: &mut LegTable, packet: &Authentic<'_>, media: Ssrc, now: Tick) {
        let Some((sender, stream)) = legs.heard(packet.leg, media) else { return };
        if legs.may_ask_for_key_frame(sender, stream, now) {
            self.targets = self.targets.or(legs.membership(sender));
        } else {
            self.met = self.met.or(Some(Verdict::KeyFrameAsked));
        }
    }
}

/// A copy in each receiver's own numbers, sealed for it.
fn seal_each(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    plain_bytes: usize,
    receivers: Members,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> u64 {
    let mut hops = 0;
    for position in receivers {
        let Some(receiver) = legs.member(packet.leg, position) else { continue };
        let Some(address) = legs.leg(receiver).and_then(|leg| seal::reachable(leg, now)) else {
            continue;
        };
        let Some(copy) = out.copy_of_work(plain_bytes, RTCP_OVERHEAD_BYTES) else { continue };
        let renumbered =
            renumber(&mut copy[..plain_bytes], |ssrc| elsewhere(legs, packet.leg, receiver, ssrc));
        let downlink = legs.leg_mut(receiver).and_then(|leg| leg.downlink_mut());
        let Some(downlink) = downlink.filter(|_| renumbered) else { continue };
        let Some(index) = downlink.next_rtcp() else { continue };
        let Ok(bytes) = seal_rtcp_at(downlink.keys(), index, copy, plain_bytes) else {
            counters.count_not_sealed();
            continue;
        };
        let place = out.written(bytes);
        if out.alone(place).is_some_and(|train| out.hop(train, address)) {
            counters.count_hops(bytes, 1);
            hops += 1;
        }
    }
    hops
}

/// What `from` calls `ssrc`, as `to` knows it: first the stream's own numbers, then those `to` is
/// shown. A stream of `to` itself keeps its own.
fn elsewhere(legs: &LegTable, from: Slot, to: Slot, ssrc: Ssrc) -> Option<Elsewhere> {
    let shown = |slot: Slot| legs.leg(slot).and_then(|leg| leg.downlink());
    let (source, back) = shown(from).and_then(|names| names.source_of(ssrc)).unwrap_or((ssrc, 0));
    let own = legs.find_stream(source).is_some_and(|(owner, _)| owner == to);
    let (ssrc, forth) = if own {
        (source, 0)
    } else {
        shown(to).and_then(|names| names.name_of(source)).unwrap_or((source, 0))
    };
    Some(Elsewhere { ssrc, shift: forth - back })
}
