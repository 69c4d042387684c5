//! RTCP feedback: what a receiver asks of a sender, and tells it about the way between them.
//!
//! ```text
//! |V=2|P|  FMT    |  packet type  |   length in 32-bit words - 1  |
//! |                  SSRC of the packet's sender                  |
//! |  SSRC of the media (not in congestion feedback)               |
//! |  by format: lost numbers, requests, arrival times             |
//! ```
//!
//! Feedback may travel alone in a datagram (RFC 5506). Lists are read in place, so nothing here
//! allocates, and everything that was read from one datagram can be written into another.

use crate::limits::FEEDBACK_BYTES_MAX;
use crate::rtcp::{RtcpError, RtcpPacket, RtcpWriter, ssrc_at, u32_at};
use crate::rtp::Ssrc;

/// Transport layer feedback (RFC 4585 6.2).
pub(crate) const TRANSPORT: u8 = 205;
/// Payload-specific feedback (RFC 4585 6.3).
pub(crate) const PAYLOAD: u8 = 206;

const NACK: u8 = 1;
const CONGESTION: u8 = 11;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA: u8 = 4;

/// Bytes before the list: header and both SSRCs.
const HEAD_BYTES: usize = 12;
const NACK_ENTRY_BYTES: usize = 4;
const INTRA_REQUEST_BYTES: usize = 8;
/// Congestion feedback has no media SSRC before its blocks and a time behind them.
const CONGESTION_HEAD_BYTES: usize = 8;
const REPORT_TIMESTAMP_BYTES: usize = 4;
const BLOCK_HEAD_BYTES: usize = 8;
const METRIC_BYTES: usize = 2;

/// Reads a feedback packet, whose header fits; `None` if its format is none of ours.
pub(crate) fn parse(packet: &[u8]) -> Result<Option<RtcpPacket<'_>>, RtcpError> {
    let whole = without_padding(packet)?;
    if whole.len() < HEAD_BYTES {
        return Err(RtcpError::Truncated);
    }
    let (sender, media) = (ssrc_at(whole, 4), ssrc_at(whole, 8));
    let list = &whole[HEAD_BYTES..];
    Ok(Some(match (whole[1], whole[0] & 0x1f) {
        (TRANSPORT, NACK) => {
            listed(list, NACK_ENTRY_BYTES)?;
            RtcpPacket::Nack(Nack { sender, media, list })
        }
        (TRANSPORT, CONGESTION) => RtcpPacket::Congestion(CongestionFeedback::parse(whole)?),
        (PAYLOAD, PICTURE_LOSS) => RtcpPacket::PictureLoss { sender, media },
        (PAYLOAD, FULL_INTRA) => {
            listed(list, INTRA_REQUEST_BYTES)?;
            RtcpPacket::FullIntra(FullIntra { sender, list })
        }
        _ => return Ok(None),
    }))
}

/// Formats as numbers beside a packet's type.
pub(crate) const NACK_FORMAT: usize = NACK as usize;
pub(crate) const CONGESTION_FORMAT: usize = CONGESTION as usize;
pub(crate) const FULL_INTRA_FORMAT: usize = FULL_INTRA as usize;

/// Where a valid feedback packet ends but for its padding.
pub(crate) fn end_of_list(packet: &[u8]) -> usize {
    without_padding(packet).map_or(packet.len(), <[u8]>::len)
}

/// A list has at least one entry (RFC 4585 6.2.1, RFC 5104 4.3.1.1) and only whole ones.
fn listed(list: &[u8], entry_bytes: usize) -> Result<(), RtcpError> {
    let whole = !list.is_empty() && list.len().is_multiple_of(entry_bytes);
    if whole { Ok(()) } else { Err(RtcpError::Feedback) }
}

/// Padding behind a list would read as entries (RFC 3550 6.4.1: its last byte counts it).
fn without_padding(packet: &[u8]) -> Result<&[u8], RtcpError> {
    let padding = match packet {
        [first, .., last] if first & 0x20 != 0 => usize::from(*last),
        _ => return Ok(packet),
    };
    match packet.len().checked_sub(padding) {
        Some(bytes) if padding > 0 && padding.is_multiple_of(4) => Ok(&packet[..bytes]),
        _ => Err(RtcpError::Feedback),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A generic NACK: packets the receiver lacks (RFC 4585 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// The stream that has gaps.
    pub media: Ssrc,
    list: &'a [u8],
}

impl<'a> Nack<'a> {
    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = NackEntry> + use<'a> {
        let entry = |bytes: &[u8]| NackEntry { first: u16_at(bytes, 0), next: u16_at(bytes, 2) };
        self.list.chunks_exact(NACK_ENTRY_BYTES).map(entry)
    }

    /// All sequence numbers asked for, in order; one may occur twice.
    pub fn sequences(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.entries().flat_map(NackEntry::sequences)
    }
}

/// A lost packet, and which of the next sixteen are lost as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NackEntry {
    /// Sequence number of the lost packet (PID).
    pub first: u16,
    /// Bit n says that number `first + n + 1` is lost, too (BLP).
    pub next: u16,
}

impl NackEntry {
    /// The sequence numbers in order.
    pub fn sequences(self) -> impl Iterator<Item = u16> {
        let next = (0..16_u16).filter(move |bit| self.next >> bit & 1 == 1);
        core::iter::once(self.first).chain(next.map(move |bit| self.first.wrapping_add(bit + 1)))
    }

    /// Packs sequence numbers; the fewest entries come of ascending ones.
    pub fn pack(sequences: impl IntoIterator<Item = u16>) -> impl Iterator<Item = Self> {
        let mut sequences = sequences.into_iter().peekable();
        core::iter::from_fn(move || {
            let mut entry = Self { first: sequences.next()?, next: 0 };
            let in_reach = |sequence: &u16| sequence.wrapping_sub(entry.first) <= 16;
            while let Some(sequence) = sequences.next_if(in_reach) {
                if let Some(bit) = sequence.wrapping_sub(entry.first).checked_sub(1) {
                    entry.next |= 1 << bit;
                }
            }
            Some(entry)
        })
    }
}

/// Commands to senders to begin anew with a key frame (RFC 5104 4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct FullIntra<'a> {
    /// Who commands.
    pub sender: Ssrc,
    list: &'a [u8],
}

impl<'a> FullIntra<'a> {
    /// The commands in order.
    pub fn requests(&self) -> impl Iterator<Item = IntraRequest> + use<'a> {
        let request = |bytes: &[u8]| IntraRequest { media: ssrc_at(bytes, 0), command: bytes[4] };
        self.list.chunks_exact(INTRA_REQUEST_BYTES).map(request)
    }
}

/// One command to one stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IntraRequest {
    /// The stream that is to begin anew.
    pub media: Ssrc,
    /// Number of the command; a repetition has the number of the first.
    pub command: u8,
}

/// When the packets of several streams arrived (RFC 8888).
#[derive(Clone, Copy, Debug)]
pub struct CongestionFeedback<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// When: the middle 32 bits of the reporter's NTP time.
    pub timestamp: u32,
    blocks: &'a [u8],
}

impl<'a> CongestionFeedback<'a> {
    fn parse(packet: &'a [u8]) -> Result<Self, RtcpError> {
        let end = packet.len() - REPORT_TIMESTAMP_BYTES;
        let blocks = &packet[CONGESTION_HEAD_BYTES..end];
        let mut rest = blocks;
        while !rest.is_empty() {
            (_, rest) = CongestionBlock::split(rest).ok_or(RtcpError::Feedback)?;
        }
        Ok(Self { sender: ssrc_at(packet, 4), timestamp: u32_at(packet, end), blocks })
    }

    /// A block for each stream, in order.
    pub fn blocks(&self) -> impl Iterator<Item = CongestionBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        core::iter::from_fn(move || {
            let (block, behind) = CongestionBlock::split(rest)?;
            rest = behind;
            Some(block)
        })
    }
}

/// When consecutive packets of one stream arrived.
#[derive(Clone, Copy, Debug)]
pub struct CongestionBlock<'a> {
    /// The stream.
    pub media: Ssrc,
    /// Sequence number of the packet that the first metric is about.
    pub first: u16,
    metrics: &'a [u8],
}

impl<'a> CongestionBlock<'a> {
    /// The first block, without its padding, and what follows it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<BLOCK_HEAD_BYTES>()?;
        let metrics_bytes = METRIC_BYTES * usize::from(u16_at(head, 6));
        // RFC 8888 3.1: zeros fill up the last word.
        let (metrics, rest) = rest.split_at_checked(metrics_bytes.next_multiple_of(4))?;
        let (media, first) = (ssrc_at(head, 0), u16_at(head, 4));
        Some((Self { media, first, metrics: &metrics[..metrics_bytes] }, rest))
    }

    /// A metric for each number from `first` on.
    pub fn metrics(&self) -> impl ExactSizeIterator<Item = PacketMetric> + use<'a> {
        self.metrics.chunks_exact(METRIC_BYTES).map(|bytes| PacketMetric(u16_at(bytes, 0)))
    }
}

/// Whether, when and how marked one packet arrived (RFC 8888 3.1).
///
/// ```text
/// |R|ECN|  arrival time offset, 13 bits |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PacketMetric(u16);

impl PacketMetric {
    /// It has not arrived.
    pub const MISSING: Self = Self(0);

    /// It arrived, with these congestion marks (RFC 3168 5; the two lowest bits count).
    pub fn arrived(marks: u8, offset: ArrivalOffset) -> Self {
        let offset = match offset {
            ArrivalOffset::Before(units) => units.min(ArrivalOffset::LONGER),
            ArrivalOffset::Longer => ArrivalOffset::LONGER,
            ArrivalOffset::Unknown => ArrivalOffset::UNKNOWN,
        };
        Self(1 << 15 | u16::from(marks & 3) << 13 | offset)
    }

    /// When it arrived; `None` if it has not.
    pub fn arrival(self) -> Option<ArrivalOffset> {
        (self.0 >> 15 == 1).then_some(match self.0 & 0x1fff {
            ArrivalOffset::UNKNOWN => ArrivalOffset::Unknown,
            ArrivalOffset::LONGER => ArrivalOffset::Longer,
            units => ArrivalOffset::Before(units),
        })
    }

    /// The congestion marks of its IP header, two bits.
    pub fn marks(self) -> u8 {
        u8::try_from(self.0 >> 13 & 3).expect("masked to two bits")
    }
}

/// How long before the report a packet arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArrivalOffset {
    /// So many 1/1024 s; from [`LONGER`](Self::LONGER) on it is written as longer.
    Before(u16),
    /// Longer ago than can be said.
    Longer,
    /// Not measured.
    Unknown,
}

impl ArrivalOffset {
    /// Units in a second.
    pub const UNITS_PER_SECOND: u64 = 1024;
    /// How [`Longer`](Self::Longer) is written: 8 s.
    pub const LONGER: u16 = 0x1ffe;
    const UNKNOWN: u16 = 0x1fff;
}

/// Feedback. Each packet has at most [`FEEDBACK_BYTES_MAX`] bytes; what does not fit is left out.
impl RtcpWriter<'_> {
    /// Asks for lost packets; an empty list writes nothing.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        entries: impl IntoIterator<Item = NackEntry>,
    ) {
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_none() {
            return;
        }
        let most = (FEEDBACK_BYTES_MAX - HEAD_BYTES) / NACK_ENTRY_BYTES;
        self.packet(TRANSPORT, usize::from(NACK), |out| {
            put_words(out, [sender.0, media.0]);
            for entry in entries.take(most) {
                put_words(out, [u32::from(entry.first) << 16 | u32::from(entry.next)]);
            }
        });
    }

    /// Says that pictures were lost, so that a key frame is needed (RFC 4585 6.3.1).
    pub fn picture_loss(&mut self, sender: Ssrc, media: Ssrc) {
        self.packet(PAYLOAD, usize::from(PICTURE_LOSS), |out| put_words(out, [sender.0, media.0]));
    }

    /// Commands key frames; an empty list writes nothing.
    pub fn full_intra(&mut self, sender: Ssrc, requests: impl IntoIterator<Item = IntraRequest>) {
        let mut requests = requests.into_iter().peekable();
        if requests.peek().is_none() {
            return;
        }
        let most = (FEEDBACK_BYTES_MAX - HEAD_BYTES) / INTRA_REQUEST_BYTES;
        self.packet(PAYLOAD, usize::from(FULL_INTRA), |out| {
            // RFC 5104 4.3.1.2: the streams are named in the list, not before it.
            put_words(out, [sender.0, 0]);
            for request in requests.take(most) {
                put_words(out, [request.media.0, u32::from(request.command) << 24]);
            }
        });
    }

    /// Tells when packets arrived; `fill` adds the blocks.
    pub fn congestion(
        &mut self,
        sender: Ssrc,
        timestamp: u32,
        fill: impl FnOnce(&mut CongestionBlocks<'_>),
    ) {
        self.packet(TRANSPORT, usize::from(CONGESTION), |out| {
            let room = FEEDBACK_BYTES_MAX - CONGESTION_HEAD_BYTES - REPORT_TIMESTAMP_BYTES;
            put_words(out, [sender.0]);
            fill(&mut CongestionBlocks { out, room });
            put_words(out, [timestamp]);
        });
    }
}

/// Where the blocks of one congestion feedback go.
#[derive(Debug)]
pub struct CongestionBlocks<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
}

impl CongestionBlocks<'_> {
    /// Adds a block about a stream's packets from number `first` on; `false` if there is no room
    /// for all of it, and then nothing is added.
    pub fn add<M>(&mut self, media: Ssrc, first: u16, metrics: M) -> bool
    where
        M: IntoIterator<Item = PacketMetric, IntoIter: ExactSizeIterator>,
    {
        let metrics = metrics.into_iter();
        let bytes = BLOCK_HEAD_BYTES + (METRIC_BYTES * metrics.len()).next_multiple_of(4);
        let Some(room) = self.room.checked_sub(bytes) else { return false };
        let count = u32::try_from(metrics.len()).expect("a packet's room holds fewer than 2^16");
        let end = self.out.len() + bytes;
        put_words(self.out, [media.0, u32::from(first) << 16 | count]);
        metrics.for_each(|PacketMetric(metric)| self.out.extend_from_slice(&metric.to_be_bytes()));
        self.out.resize(end, 0);
        self.room = room;
        true
    }

    /// How many metrics a further block may have.
    pub fn room(&self) -> usize {
        let words = self.room.saturating_sub(BLOCK_HEAD_BYTES) / 4;
        words * 4 / METRIC_BYTES
    }
}

fn put_words<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "feedback_tests.rs"]
mod tests;
