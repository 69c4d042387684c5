//! Feedback against bytes written by hand after the RFCs' figures, and against itself.

use super::*;
use crate::rtcp::RtcpView;
use proptest::prelude::*;

const ASKER: Ssrc = Ssrc(0x0102_0304);
const MEDIA: Ssrc = Ssrc(0xa1a2_a3a4);

fn written(write: impl FnOnce(&mut RtcpWriter<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut RtcpWriter::new(&mut out));
    out
}

fn only(bytes: &[u8]) -> RtcpPacket<'_> {
    let view = RtcpView::parse(bytes).unwrap();
    let mut packets = view.packets();
    let packet = packets.next().unwrap();
    assert!(packets.next().is_none());
    packet
}

#[test]
fn a_nack_has_the_bytes_of_rfc_4585() {
    let entries = [NackEntry { first: 0xfffe, next: 0b101 }, NackEntry { first: 40, next: 0 }];
    let bytes = written(|writer| writer.nack(ASKER, MEDIA, entries));
    assert_eq!(hex::encode(&bytes), "81cd000401020304a1a2a3a4fffe000500280000");
    let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
    assert_eq!((nack.sender, nack.media), (ASKER, MEDIA));
    assert_eq!(nack.sequences().collect::<Vec<_>>(), [0xfffe, 0xffff, 1, 40]);
    assert_eq!(NackEntry::pack(nack.sequences()).collect::<Vec<_>>(), entries);
}

#[test]
fn requests_for_key_frames_have_the_bytes_of_their_rfcs() {
    let bytes = written(|writer| writer.picture_loss(ASKER, MEDIA));
    assert_eq!(hex::encode(&bytes), "81ce000201020304a1a2a3a4");
    let packet = only(&bytes);
    assert!(matches!(packet, RtcpPacket::PictureLoss { sender: ASKER, media: MEDIA }));

    let request = IntraRequest { media: MEDIA, command: 7 };
    let bytes = written(|writer| writer.full_intra(ASKER, [request]));
    assert_eq!(hex::encode(&bytes), "84ce00040102030400000000a1a2a3a407000000");
    let RtcpPacket::FullIntra(intra) = only(&bytes) else { panic!() };
    assert_eq!(intra.sender, ASKER);
    assert_eq!(intra.requests().collect::<Vec<_>>(), [request]);
}

#[test]
fn congestion_feedback_has_the_bytes_of_rfc_8888() {
    let metrics = [
        PacketMetric::arrived(1, ArrivalOffset::Before(512)),
        PacketMetric::MISSING,
        PacketMetric::arrived(3, ArrivalOffset::Unknown),
    ];
    let bytes = written(|writer| {
        writer.congestion(ASKER, 0x5566_7788, |blocks| {
            assert!(blocks.add(MEDIA, 0xffff, metrics));
            assert!(blocks.add(Ssrc(5), 9, []));
        });
    });
    let expected = "8bcd000801020304a1a2a3a4ffff0003a2000000ffff0000000000050009000055667788";
    assert_eq!(hex::encode(&bytes), expected);
    let RtcpPacket::Congestion(feedback) = only(&bytes) else { panic!() };
    assert_eq!((feedback.sender, feedback.timestamp), (ASKER, 0x5566_7788));
    let blocks: Vec<_> = feedback.blocks().collect();
    assert_eq!((blocks[0].media, blocks[0].first), (MEDIA, 0xffff));
    assert_eq!(blocks[0].metrics().collect::<Vec<_>>(), metrics);
    assert_eq!((blocks[1].media, blocks[1].first, blocks[1].metrics().len()), (Ssrc(5), 9, 0));
    assert_eq!(blocks.len(), 2);
    let first = metrics[0];
    assert_eq!((first.arrival(), first.marks()), (Some(ArrivalOffset::Before(512)), 1));
    assert_eq!(metrics[1].arrival(), None);
    let late = PacketMetric::arrived(0, ArrivalOffset::Before(9_000));
    assert_eq!(late.arrival(), Some(ArrivalOffset::Longer));
}

#[test]
fn lists_that_are_cut_empty_or_padded_wrongly_are_refused() {
    for (bytes, why) in [
        ("81cd000201020304a1a2a3a4", RtcpError::Feedback),
        ("84ce000301020304000000000a0a0a0a", RtcpError::Feedback),
        ("81ce000101020304", RtcpError::Truncated),
        // Three metrics are announced, one word is there.
        ("8bcd000501020304a1a2a3a4ffff0003a200000055667788", RtcpError::Feedback),
        ("a1cd000401020304a1a2a3a4fffe000500000003", RtcpError::Feedback),
        ("a1cd000401020304a1a2a3a4fffe000500000018", RtcpError::Feedback),
        ("a1cd000401020304a1a2a3a4fffe000500000010", RtcpError::Truncated),
    ] {
        let bytes = hex::decode(bytes).unwrap();
        assert_eq!(RtcpView::parse(&bytes).err(), Some(why), "{bytes:02x?}");
    }
    let padded = hex::decode("a1cd000401020304a1a2a3a4fffe000500000004").unwrap();
    let RtcpPacket::Nack(nack) = only(&padded) else { panic!() };
    assert_eq!(nack.entries().count(), 1);
}

#[test]
fn what_does_not_fit_is_left_out_and_an_empty_list_writes_nothing() {
    assert!(written(|writer| writer.nack(ASKER, MEDIA, [])).is_empty());
    assert!(written(|writer| writer.full_intra(ASKER, [])).is_empty());
    let entry = NackEntry { first: 1, next: 0 };
    let bytes = written(|writer| writer.nack(ASKER, MEDIA, vec![entry; 10_000]));
    assert_eq!(bytes.len(), FEEDBACK_BYTES_MAX);
    let bytes = written(|writer| {
        writer.congestion(ASKER, 1, |blocks| {
            assert!(!blocks.add(MEDIA, 0, vec![PacketMetric::MISSING; 100_000]));
            assert!(blocks.add(MEDIA, 0, vec![PacketMetric::MISSING; 301]));
            let room = blocks.room();
            assert!(!blocks.add(MEDIA, 0, vec![PacketMetric::MISSING; room + 1]));
            assert!(blocks.add(MEDIA, 0, vec![PacketMetric::MISSING; room]));
            assert_eq!(blocks.room(), 0);
        });
    });
    assert_eq!(bytes.len(), FEEDBACK_BYTES_MAX);
    let RtcpPacket::Congestion(feedback) = only(&bytes) else { panic!() };
    assert_eq!(feedback.blocks().count(), 2);
}

fn metric() -> impl Strategy<Value = PacketMetric> {
    prop_oneof![
        Just(PacketMetric::MISSING),
        (0_u8..4, 0_u16..0x1ffe)
            .prop_map(|(marks, units)| PacketMetric::arrived(marks, ArrivalOffset::Before(units))),
        Just(PacketMetric::arrived(2, ArrivalOffset::Longer)),
    ]
}

type Blocks = Vec<(u32, u16, Vec<PacketMetric>)>;

fn blocks() -> impl Strategy<Value = Blocks> {
    let metrics = prop::collection::vec(metric(), 0..40);
    prop::collection::vec((any::<u32>(), any::<u16>(), metrics), 0..6)
}

proptest! {
    #[test]
    fn packed_numbers_are_the_same_numbers(
        mut sequences in prop::collection::btree_set(any::<u16>(), 1..200), start: u16,
    ) {
        sequences.insert(0xffff);
        let ascending: Vec<u16> =
            sequences.into_iter().map(|sequence| sequence.wrapping_add(start)).collect();
        let bytes = written(|writer| {
            writer.nack(ASKER, MEDIA, NackEntry::pack(ascending.iter().copied()));
        });
        let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
        prop_assert_eq!(nack.sequences().collect::<Vec<_>>(), ascending);
    }

    #[test]
    fn requests_read_back(requests in prop::collection::vec((any::<u32>(), any::<u8>()), 1..200)) {
        let requests: Vec<_> = requests
            .into_iter()
            .map(|(media, command)| IntraRequest { media: Ssrc(media), command })
            .collect();
        let bytes = written(|writer| writer.full_intra(ASKER, requests.iter().copied()));
        let RtcpPacket::FullIntra(intra) = only(&bytes) else { panic!() };
        prop_assert_eq!(intra.requests().collect::<Vec<_>>(), requests);
    }

    /// A relay that renames streams and numbers changes nothing else.
    #[test]
    fn congestion_feedback_can_be_read_renamed_and_written(
        blocks in blocks(), timestamp: u32, rename: u32, shift: u16,
    ) {
        let first = written(|writer| {
            writer.congestion(ASKER, timestamp, |out| {
                for (media, first, metrics) in &blocks {
                    assert!(out.add(Ssrc(*media), *first, metrics.iter().copied()));
                }
            });
        });
        let RtcpPacket::Congestion(read) = only(&first) else { panic!() };
        let second = written(|writer| {
            writer.congestion(MEDIA, read.timestamp, |out| {
                for block in read.blocks() {
                    let media = Ssrc(block.media.0 ^ rename);
                    assert!(out.add(media, block.first.wrapping_add(shift), block.metrics()));
                }
            });
        });
        let RtcpPacket::Congestion(renamed) = only(&second) else { panic!() };
        let seen: Blocks = renamed
            .blocks()
            .map(|block| {
                let first = block.first.wrapping_sub(shift);
                (block.media.0 ^ rename, first, block.metrics().collect())
            })
            .collect();
        prop_assert_eq!((renamed.sender, renamed.timestamp), (MEDIA, timestamp));
        prop_assert_eq!(seen, blocks);
    }
}
