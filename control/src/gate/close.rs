//! Why the node closes a connection, as the QUIC application code the terminal sees.

use kakehashi_wire::terminal::SessionEnd;
use quinn::{Connection, VarInt};

/// Application close codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum CloseCode {
    /// The session ended in good order.
    Done = 0,
    /// The terminal broke the protocol.
    Protocol = 1,
    /// Nobody signed in in time, or too often wrongly.
    NoSignIn = 2,
    /// The terminal read too slowly.
    TooSlow = 3,
    /// The node shuts down.
    NodeStopping = 4,
    /// The same device signed in again.
    Replaced = 5,
    /// The relay may not connect, or was lost.
    Relay = 6,
    /// The account, its device or its tenant was suspended.
    Suspended = 7,
    /// Between nodes: the reason says why.
    Node = 8,
}

impl From<SessionEnd> for CloseCode {
    fn from(from: SessionEnd) -> Self {
        match from {
            SessionEnd::SignedOut | SessionEnd::PasswordChanged | SessionEnd::RoleChanged => {
                Self::Done
            }
            SessionEnd::Replaced => Self::Replaced,
            SessionEnd::NodeStopping => Self::NodeStopping,
            SessionEnd::Protocol => Self::Protocol,
            SessionEnd::TooSlow => Self::TooSlow,
            SessionEnd::Suspended => Self::Suspended,
        }
    }
}

impl CloseCode {
    /// Closes `connection` with this code and a reason for people.
    pub fn close(self, connection: &Connection, reason: &str) {
        connection.close(VarInt::from_u32(self as u32), reason.as_bytes());
    }
}
