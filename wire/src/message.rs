//! Turns a closed set of message structs into one enum with type codes, encoder and decoder.
//!
//! A body is an rkyv archive, always validated, with bounded depth; the struct's own
//! [`Check::check`] then holds it to the limits of [`crate::limits`].

use crate::frame::FrameHeader;
use crate::limits::{ARCHIVE_DEPTH_MAX, NAME_BYTES_MAX};
use core::fmt;
use core::num::NonZeroUsize;
use rkyv::api::high::{HighDeserializer, HighSerializer};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{Failure, Strategy};
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::validation::Validator;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::validation::shared::SharedValidator;
use rkyv::{Archive, Deserialize, Serialize};
use zeroize::Zeroize;

/// Why a body was not accepted although its outer header was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type code names no message of this direction.
    UnknownKind {
        /// The code.
        kind: u16,
    },
    /// The body is not a valid archive of its type.
    Malformed,
    /// A field is over its limit.
    OverLimit {
        /// The field's name.
        field: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind { kind } => {
                write!(out, "message type {kind:#06x} does not exist in this direction")
            }
            Self::Malformed => write!(out, "the message body is malformed"),
            Self::OverLimit { field } => write!(out, "`{field}` is over its limit"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a message could not be encoded: it breaks a limit its receiver would refuse it for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodeError {
    /// The field that is over its limit, or `body`.
    pub field: &'static str,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` is over the limit of a message", self.field)
    }
}

impl core::error::Error for EncodeError {}

/// Holds a decoded message to its limits; returns the name of the first field that breaks one.
pub(crate) trait Check {
    /// The check. Messages without variable parts need none.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// `Ok` if `text` is no longer than a name may be.
pub(crate) fn name(field: &'static str, text: &str) -> Result<(), &'static str> {
    at_most(field, text.len(), NAME_BYTES_MAX)
}

/// `Ok` if `length` is at most `max`.
pub(crate) fn at_most(field: &'static str, length: usize, max: usize) -> Result<(), &'static str> {
    if length <= max { Ok(()) } else { Err(field) }
}

type Ser<'a> = HighSerializer<AlignedVec, ArenaHandle<'a>, Failure>;
type Val<'a> = Strategy<Validator<ArchiveValidator<'a>, SharedValidator>, Failure>;

/// Header and body of `message` in one buffer.
pub(crate) fn encode<T>(kind: u16, message: &T) -> Result<Vec<u8>, EncodeError>
where
    T: Check + for<'a> Serialize<Ser<'a>>,
{
    message.check().map_err(|field| EncodeError { field })?;
    let too_long = EncodeError { field: "body" };
    let mut body = rkyv::to_bytes::<Failure>(message).map_err(|_| too_long)?;
    let out = FrameHeader::new(kind, body.len()).map(|header| {
        let mut out = Vec::with_capacity(FrameHeader::BYTES + body.len());
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&body);
        out
    });
    // Some messages carry keys or passwords; the caller wipes its copy, this one is ours.
    body.as_mut_slice().zeroize();
    out.ok_or(too_long)
}

/// Validates `body` and makes a `T` of it that keeps its limits.
pub(crate) fn decode<T>(body: &[u8]) -> Result<T, DecodeError>
where
    T: Archive + Check,
    T::Archived: for<'a> CheckBytes<Val<'a>> + Deserialize<T, HighDeserializer<Failure>>,
{
    let message: T = decode_any(body)?;
    message.check().map_err(|field| DecodeError::OverLimit { field })?;
    Ok(message)
}

/// Validates `body` and makes a `T` of it, whatever its fields are.
pub(crate) fn decode_any<T>(body: &[u8]) -> Result<T, DecodeError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<Val<'a>> + Deserialize<T, HighDeserializer<Failure>>,
{
    decode_within(body, ARCHIVE_DEPTH_MAX)
}

fn decode_within<T>(body: &[u8], depth_max: usize) -> Result<T, DecodeError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<Val<'a>> + Deserialize<T, HighDeserializer<Failure>>,
{
    // The validator refuses the level that uses its number up.
    let levels = NonZeroUsize::MIN.saturating_add(depth_max);
    let mut validator = Validator::new(
        ArchiveValidator::with_max_depth(body, Some(levels)),
        SharedValidator::new(),
    );
    let archived = rkyv::api::access_with_context::<T::Archived, _, Failure>(body, &mut validator)
        .map_err(|_| DecodeError::Malformed)?;
    rkyv::deserialize::<T, Failure>(archived).map_err(|_| DecodeError::Malformed)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;

/// Declares the messages of one direction: an enum whose variants hold the struct of their name.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $kind:literal $variant:ident,)+ }) => {
        $(#[$doc])*
        pub enum $name {
            $($(#[$vdoc])* $variant($variant),)+
        }

        impl $name {
            /// Type code and name of every message of this direction.
            pub const KINDS: &'static [(u16, &'static str)] =
                &[$(($kind, stringify!($variant)),)+];

            /// The message as it travels: outer header, then body.
            ///
            /// # Errors
            /// [`EncodeError`](crate::EncodeError) if it breaks a limit.
            pub fn encode(&self) -> Result<Vec<u8>, $crate::message::EncodeError> {
                match self {
                    $(Self::$variant(message) => $crate::message::encode($kind, message),)+
                }
            }

            /// Reads the body that followed a header of type `kind`.
            ///
            /// # Errors
            /// [`DecodeError`](crate::DecodeError) if the type is unknown here, or the body is
            /// malformed or over a limit.
            pub fn decode(kind: u16, body: &[u8]) -> Result<Self, $crate::message::DecodeError> {
                match kind {
                    $($kind => $crate::message::decode(body).map(Self::$variant),)+
                    _ => Err($crate::message::DecodeError::UnknownKind { kind }),
                }
            }

            /// The same for whoever answers what is over a limit: the message, and the name of the
            /// first field that breaks one.
            ///
            /// # Errors
            /// [`DecodeError`](crate::DecodeError) if the type is unknown here, or the body is
            /// malformed.
            pub fn decode_any(
                kind: u16,
                body: &[u8],
            ) -> Result<(Self, Option<&'static str>), $crate::message::DecodeError> {
                match kind {
                    $($kind => {
                        let message: $variant = $crate::message::decode_any(body)?;
                        let field = $crate::message::Check::check(&message).err();
                        Ok((Self::$variant(message), field))
                    })+
                    _ => Err($crate::message::DecodeError::UnknownKind { kind }),
                }
            }

            /// The message's name, for logs: never its content.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)+
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(message: $variant) -> Self {
                Self::$variant(message)
            }
        })+
    };
}
