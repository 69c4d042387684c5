//! RTP packets (RFC 3550 5.1) as views over received bytes, and headers to write.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |              CSRC (CC words), then, if X, the extension:      |
//! |       profile-defined         |   length in 32-bit words      |
//! ```

use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

/// A synchronisation source (RFC 3550 3).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Archive, Serialize, Deserialize,
)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// Bytes of an RTP header without contributors and extension.
pub const FIXED_HEADER_BYTES: usize = 12;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RtpError {
    /// Shorter than its header says.
    Truncated,
    /// Not version 2.
    Version,
}

impl fmt::Display for RtpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "RTP packet shorter than its header says",
            Self::Version => "RTP version is not 2",
        })
    }
}

impl core::error::Error for RtpError {}

/// The fixed fields of an RTP header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RtpHeader {
    /// Marker bit: end of a video frame, or first packet of a talk spurt.
    pub marker: bool,
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time in the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// The header of a packet without padding, extension and contributors.
    pub fn to_bytes(self) -> [u8; FIXED_HEADER_BYTES] {
        let mut out = [0; FIXED_HEADER_BYTES];
        out[0] = 0x80;
        out[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        out
    }
}

/// Gives the RTP packet in `packet` another SSRC and sequence number; `false` if it is too short to
/// be one.
#[must_use]
pub fn renumber(packet: &mut [u8], ssrc: Ssrc, sequence: u16) -> bool {
    let Some(header) = packet.first_chunk_mut::<FIXED_HEADER_BYTES>() else { return false };
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.0.to_be_bytes());
    true
}

/// An RTP packet whose header has been validated. For SRTP the payload is ciphertext and tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpView<'a> {
    bytes: &'a [u8],
    header_bytes: usize,
    header: RtpHeader,
}

impl<'a> RtpView<'a> {
    /// Validates the header of `bytes`; the payload may be anything, including empty.
    ///
    /// # Errors
    /// [`RtpError`] if the version is not 2, or contributors or extension do not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_HEADER_BYTES>() else {
            return Err(RtpError::Truncated);
        };
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let mut header_bytes = FIXED_HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let at = header_bytes - FIXED_HEADER_BYTES;
            let Some(&[_, _, high, low]) = rest.get(at..at + 4) else {
                return Err(RtpError::Truncated);
            };
            header_bytes += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        if bytes.len() < header_bytes {
            return Err(RtpError::Truncated);
        }
        let header = RtpHeader {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: Ssrc(u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]])),
        };
        Ok(Self { bytes, header_bytes, header })
    }

    /// The fixed fields.
    pub fn header(&self) -> RtpHeader {
        self.header
    }

    /// Bytes of the whole header: what SRTP authenticates but leaves readable.
    pub fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    /// Everything behind the header, padding included.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.header_bytes..]
    }

    /// The payload without padding (RFC 3550 5.1); only meaningful on plain RTP. Padding that
    /// claims more than there is leaves an empty payload.
    pub fn payload(&self) -> &'a [u8] {
        let body = self.body();
        let padded = self.bytes[0] & 0x20 != 0;
        match body.last() {
            Some(&padding) if padded => &body[..body.len().saturating_sub(usize::from(padding))],
            _ => body,
        }
    }

    /// The whole packet.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: RtpHeader = RtpHeader {
        marker: true,
        payload_type: 111,
        sequence: 0xfffe,
        timestamp: 0x0102_0304,
        ssrc: Ssrc(0xdead_beef),
    };

    #[test]
    fn contributors_and_extension_belong_to_the_header() {
        let mut packet = HEADER.to_bytes().to_vec();
        packet[0] |= 0x10 | 2;
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend_from_slice(b"payload");
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!((view.header(), view.header_bytes()), (HEADER, 28));
        assert_eq!(view.payload(), b"payload");
        for length in 0..28 {
            assert_eq!(RtpView::parse(&packet[..length]), Err(RtpError::Truncated), "{length}");
        }
    }

    #[test]
    fn padding_never_reaches_before_the_payload() {
        let mut packet = HEADER.to_bytes().to_vec();
        packet[0] |= 0x20;
        packet.extend_from_slice(&[7, 7, 7, 2]);
        assert_eq!(RtpView::parse(&packet).unwrap().payload(), [7, 7]);
        *packet.last_mut().unwrap() = 200;
        assert_eq!(RtpView::parse(&packet).unwrap().payload(), []);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(view) = RtpView::parse(&bytes) {
                prop_assert_eq!(view.header_bytes() + view.body().len(), bytes.len());
                prop_assert!(view.payload().len() <= view.body().len());
            }
        }

        #[test]
        fn a_written_header_reads_back(
            marker: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32,
        ) {
            let header =
                RtpHeader { marker, payload_type, sequence, timestamp, ssrc: Ssrc(ssrc) };
            let bytes = header.to_bytes();
            prop_assert_eq!(RtpView::parse(&bytes).unwrap().header(), header);
        }
    }
}
