//! Writes Ogg Opus files that hold what arrived and keep time over what did not.

use super::{OggError, OpusHead};
use crate::capacity::{OGG_GAP_SAMPLES_MAX, OGG_PACKET_BYTES_MAX, OGG_PAGE_SAMPLES};
use crate::packets::opus::{frame_samples, samples};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use std::io::Write;

/// Writes an Ogg Opus file: the sound comes in pages of a second. Without
/// [`finish`](Self::finish) the last of them is lost and the end of the stream is not marked.
pub struct OpusWriter<W: Write> {
    pages: PacketWriter<'static, W>,
    serial: u32,
    /// The last packet, held back because only its successor tells whether it ends the stream.
    held: Held,
    samples: u64,
    page_samples: u64,
    packets: u64,
    toc: u8,
}

struct Held {
    data: Vec<u8>,
    granule: u64,
    ends_page: bool,
}

/// The smallest Opus frame, 2.5 ms at 48 kHz: gaps are filled to this exactness.
const SMALLEST_FRAME: u64 = 120;
/// CELT, full band, mono, one frame of 2.5, 5 or 10 ms.
const SHORT_FRAMES: [u8; 3] = [30 << 3, 29 << 3, 28 << 3];

impl<W: Write> OpusWriter<W> {
    /// Starts a file; `serial` should differ between files (RFC 3533 6).
    ///
    /// # Errors
    /// [`OggError::Io`] if the output fails.
    pub fn new(output: W, head: OpusHead, serial: u32) -> Result<Self, OggError> {
        let mut pages = PacketWriter::new(output);
        pages.write_packet(head.to_bytes(), serial, PacketWriteEndInfo::EndPage, 0)?;
        let vendor = b"kakehashi";
        let mut tags = b"OpusTags\x09\0\0\0".to_vec();
        tags.extend_from_slice(vendor);
        tags.extend_from_slice(&[0; 4]);
        // RFC 7845 3: the comment header ends its page, and its granule position is zero.
        let held = Held { data: tags, granule: 0, ends_page: true };
        // What fills a gap before the first packet: hybrid, full band, 20 ms.
        let toc = 15 << 3;
        Ok(Self { pages, serial, held, samples: 0, page_samples: 0, packets: 0, toc })
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// [`OggError`] if it is not Opus or beyond the limit, or the output fails.
    pub fn write(&mut self, packet: &[u8]) -> Result<(), OggError> {
        let samples =
            samples(packet).map_err(|reason| OggError::Packet { packet: self.packets, reason })?;
        if packet.len() > OGG_PACKET_BYTES_MAX {
            return Err(OggError::PacketSize { page: 0, limit: OGG_PACKET_BYTES_MAX });
        }
        // One frame of the same kind, which an empty packet says to conceal.
        self.toc = packet[0] & !3;
        self.append(packet.to_vec(), u64::from(samples))
    }

    /// Fills a gap of lost packets or silence with empty frames, which tell a decoder to conceal
    /// (RFC 7845 4.1): time stays right, and every player copes. A rest below 2.5 ms is left out.
    ///
    /// # Errors
    /// [`OggError::Io`] if the output fails.
    pub fn conceal(&mut self, gap_samples: u64) -> Result<(), OggError> {
        let mut rest = gap_samples.min(OGG_GAP_SAMPLES_MAX);
        let usual = u64::from(frame_samples(self.toc));
        while rest >= usual {
            self.append(vec![self.toc], usual)?;
            rest -= usual;
        }
        while rest >= SMALLEST_FRAME {
            let fits = SHORT_FRAMES.into_iter().find(|&toc| u64::from(frame_samples(toc)) <= rest);
            let toc = fits.expect("the smallest frame fits") | self.toc & 4;
            self.append(vec![toc], u64::from(frame_samples(toc)))?;
            rest -= u64::from(frame_samples(toc));
        }
        Ok(())
    }

    /// Samples at 48 kHz written, concealment included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Marks the end of the stream, flushes, and returns the output.
    ///
    /// # Errors
    /// [`OggError::Io`] if the output fails.
    pub fn finish(mut self) -> Result<W, OggError> {
        self.flush_held(PacketWriteEndInfo::EndStream)?;
        let mut output = self.pages.into_inner();
        output.flush()?;
        Ok(output)
    }

    /// Holds back `data`, writes what was held before.
    fn append(&mut self, data: Vec<u8>, samples: u64) -> Result<(), OggError> {
        let info = match self.held.ends_page {
            true => PacketWriteEndInfo::EndPage,
            false => PacketWriteEndInfo::NormalPacket,
        };
        self.flush_held(info)?;
        self.packets += 1;
        // RFC 7845 4: the granule position counts samples up to the end of the packet, pre-skip
        // included.
        self.samples += samples;
        self.page_samples += samples;
        let ends_page = self.page_samples >= OGG_PAGE_SAMPLES;
        if ends_page {
            self.page_samples = 0;
        }
        self.held = Held { data, granule: self.samples, ends_page };
        Ok(())
    }

    fn flush_held(&mut self, info: PacketWriteEndInfo) -> Result<(), OggError> {
        let data = core::mem::take(&mut self.held.data);
        Ok(self.pages.write_packet(data, self.serial, info, self.held.granule)?)
    }
}
