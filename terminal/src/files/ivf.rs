//! IVF: a header of 32 bytes, then frames with their size and time, all little-endian.
//!
//! ```text
//!  0 "DKIF"   4 version 0   6 header bytes 32   8 "VP80" or "VP90"   12 width   14 height
//! 16 ticks per second, numerator   20 denominator   24 length in ticks   28 unused
//! then per frame:   0 bytes   4 time in ticks (64 bits)   12 the frame
//! ```

use super::read_up_to;
use crate::capacity::VIDEO_FRAME_BYTES_MAX;
use crate::packets::dimensions;
use kakehashi_wire::media::Codec;
use std::io::{self, Read, Seek, SeekFrom, Write};
use thiserror::Error;

/// Bytes of the file header.
const HEADER_BYTES: usize = 32;
/// Bytes of a frame header.
const FRAME_HEADER_BYTES: usize = 12;

/// Why an IVF file cannot be read or written.
#[derive(Debug, Error)]
pub enum IvfError {
    /// The first bytes are not those of IVF.
    #[error("not an IVF file; make one with: ffmpeg -i INPUT -c:v libvpx OUTPUT.ivf")]
    NotIvf,
    /// A header this reader does not know.
    #[error(
        "IVF version {version} with a header of {bytes} bytes; only version 0 with 32 is known"
    )]
    Version {
        /// Version stated.
        version: u16,
        /// Header length stated.
        bytes: u16,
    },
    /// Neither VP8 nor VP9.
    #[error(
        "the IVF file holds {0:?}, not VP8 or VP9; convert it: ffmpeg -i INPUT -c:v libvpx \
         OUTPUT.ivf"
    )]
    Codec(String),
    /// The time base has a zero.
    #[error("the IVF header's time base is {rate}/{scale}; both must be above zero")]
    TimeBase {
        /// Numerator.
        rate: u32,
        /// Denominator.
        scale: u32,
    },
    /// The file ends inside a header or a frame.
    #[error("the IVF file ends inside frame {frame}; it is cut off, make or copy it again")]
    Truncated {
        /// Index of the frame, from zero.
        frame: u64,
    },
    /// A frame beyond the limit.
    #[error(
        "frame {frame} of the IVF file states {bytes} bytes, the limit is {VIDEO_FRAME_BYTES_MAX}"
    )]
    FrameSize {
        /// Index of the frame, from zero.
        frame: u64,
        /// Bytes stated.
        bytes: usize,
    },
    /// An audio codec was asked for.
    #[error("IVF holds video; write Opus into Ogg")]
    NotVideo,
    /// The reader or writer underneath failed.
    #[error("reading or writing the IVF file: {0}")]
    Io(#[from] io::Error),
}

/// How many ticks make how many seconds: `rate / scale` ticks a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeBase {
    /// Numerator; the frame rate, if `scale` is 1.
    pub rate: u32,
    /// Denominator.
    pub scale: u32,
}

impl TimeBase {
    /// The RTP clock of video.
    pub const RTP_VIDEO: Self = Self { rate: 90_000, scale: 1 };

    /// A time in ticks as a time in units of `clock_hz`.
    pub fn clock_units(self, ticks: u64, clock_hz: u32) -> u64 {
        let product = u128::from(ticks) * u128::from(self.scale) * u128::from(clock_hz);
        u64::try_from(product / u128::from(self.rate.max(1))).unwrap_or(u64::MAX)
    }
}

/// What the file header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IvfHeader {
    /// VP8 or VP9.
    pub codec: Codec,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Unit of the frames' times.
    pub time_base: TimeBase,
    /// Length in ticks, which is the number of frames where a tick is a frame; a file that was not
    /// finished says zero.
    pub length: u32,
}

impl IvfHeader {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, IvfError> {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        if !bytes.starts_with(b"DKIF") {
            return Err(IvfError::NotIvf);
        }
        if word(4) != 0 || usize::from(word(6)) != HEADER_BYTES {
            return Err(IvfError::Version { version: word(4), bytes: word(6) });
        }
        let codec = match &bytes[8..12] {
            b"VP80" => Codec::Vp8,
            b"VP90" => Codec::Vp9,
            other => return Err(IvfError::Codec(other.escape_ascii().to_string())),
        };
        let time_base = TimeBase { rate: long(16), scale: long(20) };
        if time_base.rate == 0 || time_base.scale == 0 {
            return Err(IvfError::TimeBase { rate: time_base.rate, scale: time_base.scale });
        }
        Ok(Self { codec, width: word(12), height: word(14), time_base, length: long(24) })
    }

    fn to_bytes(self) -> Result<[u8; HEADER_BYTES], IvfError> {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(b"DKIF\0\0\x20\0");
        bytes[8..12].copy_from_slice(match self.codec {
            Codec::Vp8 => b"VP80",
            Codec::Vp9 => b"VP90",
            Codec::Opus => return Err(IvfError::NotVideo),
        });
        bytes[12..14].copy_from_slice(&self.width.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.height.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.time_base.rate.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.time_base.scale.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        Ok(bytes)
    }
}

/// A frame of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IvfFrame {
    /// When it is shown, in ticks of the time base.
    pub time: u64,
    /// The encoded frame.
    pub data: Vec<u8>,
}

/// Reads an IVF file frame by frame.
#[derive(Debug)]
pub struct IvfReader<R> {
    input: R,
    header: IvfHeader,
    read: u64,
}

impl<R: Read> IvfReader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// [`IvfError`] if this is no IVF file with VP8 or VP9.
    pub fn new(mut input: R) -> Result<Self, IvfError> {
        let mut bytes = [0; HEADER_BYTES];
        if read_up_to(&mut input, &mut bytes)? < HEADER_BYTES {
            return Err(IvfError::NotIvf);
        }
        Ok(Self { header: IvfHeader::parse(&bytes)?, input, read: 0 })
    }

    /// What the file header says.
    pub fn header(&self) -> IvfHeader {
        self.header
    }

    /// The next frame; `None` at the end. The stated length is not believed.
    ///
    /// # Errors
    /// [`IvfError`] if the file is cut off, or a frame is beyond the limit.
    pub fn next_frame(&mut self) -> Result<Option<IvfFrame>, IvfError> {
        let frame = self.read;
        let mut head = [0; FRAME_HEADER_BYTES];
        match read_up_to(&mut self.input, &mut head)? {
            0 => return Ok(None),
            FRAME_HEADER_BYTES => {}
            _ => return Err(IvfError::Truncated { frame }),
        }
        let [s0, s1, s2, s3, time @ ..] = head;
        let stated = u32::from_le_bytes([s0, s1, s2, s3]);
        let bytes = usize::try_from(stated).unwrap_or(usize::MAX);
        if bytes > VIDEO_FRAME_BYTES_MAX {
            return Err(IvfError::FrameSize { frame, bytes });
        }
        let mut data = Vec::new();
        if self.input.by_ref().take(u64::from(stated)).read_to_end(&mut data)? < bytes {
            return Err(IvfError::Truncated { frame });
        }
        self.read += 1;
        Ok(Some(IvfFrame { time: u64::from_le_bytes(time), data }))
    }
}

/// Writes an IVF file. Without [`finish`](Self::finish) it plays, but its header states no length.
#[derive(Debug)]
pub struct IvfWriter<W> {
    output: W,
    header: IvfHeader,
    frames: u64,
    times: Option<Times>,
}

/// Times of the first and the last frame.
#[derive(Clone, Copy, Debug)]
struct Times {
    first: u64,
    last: u64,
}

impl<W: Write + Seek> IvfWriter<W> {
    /// Starts a file. With a size of zero, the first key frame that is written says the size.
    ///
    /// # Errors
    /// [`IvfError`] if the codec is not video, or the output fails.
    pub fn new(
        mut output: W,
        codec: Codec,
        (width, height): (u16, u16),
        time_base: TimeBase,
    ) -> Result<Self, IvfError> {
        if time_base.rate == 0 || time_base.scale == 0 {
            return Err(IvfError::TimeBase { rate: time_base.rate, scale: time_base.scale });
        }
        let header = IvfHeader { codec, width, height, time_base, length: 0 };
        output.write_all(&header.to_bytes()?)?;
        Ok(Self { output, header, frames: 0, times: None })
    }

    /// Starts a recording: times are RTP timestamps from zero, the size comes from the stream.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recording(output: W, codec: Codec) -> Result<Self, IvfError> {
        Self::new(output, codec, (0, 0), TimeBase::RTP_VIDEO)
    }

    /// Appends a frame shown at `time`, in ticks.
    ///
    /// # Errors
    /// [`IvfError`] if the frame is beyond the limit, or the output fails.
    pub fn write(&mut self, time: u64, frame: &[u8]) -> Result<(), IvfError> {
        let bytes = frame.len();
        let size = match u32::try_from(bytes) {
            Ok(size) if bytes <= VIDEO_FRAME_BYTES_MAX => size,
            _ => return Err(IvfError::FrameSize { frame: self.frames, bytes }),
        };
        let sized = self.header.width != 0 && self.header.height != 0;
        if !sized && let Some((width, height)) = dimensions(self.header.codec, frame) {
            (self.header.width, self.header.height) = (width, height);
            // A file that is never finished plays all the same.
            self.patch()?;
        }
        self.output.write_all(&size.to_le_bytes())?;
        self.output.write_all(&time.to_le_bytes())?;
        self.output.write_all(frame)?;
        self.frames += 1;
        let first = self.times.map_or(time, |times| times.first);
        self.times = Some(Times { first, last: time });
        Ok(())
    }

    /// Frames written.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// States the length in the header, flushes, and returns the output.
    ///
    /// # Errors
    /// [`IvfError::Io`] if the output fails.
    pub fn finish(mut self) -> Result<W, IvfError> {
        self.header.length = u32::try_from(self.length()).unwrap_or(u32::MAX);
        self.patch()?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// From the first frame to the end of the last, which lasts as long as the mean of the others.
    fn length(&self) -> u64 {
        let span = self.times.map_or(0, |times| times.last.saturating_sub(times.first));
        let mean = span.checked_div(self.frames.saturating_sub(1)).unwrap_or(self.frames);
        span.saturating_add(mean)
    }

    /// Writes the header again, and goes back to the end.
    fn patch(&mut self) -> Result<(), IvfError> {
        self.output.seek(SeekFrom::Start(0))?;
        self.output.write_all(&self.header.to_bytes()?)?;
        self.output.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
