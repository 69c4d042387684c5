//! What a datagram claims to be, and which leg it would be of.
//!
//! Input: anything. Output: [`Addressed`], a media packet whose leg and stream exist and which
//! comes from where that leg is. All of it costs two look-ups, before the first cryptographic
//! operation.

use super::batch::{Place, Received};
use super::verdict::{Dropped, Verdict};
use crate::capacity::DATAGRAM_BYTES_MAX;
use crate::legs::streams::StreamIndex;
use crate::legs::{LegTable, Slot};
use crate::tick::Tick;
use core::net::SocketAddr;
use kakehashi_srtp::{RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpView, Ssrc};
use kakehashi_wire::stun::{HEADER_BYTES, StunView};

/// Shortest SRTCP packet: common header, sender, tag and index word.
const RTCP_BYTES_MIN: usize = 8 + RTCP_OVERHEAD_BYTES;

/// Shortest SRTP packet: header and tag.
const RTP_BYTES_MIN: usize = FIXED_HEADER_BYTES + RTP_OVERHEAD_BYTES;

/// What a datagram claims to be.
pub(super) enum Claim<'a> {
    Media(Media),
    Stun(StunView<'a>),
}

/// Which of a stream's two packet sequences a packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sequence {
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
}

/// The stream a media packet claims to be of.
pub(super) struct Media {
    sequence: Sequence,
    ssrc: Ssrc,
}

/// A media packet of a known stream from an acceptable address. Not authentic yet.
pub(super) struct Addressed<'a> {
    leg: Slot,
    stream: StreamIndex,
    media: Media,
    received: Received<'a>,
}

impl<'a> Addressed<'a> {
    pub(super) fn leg(&self) -> Slot {
        self.leg
    }

    pub(super) fn stream(&self) -> StreamIndex {
        self.stream
    }

    pub(super) fn sequence(&self) -> Sequence {
        self.media.sequence
    }

    pub(super) fn ssrc(&self) -> Ssrc {
        self.media.ssrc
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.received.bytes
    }

    pub(super) fn place(&self) -> Place {
        self.received.place()
    }

    pub(super) fn source(&self) -> SocketAddr {
        self.received.source
    }
}

/// The SSRC a datagram would be looked up by if it is SRTP: only to fetch memory ahead.
pub(super) fn glance(received: &Received<'_>) -> Option<Ssrc> {
    let ssrc = received.bytes.get(8..12)?.first_chunk()?;
    Some(Ssrc(u32::from_be_bytes(*ssrc)))
}

/// Reads the claim; looks nothing up.
pub(super) fn claim<'a>(received: &Received<'a>) -> Result<Claim<'a>, Dropped> {
    let bytes = received.bytes;
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return Err(Dropped(Verdict::TooLong));
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Dropped(Verdict::TooShort));
    }
    match DatagramKind::of(bytes) {
        DatagramKind::Stun => Ok(Claim::Stun(StunView::parse(bytes)?)),
        DatagramKind::Rtp if bytes.len() < RTP_BYTES_MIN => Err(Dropped(Verdict::TooShort)),
        DatagramKind::Rtp => {
            let view = RtpView::parse(bytes).map_err(|_| Dropped(Verdict::RtpMalformed))?;
            Ok(Claim::Media(Media { sequence: Sequence::Rtp, ssrc: view.header().ssrc }))
        }
        DatagramKind::Rtcp if bytes.len() < RTCP_BYTES_MIN => Err(Dropped(Verdict::TooShort)),
        // RFC 3550 6.4: the sender's SSRC follows the common header.
        DatagramKind::Rtcp => {
            let ssrc = Ssrc(u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
            Ok(Claim::Media(Media { sequence: Sequence::Rtcp, ssrc }))
        }
        DatagramKind::Foreign => Err(Dropped(Verdict::ForeignDatagram)),
    }
}

/// What the last packet was found to be of. The next one needs no look-up if it claims the same and
/// comes from the same address, as the packets of a train do.
#[derive(Clone, Copy)]
pub(super) struct Trail {
    source: SocketAddr,
    ssrc: Ssrc,
    leg: Slot,
    stream: StreamIndex,
}

/// Finds the leg and stream, and holds the source address against the leg's. A trail must not be
/// kept over anything that can move a leg.
pub(super) fn address<'a>(
    legs: &LegTable,
    received: Received<'a>,
    media: Media,
    now: Tick,
    trail: &mut Option<Trail>,
) -> Result<Addressed<'a>, Dropped> {
    if let Some(Trail { source, ssrc, leg, stream }) = *trail
        && ssrc == media.ssrc
        && source == received.source
    {
        return Ok(Addressed { leg, stream, media, received });
    }
    let found = legs.find_stream(media.ssrc);
    let (slot, stream) = found.ok_or(Dropped(Verdict::UnknownSsrc))?;
    let leg = legs.leg(slot).ok_or(Dropped(Verdict::UnknownSsrc))?;
    if leg.has_ended(now) {
        return Err(Dropped(Verdict::LegEnded));
    }
    if !leg.latch().accepts(received.source) {
        return Err(Dropped(Verdict::WrongAddress));
    }
    // A leg without an address accepts any: only of one that has it the next packet is known good.
    let (source, ssrc) = (leg.latch().address(), media.ssrc);
    *trail = source.map(|source| Trail { source, ssrc, leg: slot, stream });
    Ok(Addressed { leg: slot, stream, media, received })
}
