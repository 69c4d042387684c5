//! Fuzz targets of every decoder. They run as tests on what the fuzzer's default engine draws, and
//! for as long as wanted with `cargo bolero test -p kakehashi-wire NAME`.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::frame::{FrameHeader, Reader};
use kakehashi_wire::limits::FEEDBACK_BYTES_MAX;
use kakehashi_wire::node::{FromNode, ToNode};
use kakehashi_wire::relay::{FromRelay, ToRelay};
use kakehashi_wire::rtcp::{RtcpPacket, RtcpView, RtcpWriter};
use kakehashi_wire::rtp::RtpView;
use kakehashi_wire::stun::StunView;
use kakehashi_wire::terminal::{FromTerminal, ToTerminal};

#[test]
fn datagrams() {
    bolero::check!().for_each(|bytes: &[u8]| match DatagramKind::of(bytes) {
        DatagramKind::Stun => {
            let _ = StunView::parse(bytes).map(|view| view.is_keyed_by(b"key"));
        }
        DatagramKind::Rtp => {
            let _ = RtpView::parse(bytes).map(|view| view.payload().len());
        }
        DatagramKind::Rtcp => {
            let _ = RtcpView::parse(bytes).map(|view| view.packets().count());
        }
        DatagramKind::Foreign => {}
    });
}

#[test]
fn rtp() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(view) = RtpView::parse(bytes) {
            assert!(view.header_bytes() + view.payload().len() <= bytes.len());
        }
    });
}

#[test]
fn rtcp() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(view) = RtcpView::parse(bytes) {
            assert!(view.packets().count() <= bytes.len() / 4);
        }
    });
}

/// What was read as feedback, written anew; `None` if it is none.
fn written_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let view = RtcpView::parse(bytes).ok()?;
    let mut out = Vec::new();
    let mut writer = RtcpWriter::new(&mut out);
    match view.packets().next()? {
        RtcpPacket::Nack(nack) => writer.nack(nack.sender, nack.media, nack.entries()),
        RtcpPacket::PictureLoss { sender, media } => writer.picture_loss(sender, media),
        RtcpPacket::FullIntra(intra) => writer.full_intra(intra.sender, intra.requests()),
        RtcpPacket::Congestion(read) => {
            writer.congestion(read.sender, read.timestamp, |blocks| {
                for block in read.blocks() {
                    assert!(blocks.add(block.media, block.first, block.metrics()));
                }
            });
        }
        _ => return None,
    }
    Some(out)
}

/// Whatever of a datagram parses as feedback can be written whole; what has no meaning (padding,
/// reserved bits) is left behind the first time.
#[test]
fn feedback() {
    bolero::check!().with_type::<(u8, bool, Vec<u8>)>().for_each(|(format, payload, list)| {
        let format = [1, 4, 11, 15][usize::from(*format % 4)];
        let mut bytes = vec![0x80 | format, 205 + u8::from(*payload), 0, 0];
        bytes.extend(list.iter().take(FEEDBACK_BYTES_MAX - bytes.len()));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let words = u16::try_from(bytes.len() / 4 - 1).unwrap();
        bytes[2..4].copy_from_slice(&words.to_be_bytes());
        if let Some(again) = written_again(&bytes) {
            assert!(again.len() <= bytes.len());
            assert_eq!(written_again(&again), Some(again));
        }
    });
}

#[test]
fn stun() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = StunView::parse(bytes).map(|view| (view.fragments(), view.mapped()));
    });
}

#[test]
fn frame_header() {
    bolero::check!().with_type::<[u8; FrameHeader::BYTES]>().for_each(|bytes| {
        if let Ok(header) = FrameHeader::parse(bytes) {
            assert_eq!(header.to_bytes(), *bytes);
        }
    });
}

/// However a stream is cut, the reader hands out space until it finds no header.
#[test]
fn frame_reader() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(bytes, step)| {
        let (mut reader, mut rest) = (Reader::new(), &bytes[..]);
        while !rest.is_empty() {
            let space = reader.space();
            let piece = (usize::from(*step) + 1).min(space.len()).min(rest.len());
            assert!(piece > 0, "no space without an error");
            space[..piece].copy_from_slice(&rest[..piece]);
            rest = &rest[piece..];
            if reader.filled(piece).is_err() {
                return;
            }
        }
    });
}

/// What decodes must encode again: the limits on both sides are the same.
#[test]
fn terminal_messages() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(kind, body)| {
        if let Ok(message) = FromTerminal::decode(0x0100 | u16::from(kind % 32), body) {
            assert!(message.encode().is_ok());
        }
        if let Ok(message) = ToTerminal::decode(0x0200 | u16::from(kind % 32), body) {
            assert!(message.encode().is_ok());
        }
    });
}

#[test]
fn relay_messages() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(kind, body)| {
        if let Ok(message) = ToRelay::decode(0x0300 | u16::from(kind % 8), body) {
            assert!(message.encode().is_ok());
        }
        if let Ok(message) = FromRelay::decode(0x0400 | u16::from(kind % 8), body) {
            assert!(message.encode().is_ok());
        }
    });
}

#[test]
fn node_messages() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(kind, body)| {
        if let Ok(message) = FromNode::decode(0x0500 | u16::from(kind % 16), body) {
            assert!(message.encode().is_ok());
        }
        if let Ok(message) = ToNode::decode(0x0600 | u16::from(kind % 8), body) {
            assert!(message.encode().is_ok());
        }
    });
}

/// Real messages with a few bytes changed reach deeper than noise does.
#[test]
fn altered_messages() {
    let golden = include_str!("golden.txt");
    let messages: Vec<Vec<u8>> =
        golden.lines().map(|line| hex::decode(line.split_once(' ').unwrap().1).unwrap()).collect();
    bolero::check!().with_type::<(u8, [(u16, u8); 3])>().for_each(|(which, changes)| {
        let mut bytes = messages[usize::from(*which) % messages.len()].clone();
        for (at, value) in changes {
            let at = usize::from(*at) % bytes.len();
            bytes[at] = *value;
        }
        let (header, body) = bytes.split_first_chunk::<{ FrameHeader::BYTES }>().unwrap();
        let Ok(header) = FrameHeader::parse(header) else { return };
        let _ = FromTerminal::decode(header.kind(), body);
        let _ = ToTerminal::decode(header.kind(), body);
        let _ = ToRelay::decode(header.kind(), body);
        let _ = FromRelay::decode(header.kind(), body);
        let _ = FromNode::decode(header.kind(), body);
        let _ = ToNode::decode(header.kind(), body);
    });
}
