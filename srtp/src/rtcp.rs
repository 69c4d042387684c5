//! One SRTCP packet: seal, check, open (RFC 7714 9). No state: the index is in the packet.
//!
//! ```text
//! | header, SSRC (8 bytes) | rest, encrypted | tag (16 bytes) | E | index (31 bits) |
//! |<-- associated data --->|                                  |< associated data -->|
//! ```
//! With E = 0 nothing is encrypted, and everything but the tag is associated data.

use kakehashi_wire::rtp::Ssrc;

use crate::aead::{Forged, TAG_BYTES, Tag};
use crate::capacity::PACKET_BYTES_MAX;
use crate::error::SrtpError;
use crate::index::RtcpIndex;
use crate::keys::{RtcpKeys, Scratch};

/// Bytes of the word behind the tag: E flag and index (RFC 7714 9.2).
pub(crate) const INDEX_WORD_BYTES: usize = 4;

/// Bytes in front that stay readable: the common header and the sender's SSRC.
const HEADER_BYTES: usize = 8;

const ENCRYPTED: u32 = 1 << 31;

/// Whether the content of an RTCP packet may be read on the way (RFC 3711 3.4, the E flag).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RtcpPrivacy {
    /// Encrypted and authenticated.
    Encrypted,
    /// Authenticated only.
    Readable,
}

/// The trailing word of an SRTCP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IndexWord {
    pub(crate) index: RtcpIndex,
    pub(crate) privacy: RtcpPrivacy,
}

impl IndexWord {
    fn to_bytes(self) -> [u8; INDEX_WORD_BYTES] {
        let flag = match self.privacy {
            RtcpPrivacy::Encrypted => ENCRYPTED,
            RtcpPrivacy::Readable => 0,
        };
        (flag | self.index.value()).to_be_bytes()
    }

    fn from_bytes(bytes: [u8; INDEX_WORD_BYTES]) -> Self {
        let word = u32::from_be_bytes(bytes);
        let encrypted = word & ENCRYPTED != 0;
        let privacy = if encrypted { RtcpPrivacy::Encrypted } else { RtcpPrivacy::Readable };
        Self { index: RtcpIndex::from_word(word), privacy }
    }

    /// RFC 7714 9.3: what is authenticated of an encrypted packet without being encrypted.
    fn associated(self, header: &[u8]) -> [u8; HEADER_BYTES + INDEX_WORD_BYTES] {
        let mut out = [0; HEADER_BYTES + INDEX_WORD_BYTES];
        out[..HEADER_BYTES].copy_from_slice(header);
        out[HEADER_BYTES..].copy_from_slice(&self.to_bytes());
        out
    }
}

/// The SSRC in the header of an RTCP packet.
pub(crate) fn sender(packet: &[u8]) -> Result<Ssrc, SrtpError> {
    let Some(&[first, kind, _, _, a, b, c, d]) = packet.first_chunk::<HEADER_BYTES>() else {
        return Err(SrtpError::TooShort);
    };
    // RFC 5761 4: RTCP packet types are 192 to 223.
    if first >> 6 != 2 || !(192..=223).contains(&kind) {
        return Err(SrtpError::NotRtcp);
    }
    Ok(Ssrc(u32::from_be_bytes([a, b, c, d])))
}

/// Checks that `plain_bytes` of `buffer` can be protected; gives the sender.
pub(crate) fn sealable(buffer: &[u8], plain_bytes: usize) -> Result<Ssrc, SrtpError> {
    let packet = buffer.get(..plain_bytes).ok_or(SrtpError::NoRoom)?;
    let ssrc = sender(packet)?;
    let protected_bytes = plain_bytes + TAG_BYTES + INDEX_WORD_BYTES;
    if protected_bytes > PACKET_BYTES_MAX {
        return Err(SrtpError::TooLong);
    }
    if buffer.len() < protected_bytes { Err(SrtpError::NoRoom) } else { Ok(ssrc) }
}

/// Seals what [`sealable`] approved, in place; gives the length with tag and index word.
pub(crate) fn seal(
    keys: &RtcpKeys,
    ssrc: Ssrc,
    word: IndexWord,
    buffer: &mut [u8],
    plain_bytes: usize,
) -> usize {
    let tag_end = plain_bytes + TAG_BYTES;
    let tag = keys.with(ssrc, word.index, |cipher, nonce| match word.privacy {
        RtcpPrivacy::Encrypted => {
            let (header, text) = buffer[..plain_bytes].split_at_mut(HEADER_BYTES);
            cipher.seal(nonce, &word.associated(header), text)
        }
        RtcpPrivacy::Readable => {
            // Packet and word side by side in front, only until the tag takes its place.
            let associated = plain_bytes + INDEX_WORD_BYTES;
            buffer[plain_bytes..associated].copy_from_slice(&word.to_bytes());
            cipher.seal(nonce, &buffer[..associated], &mut [])
        }
    });
    buffer[plain_bytes..tag_end].copy_from_slice(&tag.0);
    buffer[tag_end..tag_end + INDEX_WORD_BYTES].copy_from_slice(&word.to_bytes());
    tag_end + INDEX_WORD_BYTES
}

/// Where the parts of a protected packet lie, and what header and trailer say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RtcpLayout {
    pub(crate) ssrc: Ssrc,
    pub(crate) word: IndexWord,
    /// Bytes without tag and index word.
    pub(crate) plain_bytes: usize,
    tag: Tag,
}

impl RtcpLayout {
    /// Reads header and trailer of a protected packet.
    pub(crate) fn protected(packet: &[u8]) -> Result<Self, SrtpError> {
        if packet.len() > PACKET_BYTES_MAX {
            return Err(SrtpError::TooLong);
        }
        let ssrc = sender(packet)?;
        let (rest, word) = packet.split_last_chunk().ok_or(SrtpError::TooShort)?;
        let (plain, tag) = rest.split_last_chunk().ok_or(SrtpError::TooShort)?;
        if plain.len() < HEADER_BYTES {
            return Err(SrtpError::TooShort);
        }
        let word = IndexWord::from_bytes(*word);
        Ok(Self { ssrc, word, plain_bytes: plain.len(), tag: Tag(*tag) })
    }
}

/// Checks the tag of `packet`, leaving the packet alone.
pub(crate) fn verify(
    keys: &RtcpKeys,
    layout: RtcpLayout,
    packet: &[u8],
    scratch: &mut Scratch,
) -> Result<(), Forged> {
    open_into(keys, layout, packet, &mut scratch.bytes()[..layout.plain_bytes])
}

/// Opens `packet` in place if its tag fits; otherwise leaves it alone.
pub(crate) fn open(
    keys: &RtcpKeys,
    layout: RtcpLayout,
    packet: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), Forged> {
    let out = &mut scratch.bytes()[..layout.plain_bytes];
    open_into(keys, layout, packet, out)?;
    packet[..layout.plain_bytes].copy_from_slice(out);
    Ok(())
}

/// Opens `packet` into `out`, which has room for just the plain packet, if its tag fits.
pub(crate) fn open_into(
    keys: &RtcpKeys,
    layout: RtcpLayout,
    packet: &[u8],
    out: &mut [u8],
) -> Result<(), Forged> {
    let plain = &packet[..layout.plain_bytes];
    let (header, text) = plain.split_at(HEADER_BYTES);
    let (out_header, out_text) = out.split_at_mut(HEADER_BYTES);
    out_header.copy_from_slice(header);
    keys.with(layout.ssrc, layout.word.index, |cipher, nonce| match layout.word.privacy {
        RtcpPrivacy::Encrypted => {
            let associated = layout.word.associated(header);
            cipher.open_into(nonce, &associated, text, layout.tag, out_text)
        }
        RtcpPrivacy::Readable => {
            // All but the tag is associated data, which the cipher wants in one piece.
            let mut associated = [0; PACKET_BYTES_MAX];
            let associated = &mut associated[..plain.len() + INDEX_WORD_BYTES];
            associated[..plain.len()].copy_from_slice(plain);
            associated[plain.len()..].copy_from_slice(&layout.word.to_bytes());
            out_text.copy_from_slice(text);
            cipher.open_into(nonce, associated, &[], layout.tag, &mut [])
        }
    })
}
