//! GStreamer's own packetisers and depacketisers understand ours, and ours theirs, frame for frame.
//!
//! Packets travel in files, each with its length before it (RFC 4571).

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

use kakehashi_terminal::files::ivf::IvfReader;
use kakehashi_terminal::files::ogg::OpusReader;
use kakehashi_terminal::packets::{Depacketiser, Packetiser};
use kakehashi_terminal::samples;
use kakehashi_wire::media::Codec;
use kakehashi_wire::rtp::{RtpView, Ssrc};
use std::path::Path;
use std::process::Command;

/// A codec, its sample, and how GStreamer names what is needed for it.
struct Case {
    codec: Codec,
    file: &'static str,
    bytes: &'static [u8],
    media: &'static str,
    name: &'static str,
    parse: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        codec: Codec::Opus,
        file: "speech.opus",
        bytes: samples::SPEECH_OPUS,
        media: "audio",
        name: "opus",
        parse: "oggdemux ! opusparse",
    },
    Case {
        codec: Codec::Vp8,
        file: "store.ivf",
        bytes: samples::STORE_IVF,
        media: "video",
        name: "vp8",
        parse: "ivfparse",
    },
    Case {
        codec: Codec::Vp9,
        file: "vp9.ivf",
        bytes: samples::VP9_IVF,
        media: "video",
        name: "vp9",
        parse: "ivfparse ! vp9parse ! video/x-vp9,alignment=super-frame",
    },
];

fn gstreamer(pipeline: &str) {
    let output = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("cannot run gst-launch-1.0 ({error}); {INSTALL}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pipeline}\n{complaint}\nelement missing? {INSTALL}");
}

const INSTALL: &str = "install it: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base \
                       gstreamer1.0-plugins-good gstreamer1.0-plugins-bad";

/// The sample's frames with their RTP timestamps.
fn frames(case: &Case) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    if case.codec == Codec::Opus {
        let mut reader = OpusReader::new(case.bytes).unwrap();
        let mut timestamp = 0;
        while let Some(packet) = reader.next_packet().unwrap() {
            frames.push((timestamp, packet.data));
            timestamp += packet.samples;
        }
    } else {
        let mut reader = IvfReader::new(case.bytes).unwrap();
        let base = reader.header().time_base;
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.push((base.clock_units(frame.time, 90_000) as u32, frame.data));
        }
    }
    frames
}

/// The numbered files GStreamer wrote, in order.
fn numbered(folder: &Path) -> Vec<Vec<u8>> {
    (0..).map_while(|at| std::fs::read(folder.join(format!("{at:05}"))).ok()).collect()
}

#[test]
fn gstreamer_joins_what_we_cut() {
    for case in &CASES {
        let folder = tempfile::tempdir().unwrap();
        let frames = frames(case);
        let mut stream = Vec::new();
        let mut packetiser = Packetiser::new(case.codec, Ssrc(7), 65_500, 32_760);
        for (timestamp, data) in &frames {
            let out = |header: kakehashi_wire::rtp::RtpHeader, payload: &[u8]| {
                let length = u16::try_from(payload.len() + 12).unwrap();
                stream.extend_from_slice(&length.to_be_bytes());
                stream.extend_from_slice(&header.to_bytes());
                stream.extend_from_slice(payload);
            };
            packetiser.packetise(data, *timestamp, out).unwrap();
        }
        let packets = folder.path().join("packets");
        std::fs::write(&packets, stream).unwrap();
        gstreamer(&format!(
            "filesrc location={} ! application/x-rtp-stream,media={},clock-rate={},\
             encoding-name={},payload={} ! rtpstreamdepay ! rtp{}depay ! \
             multifilesink location={}/%05d",
            packets.display(),
            case.media,
            case.codec.clock_hz(),
            case.name.to_uppercase(),
            case.codec.payload_type(),
            case.name,
            folder.path().display(),
        ));
        let copy = numbered(folder.path());
        let originals: Vec<_> = frames.into_iter().map(|(_, data)| data).collect();
        assert_eq!(copy.len(), originals.len(), "{}", case.file);
        assert!(copy == originals, "{} differs", case.file);
    }
}

#[test]
fn we_join_what_gstreamer_cuts() {
    for case in &CASES {
        let folder = tempfile::tempdir().unwrap();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(case.file);
        let packets = folder.path().join("packets");
        gstreamer(&format!(
            "filesrc location={} ! {} ! rtp{}pay mtu=1200 ! rtpstreampay ! filesink location={}",
            sample.display(),
            case.parse,
            case.name,
            packets.display(),
        ));
        let stream = std::fs::read(&packets).unwrap();
        let mut depacketiser = Depacketiser::new(case.codec);
        let mut copy = Vec::new();
        let mut rest = &stream[..];
        while let Some((&length, behind)) = rest.split_first_chunk::<2>() {
            let (packet, behind) = behind.split_at(usize::from(u16::from_be_bytes(length)));
            rest = behind;
            let view = RtpView::parse(packet).unwrap();
            copy.extend(depacketiser.push(&view.header(), view.payload()));
        }
        let counters = depacketiser.counters();
        assert_eq!((counters.incomplete, counters.malformed), (0, 0), "{}", case.file);
        assert!(copy[0].key && copy.iter().all(|frame| !frame.lost_before), "{}", case.file);
        let copy: Vec<_> = copy.into_iter().map(|frame| frame.data).collect();
        let originals: Vec<_> = frames(case).into_iter().map(|(_, data)| data).collect();
        assert_eq!(copy.len(), originals.len(), "{}", case.file);
        assert!(copy == originals, "{} differs", case.file);
    }
}
