//! Where frames come from, and when each is due.
//!
//! The schedule is absolute: a frame is due at the start plus its media time, however late the
//! one before it was, so that nothing drifts (open loop).

use crate::clock::Moment;
use crate::files::ivf::IvfReader;
use crate::files::ogg::OpusReader;
use core::time::Duration;
use kakehashi_wire::media::Codec;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// A frame and when it is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimedFrame {
    /// Media time in the codec's RTP clock, from the source's beginning.
    pub at: u64,
    /// The encoded frame.
    pub data: Vec<u8>,
}

/// Why a source gives no more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct SourceError {
    /// What is wrong, and with which file.
    pub why: String,
}

/// Gives frames in order.
pub trait FrameSource: Send {
    /// How the frames are encoded.
    fn codec(&self) -> Codec;

    /// The next frame; `None` when there are no more.
    ///
    /// # Errors
    /// [`SourceError`] if the source is broken; it is not asked again.
    fn next_frame(&mut self) -> Result<Option<TimedFrame>, SourceError>;

    /// Receivers can go on only with a key frame: pictures were lost, or held back. An encoder
    /// makes the next frame one; a file cannot, and receivers wait for its next key frame.
    fn key_frame_wanted(&mut self) {}

    /// The network carries so many bits a second of all streams together. An encoder follows; of
    /// a file, frames are held back while it has more.
    fn target_rate(&mut self, _bits_per_second: u64) {}
}

/// Where a source's bytes are.
#[derive(Clone, Debug)]
pub enum MediaFile {
    /// In a file.
    Path(PathBuf),
    /// In the program.
    Embedded(&'static [u8]),
}

impl MediaFile {
    fn open(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        match self {
            Self::Embedded(bytes) => Ok(Box::new(*bytes)),
            Self::Path(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(BufReader::new(file))),
                Err(error) => Err(self.error(error)),
            },
        }
    }

    fn error(&self, error: impl core::fmt::Display) -> SourceError {
        let name = match self {
            Self::Path(path) => path.display().to_string(),
            Self::Embedded(_) => "the embedded sample".to_owned(),
        };
        SourceError { why: format!("{name}: {error}") }
    }
}

/// Whether a source starts again at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Ends with the file.
    Once,
    /// Starts again, with time going on.
    Forever,
}

/// The packets of an Ogg Opus file, all of them whole: RTP cannot say that the last one's end is to
/// be left out (RFC 7845 4.4), which is a few milliseconds of silence.
pub struct OpusSource {
    file: MediaFile,
    repeat: Repeat,
    reader: OpusReader<Box<dyn Read + Send>>,
    at: u64,
    of_this_turn: u64,
}

impl OpusSource {
    /// Opens the file.
    ///
    /// # Errors
    /// [`SourceError`] if it is not there or no Ogg Opus.
    pub fn open(file: MediaFile, repeat: Repeat) -> Result<Self, SourceError> {
        let reader = Self::reader(&file)?;
        Ok(Self { file, repeat, reader, at: 0, of_this_turn: 0 })
    }

    fn reader(file: &MediaFile) -> Result<OpusReader<Box<dyn Read + Send>>, SourceError> {
        OpusReader::new(file.open()?).map_err(|error| file.error(error))
    }
}

impl FrameSource for OpusSource {
    fn codec(&self) -> Codec {
        Codec::Opus
    }

    fn next_frame(&mut self) -> Result<Option<TimedFrame>, SourceError> {
        loop {
            let packet = self.reader.next_packet().map_err(|error| self.file.error(error))?;
            if let Some(packet) = packet {
                let at = self.at;
                self.at += u64::from(packet.samples);
                self.of_this_turn += 1;
                return Ok(Some(TimedFrame { at, data: packet.data }));
            }
            // A file without packets must not be read for ever.
            if self.repeat == Repeat::Once || self.of_this_turn == 0 {
                return Ok(None);
            }
            self.of_this_turn = 0;
            self.reader = Self::reader(&self.file)?;
        }
    }
}

/// The frames of an IVF file.
pub struct IvfSource {
    file: MediaFile,
    repeat: Repeat,
    reader: IvfReader<Box<dyn Read + Send>>,
    /// Media time at which this turn began.
    offset: u64,
    last: Option<u64>,
    step: u64,
}

impl IvfSource {
    /// Opens the file.
    ///
    /// # Errors
    /// [`SourceError`] if it is not there, or no IVF with VP8 or VP9.
    pub fn open(file: MediaFile, repeat: Repeat) -> Result<Self, SourceError> {
        let reader = Self::reader(&file)?;
        let base = reader.header().time_base;
        let step = base.clock_units(1, reader.header().codec.clock_hz()).max(1);
        Ok(Self { file, repeat, reader, offset: 0, last: None, step })
    }

    fn reader(file: &MediaFile) -> Result<IvfReader<Box<dyn Read + Send>>, SourceError> {
        IvfReader::new(file.open()?).map_err(|error| file.error(error))
    }
}

impl FrameSource for IvfSource {
    fn codec(&self) -> Codec {
        self.reader.header().codec
    }

    fn next_frame(&mut self) -> Result<Option<TimedFrame>, SourceError> {
        loop {
            let frame = self.reader.next_frame().map_err(|error| self.file.error(error))?;
            if let Some(frame) = frame {
                let header = self.reader.header();
                let time = header.time_base.clock_units(frame.time, header.codec.clock_hz());
                let at = self.offset + time;
                if let Some(last) = self.last {
                    self.step = at.saturating_sub(last).max(1);
                }
                self.last = Some(at);
                if frame.data.is_empty() {
                    // A frame the encoder dropped: RTP cannot carry it, time goes on.
                    continue;
                }
                return Ok(Some(TimedFrame { at, data: frame.data }));
            }
            let Some(last) = self.last.take() else { return Ok(None) };
            if self.repeat == Repeat::Once {
                return Ok(None);
            }
            self.offset = last + self.step;
            self.reader = Self::reader(&self.file)?;
        }
    }
}

/// Opens a media file by what its first bytes say.
///
/// # Errors
/// [`SourceError`] if it cannot be read, or is neither Ogg Opus nor IVF.
pub fn open_file(path: &Path, repeat: Repeat) -> Result<Box<dyn FrameSource>, SourceError> {
    let file = MediaFile::Path(path.to_owned());
    let mut magic = [0; 4];
    file.open()?.read_exact(&mut magic).map_err(|error| file.error(error))?;
    match &magic {
        b"OggS" => Ok(Box::new(OpusSource::open(file, repeat)?)),
        b"DKIF" => Ok(Box::new(IvfSource::open(file, repeat)?)),
        _ => Err(file.error(
            "neither Ogg Opus nor IVF; make one with: ffmpeg -i INPUT -c:a libopus OUTPUT.opus, \
             or: ffmpeg -i INPUT -c:v libvpx OUTPUT.ivf",
        )),
    }
}

/// Gives a source's frames when they are due.
pub struct Pacer {
    source: Box<dyn FrameSource>,
    clock_hz: u64,
    first_timestamp: u32,
    started: Moment,
    waiting: Option<TimedFrame>,
}

impl Pacer {
    /// Starts `source` at `started`; its first RTP timestamp is `first_timestamp`.
    ///
    /// # Errors
    /// [`SourceError`] if the source is broken.
    pub fn start(
        mut source: Box<dyn FrameSource>,
        first_timestamp: u32,
        started: Moment,
    ) -> Result<Self, SourceError> {
        let waiting = source.next_frame()?;
        let clock_hz = u64::from(source.codec().clock_hz());
        Ok(Self { source, clock_hz, first_timestamp, started, waiting })
    }

    /// When the next frame is due; `None` when there are no more.
    pub fn next_deadline(&self) -> Option<Moment> {
        let at = self.waiting.as_ref()?.at;
        let micros = u128::from(at) * 1_000_000 / u128::from(self.clock_hz);
        let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        Some(self.started.plus(wait))
    }

    /// Passes on that a receiver needs a key frame.
    pub fn key_frame_wanted(&mut self) {
        self.source.key_frame_wanted();
    }

    /// Passes on what the network carries.
    pub fn target_rate(&mut self, bits_per_second: u64) {
        self.source.target_rate(bits_per_second);
    }

    /// The next frame and its RTP timestamp, if it is due at `now`.
    ///
    /// # Errors
    /// [`SourceError`] if the source broke behind this frame; the pacer is at its end then.
    pub fn due(&mut self, now: Moment) -> Result<Option<(Vec<u8>, u32)>, SourceError> {
        if self.next_deadline().is_none_or(|due| now < due) {
            return Ok(None);
        }
        let Some(frame) = self.waiting.take() else { return Ok(None) };
        let low = u32::try_from(frame.at & 0xffff_ffff).expect("masked to 32 bits");
        self.waiting = self.source.next_frame()?;
        Ok(Some((frame.data, self.first_timestamp.wrapping_add(low))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{SPEECH_OPUS, STORE_IVF};

    #[test]
    fn frames_are_due_at_their_media_time_whenever_asked() {
        let source = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Once).unwrap();
        let start = Moment::from_micros(1_000_000);
        let mut pacer = Pacer::start(Box::new(source), 7, start).unwrap();
        let late = start.plus(Duration::from_millis(65));
        let mut stamps = Vec::new();
        while let Some((_, timestamp)) = pacer.due(late).unwrap() {
            stamps.push(timestamp);
        }
        assert_eq!(stamps, [7, 967, 1927, 2887]);
        assert_eq!(pacer.next_deadline(), Some(start.plus(Duration::from_millis(80))));
    }

    #[test]
    fn time_goes_on_over_a_repetition() {
        let mut source = IvfSource::open(MediaFile::Embedded(STORE_IVF), Repeat::Forever).unwrap();
        let frames: Vec<_> = (0..240).map(|_| source.next_frame().unwrap().unwrap()).collect();
        assert!(frames.iter().enumerate().all(|(at, frame)| frame.at == 4500 * at as u64));
        assert_eq!(frames[0].data, frames[120].data);
        let mut once = IvfSource::open(MediaFile::Embedded(STORE_IVF), Repeat::Once).unwrap();
        let count = core::iter::from_fn(|| once.next_frame().unwrap()).count();
        assert_eq!(count, 120);
        let mut speech =
            OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap();
        let last = core::iter::from_fn(|| speech.next_frame().unwrap()).take(400).last().unwrap();
        assert_eq!(last.at, 399 * 960);
    }

    #[test]
    fn a_file_that_is_no_media_says_how_to_make_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"RIFF....").unwrap();
        let error = open_file(file.path(), Repeat::Once).err().unwrap();
        assert!(error.why.contains("ffmpeg"), "{error}");
        let missing = open_file(Path::new("/nowhere/x.ivf"), Repeat::Once).err().unwrap();
        assert!(missing.why.contains("/nowhere/x.ivf"), "{missing}");
    }
}
