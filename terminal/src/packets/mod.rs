//! Frames to RTP payloads and back: Opus (RFC 7587), VP8 (RFC 7741), VP9 (RFC 9628).
//!
//! **Frames or payloads in, payloads or frames out; no clock, no socket, no randomness.** What
//! comes in from the network goes through [`reorder`] first: a [`Depacketiser`] wants packets in
//! order, treats every hole as a loss, and never hands out a frame of which a packet is missing.

mod assemble;
pub mod counter;
pub mod opus;
pub mod reorder;
pub mod vp8;
pub mod vp9;

use crate::capacity::VIDEO_FRAME_BYTES_MAX;
use kakehashi_wire::media::Codec;
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use thiserror::Error;

/// An encoded frame as it left its encoder: an Opus packet, a VP8 frame or a VP9 superframe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// RTP timestamp, in the codec's clock.
    pub timestamp: u32,
    /// Whether a decoder can start here.
    pub key: bool,
    /// Whether something between the frame before and this one is missing: a video decoder needs
    /// a new key frame, an audio recording needs concealment.
    pub lost_before: bool,
    /// The frame's bytes.
    pub data: Vec<u8>,
}

/// Why a frame cannot be packetised. Each is the caller's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PacketiseError {
    /// No bytes.
    #[error("the frame is empty; skip it, RTP cannot carry it")]
    Empty,
    /// Beyond the limit.
    #[error("the frame has {bytes} bytes, the limit is {limit}; encode at a lower bit rate")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// Not an Opus packet.
    #[error("not an Opus packet ({0}); check that the source is Opus")]
    NotOpus(#[from] opus::OpusError),
}

/// What a depacketiser did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DepacketiserCounters {
    /// Complete frames handed out.
    pub frames: u64,
    /// Frames of which a part arrived, dropped because another part did not.
    pub incomplete: u64,
    /// Payloads that are not of the codec.
    pub malformed: u64,
}

/// Turns the frames of one outgoing stream into RTP packets.
#[derive(Debug)]
pub struct Packetiser {
    next: RtpHeader,
    shape: Outgoing,
}

#[derive(Debug)]
enum Outgoing {
    Opus(opus::Spurts),
    Vp8(vp8::Describer),
    Vp9(vp9::Describer),
}

impl Packetiser {
    /// A packetiser for one SSRC. `picture_id` is where VP8 and VP9 start counting pictures; RFC
    /// 7741 and 9628 want it random, Opus ignores it.
    pub fn new(codec: Codec, ssrc: Ssrc, first_sequence: u16, picture_id: u16) -> Self {
        let shape = match codec {
            Codec::Opus => Outgoing::Opus(opus::Spurts::default()),
            Codec::Vp8 => Outgoing::Vp8(vp8::Describer::new(picture_id)),
            Codec::Vp9 => Outgoing::Vp9(vp9::Describer::new(picture_id)),
        };
        let next = RtpHeader {
            marker: false,
            payload_type: codec.payload_type(),
            sequence: first_sequence,
            timestamp: 0,
            ssrc,
        };
        Self { next, shape }
    }

    /// Hands each packet of `frame` to `out`, in sending order; returns how many. The marker is
    /// set on the first packet of a talk spurt (audio) or the last of a frame (video).
    ///
    /// # Errors
    /// [`PacketiseError`]; then nothing was handed out and no sequence number spent.
    pub fn packetise(
        &mut self,
        frame: &[u8],
        timestamp: u32,
        mut out: impl FnMut(RtpHeader, &[u8]),
    ) -> Result<usize, PacketiseError> {
        if frame.is_empty() {
            return Err(PacketiseError::Empty);
        }
        if frame.len() > VIDEO_FRAME_BYTES_MAX {
            let (bytes, limit) = (frame.len(), VIDEO_FRAME_BYTES_MAX);
            return Err(PacketiseError::TooLarge { bytes, limit });
        }
        self.next.timestamp = timestamp;
        match &mut self.shape {
            Outgoing::Opus(spurts) => {
                self.next.marker = spurts.starts(frame, timestamp)?;
                out(self.next, frame);
                self.next.sequence = self.next.sequence.wrapping_add(1);
                Ok(1)
            }
            Outgoing::Vp8(describer) => {
                let picture = describer.next_picture();
                let describe = |first, _, to: &mut [u8]| vp8::describe(picture, first, to);
                Ok(assemble::fragment(&mut self.next, frame, describe, out))
            }
            Outgoing::Vp9(describer) => {
                let picture = describer.next_picture(frame);
                let describe =
                    |first, last, to: &mut [u8]| vp9::describe(&picture, first, last, to);
                Ok(assemble::fragment(&mut self.next, frame, describe, out))
            }
        }
    }

    /// Sequence number of the next packet.
    pub fn next_sequence(&self) -> u16 {
        self.next.sequence
    }
}

/// Turns the packets of one incoming stream, fed in order, back into frames.
#[derive(Debug)]
pub struct Depacketiser {
    codec: Codec,
    assembler: assemble::Assembler,
}

impl Depacketiser {
    /// A depacketiser for one SSRC.
    pub fn new(codec: Codec) -> Self {
        Self { codec, assembler: assemble::Assembler::default() }
    }

    /// Takes the next packet in sequence order; returns the frame that it completes. `payload` is
    /// without padding. Any bytes are accepted; what cannot be used is counted and dropped.
    pub fn push(&mut self, header: &RtpHeader, payload: &[u8]) -> Option<Frame> {
        if payload.is_empty() {
            // Padding-only packets probe the path between frames.
            self.assembler.skip(header.sequence);
            return None;
        }
        let piece = match self.codec {
            Codec::Opus => opus::piece(payload),
            Codec::Vp8 => vp8::piece(payload),
            Codec::Vp9 => vp9::piece(payload),
        };
        let Some(piece) = piece else {
            self.assembler.malformed(header);
            return None;
        };
        // RFC 7587 4.2: every Opus payload is one whole packet; its marker starts a talk spurt.
        let ends = self.codec == Codec::Opus || header.marker;
        let mut frame = self.assembler.push(header, &piece, ends)?;
        frame.key = is_key(self.codec, &frame.data);
        Some(frame)
    }

    /// Ends the stream: a frame of which the end never came counts as incomplete.
    pub fn finish(&mut self) {
        self.assembler.abandon();
    }

    /// What was handed out and what was dropped.
    pub fn counters(&self) -> DepacketiserCounters {
        self.assembler.counters()
    }
}

/// Whether a decoder can start at this frame.
pub fn is_key(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => vp8::is_key(frame),
        Codec::Vp9 => vp9::is_key(frame),
    }
}

/// Whether a decoder can start at the frame that starts with this payload.
pub fn starts_key(codec: Codec, payload: &[u8]) -> bool {
    let piece = match codec {
        Codec::Opus => return true,
        Codec::Vp8 => vp8::piece(payload),
        Codec::Vp9 => vp9::piece(payload),
    };
    piece.is_some_and(|piece| piece.starts && is_key(codec, piece.body))
}

/// Width and height in pixels that a key frame announces; `None` for other frames and for audio.
pub fn dimensions(codec: Codec, frame: &[u8]) -> Option<(u16, u16)> {
    match codec {
        Codec::Opus => None,
        Codec::Vp8 => vp8::dimensions(frame),
        Codec::Vp9 => vp9::dimensions(frame),
    }
}

#[cfg(test)]
mod tests;
