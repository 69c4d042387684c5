//! The fixed outer header every QUIC message travels in.
//!
//! ```text
//!  0       4         6      8          12
//!  +-------+---------+------+----------+------ - - -
//!  | magic | version | type |  length  | body: `length` bytes
//!  +-------+---------+------+----------+------ - - -
//!   "KAKE"   u16 LE   u16 LE   u32 LE
//! ```
//!
//! The header is read before a byte of the body is awaited, so an oversize or foreign message
//! costs its sender 12 bytes and the receiver nothing.

mod reader;

pub use reader::{Frame, Reader};

use crate::limits::MESSAGE_BODY_BYTES_MAX;
use core::fmt;

/// First four bytes of every message.
pub const MAGIC: [u8; 4] = *b"KAKE";

/// The version of both message families that this build speaks.
pub const VERSION: u16 = 1;

/// ALPN of the conversation between a terminal and control.
pub const ALPN_TERMINAL: &[u8] = b"kakehashi/1";

/// ALPN of the link between a relay and control.
pub const ALPN_RELAY: &[u8] = b"kakehashi-relay/1";

/// An outer header that announced a message this build can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    kind: u16,
    body_bytes: u32,
}

/// ALPN of the link between two nodes of control.
pub const ALPN_NODE: &[u8] = b"kakehashi-node/1";

/// Why an outer header was not accepted. The connection cannot be used after any of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes are not a Kakehashi message.
    Magic,
    /// The other side speaks another version; upgrade the older of the two.
    Version {
        /// The version it announced.
        theirs: u16,
    },
    /// The body is longer than [`MESSAGE_BODY_BYTES_MAX`].
    TooLong {
        /// Bytes announced.
        body_bytes: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(out, "not a Kakehashi message: check which port was dialled"),
            Self::Version { theirs } => write!(
                out,
                "the other side speaks message version {theirs}, this build speaks {VERSION}: \
                 upgrade the older of the two"
            ),
            Self::TooLong { body_bytes } => write!(
                out,
                "a message of {body_bytes} bytes was announced, at most {MESSAGE_BODY_BYTES_MAX} \
                 are allowed"
            ),
        }
    }
}

impl core::error::Error for FrameError {}

impl FrameHeader {
    /// Bytes of the header.
    pub const BYTES: usize = 12;

    /// Header for a body of `body_bytes`; `None` if that is over the limit.
    pub fn new(kind: u16, body_bytes: usize) -> Option<Self> {
        let fits = body_bytes <= MESSAGE_BODY_BYTES_MAX;
        fits.then_some(())?;
        Some(Self { kind, body_bytes: u32::try_from(body_bytes).ok()? })
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`FrameError`] if it is foreign, of another version or announces too much.
    pub fn parse(bytes: &[u8; Self::BYTES]) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, v0, v1, k0, k1, l0, l1, l2, l3] = *bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(FrameError::Magic);
        }
        let theirs = u16::from_le_bytes([v0, v1]);
        if theirs != VERSION {
            return Err(FrameError::Version { theirs });
        }
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]);
        if body_bytes as usize > MESSAGE_BODY_BYTES_MAX {
            return Err(FrameError::TooLong { body_bytes });
        }
        Ok(Self { kind: u16::from_le_bytes([k0, k1]), body_bytes })
    }

    /// The header as it travels.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&self.kind.to_le_bytes());
        out[8..].copy_from_slice(&self.body_bytes.to_le_bytes());
        out
    }

    /// The message type: which body follows.
    pub fn kind(self) -> u16 {
        self.kind
    }

    /// Bytes of the body that follows, at most [`MESSAGE_BODY_BYTES_MAX`].
    pub fn body_bytes(self) -> usize {
        self.body_bytes as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        let max = FrameHeader::new(7, MESSAGE_BODY_BYTES_MAX).unwrap();
        assert_eq!(FrameHeader::parse(&max.to_bytes()), Ok(max));
        assert_eq!(FrameHeader::new(7, MESSAGE_BODY_BYTES_MAX + 1), None);
        for body_bytes in [65_537_u32, u32::MAX] {
            let mut bytes = max.to_bytes();
            bytes[8..].copy_from_slice(&body_bytes.to_le_bytes());
            assert_eq!(FrameHeader::parse(&bytes), Err(FrameError::TooLong { body_bytes }));
        }
    }

    #[test]
    fn foreign_and_other_versions_are_told_apart() {
        let good = FrameHeader::new(7, 0).unwrap().to_bytes();
        let mut foreign = good;
        foreign[0] = b'k';
        assert_eq!(FrameHeader::parse(&foreign), Err(FrameError::Magic));
        let mut newer = good;
        newer[4] = 2;
        assert_eq!(FrameHeader::parse(&newer), Err(FrameError::Version { theirs: 2 }));
    }
}
