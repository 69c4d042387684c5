//! Proves each addressed packet: replay window read, tag, replay window written, then the address
//! and the leg's rate.
//!
//! Input: packets whose leg is known. Output: [`Authentic`], the only type that goes further. The
//! replay window moves only after the tag verifies (RFC 3711 3.3.2); otherwise one forged packet
//! with a high sequence number would mute a terminal. The packet keeps its bytes.
//!
//! Plain text is made only where someone needs it: of SRTCP, which asks the relay for things, and
//! of SRTP that is sealed anew. It stays in the turn's work space until the next packet.

use super::batch::{Outgoing, Place};
use super::demux::{Addressed, Sequence};
use super::verdict::{Dropped, PathCounters, Verdict};
use crate::legs::streams::StreamIndex;
use crate::legs::{LegTable, Receivers, Slot};
use crate::tick::Tick;
use kakehashi_srtp::PacketIndex;
use kakehashi_wire::rtp::Ssrc;

/// A media packet that its leg has sent, that has not been seen before, and that is within the
/// leg's rate.
pub(super) struct Authentic<'a> {
    pub(super) leg: Slot,
    pub(super) stream: StreamIndex,
    pub(super) ssrc: Ssrc,
    pub(super) place: Place,
    pub(super) bytes: &'a [u8],
    pub(super) proof: Proof,
}

/// What was proven, and what of it is in the work space.
pub(super) enum Proof {
    /// An SRTP packet, and who receives it.
    Rtp {
        /// Its index.
        index: PacketIndex,
        /// Who receives its stream.
        receivers: Receivers,
        /// Bytes of plain text in the work space; none if nobody is in the seal lane.
        plain_bytes: usize,
    },
    /// An SRTCP packet, in plain text.
    Rtcp {
        /// Bytes of plain text in the work space.
        plain_bytes: usize,
    },
}

/// The only maker of [`Authentic`].
pub(super) fn authenticate<'a>(
    legs: &mut LegTable,
    packet: Addressed<'a>,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> Result<Authentic<'a>, Dropped> {
    let (slot, stream, bytes) = (packet.leg(), packet.stream(), packet.bytes());
    let proof = match packet.sequence() {
        Sequence::Rtp => {
            let receivers = legs.receivers(slot, stream);
            let (index, plain_bytes) = if receivers.seal.is_empty() {
                (legs.authenticate(slot, stream, bytes)?, 0)
            } else {
                let opened = legs.open(slot, stream, bytes, out.work())?;
                (opened.index, opened.bytes)
            };
            Proof::Rtp { index, receivers, plain_bytes }
        }
        Sequence::Rtcp => {
            let opened = legs.open_rtcp(slot, stream, bytes, out.work())?;
            Proof::Rtcp { plain_bytes: opened.bytes }
        }
    };
    let leg = legs.leg_mut(slot).ok_or(Dropped(Verdict::UnknownSsrc))?;
    if leg.latch_mut().on_media(packet.source()) {
        counters.count_latch();
    }
    let place = packet.place();
    if !leg.bucket_mut().spend(place.bytes, now) {
        return Err(Dropped(Verdict::OverRate));
    }
    Ok(Authentic { leg: slot, stream, ssrc: packet.ssrc(), place, bytes, proof })
}
