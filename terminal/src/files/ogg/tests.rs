//! Tests of Ogg Opus reading and writing.

use super::*;
use crate::capacity::OGG_GAP_SAMPLES_MAX;
use crate::samples::{REPLY_OPUS, SPEECH_OPUS};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};

const HEAD: OpusHead = OpusHead { channels: 1, pre_skip: 312, input_hz: 48_000, output_gain: -3 };
const SILK_20_MS: u8 = 1 << 3;

fn drain<R: Read>(mut reader: OpusReader<R>) -> Result<(OpusReader<R>, Vec<OpusPacket>), OggError> {
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet()? {
        packets.push(packet);
    }
    Ok((reader, packets))
}

fn read_all(bytes: &[u8]) -> Result<(OpusReader<&[u8]>, Vec<OpusPacket>), OggError> {
    drain(OpusReader::new(bytes)?)
}

fn error(bytes: &[u8]) -> OggError {
    match read_all(bytes) {
        Ok(_) => panic!("no error"),
        Err(error) => error,
    }
}

/// A file of pages of our choice: (serial, packet, end, granule).
fn file(packets: &[(u32, &[u8], PacketWriteEndInfo, u64)]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    for &(serial, data, end, granule) in packets {
        writer.write_packet(data.to_vec(), serial, end, granule).unwrap();
    }
    writer.into_inner()
}

const PAGE: PacketWriteEndInfo = PacketWriteEndInfo::EndPage;
const END: PacketWriteEndInfo = PacketWriteEndInfo::EndStream;
const TAGS: &[u8] = b"OpusTags\0\0\0\0\0\0\0\0";

#[test]
fn the_samples_are_six_seconds_of_20_ms() {
    for bytes in [SPEECH_OPUS, REPLY_OPUS] {
        let (reader, packets) = read_all(bytes).unwrap();
        assert_eq!((reader.head().channels, reader.head().pre_skip), (1, 312));
        assert_eq!(packets.len(), 301);
        assert!(packets.iter().all(|packet| packet.samples == 960));
    }
}

#[test]
fn what_is_written_reads_back() {
    let (_, packets) = read_all(SPEECH_OPUS).unwrap();
    let mut writer = OpusWriter::new(Vec::new(), HEAD, 7).unwrap();
    for packet in &packets {
        writer.write(&packet.data).unwrap();
    }
    assert_eq!(writer.samples(), 301 * 960);
    let (reader, copy) = read_all(&writer.finish().unwrap()).map(|(r, c)| (r.head(), c)).unwrap();
    assert_eq!((reader, copy), (HEAD, packets));
}

#[test]
fn a_long_packet_and_an_empty_file_survive() {
    let bytes = OpusWriter::new(Vec::new(), HEAD, 7).unwrap().finish().unwrap();
    assert_eq!(read_all(&bytes).unwrap().1, []);
    let mut long = vec![SILK_20_MS; OGG_PACKET_BYTES_MAX];
    let mut writer = OpusWriter::new(Vec::new(), HEAD, 7).unwrap();
    writer.write(&[SILK_20_MS, 1]).unwrap();
    for _ in 0..3 {
        writer.write(&long).unwrap();
    }
    long.push(0);
    assert!(matches!(writer.write(&long), Err(OggError::PacketSize { .. })));
    assert!(matches!(writer.write(&[]), Err(OggError::Packet { packet: 4, .. })));
    long.pop();
    let bytes = writer.finish().unwrap();
    let (_, packets) = read_all(&bytes).unwrap();
    let lengths: Vec<usize> = packets.iter().map(|packet| packet.data.len()).collect();
    assert_eq!(lengths, [2, OGG_PACKET_BYTES_MAX, OGG_PACKET_BYTES_MAX, OGG_PACKET_BYTES_MAX]);
}

#[test]
fn a_gap_keeps_time() {
    let mut writer = OpusWriter::new(Vec::new(), HEAD, 7).unwrap();
    writer.conceal(960).unwrap();
    writer.write(&[SILK_20_MS, 1, 2]).unwrap();
    // 3 x 20 ms, 10 ms, 5 ms, 2.5 ms, and a rest too small for any frame
    writer.conceal(3 * 960 + 480 + 240 + 120 + 119).unwrap();
    assert_eq!(writer.samples(), 5 * 960 + 840);
    let (_, packets) = read_all(&writer.finish().unwrap()).map(|(r, p)| (r.head(), p)).unwrap();
    let samples: Vec<u32> = packets.iter().map(|packet| packet.samples).collect();
    assert_eq!(samples, [960, 960, 960, 960, 960, 480, 240, 120]);
    assert!(packets[2..].iter().all(|packet| packet.data.len() == 1));
    let mut writer = OpusWriter::new(Vec::new(), HEAD, 7).unwrap();
    writer.conceal(u64::MAX).unwrap();
    assert_eq!(writer.samples(), OGG_GAP_SAMPLES_MAX);
}

#[test]
fn several_streams_are_refused() {
    let head = HEAD.to_bytes();
    let beside = file(&[(1, &head, PAGE, 0), (2, &head, PAGE, 0), (1, TAGS, PAGE, 0)]);
    assert!(matches!(error(&beside), OggError::Multiplexed));
    let first = OpusWriter::new(Vec::new(), HEAD, 1).unwrap().finish().unwrap();
    let second = OpusWriter::new(Vec::new(), HEAD, 2).unwrap().finish().unwrap();
    assert!(matches!(error(&[&first[..], &second[..]].concat()), OggError::Chained));
    let cut = file(&[(1, &head, PAGE, 0), (1, TAGS, PAGE, 0), (1, &[SILK_20_MS], PAGE, 960)]);
    assert!(matches!(error(&[&cut[..], &second[..]].concat()), OggError::Chained));
    assert_eq!(read_all(&cut).unwrap().1.len(), 1, "without an end mark");
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let mut bytes = SPEECH_OPUS.to_vec();
    let length = bytes.len();
    assert!(matches!(error(&bytes[..length - 1]), OggError::Truncated { .. }));
    bytes[length - 1] ^= 1;
    assert!(error(&bytes).to_string().contains("checksum"));
    assert!(matches!(error(b"RIFFxxxxWAVEfmt ............"), OggError::NotOgg { page: 0 }));
    assert!(matches!(error(b""), OggError::NotOpus(_)));
    let vorbis = file(&[(1, b"\x01vorbis", END, 0)]);
    assert!(matches!(error(&vorbis), OggError::NotOpus(_)));
    let mut surround = HEAD.to_bytes();
    surround[9] = 6;
    assert!(matches!(error(&file(&[(1, &surround, END, 0)])), OggError::Channels { .. }));
    let untagged = file(&[(1, &HEAD.to_bytes(), PAGE, 0), (1, &[SILK_20_MS], END, 960)]);
    assert!(matches!(error(&untagged), OggError::NotOpus(_)));
    let head = HEAD.to_bytes();
    let long = vec![0; OGG_PACKET_BYTES_MAX + 1];
    let oversize = file(&[(1, &head, PAGE, 0), (1, TAGS, PAGE, 0), (1, &long, END, 0)]);
    assert!(matches!(error(&oversize), OggError::PacketSize { .. }));
    let empty = file(&[(1, &head, PAGE, 0), (1, TAGS, PAGE, 0), (1, b"", END, 0)]);
    assert!(matches!(error(&empty), OggError::Packet { packet: 0, .. }));
}

#[test]
fn a_missing_page_is_noticed() {
    let starts: Vec<usize> =
        (0..SPEECH_OPUS.len()).filter(|&at| SPEECH_OPUS[at..].starts_with(b"OggS")).collect();
    let without = [&SPEECH_OPUS[..starts[3]], &SPEECH_OPUS[starts[4]..]].concat();
    assert!(error(&without).to_string().contains("missing"));
}

#[test]
fn fuzz_any_bytes_read_or_fail() {
    let prefix = file(&[(1, &HEAD.to_bytes(), PAGE, 0), (1, TAGS, PAGE, 0)]);
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = read_all(bytes);
        // Without checksums and behind good headers, so that everything is reached.
        for file in [bytes.to_vec(), [&prefix[..], bytes].concat()] {
            let _ = OpusReader::with_checksums(&file[..], false).and_then(drain);
        }
        // As the table and body of a page with a good header.
        let (count, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let mut page = b"OggS\0".to_vec();
        page.extend_from_slice(&[*rest.first().unwrap_or(&0) & 1]);
        page.extend_from_slice(&[0; 8]);
        page.extend_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, *count]);
        let file = [&prefix[..], &page[..], rest].concat();
        let _ = OpusReader::with_checksums(&file[..], false).and_then(drain);
    });
}

#[test]
fn fuzz_any_header_parses_or_fails() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = OpusHead::parse(bytes);
        let _ = OpusHead::parse(&[b"OpusHead\x01", bytes].concat());
        if let Ok(samples) = samples(bytes) {
            assert!(samples > 0 && samples.is_multiple_of(120) && samples <= 5_760);
        }
    });
}
