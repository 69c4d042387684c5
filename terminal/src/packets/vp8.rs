//! VP8 in RTP (RFC 7741): payload descriptor, key frames, dimensions.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! |X|R|N|S|R| PID |  always          X: next byte there; S: a partition starts; PID: which
//! |I|L|T|K|  RSV  |  if X            I, L: the fields below; T or K: a byte with TID, Y, KEYIDX
//! |M| PictureID   |  if I            M: 15 bits, not 7
//! |   TL0PICIDX   |  if L
//! |TID|Y| KEYIDX  |  if T or K
//! ```

use super::assemble::Piece;

/// Numbers the pictures of one outgoing stream.
#[derive(Debug)]
pub(super) struct Describer {
    picture: u16,
}

impl Describer {
    pub(super) fn new(picture_id: u16) -> Self {
        Self { picture: picture_id & 0x7fff }
    }

    pub(super) fn next_picture(&mut self) -> u16 {
        let picture = self.picture;
        self.picture = picture.wrapping_add(1) & 0x7fff;
        picture
    }
}

/// Writes a descriptor: X with a 15-bit PictureID. Partitions are not told apart, which
/// RFC 7741 4.2 allows: S on the first packet only and PID zero.
pub(super) fn describe(picture: u16, first: bool, to: &mut [u8]) -> usize {
    let [high, low] = picture.to_be_bytes();
    to[..4].copy_from_slice(&[0x80 | u8::from(first) << 4, 0x80, 0x80 | high, low]);
    4
}

/// Takes the descriptor off a payload.
pub(super) fn piece(payload: &[u8]) -> Option<Piece<'_>> {
    let (&flags, mut rest) = payload.split_first()?;
    let mut take = || {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        Some(byte)
    };
    let mut picture = None;
    if flags & 0x80 != 0 {
        let extensions = take()?;
        if extensions & 0x80 != 0 {
            let high = take()?;
            picture = Some(match high & 0x80 {
                0 => u16::from(high),
                _ => u16::from_be_bytes([high & 0x7f, take()?]),
            });
        }
        if extensions & 0x40 != 0 {
            take()?;
        }
        if extensions & 0x30 != 0 {
            take()?;
        }
    }
    // RFC 7741 4.2: a frame starts where partition zero starts.
    let starts = flags & 0x17 == 0x10;
    (!rest.is_empty()).then_some(Piece { starts, picture, body: rest })
}

/// Whether a frame is a key frame (RFC 6386 9.1).
pub fn is_key(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 0)
}

/// Width and height of a key frame (RFC 6386 9.1).
pub fn dimensions(frame: &[u8]) -> Option<(u16, u16)> {
    match *frame {
        [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] if is_key(frame) => {
            let pixels = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            Some((pixels(w0, w1), pixels(h0, h1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_descriptor_reads_back() {
        for (picture, first) in [(0, true), (0x7fff, false), (0x0180, true)] {
            let mut payload = [0xaa; 6];
            assert_eq!(describe(picture, first, &mut payload), 4);
            let expected = Piece { starts: first, picture: Some(picture), body: &[0xaa, 0xaa] };
            assert_eq!(piece(&payload), Some(expected));
        }
    }

    #[test]
    fn every_optional_field_is_stepped_over() {
        let body = &[9, 8][..];
        let cases: [(&[u8], bool, Option<u16>); 8] = [
            (&[0x10], true, None),
            (&[0x00], false, None),
            (&[0x11], false, None),
            (&[0x90, 0x00], true, None),
            (&[0x90, 0x80, 0x11], true, Some(0x11)),
            (&[0x90, 0x80, 0x91, 0x22], true, Some(0x1122)),
            (&[0x90, 0xf0, 0x91, 0x22, 5, 6], true, Some(0x1122)),
            (&[0x90, 0x10, 6], true, None),
        ];
        for (descriptor, starts, picture) in cases {
            let payload = [descriptor, body].concat();
            assert_eq!(piece(&payload), Some(Piece { starts, picture, body }), "{descriptor:x?}");
            for length in 0..=descriptor.len() {
                assert_eq!(piece(&payload[..length]), None, "{descriptor:x?} cut to {length}");
            }
        }
    }

    #[test]
    fn only_key_frames_have_dimensions() {
        let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x41, 0xf0, 0x00];
        assert_eq!(dimensions(&frame), Some((320, 240)));
        assert_eq!(dimensions(&frame[..9]), None);
        frame[0] |= 1;
        assert_eq!((dimensions(&frame), is_key(&frame)), (None, false));
    }
}
