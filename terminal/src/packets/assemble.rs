//! What VP8 and VP9 share: cutting a frame into payloads, and joining payloads into a frame.

use super::{DepacketiserCounters, Frame};
use crate::capacity::{DESCRIPTOR_BYTES_MAX, PACKET_PAYLOAD_BYTES_MAX, VIDEO_FRAME_BYTES_MAX};
use kakehashi_wire::rtp::RtpHeader;

/// Cuts `frame` into payloads of about equal size, so that no tiny last packet costs a header;
/// `describe(first, last, to)` writes each one's descriptor and returns its length.
pub(super) fn fragment(
    next: &mut RtpHeader,
    frame: &[u8],
    describe: impl Fn(bool, bool, &mut [u8]) -> usize,
    mut out: impl FnMut(RtpHeader, &[u8]),
) -> usize {
    let room = PACKET_PAYLOAD_BYTES_MAX - DESCRIPTOR_BYTES_MAX;
    let packets = frame.len().div_ceil(room).max(1);
    let size = frame.len().div_ceil(packets).max(1);
    let chunks = frame.chunks(size);
    let count = chunks.len();
    let mut payload = [0; PACKET_PAYLOAD_BYTES_MAX];
    for (at, chunk) in chunks.enumerate() {
        let (first, last) = (at == 0, at + 1 == count);
        let described = describe(first, last, &mut payload[..DESCRIPTOR_BYTES_MAX]);
        payload[described..described + chunk.len()].copy_from_slice(chunk);
        next.marker = last;
        out(*next, &payload[..described + chunk.len()]);
        next.sequence = next.sequence.wrapping_add(1);
    }
    count
}

/// One payload without its descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    /// Whether a frame starts here.
    pub(super) starts: bool,
    /// The picture it belongs to, if it says so.
    pub(super) picture: Option<u16>,
    /// Bytes of the frame.
    pub(super) body: &'a [u8],
}

/// Joins pieces whose sequence numbers follow each other without a hole.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    state: State,
    data: Vec<u8>,
    expected: Option<u16>,
    lost: bool,
    counters: DepacketiserCounters,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Between frames.
    #[default]
    Idle,
    /// Has the start of a frame and everything after it up to here.
    Joining { timestamp: u32, picture: Option<u16> },
    /// Lost a part of the frame of this timestamp; drops the rest of it.
    Skipping { timestamp: u32 },
}

impl Assembler {
    pub(super) fn counters(&self) -> DepacketiserCounters {
        self.counters
    }

    /// Takes note of a packet that carries nothing.
    pub(super) fn skip(&mut self, sequence: u16) {
        self.follow(sequence);
    }

    /// Takes note of a packet that carries nonsense: a hole, as far as its frame is concerned.
    pub(super) fn malformed(&mut self, header: &RtpHeader) {
        self.follow(header.sequence);
        self.counters.malformed += 1;
        if self.state != (State::Skipping { timestamp: header.timestamp }) {
            self.abandon();
            self.drop_frame(header.timestamp);
        }
    }

    /// Joins `piece` to the frame; returns the frame if it `ends` here.
    pub(super) fn push(
        &mut self,
        header: &RtpHeader,
        piece: &Piece<'_>,
        ends: bool,
    ) -> Option<Frame> {
        self.follow(header.sequence);
        let timestamp = header.timestamp;
        if let State::Joining { timestamp: of, .. } = self.state
            && (of != timestamp || piece.starts)
        {
            // The sender never marked the end of the frame before.
            self.abandon();
        }
        if let State::Skipping { timestamp: of } = self.state
            && (of != timestamp || piece.starts)
        {
            self.state = State::Idle;
        }
        match self.state {
            State::Skipping { .. } => return None,
            State::Idle if !piece.starts => {
                self.drop_frame(timestamp);
                return None;
            }
            State::Idle => {
                self.data.clear();
                self.state = State::Joining { timestamp, picture: piece.picture };
            }
            State::Joining { picture, .. } if picture != piece.picture => {
                self.drop_frame(timestamp);
                return None;
            }
            State::Joining { .. } => {}
        }
        if self.data.len() + piece.body.len() > VIDEO_FRAME_BYTES_MAX {
            self.drop_frame(timestamp);
            return None;
        }
        self.data.extend_from_slice(piece.body);
        ends.then(|| self.take(timestamp))
    }

    /// Notices a hole before `sequence`.
    fn follow(&mut self, sequence: u16) {
        if self.expected.is_some_and(|expected| expected != sequence) {
            self.abandon();
            self.lost = true;
        }
        self.expected = Some(sequence.wrapping_add(1));
    }

    /// Drops the frame that was being joined, if any.
    pub(super) fn abandon(&mut self) {
        if let State::Joining { timestamp, .. } = self.state {
            self.drop_frame(timestamp);
        }
    }

    /// Drops what there is and what is to come of a frame.
    fn drop_frame(&mut self, timestamp: u32) {
        self.data.clear();
        self.counters.incomplete += 1;
        self.lost = true;
        self.state = State::Skipping { timestamp };
    }

    fn take(&mut self, timestamp: u32) -> Frame {
        self.state = State::Idle;
        self.counters.frames += 1;
        Frame {
            timestamp,
            key: false,
            lost_before: core::mem::take(&mut self.lost),
            data: core::mem::take(&mut self.data),
        }
    }
}
