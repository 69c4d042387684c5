//! Opus packets: their duration (RFC 6716 3.1, 3.2) and their place in RTP (RFC 7587).

use super::PacketiseError;
use super::assemble::Piece;
use crate::capacity::PACKET_PAYLOAD_BYTES_MAX;
use thiserror::Error;

/// Samples at 48 kHz that one Opus packet may last: 120 ms (RFC 6716 3.4, R5).
pub const PACKET_SAMPLES_MAX: u32 = 5_760;

/// Why bytes are not an Opus packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum OpusError {
    /// R1: at least the table-of-contents byte.
    #[error("no bytes")]
    Empty,
    /// The frame lengths do not fit the packet.
    #[error("frame lengths do not fit")]
    Lengths,
    /// R5: no frame, or more than 120 ms.
    #[error("no frame, or more than 120 ms")]
    Duration,
}

/// Samples of one frame at 48 kHz, from the five configuration bits (RFC 6716 3.1, table 2).
pub fn frame_samples(toc: u8) -> u32 {
    let config = usize::from(toc >> 3);
    match config {
        // SILK: 10, 20, 40, 60 ms
        0..12 => [480, 960, 1_920, 2_880][config % 4],
        // hybrid: 10, 20 ms
        12..16 => [480, 960][config % 2],
        // CELT: 2.5, 5, 10, 20 ms
        _ => [120, 240, 480, 960][config % 4],
    }
}

/// Samples at 48 kHz that `packet` lasts.
///
/// # Errors
/// [`OpusError`] if its frame count or the lengths it states are impossible.
pub fn samples(packet: &[u8]) -> Result<u32, OpusError> {
    let (&toc, rest) = packet.split_first().ok_or(OpusError::Empty)?;
    let frames = match toc & 3 {
        0 => 1,
        1 if rest.len() % 2 == 0 => 2,
        1 => return Err(OpusError::Lengths),
        2 => {
            first_frame_fits(rest)?;
            2
        }
        _ => u32::from(*rest.first().ok_or(OpusError::Lengths)? & 0x3f),
    };
    let samples = frames * frame_samples(toc);
    if samples == 0 || samples > PACKET_SAMPLES_MAX {
        Err(OpusError::Duration)
    } else {
        Ok(samples)
    }
}

/// RFC 6716 3.2.4: the first frame's length, in one or two bytes, fits what follows.
fn first_frame_fits(rest: &[u8]) -> Result<(), OpusError> {
    let (length, coded) = match *rest {
        [short @ 0..=251, ..] => (usize::from(short), 1),
        [long, more, ..] => (usize::from(more) * 4 + usize::from(long), 2),
        _ => return Err(OpusError::Lengths),
    };
    if coded + length > rest.len() { Err(OpusError::Lengths) } else { Ok(()) }
}

/// Finds the starts of talk spurts: the first packet, and each one after a pause.
#[derive(Debug, Default)]
pub(super) struct Spurts {
    next: Option<u32>,
}

impl Spurts {
    /// Whether `packet` starts a talk spurt (RFC 3551 4.1: then it carries the marker).
    pub(super) fn starts(&mut self, packet: &[u8], timestamp: u32) -> Result<bool, PacketiseError> {
        let samples = samples(packet)?;
        if packet.len() > PACKET_PAYLOAD_BYTES_MAX {
            let (bytes, limit) = (packet.len(), PACKET_PAYLOAD_BYTES_MAX);
            return Err(PacketiseError::TooLarge { bytes, limit });
        }
        let starts = self.next != Some(timestamp);
        self.next = Some(timestamp.wrapping_add(samples));
        Ok(starts)
    }
}

/// The whole payload, if it is an Opus packet.
pub(super) fn piece(payload: &[u8]) -> Option<Piece<'_>> {
    samples(payload).ok()?;
    Some(Piece { starts: true, picture: None, body: payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_has_its_duration() {
        // in units of 0.25 ms
        let table: Vec<u32> = (0_u8..32).map(|config| frame_samples(config << 3) / 12).collect();
        let silk = [40, 80, 160, 240];
        let expected = [silk, silk, silk, [40, 80, 40, 80]].concat();
        assert_eq!(table[..16], expected);
        for chunk in table[16..].chunks(4) {
            assert_eq!(chunk, [10, 20, 40, 80]);
        }
    }

    #[test]
    fn every_code_counts_its_frames() {
        let silk20 = 1 << 3;
        assert_eq!(samples(&[silk20]), Ok(960));
        assert_eq!(samples(&[silk20 | 1, 0, 0]), Ok(1_920));
        assert_eq!(samples(&[silk20 | 1, 0]), Err(OpusError::Lengths));
        assert_eq!(samples(&[silk20 | 2, 1, 0, 0]), Ok(1_920));
        assert_eq!(samples(&[silk20 | 2, 2, 0]), Err(OpusError::Lengths));
        assert_eq!(samples(&[silk20 | 2, 252]), Err(OpusError::Lengths));
        assert_eq!(samples(&[silk20 | 3, 6]), Ok(5_760));
        assert_eq!(samples(&[silk20 | 3, 7]), Err(OpusError::Duration));
        assert_eq!(samples(&[silk20 | 3, 0xc0]), Err(OpusError::Duration));
        assert_eq!(samples(&[silk20 | 3]), Err(OpusError::Lengths));
        assert_eq!(samples(&[]), Err(OpusError::Empty));
    }

    #[test]
    fn a_pause_starts_a_talk_spurt() {
        let mut spurts = Spurts::default();
        let packet = [1 << 3, 7];
        let starts: Vec<bool> = [u32::MAX - 959, 0, 960, 4_800, 5_760]
            .map(|timestamp| spurts.starts(&packet, timestamp).unwrap())
            .to_vec();
        assert_eq!(starts, [true, false, false, true, false]);
    }
}
