//! Tests of IVF reading and writing.

use super::*;
use crate::samples::{CONCIERGE_IVF, STORE_IVF, VP9_IVF};
use proptest::prelude::*;
use std::io::Cursor;

fn read_all(bytes: &[u8]) -> Result<(IvfHeader, Vec<IvfFrame>), IvfError> {
    let mut reader = IvfReader::new(bytes)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok((reader.header(), frames))
}

#[test]
fn the_samples_are_what_their_table_says() {
    let cases = [
        (STORE_IVF, Codec::Vp8, (320, 240), 20, 120),
        (CONCIERGE_IVF, Codec::Vp8, (320, 240), 15, 90),
        (VP9_IVF, Codec::Vp9, (160, 120), 15, 30),
    ];
    for (bytes, codec, size, rate, count) in cases {
        let (header, frames) = read_all(bytes).unwrap();
        assert_eq!((header.codec, (header.width, header.height)), (codec, size));
        assert_eq!(header.time_base, TimeBase { rate, scale: 1 });
        assert_eq!((frames.len(), header.length), (count, count as u32));
        assert_eq!(dimensions(codec, &frames[0].data), Some(size));
        let step = header.time_base.clock_units(frames[1].time, 90_000);
        assert_eq!(step, u64::from(90_000 / rate));
    }
}

#[test]
fn a_recording_learns_its_size_and_states_its_length() {
    let (_, frames) = read_all(STORE_IVF).unwrap();
    let mut writer = IvfWriter::recording(Cursor::new(Vec::new()), Codec::Vp8).unwrap();
    for frame in &frames {
        writer.write(frame.time * 4_500, &frame.data).unwrap();
    }
    let unfinished = writer.output.get_ref().clone();
    let finished = writer.finish().unwrap().into_inner();
    for (bytes, length) in [(unfinished, 0), (finished, 6 * 90_000)] {
        let (header, copy) = read_all(&bytes).unwrap();
        assert_eq!((header.width, header.height, header.length), (320, 240, length));
        assert_eq!(header.time_base, TimeBase::RTP_VIDEO);
        assert_eq!(copy.len(), 120);
        assert!(
            frames.iter().zip(&copy).all(|(a, b)| a.data == b.data && a.time * 4_500 == b.time)
        );
    }
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let text = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = STORE_IVF.to_vec();
        change(&mut bytes);
        read_all(&bytes).unwrap_err().to_string()
    };
    assert!(text(&|bytes| bytes[0] = b'R').starts_with("not an IVF file"));
    assert!(text(&|bytes| bytes.truncate(31)).starts_with("not an IVF file"));
    assert!(text(&|bytes| bytes[4] = 1).starts_with("IVF version 1"));
    assert!(text(&|bytes| bytes[8..12].copy_from_slice(b"H264")).contains("\"H264\""));
    assert!(text(&|bytes| bytes[16..20].fill(0)).contains("0/1"));
    assert!(text(&|bytes| bytes.truncate(40)).contains("inside frame 0"));
    assert!(text(&|bytes| bytes.truncate(bytes.len() - 1)).contains("inside frame 119"));
    assert!(text(&|bytes| bytes[35] = 1).contains("the limit is 2097152"));
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let output = || Cursor::new(Vec::new());
    let opus = IvfWriter::new(output(), Codec::Opus, (1, 1), TimeBase::RTP_VIDEO);
    assert!(matches!(opus, Err(IvfError::NotVideo)));
    let zero = TimeBase { rate: 0, scale: 1 };
    let still = IvfWriter::new(output(), Codec::Vp8, (1, 1), zero);
    assert!(matches!(still, Err(IvfError::TimeBase { .. })));
    let mut writer = IvfWriter::recording(output(), Codec::Vp8).unwrap();
    let large = writer.write(0, &vec![0; VIDEO_FRAME_BYTES_MAX + 1]);
    assert!(matches!(large, Err(IvfError::FrameSize { .. })));
}

#[test]
fn fuzz_any_bytes_read_or_fail() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = read_all(bytes);
        // Behind a good header, so that frames are reached.
        let mut file = STORE_IVF[..32].to_vec();
        file.extend_from_slice(bytes);
        if let Ok((_, frames)) = read_all(&file) {
            let held: usize = frames.iter().map(|frame| frame.data.len() + 12).sum();
            assert_eq!(held, bytes.len());
        }
    });
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        frames in prop::collection::vec(
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..50)), 0..20,
        ),
        rate in 1_u32.., scale in 1_u32.., width: u16, height: u16,
    ) {
        let time_base = TimeBase { rate, scale };
        let size = (width, height);
        let output = Cursor::new(Vec::new());
        let mut writer = IvfWriter::new(output, Codec::Vp9, size, time_base).unwrap();
        for (time, data) in &frames {
            writer.write(*time, data).unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let (header, copy) = read_all(&bytes).unwrap();
        prop_assert_eq!(header.time_base, time_base);
        let copy: Vec<_> = copy.into_iter().map(|frame| (frame.time, frame.data)).collect();
        prop_assert_eq!(copy, frames);
    }
}
