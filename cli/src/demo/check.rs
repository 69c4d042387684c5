//! Compares a recording with what was sent, frame for frame.

use anyhow::{Context, Result, ensure};
use kakehashi_terminal::files::ivf::IvfReader;
use kakehashi_terminal::files::ogg::OpusReader;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Encoded frames, in order.
pub(super) type Frames = Vec<Vec<u8>>;

/// The packets of an Ogg Opus file.
pub(super) fn opus_frames(input: impl Read) -> Result<Frames> {
    let mut reader = OpusReader::new(input)?;
    let mut frames = Frames::new();
    while let Some(packet) = reader.next_packet()? {
        frames.push(packet.data);
    }
    Ok(frames)
}

/// The frames of an IVF file.
pub(super) fn ivf_frames(input: impl Read) -> Result<Frames> {
    let mut reader = IvfReader::new(input)?;
    let mut frames = Frames::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame.data);
    }
    Ok(frames)
}

/// Opens a recording and reads its frames, by its ending.
pub(super) fn recorded_frames(path: &Path) -> Result<Frames> {
    let open = || -> Result<Frames> {
        let file = BufReader::new(File::open(path)?);
        match path.extension().is_some_and(|ending| ending == "ivf") {
            true => ivf_frames(file),
            false => opus_frames(file),
        }
    };
    open().with_context(|| format!("cannot read the recording {}", path.display()))
}

/// Checks that `recorded` is what a source makes of `sample` when it repeats it, `sent` frames
/// long.
pub(super) fn compare(sample: &Frames, sent: u64, recorded: &Frames) -> Result<()> {
    let expected = sample.iter().cycle().zip(recorded);
    for (number, (sample, recorded)) in expected.enumerate() {
        ensure!(sample == recorded, "frame {number} is not what was sent");
    }
    let got = recorded.len() as u64;
    ensure!(got == sent, "{sent} frames were sent and {got} recorded");
    ensure!(got > 0, "nothing was recorded");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(numbers: &[u8]) -> Frames {
        numbers.iter().map(|number| vec![*number; 3]).collect()
    }

    #[test]
    fn a_recording_is_the_sample_repeated_and_nothing_else() {
        let sample = frames(&[1, 2, 3]);
        assert!(compare(&sample, 5, &frames(&[1, 2, 3, 1, 2])).is_ok());
        for (sent, recorded) in [
            (5, frames(&[1, 2, 3, 1])),
            (3, frames(&[1, 3, 2])),
            (3, frames(&[1, 2, 4])),
            (2, frames(&[2, 3])),
            (0, frames(&[])),
        ] {
            assert!(compare(&sample, sent, &recorded).is_err(), "{sent} {recorded:?}");
        }
    }

    #[test]
    fn the_samples_read() {
        use kakehashi_terminal::samples;
        assert!(opus_frames(samples::SPEECH_OPUS).is_ok_and(|frames| frames.len() > 100));
        assert!(ivf_frames(samples::STORE_IVF).is_ok_and(|frames| frames.len() > 50));
    }
}
