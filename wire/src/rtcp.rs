//! RTCP compound packets (RFC 3550 6) as views over received bytes, and reports to write.
//!
//! ```text
//! |V=2|P| count   |  packet type  |   length in 32-bit words - 1  |
//! |                  SSRC of the sender                           |
//! |  by type: sender info, report blocks, source descriptions ... |
//! ```

use crate::feedback::{self, CongestionFeedback, FullIntra, Nack};
use crate::rtp::Ssrc;
use core::fmt;

/// Bytes of a report block.
pub const REPORT_BLOCK_BYTES: usize = 24;

/// Report blocks one report may carry: the count has five bits.
pub const REPORT_BLOCKS_MAX: usize = 31;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
pub(crate) const BYE: u8 = 203;
pub(crate) const APPLICATION: u8 = 204;
pub(crate) const SENDER_INFO_BYTES: usize = 20;

/// Why bytes are not a compound packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RtcpError {
    /// A packet is shorter than its header says, or the whole is empty.
    Truncated,
    /// Not version 2.
    Version,
    /// A feedback packet's list is empty, or does not end where the packet ends.
    Feedback,
}

impl fmt::Display for RtcpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "RTCP packet shorter than its header says",
            Self::Version => "RTCP version is not 2",
            Self::Feedback => "RTCP feedback with a broken list",
        })
    }
}

impl core::error::Error for RtcpError {}

/// A compound packet all of whose parts lie within it.
#[derive(Clone, Copy, Debug)]
pub struct RtcpView<'a> {
    bytes: &'a [u8],
}

impl<'a> RtcpView<'a> {
    /// Validates the chain of packets; each must hold at least a sender's SSRC.
    ///
    /// # Errors
    /// [`RtcpError`] if a length runs past the end, a version is wrong or there is no packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = bytes;
        loop {
            let (packet, behind) = split(rest)?;
            RtcpPacket::read(packet)?;
            if behind.is_empty() {
                return Ok(Self { bytes });
            }
            rest = behind;
        }
    }

    /// SSRC of the sender of the first packet: what SRTCP keys and replay windows go by.
    pub fn sender(&self) -> Ssrc {
        ssrc_at(self.bytes, 4)
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (packet, behind) = split(rest).ok()?;
            rest = behind;
            RtcpPacket::read(packet).ok()
        })
    }
}

/// The first packet of a chain and what follows it.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), RtcpError> {
    let &[first, _, high, low] = bytes.first_chunk::<4>().ok_or(RtcpError::Truncated)?;
    if first >> 6 != 2 {
        return Err(RtcpError::Version);
    }
    let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
    bytes.split_at_checked(length).ok_or(RtcpError::Truncated)
}

/// Bytes a packet of this type and count has at least.
fn minimum_bytes(packet: &[u8]) -> usize {
    let blocks = usize::from(packet[0] & 0x1f) * REPORT_BLOCK_BYTES;
    match packet[1] {
        SENDER_REPORT => 8 + SENDER_INFO_BYTES + blocks,
        RECEIVER_REPORT => 8 + blocks,
        APPLICATION => 12,
        BYE if packet[0] & 0x1f == 0 => 4,
        _ => 8,
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn ssrc_at(bytes: &[u8], at: usize) -> Ssrc {
    Ssrc(bytes.get(at..at + 4).map_or(0, |field| u32_at(field, 0)))
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum RtcpPacket<'a> {
    /// What a sender sent, and what it received.
    SenderReport {
        /// Who reports.
        sender: Ssrc,
        /// When, and how much it sent.
        info: SenderInfo,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// What someone received who sent nothing lately.
    ReceiverReport {
        /// Who reports.
        sender: Ssrc,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// A source leaves.
    Bye {
        /// The first source that leaves.
        sender: Ssrc,
    },
    /// An application's own packet (RFC 3550 6.7).
    Application {
        /// Who sends it.
        sender: Ssrc,
        /// Which application.
        name: [u8; 4],
        /// What it says.
        data: &'a [u8],
    },
    /// Packets are lost, send them again.
    Nack(Nack<'a>),
    /// Pictures are lost, send a key frame (RFC 4585 6.3.1).
    PictureLoss {
        /// Who asks.
        sender: Ssrc,
        /// The stream without pictures.
        media: Ssrc,
    },
    /// Begin anew with a key frame.
    FullIntra(FullIntra<'a>),
    /// When packets arrived.
    Congestion(CongestionFeedback<'a>),
    /// Anything else: descriptions, other feedback.
    Other {
        /// Packet type.
        kind: u8,
    },
}

impl<'a> RtcpPacket<'a> {
    /// Reads one whole packet.
    fn read(packet: &'a [u8]) -> Result<Self, RtcpError> {
        if packet.len() < minimum_bytes(packet) {
            return Err(RtcpError::Truncated);
        }
        let sender = ssrc_at(packet, 4);
        let blocks = |at: usize| {
            let count = usize::from(packet[0] & 0x1f);
            ReportBlocks { bytes: &packet[at..at + count * REPORT_BLOCK_BYTES] }
        };
        Ok(match packet[1] {
            SENDER_REPORT => Self::SenderReport {
                sender,
                info: SenderInfo::read(&packet[8..8 + SENDER_INFO_BYTES]),
                blocks: blocks(8 + SENDER_INFO_BYTES),
            },
            RECEIVER_REPORT => Self::ReceiverReport { sender, blocks: blocks(8) },
            BYE => Self::Bye { sender },
            APPLICATION => {
                let name = [packet[8], packet[9], packet[10], packet[11]];
                Self::Application { sender, name, data: &packet[12..] }
            }
            kind @ (feedback::TRANSPORT | feedback::PAYLOAD) => {
                feedback::parse(packet)?.unwrap_or(Self::Other { kind })
            }
            kind => Self::Other { kind },
        })
    }
}

/// Sender information of a sender report (RFC 3550 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// NTP time of the report: seconds in the high, fractions in the low 32 bits.
    pub ntp: u64,
    /// The same instant in the stream's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub bytes: u32,
}

impl SenderInfo {
    fn read(bytes: &[u8]) -> Self {
        Self {
            ntp: u64::from(u32_at(bytes, 0)) << 32 | u64::from(u32_at(bytes, 4)),
            rtp_timestamp: u32_at(bytes, 8),
            packets: u32_at(bytes, 12),
            bytes: u32_at(bytes, 16),
        }
    }

    /// The middle 32 bits of the NTP time: what a receiver echoes as LSR.
    pub fn short_ntp(&self) -> u32 {
        u32::try_from(self.ntp >> 16 & 0xffff_ffff).expect("masked to 32 bits")
    }
}

/// Report blocks of one report.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl ReportBlocks<'_> {
    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + '_ {
        self.bytes.chunks_exact(REPORT_BLOCK_BYTES).map(ReportBlock::read)
    }
}

/// How one source was received (RFC 3550 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: Ssrc,
    /// Lost since the last report, of 256.
    pub fraction_lost: u8,
    /// Lost since the beginning, 24 bits with sign.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in the stream's RTP clock.
    pub jitter: u32,
    /// [`SenderInfo::short_ntp`] of the last sender report heard, 0 if none.
    pub last_report: u32,
    /// Time since then in 1/65536 s.
    pub delay: u32,
}

impl ReportBlock {
    fn read(bytes: &[u8]) -> Self {
        let lost = u32_at(bytes, 4);
        // Sign-extends 24 bits.
        let cumulative_lost = (lost << 8).cast_signed() >> 8;
        Self {
            ssrc: ssrc_at(bytes, 0),
            fraction_lost: bytes[4],
            cumulative_lost,
            highest_sequence: u32_at(bytes, 8),
            jitter: u32_at(bytes, 12),
            last_report: u32_at(bytes, 16),
            delay: u32_at(bytes, 20),
        }
    }

    fn to_bytes(self) -> [u8; REPORT_BLOCK_BYTES] {
        let clamped = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        let lost = u32::from(self.fraction_lost) << 24 | clamped.cast_unsigned() & 0xff_ffff;
        let words =
            [self.ssrc.0, lost, self.highest_sequence, self.jitter, self.last_report, self.delay];
        let mut out = [0; REPORT_BLOCK_BYTES];
        for (field, word) in out.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_be_bytes());
        }
        out
    }
}

/// Writes compound packets by appending to a buffer of the caller's.
#[derive(Debug)]
pub struct RtcpWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> RtcpWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A sender report; only the first [`REPORT_BLOCKS_MAX`] blocks are written.
    pub fn sender_report(&mut self, sender: Ssrc, info: SenderInfo, blocks: &[ReportBlock]) {
        self.packet(SENDER_REPORT, blocks.len().min(REPORT_BLOCKS_MAX), |out| {
            out.extend_from_slice(&sender.0.to_be_bytes());
            out.extend_from_slice(&info.ntp.to_be_bytes());
            for word in [info.rtp_timestamp, info.packets, info.bytes] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            put_blocks(out, blocks);
        });
    }

    /// A receiver report; only the first [`REPORT_BLOCKS_MAX`] blocks are written.
    pub fn receiver_report(&mut self, sender: Ssrc, blocks: &[ReportBlock]) {
        self.packet(RECEIVER_REPORT, blocks.len().min(REPORT_BLOCKS_MAX), |out| {
            out.extend_from_slice(&sender.0.to_be_bytes());
            put_blocks(out, blocks);
        });
    }

    /// A source description with a CNAME (RFC 3550 6.5.1); longer names are cut at 255 bytes.
    pub fn canonical_name(&mut self, sender: Ssrc, name: &[u8]) {
        let name = &name[..name.len().min(255)];
        self.packet(SOURCE_DESCRIPTION, 1, |out| {
            out.extend_from_slice(&sender.0.to_be_bytes());
            out.push(1);
            out.push(u8::try_from(name.len()).expect("cut at 255"));
            out.extend_from_slice(name);
            // RFC 3550 6.5: the list ends with at least one null byte.
            out.push(0);
        });
    }

    /// Says that `sender` leaves.
    pub fn bye(&mut self, sender: Ssrc) {
        self.packet(BYE, 1, |out| out.extend_from_slice(&sender.0.to_be_bytes()));
    }

    /// An application's own packet; `data` is padded to whole words.
    pub fn application(&mut self, sender: Ssrc, name: [u8; 4], data: &[u8]) {
        self.packet(APPLICATION, 0, |out| {
            out.extend_from_slice(&sender.0.to_be_bytes());
            out.extend_from_slice(&name);
            out.extend_from_slice(data);
        });
    }

    /// Writes header and body and pads to whole words with null bytes. `count` may be a feedback's
    /// format.
    pub(crate) fn packet(&mut self, kind: u8, count: usize, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        let count = u8::try_from(count).expect("counts have five bits");
        self.out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
        body(self.out);
        self.out.resize(start + (self.out.len() - start).next_multiple_of(4), 0);
        let words = (self.out.len() - start) / 4 - 1;
        let words = u16::try_from(words).expect("reports and feedback are shorter than 2^18 bytes");
        self.out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    }
}

fn put_blocks(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    for block in blocks.iter().take(REPORT_BLOCKS_MAX) {
        out.extend_from_slice(&block.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(9),
        fraction_lost: 3,
        cumulative_lost: -2,
        highest_sequence: 0x0001_fffe,
        jitter: 77,
        last_report: 0x1234_5678,
        delay: 65_536,
    };
    const INFO: SenderInfo =
        SenderInfo { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 5, packets: 6, bytes: 7 };

    fn compound() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RtcpWriter::new(&mut out);
        writer.sender_report(Ssrc(1), INFO, &[BLOCK, BLOCK]);
        writer.canonical_name(Ssrc(1), b"terminal");
        writer.receiver_report(Ssrc(2), &[]);
        writer.application(Ssrc(1), *b"KKRD", &[0, 0, 0, 7]);
        writer.bye(Ssrc(1));
        out
    }

    #[test]
    fn a_written_compound_reads_back() {
        let bytes = compound();
        let view = RtcpView::parse(&bytes).unwrap();
        assert_eq!(view.sender(), Ssrc(1));
        let packets: Vec<_> = view.packets().collect();
        assert_eq!(packets.len(), 5);
        let RtcpPacket::SenderReport { sender, info, blocks } = packets[0] else { panic!() };
        assert_eq!((sender, info), (Ssrc(1), INFO));
        assert_eq!(info.short_ntp(), 0x0304_0506);
        assert_eq!(blocks.iter().collect::<Vec<_>>(), [BLOCK, BLOCK]);
        assert!(matches!(packets[1], RtcpPacket::Other { kind: SOURCE_DESCRIPTION }));
        assert!(matches!(packets[2], RtcpPacket::ReceiverReport { sender: Ssrc(2), .. }));
        let RtcpPacket::Application { sender: Ssrc(1), name, data } = packets[3] else { panic!() };
        assert_eq!((&name, data), (b"KKRD", &[0, 0, 0, 7][..]));
        assert!(matches!(packets[4], RtcpPacket::Bye { sender: Ssrc(1) }));
    }

    #[test]
    fn every_cut_is_noticed_or_leaves_whole_packets() {
        let bytes = compound();
        for length in 0..bytes.len() {
            if let Ok(view) = RtcpView::parse(&bytes[..length]) {
                assert!(view.packets().count() < 5, "{length}");
            }
        }
    }

    #[test]
    fn more_blocks_than_a_report_holds_are_left_out() {
        let mut out = Vec::new();
        RtcpWriter::new(&mut out).receiver_report(Ssrc(1), &[BLOCK; 40]);
        let view = RtcpView::parse(&out).unwrap();
        let Some(RtcpPacket::ReceiverReport { blocks, .. }) = view.packets().next() else {
            panic!()
        };
        assert_eq!(blocks.iter().count(), REPORT_BLOCKS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..160), kind in 198_u8..208,
        ) {
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                head[0] |= 0x80;
                head[1] = kind;
                head[2] = 0;
            }
            if let Ok(view) = RtcpView::parse(&bytes) {
                let _ = view.sender();
                for packet in view.packets() {
                    if let RtcpPacket::SenderReport { blocks, .. }
                    | RtcpPacket::ReceiverReport { blocks, .. } = packet
                    {
                        let _ = blocks.iter().count();
                    }
                }
            }
        }
    }
}
