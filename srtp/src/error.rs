//! Why a packet was not protected or not opened: one reason each, for one counter each.

use core::fmt;

/// Why a packet was refused. Nothing has changed when one of these is returned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum SrtpError {
    /// Shorter than its header, tag and trailer need.
    TooShort,
    /// Longer than [`PACKET_BYTES_MAX`](crate::capacity::PACKET_BYTES_MAX).
    TooLong,
    /// Not RTP version 2.
    NotRtp,
    /// Not RTCP version 2, or not an RTCP packet type (RFC 5761 4).
    NotRtcp,
    /// Belongs to another SSRC than this state.
    WrongSsrc,
    /// No stream of this session has the SSRC.
    UnknownSsrc,
    /// The index was accepted before.
    Replayed,
    /// The index lies before the replay window, so nobody can tell whether it was seen.
    TooOld,
    /// The tag does not fit key, index and bytes.
    Forged,
    /// The buffer has no room for the tag.
    NoRoom,
    /// The sequence number does not lie ahead of the last one sealed: its nonce may be spent.
    NotIncreasing,
    /// The sequence number in the header is not that of the index to seal at.
    WrongSequence,
    /// 2^48 RTP or 2^31 RTCP packets are sealed (RFC 3711 9.2).
    IndexExhausted,
    /// The session has all the streams it may have.
    TooManyStreams,
    /// The session has a stream with this SSRC; a second one would spend its nonces again.
    SsrcTaken,
}

impl SrtpError {
    /// Every reason, in the order of [`SrtpError::position`].
    pub const ALL: [Self; 15] = [
        Self::TooShort,
        Self::TooLong,
        Self::NotRtp,
        Self::NotRtcp,
        Self::WrongSsrc,
        Self::UnknownSsrc,
        Self::Replayed,
        Self::TooOld,
        Self::Forged,
        Self::NoRoom,
        Self::NotIncreasing,
        Self::WrongSequence,
        Self::IndexExhausted,
        Self::TooManyStreams,
        Self::SsrcTaken,
    ];

    /// Place of this reason in [`SrtpError::ALL`], for a table of counters.
    pub const fn position(self) -> usize {
        self as usize
    }

    /// Name for counters and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NotRtp => "not_rtp",
            Self::NotRtcp => "not_rtcp",
            Self::WrongSsrc => "wrong_ssrc",
            Self::UnknownSsrc => "unknown_ssrc",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::Forged => "forged",
            Self::NoRoom => "no_room",
            Self::NotIncreasing => "not_increasing",
            Self::WrongSequence => "wrong_sequence",
            Self::IndexExhausted => "index_exhausted",
            Self::TooManyStreams => "too_many_streams",
            Self::SsrcTaken => "ssrc_taken",
        }
    }
}

impl fmt::Display for SrtpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TooShort => "packet too short for SRTP; drop it",
            Self::TooLong => "packet too long; send at most 1,984 bytes with the tag",
            Self::NotRtp => "not an RTP packet; drop it",
            Self::NotRtcp => "not an RTCP packet; drop it",
            Self::WrongSsrc => "packet of another SSRC; look the state up by the packet's SSRC",
            Self::UnknownSsrc => "no stream with this SSRC; add the stream first, or drop it",
            Self::Replayed => "packet was received before; drop it",
            Self::TooOld => "packet is older than the replay window; drop it",
            Self::Forged => "packet is not authentic; drop it, and check the keys if all are",
            Self::NoRoom => "no room for the tag; give a buffer longer by the overhead",
            Self::NotIncreasing => "sequence number does not increase; number packets upwards",
            Self::WrongSequence => "sequence number and index differ; write the index's number",
            Self::IndexExhausted => "the key is used up; set up a new master key",
            Self::TooManyStreams => "too many streams for one leg; remove one first",
            Self::SsrcTaken => "SSRC is in use; choose another one",
        })
    }
}

impl core::error::Error for SrtpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_its_own_name() {
        let mut names = std::collections::BTreeSet::new();
        for (at, reason) in SrtpError::ALL.into_iter().enumerate() {
            assert_eq!(reason.position(), at);
            assert!(names.insert(reason.name()));
        }
    }

    #[test]
    fn the_message_names_the_limit() {
        assert_eq!(crate::capacity::PACKET_BYTES_MAX, 1_984);
        assert!(SrtpError::TooLong.to_string().contains("1,984 bytes"));
    }
}
