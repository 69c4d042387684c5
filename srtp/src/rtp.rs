//! One SRTP packet at a known index: seal, check, open (RFC 7714 8). No state.
//!
//! ```text
//! | RTP header, contributors, extension | payload, encrypted | tag (16 bytes) |
//! |<------------ associated data ------>|
//! ```

use kakehashi_wire::rtp::{RtpError, RtpView, Ssrc};

use crate::aead::{Forged, TAG_BYTES, Tag};
use crate::auth::AuthKeys;
use crate::capacity::PACKET_BYTES_MAX;
use crate::error::SrtpError;
use crate::index::PacketIndex;
use crate::keys::{RtpKey, Scratch};

impl From<RtpError> for SrtpError {
    fn from(error: RtpError) -> Self {
        match error {
            RtpError::Truncated => Self::TooShort,
            RtpError::Version => Self::NotRtp,
        }
    }
}

/// Where the parts of one packet lie, and what its header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RtpLayout {
    pub(crate) ssrc: Ssrc,
    pub(crate) sequence: u16,
    header_bytes: usize,
    /// Bytes without the tag.
    pub(crate) plain_bytes: usize,
}

impl RtpLayout {
    /// Of a packet to be protected: `plain_bytes` of `buffer`, with room for the tag behind.
    pub(crate) fn plain(buffer: &[u8], plain_bytes: usize) -> Result<Self, SrtpError> {
        let packet = buffer.get(..plain_bytes).ok_or(SrtpError::NoRoom)?;
        let layout = Self::read(packet, plain_bytes)?;
        if plain_bytes + TAG_BYTES > PACKET_BYTES_MAX {
            return Err(SrtpError::TooLong);
        }
        if buffer.len() < plain_bytes + TAG_BYTES {
            return Err(SrtpError::NoRoom);
        }
        Ok(layout)
    }

    /// Of a protected packet.
    pub(crate) fn protected(packet: &[u8]) -> Result<Self, SrtpError> {
        if packet.len() > PACKET_BYTES_MAX {
            return Err(SrtpError::TooLong);
        }
        let plain_bytes = packet.len().checked_sub(TAG_BYTES).ok_or(SrtpError::TooShort)?;
        Self::read(&packet[..plain_bytes], plain_bytes)
    }

    fn read(plain: &[u8], plain_bytes: usize) -> Result<Self, SrtpError> {
        let view = RtpView::parse(plain)?;
        let header = view.header();
        Ok(Self {
            ssrc: header.ssrc,
            sequence: header.sequence,
            header_bytes: view.header_bytes(),
            plain_bytes,
        })
    }
}

/// Seals the packet in place; gives its length with the tag.
pub(crate) fn seal(
    key: &RtpKey,
    layout: RtpLayout,
    index: PacketIndex,
    buffer: &mut [u8],
) -> usize {
    let nonce = key.nonce(layout.ssrc, index);
    let (packet, rest) = buffer.split_at_mut(layout.plain_bytes);
    let (header, payload) = packet.split_at_mut(layout.header_bytes);
    let tag = key.cipher().seal(nonce, header, payload);
    rest[..TAG_BYTES].copy_from_slice(&tag.0);
    layout.plain_bytes + TAG_BYTES
}

/// Checks the tag of `packet` for `index`, leaving the packet alone.
pub(crate) fn verify(
    keys: &AuthKeys,
    layout: RtpLayout,
    index: PacketIndex,
    packet: &[u8],
    scratch: &mut Scratch,
) -> Result<(), Forged> {
    let (header, rest) = packet.split_at(layout.header_bytes);
    let (text, tag) = rest.split_last_chunk().expect("invariant: the layout counted the tag");
    keys.verify((layout.ssrc, index), header, text, Tag(*tag), scratch)
}

/// Opens `packet` into `out`, which has room for just the plain packet, if its tag fits `index`.
pub(crate) fn open_into(
    key: &RtpKey,
    layout: RtpLayout,
    index: PacketIndex,
    packet: &[u8],
    out: &mut [u8],
) -> Result<(), Forged> {
    let nonce = key.nonce(layout.ssrc, index);
    let (header, rest) = packet.split_at(layout.header_bytes);
    let (text, tag) = rest.split_last_chunk().expect("invariant: the layout counted the tag");
    let (out_header, out_text) = out.split_at_mut(layout.header_bytes);
    out_header.copy_from_slice(header);
    key.cipher().open_into(nonce, header, text, Tag(*tag), out_text)
}

/// Opens `packet` in place if its tag fits `index`; otherwise leaves it alone.
pub(crate) fn open(
    key: &RtpKey,
    layout: RtpLayout,
    index: PacketIndex,
    packet: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), Forged> {
    let nonce = key.nonce(layout.ssrc, index);
    let (header, rest) = packet.split_at_mut(layout.header_bytes);
    let (payload, tag) =
        rest.split_last_chunk_mut().expect("invariant: the layout counted the tag");
    key.cipher().open(nonce, header, payload, Tag(*tag), scratch.bytes())
}
