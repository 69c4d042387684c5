//! Ogg Opus (RFC 7845): one logical stream, mono or stereo.
//!
//! Pages are read one by one here and only joined to packets by the `ogg` crate, so that a file
//! cannot make it hold more than one packet, search through rubbish, or mix streams.

mod head;
mod write;

pub use head::OpusHead;
pub use write::OpusWriter;

use super::read_up_to;
use crate::capacity::{OGG_PACKET_BYTES_MAX, OGG_TAGS_BYTES_MAX};
use crate::packets::opus::{OpusError, samples};
use ogg::reading::{BasePacketReader, OggReadError, PageParser, PageParsingOptions};
use std::io::{self, Read};
use std::sync::Arc;
use thiserror::Error;

/// Why an Ogg Opus file cannot be read or written.
#[derive(Debug, Error)]
pub enum OggError {
    /// Not an Ogg page where one should be.
    #[error(
        "not an Ogg file, or damaged at page {page}; make one with: ffmpeg -i INPUT -c:a \
         libopus OUTPUT.opus"
    )]
    NotOgg {
        /// Index of the page, from zero.
        page: u64,
    },
    /// The file ends inside a page.
    #[error("the Ogg file ends inside page {page}; it is cut off, make or copy it again")]
    Truncated {
        /// Index of the page, from zero.
        page: u64,
    },
    /// A page's checksum or structure is wrong.
    #[error("page {page} of the Ogg file is damaged: {reason}")]
    Damaged {
        /// Index of the page, from zero.
        page: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two streams side by side, such as sound and picture.
    #[error(
        "the Ogg file holds several streams side by side; extract the sound: ffmpeg \
         -i INPUT -map 0:a:0 -c copy OUTPUT.opus"
    )]
    Multiplexed,
    /// Streams one after the other, such as a recorded radio.
    #[error(
        "the Ogg file holds several streams one after the other; join them: ffmpeg -i \
         INPUT -c:a libopus OUTPUT.opus"
    )]
    Chained,
    /// The first packet is not an Opus header.
    #[error("the Ogg file does not hold Opus: {0}")]
    NotOpus(&'static str),
    /// More channels than a call carries.
    #[error(
        "the Opus stream has {channels} channels in mapping family {family}; mix it \
         down: ffmpeg -i INPUT -ac 1 -c:a libopus OUTPUT.opus"
    )]
    Channels {
        /// Channels stated.
        channels: u8,
        /// Channel mapping family stated.
        family: u8,
    },
    /// A packet beyond the limit.
    #[error("a packet at page {page} of the Ogg file has more than {limit} bytes")]
    PacketSize {
        /// Index of the page, from zero.
        page: u64,
        /// Bytes a packet may have here.
        limit: usize,
    },
    /// Audio data that is not Opus.
    #[error("packet {packet} is not an Opus packet: {reason}")]
    Packet {
        /// Index of the audio packet, from zero.
        packet: u64,
        /// What is wrong.
        reason: OpusError,
    },
    /// The reader or writer underneath failed.
    #[error("reading or writing the Ogg file: {0}")]
    Io(#[from] io::Error),
}

/// An Opus packet of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpusPacket {
    /// Samples at 48 kHz that it lasts.
    pub samples: u32,
    /// The packet.
    pub data: Vec<u8>,
}

/// Reads an Ogg Opus file packet by packet.
pub struct OpusReader<R> {
    pages: Pages<R>,
    head: OpusHead,
    packets: u64,
}

impl<R: Read> OpusReader<R> {
    /// Reads both headers.
    ///
    /// # Errors
    /// [`OggError`] if this is no Ogg file with one Opus stream.
    pub fn new(input: R) -> Result<Self, OggError> {
        Self::with_checksums(input, true)
    }

    fn with_checksums(input: R, verify: bool) -> Result<Self, OggError> {
        let mut pages = Pages::new(input, verify);
        let first = pages.packet(OGG_PACKET_BYTES_MAX)?;
        let head = OpusHead::parse(&first.ok_or(OggError::NotOpus("it is empty"))?.data)?;
        let tags = pages.packet(OGG_TAGS_BYTES_MAX)?;
        if !tags.is_some_and(|tags| tags.data.starts_with(b"OpusTags")) {
            return Err(OggError::NotOpus("the comment header is missing"));
        }
        Ok(Self { pages, head, packets: 0 })
    }

    /// What the identification header says.
    pub fn head(&self) -> OpusHead {
        self.head
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// [`OggError`] if the file is damaged, cut off, or holds another stream.
    pub fn next_packet(&mut self) -> Result<Option<OpusPacket>, OggError> {
        let Some(packet) = self.pages.packet(OGG_PACKET_BYTES_MAX)? else {
            return Ok(None);
        };
        let samples = samples(&packet.data)
            .map_err(|reason| OggError::Packet { packet: self.packets, reason })?;
        self.packets += 1;
        Ok(Some(OpusPacket { samples, data: packet.data }))
    }
}

/// Pages of one logical stream.
struct Pages<R> {
    input: R,
    packets: BasePacketReader,
    options: Arc<PageParsingOptions>,
    page: u64,
    stream: Option<Stream>,
    continued_bytes: usize,
}

/// What the pages so far say about the stream.
#[derive(Clone, Copy)]
struct Stream {
    serial: [u8; 4],
    sequence: u32,
    ended: bool,
}

const PAGE_HEADER_BYTES: usize = 27;

impl<R: Read> Pages<R> {
    fn new(input: R, verify: bool) -> Self {
        let mut options = PageParsingOptions::default();
        options.verify_checksum = verify;
        Self {
            input,
            packets: BasePacketReader::new(),
            options: Arc::new(options),
            page: 0,
            stream: None,
            continued_bytes: 0,
        }
    }

    /// The next packet, of at most `limit` bytes; `None` at the end of the file.
    fn packet(&mut self, limit: usize) -> Result<Option<ogg::Packet>, OggError> {
        loop {
            if let Some(packet) = self.packets.read_packet() {
                if packet.data.len() > limit {
                    return Err(OggError::PacketSize { page: self.page, limit });
                }
                return Ok(Some(packet));
            }
            if !self.read_page(limit)? {
                return Ok(None);
            }
        }
    }

    /// Reads one page; false at the end of the file.
    fn read_page(&mut self, limit: usize) -> Result<bool, OggError> {
        let page = self.page;
        let mut header = [0; PAGE_HEADER_BYTES];
        let got = read_up_to(&mut self.input, &mut header[..1])?;
        if got == 0 {
            return Ok(false);
        }
        self.exactly(&mut header[1..])?;
        if !header.starts_with(b"OggS") {
            return Err(OggError::NotOgg { page });
        }
        self.check_stream(&header)?;
        let options = Arc::clone(&self.options);
        let (mut parser, segments) = PageParser::new_with_parse_opts(header, options)
            .map_err(|error| self.damaged(&error))?;
        let mut table = vec![0; segments];
        self.exactly(&mut table)?;
        self.check_size(&table, limit)?;
        let mut body = vec![0; parser.parse_segments(table)];
        self.exactly(&mut body)?;
        let parsed = parser.parse_packet_data(body).map_err(|error| self.damaged(&error))?;
        self.packets.push_page(parsed).map_err(|error| self.damaged(&error))?;
        self.page += 1;
        Ok(true)
    }

    /// RFC 3533 6: flags at 5, serial number at 14, page sequence number at 18.
    fn check_stream(&mut self, header: &[u8; PAGE_HEADER_BYTES]) -> Result<(), OggError> {
        let (begins, ends) = (header[5] & 2 != 0, header[5] & 4 != 0);
        let serial = [header[14], header[15], header[16], header[17]];
        let sequence = u32::from_le_bytes([header[18], header[19], header[20], header[21]]);
        let page = self.page;
        match self.stream {
            None if !begins => {
                return Err(OggError::Damaged { page, reason: "the stream does not begin here" });
            }
            None => {}
            Some(stream) if stream.ended => return Err(OggError::Chained),
            Some(stream) if stream.serial != serial && begins && page > 1 => {
                // The stream before was cut off without its end mark.
                return Err(OggError::Chained);
            }
            Some(stream) if stream.serial != serial => return Err(OggError::Multiplexed),
            Some(stream) if stream.sequence.wrapping_add(1) != sequence => {
                return Err(OggError::Damaged { page, reason: "a page before it is missing" });
            }
            Some(_) => {}
        }
        self.stream = Some(Stream { serial, sequence, ended: ends });
        Ok(())
    }

    /// Bounds a packet that goes on over several pages before its bytes are held.
    fn check_size(&mut self, table: &[u8], limit: usize) -> Result<(), OggError> {
        let total: usize = table.iter().map(|&bytes| usize::from(bytes)).sum();
        let tail: usize = table.iter().rev().take_while(|&&bytes| bytes == 255).map(|_| 255).sum();
        self.continued_bytes = if tail == total { self.continued_bytes + total } else { tail };
        // A packet that ends in this page is measured when it is whole.
        if self.continued_bytes > limit {
            return Err(OggError::PacketSize { page: self.page, limit });
        }
        Ok(())
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), OggError> {
        if read_up_to(&mut self.input, buffer)? < buffer.len() {
            return Err(OggError::Truncated { page: self.page });
        }
        Ok(())
    }

    fn damaged(&self, error: &OggReadError) -> OggError {
        let reason = match error {
            OggReadError::HashMismatch(..) => "its checksum does not match",
            OggReadError::InvalidStreamStructVer(_) => "its version is unknown",
            _ => "its structure is wrong",
        };
        OggError::Damaged { page: self.page, reason }
    }
}

#[cfg(test)]
mod tests;
