//! Recordings play: FFmpeg, which shares no code with us, reads and decodes what the writers wrote.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

use kakehashi_terminal::files::ivf::{IvfReader, IvfWriter};
use kakehashi_terminal::files::ogg::{OpusHead, OpusReader, OpusWriter};
use kakehashi_terminal::packets::counter::TimestampCounter;
use kakehashi_terminal::packets::{Depacketiser, Frame, Packetiser};
use kakehashi_terminal::samples;
use kakehashi_wire::media::Codec;
use kakehashi_wire::rtp::Ssrc;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs one of FFmpeg's programs; returns what it printed. Any complaint fails the test.
fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output =
        Command::new(program)
            .args(["-v", "error"])
            .args(arguments.iter().map(|&argument| {
                if argument == "FILE" { file.to_str().unwrap() } else { argument }
            }))
            .output()
            .unwrap_or_else(|error| {
                panic!("cannot run {program} ({error}); install it: apt-get install ffmpeg")
            });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Frames FFmpeg decodes, and the seconds it says the file lasts.
fn decoded(file: &Path) -> (u64, f64) {
    run("ffmpeg", &["-nostdin", "-xerror", "-i", "FILE", "-f", "null", "-"], file);
    let show = ["-count_frames", "-show_entries", "stream=nb_read_frames:format=duration"];
    let text = run("ffprobe", &[&show[..], &["-of", "csv=p=0", "FILE"]].concat(), file);
    let mut lines = text.lines();
    let frames = lines.next().unwrap().parse().unwrap();
    (frames, lines.next().unwrap().parse().unwrap())
}

/// An MD5 of every packet in the file, in order, as FFmpeg's own demuxer sees them.
fn packet_hashes(file: &Path) -> Vec<String> {
    let arguments = ["-nostdin", "-i", "FILE", "-c", "copy", "-f", "framemd5", "-"];
    let text = run("ffmpeg", &arguments, file);
    let hash = |line: &str| line.split(',').nth(5).unwrap().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// Sends a frame over packets and takes what comes out.
fn over_packets(
    packetiser: &mut Packetiser,
    depacketiser: &mut Depacketiser,
    data: &[u8],
    timestamp: u32,
) -> Frame {
    let mut frames = Vec::new();
    let out = |header, payload: &[u8]| frames.extend(depacketiser.push(&header, payload));
    packetiser.packetise(data, timestamp, out).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn record_video(codec: Codec, sample: &[u8], to: &Path) {
    let mut reader = IvfReader::new(sample).unwrap();
    let base = reader.header().time_base;
    let mut packetiser = Packetiser::new(codec, Ssrc(1), 100, 0);
    let mut depacketiser = Depacketiser::new(codec);
    let mut clock = TimestampCounter::default();
    let file = std::fs::File::create(to).unwrap();
    let mut writer = IvfWriter::recording(file, codec).unwrap();
    while let Some(frame) = reader.next_frame().unwrap() {
        // A random start, close to the wrap.
        let timestamp = (base.clock_units(frame.time, 90_000) as u32).wrapping_sub(90_000);
        let frame = over_packets(&mut packetiser, &mut depacketiser, &frame.data, timestamp);
        writer.write(clock.extend(frame.timestamp), &frame.data).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn recorded_video_plays_frame_for_frame() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (Codec::Vp8, samples::STORE_IVF, "store.ivf", 120, 6.0),
        (Codec::Vp8, samples::CONCIERGE_IVF, "concierge.ivf", 90, 6.0),
        (Codec::Vp9, samples::VP9_IVF, "vp9.ivf", 30, 2.0),
    ];
    for (codec, bytes, name, count, seconds) in cases {
        let file = folder.path().join(name);
        record_video(codec, bytes, &file);
        let (frames, duration) = decoded(&file);
        assert_eq!(frames, count, "{name}");
        assert!((duration - seconds).abs() < 0.1, "{name} lasts {duration}");
        let hashes = packet_hashes(&file);
        assert_eq!(hashes.len() as u64, count, "{name}");
        assert_eq!(hashes, packet_hashes(&sample(name)), "{name}");
    }
}

#[test]
fn recorded_audio_plays_packet_for_packet() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, name) in
        [(samples::SPEECH_OPUS, "speech.opus"), (samples::REPLY_OPUS, "reply.opus")]
    {
        let mut reader = OpusReader::new(bytes).unwrap();
        let mut packetiser = Packetiser::new(Codec::Opus, Ssrc(1), 100, 0);
        let mut depacketiser = Depacketiser::new(Codec::Opus);
        let path = folder.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = OpusWriter::new(file, OpusHead::recording(1), 77).unwrap();
        let mut timestamp = 0;
        while let Some(packet) = reader.next_packet().unwrap() {
            let frame = over_packets(&mut packetiser, &mut depacketiser, &packet.data, timestamp);
            assert_eq!(frame.timestamp, timestamp);
            timestamp += packet.samples;
            writer.write(&frame.data).unwrap();
        }
        writer.finish().unwrap();
        let (frames, duration) = decoded(&path);
        assert_eq!(frames, 301, "{name}");
        assert!((duration - 6.02).abs() < 0.02, "{name} lasts {duration}");
        assert_eq!(packet_hashes(&path), packet_hashes(&sample(name)), "{name}");
    }
}

#[test]
fn a_recording_with_losses_keeps_time_and_plays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gaps.opus");
    let mut reader = OpusReader::new(samples::SPEECH_OPUS).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = OpusWriter::new(file, OpusHead::recording(1), 77).unwrap();
    let (mut at, mut due) = (0_u64, 0);
    while let Some(packet) = reader.next_packet().unwrap() {
        // One packet in ten is lost, and half a second from the second second on.
        let lost = (at / 960) % 10 == 3 || (96_000..120_000).contains(&at);
        if !lost {
            writer.conceal(at - due).unwrap();
            writer.write(&packet.data).unwrap();
            due = at + u64::from(packet.samples);
        }
        at += u64::from(packet.samples);
    }
    assert_eq!(writer.samples(), 301 * 960);
    writer.finish().unwrap();
    let (frames, duration) = decoded(&path);
    assert_eq!(frames, 301);
    assert!((duration - 6.02).abs() < 0.02, "{duration}");
}
