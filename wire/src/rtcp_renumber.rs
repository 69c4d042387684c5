//! Gives the streams that an RTCP compound speaks of other SSRCs and sequence numbers, in place.
//!
//! A relay that shows a stream under another name, with other numbers, has to speak of it so in
//! what it hands on: reports, requests for repetition, arrival times.

use crate::feedback;
use crate::rtcp::{
    APPLICATION, BYE, RECEIVER_REPORT, REPORT_BLOCK_BYTES, RtcpView, SENDER_INFO_BYTES,
    SENDER_REPORT, SOURCE_DESCRIPTION, split, ssrc_at, u32_at,
};
use crate::rtp::Ssrc;

/// What a stream is called elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// Its SSRC there.
    pub ssrc: Ssrc,
    /// What is added to its sequence numbers, modulo 2^16; extended ones modulo 2^32.
    pub shift: i64,
}

/// Rewrites `compound`, which must be a valid compound packet: see [`RtcpView::parse`]. Streams of
/// which `elsewhere` knows nothing keep their numbers. `false` if it is not valid; nothing has
/// changed then. Source descriptions keep their text and lose nothing but their old numbers.
pub fn renumber(compound: &mut [u8], mut elsewhere: impl FnMut(Ssrc) -> Option<Elsewhere>) -> bool {
    if RtcpView::parse(compound).is_err() {
        return false;
    }
    let mut start = 0;
    while let Ok((packet, _)) = split(&compound[start..]) {
        let end = start + packet.len();
        let mut fields = Fields { packet: &mut compound[start..end], elsewhere: &mut elsewhere };
        fields.renumber();
        start = end;
    }
    true
}

/// One packet of the compound.
struct Fields<'a, F> {
    packet: &'a mut [u8],
    elsewhere: &'a mut F,
}

impl<F: FnMut(Ssrc) -> Option<Elsewhere>> Fields<'_, F> {
    fn renumber(&mut self) {
        let count = usize::from(self.packet[0] & 0x1f);
        match self.packet[1] {
            SENDER_REPORT => {
                self.ssrc(4);
                self.blocks(8 + SENDER_INFO_BYTES, count);
            }
            RECEIVER_REPORT => {
                self.ssrc(4);
                self.blocks(8, count);
            }
            BYE => (0..count).for_each(|source| self.ssrc_if_there(4 + 4 * source)),
            APPLICATION | SOURCE_DESCRIPTION => self.ssrc_if_there(4),
            feedback::TRANSPORT | feedback::PAYLOAD => self.feedback(count),
            _ => {}
        }
    }

    /// The SSRC at `at`; gives the shift of its sequence numbers.
    fn ssrc(&mut self, at: usize) -> i64 {
        let Some(new) = (self.elsewhere)(ssrc_at(self.packet, at)) else { return 0 };
        self.packet[at..at + 4].copy_from_slice(&new.ssrc.0.to_be_bytes());
        new.shift
    }

    fn ssrc_if_there(&mut self, at: usize) {
        if at + 4 <= self.packet.len() {
            self.ssrc(at);
        }
    }

    /// Report blocks (RFC 3550 6.4.1): SSRC, loss, extended highest sequence number.
    fn blocks(&mut self, at: usize, count: usize) {
        for block in (0..count).map(|n| at + n * REPORT_BLOCK_BYTES) {
            let shift = self.ssrc(block);
            let highest = i64::from(u32_at(self.packet, block + 8)) + shift;
            let highest = u32::try_from(highest.rem_euclid(1 << 32)).unwrap_or(0);
            self.packet[block + 8..block + 12].copy_from_slice(&highest.to_be_bytes());
        }
    }

    fn sequence(&mut self, at: usize, shift: i64) {
        let Some(bytes) = self.packet.get_mut(at..at + 2) else { return };
        let moved = i64::from(u16::from_be_bytes([bytes[0], bytes[1]])) + shift;
        let moved = u16::try_from(moved.rem_euclid(1 << 16)).unwrap_or(0);
        bytes.copy_from_slice(&moved.to_be_bytes());
    }

    fn feedback(&mut self, format: usize) {
        self.ssrc(4);
        let end = feedback::end_of_list(self.packet);
        match (self.packet[1], format) {
            (feedback::TRANSPORT, feedback::NACK_FORMAT) => {
                let shift = self.ssrc(8);
                (12..end).step_by(4).for_each(|entry| self.sequence(entry, shift));
            }
            (feedback::TRANSPORT, feedback::CONGESTION_FORMAT) => self.congestion(end - 4),
            (feedback::PAYLOAD, feedback::FULL_INTRA_FORMAT) => {
                (12..end).step_by(8).for_each(|request| self.ssrc_if_there(request));
            }
            _ => self.ssrc_if_there(8),
        }
    }

    /// Blocks of RFC 8888: SSRC, first number, count, then the metrics in whole words.
    fn congestion(&mut self, end: usize) {
        let mut block = 8;
        while block + 8 <= end {
            let count =
                usize::from(u16::from_be_bytes([self.packet[block + 6], self.packet[block + 7]]));
            let shift = self.ssrc(block);
            self.sequence(block + 4, shift);
            block += 8 + (2 * count).next_multiple_of(4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{ArrivalOffset, IntraRequest, NackEntry, PacketMetric};
    use crate::rtcp::{ReportBlock, RtcpPacket, RtcpWriter};

    fn there(ssrc: Ssrc) -> Option<Elsewhere> {
        let shift = match ssrc.0 {
            1 => 0,
            2 => 70_000,
            3 => -5,
            _ => return None,
        };
        Some(Elsewhere { ssrc: Ssrc(ssrc.0 + 100), shift })
    }

    fn back(ssrc: Ssrc) -> Option<Elsewhere> {
        let name = Ssrc(ssrc.0.checked_sub(100)?);
        Some(Elsewhere { ssrc: name, shift: -there(name)?.shift })
    }

    fn compound() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = RtcpWriter::new(&mut bytes);
        let block = ReportBlock {
            ssrc: Ssrc(2),
            fraction_lost: 1,
            cumulative_lost: -2,
            highest_sequence: u32::MAX,
            jitter: 3,
            last_report: 4,
            delay: 5,
        };
        out.receiver_report(Ssrc(1), &[block]);
        out.nack(Ssrc(1), Ssrc(3), NackEntry::pack([2, 9, 40]));
        out.picture_loss(Ssrc(1), Ssrc(3));
        out.full_intra(Ssrc(1), [IntraRequest { media: Ssrc(2), command: 8 }]);
        let metric = PacketMetric::arrived(0, ArrivalOffset::Before(7));
        out.congestion(Ssrc(1), 99, |blocks| {
            assert!(blocks.add(Ssrc(2), 65_000, [metric; 3]));
            assert!(blocks.add(Ssrc(3), 3, [metric; 2]));
        });
        bytes
    }

    #[test]
    fn every_kind_is_renumbered_and_comes_back() {
        let original = compound();
        let mut bytes = original.clone();
        assert!(renumber(&mut bytes, there));
        assert_ne!(bytes, original);
        let view = RtcpView::parse(&bytes).unwrap();
        for packet in view.packets() {
            match packet {
                RtcpPacket::ReceiverReport { sender, blocks } => {
                    let block = blocks.iter().next().unwrap();
                    assert_eq!((sender, block.ssrc), (Ssrc(101), Ssrc(102)));
                    assert_eq!(block.highest_sequence, 69_999, "modulo 2^32");
                }
                RtcpPacket::Nack(nack) => {
                    assert_eq!((nack.sender, nack.media), (Ssrc(101), Ssrc(103)));
                    assert_eq!(nack.sequences().collect::<Vec<_>>(), [65_533, 4, 35]);
                }
                RtcpPacket::PictureLoss { sender, media } => {
                    assert_eq!((sender, media), (Ssrc(101), Ssrc(103)));
                }
                RtcpPacket::FullIntra(intra) => {
                    assert_eq!(intra.requests().next().unwrap().media, Ssrc(102));
                }
                RtcpPacket::Congestion(congestion) => {
                    let blocks: Vec<_> = congestion.blocks().collect();
                    let firsts: Vec<_> = blocks.iter().map(|it| (it.media.0, it.first)).collect();
                    assert_eq!(firsts, [(102, 3_928), (103, 65_534)]);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(renumber(&mut bytes, back));
        assert_eq!(bytes, original);
    }

    #[test]
    fn what_nobody_knows_keeps_its_numbers() {
        let mut bytes = compound();
        assert!(renumber(&mut bytes, |_| None));
        assert_eq!(bytes, compound());
    }

    #[test]
    fn anything_is_renumbered_or_left_alone() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let mut renumbered = bytes.to_vec();
            let shift = |ssrc: Ssrc| Some(Elsewhere { ssrc: Ssrc(!ssrc.0), shift: 1 });
            let valid = renumber(&mut renumbered, shift);
            assert_eq!(valid, RtcpView::parse(bytes).is_ok());
            if !valid {
                assert_eq!(renumbered, bytes);
            }
        });
    }
}
