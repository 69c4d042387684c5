//! VP9 in RTP (RFC 9628): payload descriptor, key frames, dimensions.
//!
//! Writes the non-flexible mode with one spatial and one temporal layer; reads everything.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! |I|P|L|F|B|E|V|Z|  always
//! |M| picture ID  |  if I; M: 15 bits, not 7
//! | TID |U| SID |D|  if L
//! |   TL0PICIDX   |  if L and not F
//! | P_DIFF      |N|  if P and F; up to three, N: another follows
//! | scalability…  |  if V
//! ```

mod bits;

use super::assemble::Piece;
use bits::Bits;

/// Numbers the pictures of one outgoing stream.
#[derive(Debug)]
pub(super) struct Describer {
    picture: u16,
}

/// What the descriptors of one picture say.
#[derive(Debug)]
pub(super) struct Picture {
    id: u16,
    key: bool,
    size: Option<(u16, u16)>,
}

impl Describer {
    pub(super) fn new(picture_id: u16) -> Self {
        Self { picture: picture_id & 0x7fff }
    }

    pub(super) fn next_picture(&mut self, frame: &[u8]) -> Picture {
        let id = self.picture;
        self.picture = id.wrapping_add(1) & 0x7fff;
        Picture { id, key: is_key(frame), size: dimensions(frame) }
    }
}

// Flags of the first byte, as drawn above: picture ID, inter-picture predicted, layer indices,
// flexible mode, begin and end of a layer frame, scalability structure, no reference for layers.
const I: u8 = 0x80;
const P: u8 = 0x40;
const L: u8 = 0x20;
const F: u8 = 0x10;
const B: u8 = 0x08;
const E: u8 = 0x04;
const V: u8 = 0x02;
const Z: u8 = 0x01;

/// Writes a descriptor. The first packet of a key frame carries the scalability structure (RFC
/// 9628 4.2.1): one layer of this size, each picture predicted from the one before.
pub(super) fn describe(picture: &Picture, first: bool, last: bool, to: &mut [u8]) -> usize {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let structure = picture.size.filter(|_| first);
    let [high, low] = picture.id.to_be_bytes();
    to[0] = I | Z | flag(!picture.key, P) | flag(first, B) | flag(last, E);
    to[1..3].copy_from_slice(&[0x80 | high, low]);
    let Some((width, height)) = structure else {
        return 3;
    };
    to[0] |= V;
    // N_S = 0, Y = 1, G = 1; size; N_G = 1: TID = 0, U = 0, R = 1, P_DIFF = 1.
    let ([w0, w1], [h0, h1]) = (width.to_be_bytes(), height.to_be_bytes());
    to[3..11].copy_from_slice(&[0x18, w0, w1, h0, h1, 1, 0x04, 1]);
    11
}

/// Takes the descriptor off a payload.
pub(super) fn piece(payload: &[u8]) -> Option<Piece<'_>> {
    let mut rest = payload;
    let flags = take(&mut rest)?;
    let has = |bits: u8| flags & bits == bits;
    let mut picture = None;
    if has(I) {
        let high = take(&mut rest)?;
        picture = Some(match high & 0x80 {
            0 => u16::from(high),
            _ => u16::from_be_bytes([high & 0x7f, take(&mut rest)?]),
        });
    }
    let mut spatial = 0;
    if has(L) {
        spatial = take(&mut rest)? >> 1 & 7;
        if !has(F) {
            take(&mut rest)?;
        }
    }
    if has(P | F) {
        skip_references(&mut rest)?;
    }
    if has(V) {
        skip_structure(&mut rest)?;
    }
    // A picture starts with the first packet of its lowest layer.
    let starts = has(B) && spatial == 0;
    (!rest.is_empty()).then_some(Piece { starts, picture, body: rest })
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, behind) = rest.split_first()?;
    *rest = behind;
    Some(byte)
}

fn skip(rest: &mut &[u8], bytes: usize) -> Option<()> {
    *rest = rest.get(bytes..)?;
    Some(())
}

/// At most three reference indices, each saying whether another follows.
fn skip_references(rest: &mut &[u8]) -> Option<()> {
    for _ in 0..3 {
        if take(rest)? & 1 == 0 {
            return Some(());
        }
    }
    None
}

/// RFC 9628 4.2.1: sizes of the spatial layers, then the picture group.
fn skip_structure(rest: &mut &[u8]) -> Option<()> {
    let head = take(rest)?;
    let layers = usize::from(head >> 5) + 1;
    if head & 0x10 != 0 {
        skip(rest, 4 * layers)?;
    }
    if head & 0x08 != 0 {
        for _ in 0..take(rest)? {
            let references = usize::from(take(rest)? >> 2 & 3);
            skip(rest, references)?;
        }
    }
    Some(())
}

/// Whether a frame is a key frame (VP9 bitstream 6.2).
pub fn is_key(frame: &[u8]) -> bool {
    key_header(frame).is_some()
}

/// Width and height of a key frame (VP9 bitstream 6.2).
pub fn dimensions(frame: &[u8]) -> Option<(u16, u16)> {
    let (mut bits, profile) = key_header(frame)?;
    // show_frame, error_resilient_mode, frame_sync_code
    bits.take(2)?;
    if bits.take(24)? != 0x49_8342 {
        return None;
    }
    if profile >= 2 {
        bits.take(1)?;
    }
    let space = bits.take(3)?;
    const SRGB: u32 = 7;
    if space != SRGB {
        bits.take(1)?;
    }
    if profile & 1 == 1 {
        bits.take(if space == SRGB { 1 } else { 3 })?;
    }
    let width = u16::try_from(bits.take(16)? + 1).ok()?;
    let height = u16::try_from(bits.take(16)? + 1).ok()?;
    Some((width, height))
}

/// The bits behind `frame_type` and the profile, if the frame is a key frame.
fn key_header(frame: &[u8]) -> Option<(Bits<'_>, u32)> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.take(1)?;
    }
    let show_existing = bits.take(1)? == 1;
    let inter = bits.take(1)? == 1;
    (!show_existing && !inter).then_some((bits, profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_descriptor_reads_back() {
        for (key, first, last) in [(true, true, false), (true, false, true), (false, true, true)] {
            let size = key.then_some((160, 120));
            let picture = Picture { id: 0x1234, key, size };
            let mut payload = [0xaa; 13];
            let length = describe(&picture, first, last, &mut payload);
            assert_eq!(length, if key && first { 11 } else { 3 });
            assert_eq!(payload[0] & P == 0, key);
            assert_eq!(payload[0] & E != 0, last);
            let expected = Piece { starts: first, picture: Some(0x1234), body: &payload[length..] };
            assert_eq!(piece(&payload), Some(expected));
        }
    }

    #[test]
    fn every_optional_field_is_stepped_over() {
        let body = &[9, 8][..];
        let cases: [(&[u8], bool, Option<u16>); 9] = [
            (&[B], true, None),
            (&[0], false, None),
            (&[I | B, 0x11], true, Some(0x11)),
            (&[I | B, 0x91, 0x22], true, Some(0x1122)),
            (&[I | B | L, 0x91, 0x22, 0x00, 7], true, Some(0x1122)),
            (&[I | B | L | F, 0x91, 0x22, 0x02], false, Some(0x1122)),
            (&[P | F | B, 0x03, 0x05, 0x06], true, None),
            // two layers with sizes, a group of two pictures with one and two references
            (&[V | B, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x04, 1, 0x08, 1, 2], true, None),
            (&[V | B, 0x00], true, None),
        ];
        for (descriptor, starts, picture) in cases {
            let payload = [descriptor, body].concat();
            assert_eq!(piece(&payload), Some(Piece { starts, picture, body }), "{descriptor:x?}");
            for length in 0..=descriptor.len() {
                assert_eq!(piece(&payload[..length]), None, "{descriptor:x?} cut to {length}");
            }
        }
        assert_eq!(piece(&[P | F | B, 1, 1, 1, 0, 9, 9]), None, "a fourth reference");
    }
}
