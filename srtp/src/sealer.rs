//! The sending side of one SSRC: which index comes next.

use kakehashi_wire::rtp::Ssrc;

use crate::error::SrtpError;
use crate::index::{PacketIndex, RtcpIndex};
use crate::keys::SessionKeys;
use crate::rtcp::{self, IndexWord, RtcpPrivacy};
use crate::rtp::{self, RtpLayout};

/// Counters of one SSRC that we send.
///
/// **An index is spent before its packet is sealed, and only a higher one is sealed after it**, so
/// under one key no nonce is used twice, as long as no second sealer exists for the same key and
/// SSRC: there is no `Clone`.
#[derive(PartialEq, Eq, Debug)]
pub struct StreamSealer {
    ssrc: Ssrc,
    /// Lowest index that may be sealed; one more than the last index when exhausted.
    next_rtp: u64,
    /// The same for RTCP.
    next_rtcp: u32,
}

/// The lowest indices a sealer may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealerPosition {
    /// For RTP.
    pub rtp: PacketIndex,
    /// For RTCP.
    pub rtcp: RtcpIndex,
}

impl StreamSealer {
    /// A stream that starts with `first_sequence` under a fresh key. Below 2^15, receivers that
    /// miss the first packets cannot take them for others (RFC 3711 3.3.1).
    pub const fn new(ssrc: Ssrc, first_sequence: u16) -> Self {
        Self { ssrc, next_rtp: first_sequence as u64, next_rtcp: 0 }
    }

    /// A stream that goes on from `position`. The caller vouches that nothing at or behind it
    /// has been sealed under the same key and SSRC.
    pub const fn resume(ssrc: Ssrc, position: SealerPosition) -> Self {
        Self { ssrc, next_rtp: position.rtp.value(), next_rtcp: position.rtcp.value() }
    }

    /// The SSRC of this stream.
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The lowest indices that may be used, or `None` if the key is used up for one of them.
    pub fn position(&self) -> Option<SealerPosition> {
        let rtp = PacketIndex::from_value(self.next_rtp)?;
        Some(SealerPosition { rtp, rtcp: RtcpIndex::from_value(self.next_rtcp)? })
    }

    /// The sequence number to write into the next RTP header.
    ///
    /// # Errors
    /// [`SrtpError::IndexExhausted`] after the last index.
    pub fn next_sequence(&self) -> Result<u16, SrtpError> {
        PacketIndex::from_value(self.next_rtp)
            .map(PacketIndex::sequence)
            .ok_or(SrtpError::IndexExhausted)
    }

    /// Protects the RTP packet in the first `plain_bytes` of `buffer`, in place; gives its new
    /// length, [`RTP_OVERHEAD_BYTES`](crate::RTP_OVERHEAD_BYTES) more. Sequence numbers may
    /// leave gaps below 2^15, never go back.
    ///
    /// # Errors
    /// See [`SrtpError`]; the buffer is unchanged then, and no index is spent.
    pub fn protect_rtp(
        &mut self,
        keys: &SessionKeys,
        buffer: &mut [u8],
        plain_bytes: usize,
    ) -> Result<usize, SrtpError> {
        let layout = RtpLayout::plain(buffer, plain_bytes)?;
        if layout.ssrc != self.ssrc {
            return Err(SrtpError::WrongSsrc);
        }
        let index = self.index_of(layout.sequence)?;
        self.next_rtp = index.value() + 1;
        Ok(rtp::seal(keys.rtp(), layout, index, buffer))
    }

    /// Protects the RTCP packet in the first `plain_bytes` of `buffer`, in place; gives its new
    /// length, [`RTCP_OVERHEAD_BYTES`](crate::RTCP_OVERHEAD_BYTES) more.
    ///
    /// # Errors
    /// See [`SrtpError`]; the buffer is unchanged then, and no index is spent.
    pub fn protect_rtcp(
        &mut self,
        keys: &SessionKeys,
        buffer: &mut [u8],
        plain_bytes: usize,
        privacy: RtcpPrivacy,
    ) -> Result<usize, SrtpError> {
        let ssrc = rtcp::sealable(buffer, plain_bytes)?;
        if ssrc != self.ssrc {
            return Err(SrtpError::WrongSsrc);
        }
        let index = RtcpIndex::from_value(self.next_rtcp).ok_or(SrtpError::IndexExhausted)?;
        self.next_rtcp = index.value() + 1;
        let word = IndexWord { index, privacy };
        Ok(rtcp::seal(keys.as_ref(), ssrc, word, buffer, plain_bytes))
    }

    /// The lowest index not below the next one that has this sequence number.
    fn index_of(&self, sequence: u16) -> Result<PacketIndex, SrtpError> {
        let ahead = sequence.wrapping_sub(self.next_sequence()?);
        if ahead >= 1 << 15 {
            return Err(SrtpError::NotIncreasing);
        }
        PacketIndex::from_value(self.next_rtp + u64::from(ahead)).ok_or(SrtpError::IndexExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_only_grow() {
        let mut sealer = StreamSealer::new(Ssrc(1), 65_534);
        for (sequence, wanted) in [
            (65_534, Ok(PacketIndex::new(0, 65_534))),
            (65_534, Err(SrtpError::NotIncreasing)),
            (65_535, Ok(PacketIndex::new(0, 65_535))),
            (2, Ok(PacketIndex::new(1, 2))),
            (1, Err(SrtpError::NotIncreasing)),
            (2, Err(SrtpError::NotIncreasing)),
            (65_535, Err(SrtpError::NotIncreasing)),
            (2 + 32_768, Ok(PacketIndex::new(1, 32_770))),
            (3, Err(SrtpError::NotIncreasing)),
            (2, Ok(PacketIndex::new(2, 2))),
        ] {
            let got = sealer.index_of(sequence);
            assert_eq!(got, wanted, "{sequence}");
            if let Ok(index) = got {
                sealer.next_rtp = index.value() + 1;
            }
        }
    }
}
