//! Finds messages in a stream of bytes, without reading the stream itself.
//!
//! The caller fills the slice that [`Reader::space`] hands out, as far as its stream gives bytes,
//! and says how far. The slice never reaches beyond the message at hand, so nothing is read ahead
//! and waiting may be given up between any two reads: what has come stays in the reader.

use super::{FrameError, FrameHeader};
use zeroize::Zeroizing;

/// A whole message as it came.
pub struct Frame {
    kind: u16,
    /// Sign-ins hold passwords, orders and ready calls hold keys.
    body: Zeroizing<Vec<u8>>,
}

impl Frame {
    /// The message type: which body this is.
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// The body, wiped when the frame is dropped.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The message that is being read.
pub struct Reader {
    part: Part,
    /// Bytes of the part that have come.
    have: usize,
}

enum Part {
    Header([u8; FrameHeader::BYTES]),
    Body(Frame),
}

impl Reader {
    /// A reader before the first byte of a message.
    pub const fn new() -> Self {
        Self { part: Part::Header([0; FrameHeader::BYTES]), have: 0 }
    }

    /// Whether no byte of a message has come since the last whole one.
    #[cfg(test)]
    fn is_between_messages(&self) -> bool {
        matches!(self.part, Part::Header(_)) && self.have == 0
    }

    /// Where the next bytes belong; empty only after an error.
    pub fn space(&mut self) -> &mut [u8] {
        let part: &mut [u8] = match &mut self.part {
            Part::Header(header) => header,
            Part::Body(frame) => &mut frame.body,
        };
        &mut part[self.have..]
    }

    /// Takes the first `bytes` of [`space`](Self::space) as filled. Gives the message if it is
    /// whole; the reader is then before the next one.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the header is whole and not acceptable, and at every call from
    /// then on.
    pub fn filled(&mut self, bytes: usize) -> Result<Option<Frame>, FrameError> {
        self.have += bytes.min(self.space().len());
        if let Part::Header(header) = &self.part {
            if self.have < header.len() {
                return Ok(None);
            }
            let header = FrameHeader::parse(header)?;
            let body = Zeroizing::new(vec![0; header.body_bytes()]);
            *self = Self { part: Part::Body(Frame { kind: header.kind(), body }), have: 0 };
        }
        if !self.space().is_empty() {
            return Ok(None);
        }
        match core::mem::take(self).part {
            Part::Body(frame) => Ok(Some(frame)),
            Part::Header(_) => Ok(None),
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::VERSION;
    use crate::limits::MESSAGE_BODY_BYTES_MAX;
    use proptest::prelude::*;

    type Messages = Vec<(u16, Vec<u8>)>;

    /// Feeds `stream` in pieces of the given sizes, in turn.
    fn read(stream: &[u8], pieces: &[usize]) -> (Messages, Result<Reader, FrameError>) {
        let (mut reader, mut found, mut rest) = (Reader::new(), Vec::new(), stream);
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let space = reader.space();
            let piece = (*pieces.next().unwrap()).min(space.len()).min(rest.len());
            space[..piece].copy_from_slice(&rest[..piece]);
            rest = &rest[piece..];
            match reader.filled(piece) {
                Ok(Some(frame)) => found.push((frame.kind(), frame.body().to_vec())),
                Ok(None) => {}
                Err(error) => return (found, Err(error)),
            }
        }
        (found, Ok(reader))
    }

    fn stream_of(messages: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let one = |(kind, body): &(u16, Vec<u8>)| {
            [&FrameHeader::new(*kind, body.len()).unwrap().to_bytes()[..], body].concat()
        };
        messages.iter().flat_map(one).collect()
    }

    fn messages() -> impl Strategy<Value = Messages> {
        let body = prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec((any::<u16>(), body), 0..5)
    }

    proptest! {
        #[test]
        fn messages_come_back_however_the_stream_is_cut(
            messages in messages(),
            pieces in prop::collection::vec(1_usize..30, 1..20),
        ) {
            let (found, reader) = read(&stream_of(&messages), &pieces);
            prop_assert_eq!(found, messages);
            prop_assert!(reader.unwrap().is_between_messages());
        }

        #[test]
        fn a_cut_stream_gives_the_whole_messages_and_waits(
            messages in messages(),
            pieces in prop::collection::vec(1_usize..30, 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let stream = stream_of(&messages);
            let cut = cut.index(stream.len() + 1);
            let (found, reader) = read(&stream[..cut], &pieces);
            let mut ends = vec![0];
            for (_, body) in &messages {
                ends.push(ends.last().unwrap() + FrameHeader::BYTES + body.len());
            }
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(&found[..], &messages[..whole]);
            let mut reader = reader.unwrap();
            prop_assert_eq!(reader.is_between_messages(), ends.contains(&cut));
            prop_assert!(!reader.space().is_empty());
        }

        #[test]
        fn what_is_no_header_ends_it_at_its_twelfth_byte(
            bytes in prop::collection::vec(any::<u8>(), FrameHeader::BYTES..60),
            pieces in prop::collection::vec(1_usize..30, 1..20),
        ) {
            let wanted = FrameHeader::parse(bytes.first_chunk().unwrap());
            let (found, got) = read(&bytes, &pieces);
            prop_assert_eq!(wanted.is_err(), got.is_err());
            prop_assert!(wanted.is_ok() || found.is_empty());
        }
    }

    #[test]
    fn an_error_stays_and_leaves_no_space() {
        let mut reader = Reader::new();
        reader.space().copy_from_slice(b"KAKE\x01\0\x07\0\x01\0\x01\0");
        let too_long = FrameError::TooLong { body_bytes: 65_537 };
        for bytes in [FrameHeader::BYTES, 0, 5] {
            assert_eq!(reader.filled(bytes).map(|_| ()), Err(too_long));
            assert!(reader.space().is_empty());
        }
    }

    #[test]
    fn the_longest_body_is_taken_and_an_exaggeration_is_not_believed() {
        let mut reader = Reader::new();
        let header = FrameHeader::new(VERSION, MESSAGE_BODY_BYTES_MAX).unwrap();
        reader.space().copy_from_slice(&header.to_bytes());
        assert!(reader.filled(usize::MAX / 2).unwrap().is_none());
        assert_eq!(reader.space().len(), MESSAGE_BODY_BYTES_MAX);
        let frame = reader.filled(usize::MAX).unwrap().unwrap();
        assert_eq!((frame.kind(), frame.body().len()), (VERSION, MESSAGE_BODY_BYTES_MAX));
        assert!(reader.is_between_messages());
    }
}
