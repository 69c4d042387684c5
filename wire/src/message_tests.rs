//! The depth limit of archives, reached by a type made for it and by none of the messages.

use super::{Check, DecodeError, decode, decode_within, encode};
use crate::frame::FrameHeader;
use crate::id::MemberId;
use crate::limits::ARCHIVE_DEPTH_MAX;
use crate::media::{Codec, Sender, StreamKind, StreamPlan};
use crate::rtp::Ssrc;
use crate::secret::{MasterKey, Suite};
use crate::terminal::CallReady;
use rkyv::{Archive, Deserialize, Serialize};

/// A box in a box in a box.
#[derive(Archive, Serialize, Deserialize)]
#[rkyv(
    serialize_bounds(
        __S: rkyv::ser::Writer + rkyv::ser::Allocator,
        __S::Error: rkyv::rancor::Source,
    ),
    deserialize_bounds(__D::Error: rkyv::rancor::Source),
    bytecheck(bounds(
        __C: rkyv::validation::ArchiveContext,
        __C::Error: rkyv::rancor::Source,
    )),
)]
struct Nest {
    #[rkyv(omit_bounds)]
    inner: Option<Box<Self>>,
}

impl Check for Nest {}

impl Nest {
    fn of(levels: usize) -> Self {
        Self { inner: (levels > 1).then(|| Box::new(Self::of(levels - 1))) }
    }

    fn levels(&self) -> usize {
        1 + self.inner.as_ref().map_or(0, |inner| inner.levels())
    }
}

fn nest(levels: usize) -> Result<usize, DecodeError> {
    let message = encode(1, &Nest::of(levels)).unwrap();
    decode::<Nest>(&message[FrameHeader::BYTES..]).map(|nest| nest.levels())
}

#[test]
fn an_archive_nested_deeper_than_the_limit_is_malformed() {
    assert_eq!(nest(1), Ok(1));
    assert_eq!(nest(ARCHIVE_DEPTH_MAX), Ok(ARCHIVE_DEPTH_MAX));
    for levels in [ARCHIVE_DEPTH_MAX + 1, ARCHIVE_DEPTH_MAX + 2, 1_000] {
        assert_eq!(nest(levels), Err(DecodeError::Malformed), "{levels}");
    }
}

#[test]
fn the_deepest_message_needs_three_levels() {
    let plan = StreamPlan {
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc: Ssrc(1),
        first_sequence: 0,
        rollover: 0,
    };
    let key = || MasterKey::new(Suite::AeadAes128Gcm, &[1; 32], &[2; 12]);
    let sender = Sender {
        member: MemberId(1),
        login: "a name beyond eight bytes".into(),
        key: Some(key()),
        streams: vec![plan],
    };
    let ready = CallReady {
        round: 0,
        call: crate::id::CallId(1),
        key: key(),
        streams: vec![plan],
        senders: vec![sender],
        paths: Vec::new(),
        hitless: false,
    };
    let message = encode(1, &ready).unwrap();
    let body = &message[FrameHeader::BYTES..];
    assert!(decode_within::<CallReady>(body, 3).is_ok());
    assert!(decode_within::<CallReady>(body, 2).is_err());
}
