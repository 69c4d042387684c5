//! Tests of the way from frames to packets and back.

use super::reorder::{Entry, Patience, ReorderBuffer};
use super::*;
use crate::capacity::PACKET_PAYLOAD_BYTES_MAX;
use crate::clock::Moment;
use crate::files::ivf::IvfReader;
use crate::files::ogg::OpusReader;
use crate::samples::{CONCIERGE_IVF, REPLY_OPUS, SPEECH_OPUS, STORE_IVF, VP9_IVF};
use core::time::Duration;
use proptest::prelude::*;

type Packet = (RtpHeader, Vec<u8>);

const CODECS: [Codec; 3] = [Codec::Opus, Codec::Vp8, Codec::Vp9];
const FIRST: u16 = 0xfff0;

/// Frames with their timestamps, as packets from sequence number `FIRST` on.
fn packets(codec: Codec, frames: &[Frame]) -> Vec<Packet> {
    let mut packetiser = Packetiser::new(codec, Ssrc(7), FIRST, 0x7ffe);
    let mut packets: Vec<Packet> = Vec::new();
    for frame in frames {
        let from = packets.len();
        let out = |header, payload: &[u8]| packets.push((header, payload.to_vec()));
        let count = packetiser.packetise(&frame.data, frame.timestamp, out).unwrap();
        assert_eq!(count, packets.len() - from);
        if codec != Codec::Opus {
            assert!(packets[from..].iter().rev().skip(1).all(|(header, _)| !header.marker));
            assert!(packets.last().unwrap().0.marker);
        }
    }
    for (at, (header, payload)) in packets.iter().enumerate() {
        assert_eq!(header.sequence, FIRST.wrapping_add(at as u16));
        assert_eq!((header.ssrc, header.payload_type), (Ssrc(7), codec.payload_type()));
        assert!(payload.len() <= PACKET_PAYLOAD_BYTES_MAX);
    }
    packets
}

fn frames_of(codec: Codec, packets: &[Packet]) -> (Vec<Frame>, DepacketiserCounters) {
    let mut depacketiser = Depacketiser::new(codec);
    let push = |(header, payload): &Packet| depacketiser.push(header, payload);
    let frames = packets.iter().filter_map(push).collect();
    depacketiser.finish();
    (frames, depacketiser.counters())
}

/// A frame that a codec's own rules accept, of bytes that tell frames apart.
fn frame(codec: Codec, number: u32, length: usize, key: bool) -> Frame {
    let mut data: Vec<u8> = (0..length).map(|at| (at as u32 * 7 + number * 13) as u8).collect();
    data[0] = match codec {
        Codec::Opus => 1 << 3,
        Codec::Vp8 => u8::from(!key),
        Codec::Vp9 => 0x80 | u8::from(!key) << 2,
    };
    let key = key || codec == Codec::Opus;
    let timestamp = (number * 3_000).wrapping_sub(6_000);
    Frame { timestamp, key, lost_before: false, data }
}

fn frames(codec: Codec) -> impl Strategy<Value = Vec<Frame>> {
    let length = if codec == Codec::Opus { 1..1_000_usize } else { 1..6_000 };
    prop::collection::vec((length, any::<bool>()), 1..20).prop_map(move |frames| {
        let number = |at| u32::try_from(at).unwrap();
        frames
            .into_iter()
            .enumerate()
            .map(|(at, (length, key))| frame(codec, number(at), length, key))
            .collect()
    })
}

fn video_sample(codec: Codec, bytes: &[u8]) -> Vec<Frame> {
    let mut reader = IvfReader::new(bytes).unwrap();
    let base = reader.header().time_base;
    core::iter::from_fn(|| reader.next_frame().unwrap())
        .map(|frame| Frame {
            timestamp: base.clock_units(frame.time, 90_000) as u32,
            key: match codec {
                Codec::Vp8 => vp8::is_key(&frame.data),
                _ => vp9::is_key(&frame.data),
            },
            lost_before: false,
            data: frame.data,
        })
        .collect()
}

fn audio_sample(bytes: &[u8]) -> Vec<Frame> {
    let mut reader = OpusReader::new(bytes).unwrap();
    let mut timestamp = 0;
    core::iter::from_fn(|| reader.next_packet().unwrap())
        .map(|packet| {
            let frame = Frame { timestamp, key: true, lost_before: false, data: packet.data };
            timestamp += packet.samples;
            frame
        })
        .collect()
}

#[test]
fn every_sample_survives_frame_for_frame() {
    let cases = [
        (Codec::Opus, audio_sample(SPEECH_OPUS)),
        (Codec::Opus, audio_sample(REPLY_OPUS)),
        (Codec::Vp8, video_sample(Codec::Vp8, STORE_IVF)),
        (Codec::Vp8, video_sample(Codec::Vp8, CONCIERGE_IVF)),
        (Codec::Vp9, video_sample(Codec::Vp9, VP9_IVF)),
    ];
    for (codec, frames) in cases {
        assert!(frames[0].key);
        let packets = packets(codec, &frames);
        assert!(packets.len() >= frames.len());
        let (copy, counters) = frames_of(codec, &packets);
        assert_eq!(copy, frames);
        let frames = frames.len() as u64;
        assert_eq!(counters, DepacketiserCounters { frames, ..Default::default() });
    }
}

#[test]
fn frames_that_no_packet_carries_are_refused() {
    for codec in CODECS {
        let mut packetiser = Packetiser::new(codec, Ssrc(1), 5, 0);
        let mut packetise =
            |frame: &[u8]| packetiser.packetise(frame, 0, |_, _| panic!("a packet"));
        assert_eq!(packetise(&[]), Err(PacketiseError::Empty));
        let large = vec![8; VIDEO_FRAME_BYTES_MAX + 1];
        assert!(matches!(packetise(&large), Err(PacketiseError::TooLarge { .. })));
        if codec == Codec::Opus {
            let large = packetise(&[8; PACKET_PAYLOAD_BYTES_MAX + 1]);
            assert!(matches!(large, Err(PacketiseError::TooLarge { .. })));
            assert!(matches!(packetise(&[3, 0]), Err(PacketiseError::NotOpus(_))));
        }
        assert_eq!(packetiser.next_sequence(), 5);
    }
}

#[test]
fn a_missing_packet_costs_its_frame_and_is_told_with_the_next() {
    for codec in [Codec::Vp8, Codec::Vp9] {
        let frames: Vec<Frame> = (0..3).map(|at| frame(codec, at, 3_000, at == 0)).collect();
        let all = packets(codec, &frames);
        assert_eq!(all.len(), 9);
        for lost in 0..9 {
            let mut some = all.clone();
            some.remove(lost);
            let (copy, counters) = frames_of(codec, &some);
            let mut expected = frames.clone();
            expected.remove(lost / 3);
            if let Some(next) = expected.get_mut(lost / 3) {
                next.lost_before = true;
            }
            assert_eq!(copy, expected, "without packet {lost}");
            assert_eq!((counters.frames, counters.incomplete), (2, 1), "without packet {lost}");
        }
    }
}

#[test]
fn a_frame_without_its_end_mark_is_not_joined_with_the_next() {
    let frames: Vec<Frame> = (0..2).map(|at| frame(Codec::Vp8, at, 2_000, true)).collect();
    let mut all = packets(Codec::Vp8, &frames);
    all[1].0.marker = false;
    let (copy, counters) = frames_of(Codec::Vp8, &all);
    assert_eq!(copy, [Frame { lost_before: true, ..frames[1].clone() }]);
    assert_eq!(counters.incomplete, 1);
}

#[test]
fn padding_and_nonsense_between_frames_do_no_harm() {
    let frames: Vec<Frame> = (0..2).map(|at| frame(Codec::Vp8, at, 500, true)).collect();
    let mut all = packets(Codec::Vp8, &frames);
    all[1].0.sequence = FIRST.wrapping_add(2);
    let mut padding = (all[0].0, Vec::new());
    padding.0.sequence = FIRST.wrapping_add(1);
    all.insert(1, padding);
    assert_eq!(frames_of(Codec::Vp8, &all).0, frames);
    all[1].1 = vec![0x90];
    let (copy, counters) = frames_of(Codec::Vp8, &all);
    assert_eq!(copy[1], Frame { lost_before: true, ..frames[1].clone() });
    assert_eq!(counters.malformed, 1);
}

#[test]
fn a_frame_beyond_the_limit_is_dropped() {
    let mut depacketiser = Depacketiser::new(Codec::Vp8);
    let mut header = packets(Codec::Vp8, &[frame(Codec::Vp8, 0, 1, true)])[0].0;
    header.marker = false;
    let body = vec![0; 60_000];
    for at in 0..100 {
        let start = [u8::from(at == 0) << 4];
        assert_eq!(depacketiser.push(&header, &[&start, &body[..]].concat()), None);
        header.sequence = header.sequence.wrapping_add(1);
    }
    header.marker = true;
    assert_eq!(depacketiser.push(&header, &[0, 0]), None);
    assert_eq!(depacketiser.counters().incomplete, 1);
}

#[test]
fn fuzz_any_payloads_are_taken() {
    bolero::check!().for_each(|bytes: &[u8]| {
        for codec in CODECS {
            let mut depacketiser = Depacketiser::new(codec);
            let mut sequence = 0_u16;
            let mut given = 0;
            // Each payload: a byte of marker, timestamp, sequence step and length, then the bytes.
            let mut rest = bytes;
            while let Some((&control, behind)) = rest.split_first() {
                let length = usize::from(control >> 4).min(behind.len());
                let (payload, behind) = behind.split_at(length);
                rest = behind;
                sequence = sequence.wrapping_add(u16::from(control & 1 == 0) + 1);
                let header = RtpHeader {
                    marker: control & 2 != 0,
                    payload_type: codec.payload_type(),
                    sequence,
                    timestamp: u32::from(control & 4),
                    ssrc: Ssrc(1),
                };
                given += payload.len();
                if let Some(frame) = depacketiser.push(&header, payload) {
                    assert!(!frame.data.is_empty() && frame.data.len() <= given);
                }
            }
            let _ = dimensions(codec, bytes);
        }
    });
}

/// Sends `packets` in `order` through a reorder buffer and a depacketiser.
fn through(codec: Codec, packets: &[Packet], order: &[usize], window: usize) -> Vec<Frame> {
    let patience =
        Patience { packets: window, time: Duration::from_secs(1), ..Patience::default() };
    let mut buffer = ReorderBuffer::new(Some(FIRST), patience);
    let mut depacketiser = Depacketiser::new(codec);
    let mut frames = Vec::new();
    for &at in order {
        let (header, payload) = packets[at].clone();
        assert_ne!(buffer.push(header, payload, Moment::ZERO), Entry::Duplicate);
        while let Some(packet) = buffer.pop(Moment::ZERO) {
            frames.extend(depacketiser.push(&packet.header, &packet.payload));
        }
    }
    while let Some(packet) = buffer.drain() {
        frames.extend(depacketiser.push(&packet.header, &packet.payload));
    }
    frames
}

fn codec_and_frames() -> impl Strategy<Value = (Codec, Vec<Frame>)> {
    prop::sample::select(&CODECS[..]).prop_flat_map(|codec| (Just(codec), frames(codec)))
}

proptest! {
    #[test]
    fn any_order_within_the_window_gives_the_frames_back(
        (codec, frames) in codec_and_frames(),
        delays in prop::collection::vec(0_usize..16, 200),
    ) {
        let packets = packets(codec, &frames);
        let mut order: Vec<usize> = (0..packets.len()).collect();
        // Each packet falls back by less than the window, so no hole ages out.
        order.sort_by_key(|at| at + delays[at % delays.len()]);
        prop_assert_eq!(through(codec, &packets, &order, 16), frames);
    }

    #[test]
    fn with_losses_only_whole_frames_come_out(
        (codec, frames) in codec_and_frames(),
        delays in prop::collection::vec((0_usize..40, 0_u8..8), 200),
    ) {
        let packets = packets(codec, &frames);
        let mut order: Vec<usize> =
            (0..packets.len()).filter(|at| delays[at % delays.len()].1 != 0).collect();
        order.sort_by_key(|at| at + delays[at % delays.len()].0);
        let copy = through(codec, &packets, &order, 16);
        let mut originals = frames.iter();
        for frame in &copy {
            // In order, each one unaltered.
            let original = originals.find(|original| original.timestamp == frame.timestamp);
            let original = original.expect("a frame of the sender, once");
            prop_assert_eq!(&Frame { lost_before: false, ..frame.clone() }, original);
        }
    }
}
