//! The identification header of Ogg Opus (RFC 7845 5.1).

use super::OggError;

/// What an Opus stream says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpusHead {
    /// One or two.
    pub channels: u8,
    /// Samples at 48 kHz a decoder leaves out at the start.
    pub pre_skip: u16,
    /// Sample rate before encoding, for information only.
    pub input_hz: u32,
    /// Gain a decoder applies, in 1/256 dB.
    pub output_gain: i16,
}

impl OpusHead {
    /// What a recording of a received stream states: 80 ms of pre-skip for the decoder to converge
    /// would cut sound that was heard, so it is the usual look-ahead of an encoder, 6.5 ms.
    pub fn recording(channels: u8) -> Self {
        Self { channels, pre_skip: 312, input_hz: 48_000, output_gain: 0 }
    }

    pub(super) fn parse(packet: &[u8]) -> Result<Self, OggError> {
        let &[b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', version, channels, ref rest @ ..] =
            packet
        else {
            return Err(OggError::NotOpus("the first packet is no Opus header"));
        };
        let &[p0, p1, r0, r1, r2, r3, g0, g1, family, ..] = rest else {
            return Err(OggError::NotOpus("the Opus header is too short"));
        };
        // RFC 7845 5.1: minor versions, in the low half, stay readable.
        if version >> 4 != 0 {
            return Err(OggError::NotOpus("the version of the Opus header is unknown"));
        }
        if family != 0 || !(1..=2).contains(&channels) {
            return Err(OggError::Channels { channels, family });
        }
        Ok(Self {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_hz: u32::from_le_bytes([r0, r1, r2, r3]),
            output_gain: i16::from_le_bytes([g0, g1]),
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(self.channels);
        bytes.extend_from_slice(&self.pre_skip.to_le_bytes());
        bytes.extend_from_slice(&self.input_hz.to_le_bytes());
        bytes.extend_from_slice(&self.output_gain.to_le_bytes());
        bytes.push(0);
        bytes
    }
}
