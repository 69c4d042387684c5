//! Who of a tenant is there, and what they do.

use crate::limits::PRESENCE_ENTRIES_MAX;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Who of the tenant is there.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Presence {
    /// `true` on the last message of a complete list, and of changes that are told together.
    pub complete: bool,
    /// The accounts, at most [`PRESENCE_ENTRIES_MAX`] a message.
    pub entries: Vec<PresenceEntry>,
}

/// One account's presence.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct PresenceEntry {
    /// Login ID.
    pub login: String,
    /// Name shown to others.
    pub display: String,
    /// What it is doing.
    pub state: PresenceState,
}

/// What an account is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum PresenceState {
    /// No session.
    Offline = 1,
    /// Signed in and free.
    Waiting = 2,
    /// Calling or being called.
    Ringing = 3,
    /// In a call.
    InCall = 4,
    /// Signed in and in no call, and nobody sits there.
    Away = 5,
    /// Signed in and in no call, and left alone by desks for a while.
    WrapUp = 6,
}

impl PresenceState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Offline, Self::Waiting, Self::Ringing, Self::InCall, Self::Away, Self::WrapUp];

    /// What operators read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Waiting => "available",
            Self::Ringing => "ringing",
            Self::InCall => "in_call",
            Self::Away => "away",
            Self::WrapUp => "wrap_up",
        }
    }
}

impl Check for Presence {
    fn check(&self) -> Result<(), &'static str> {
        at_most("entries", self.entries.len(), PRESENCE_ENTRIES_MAX)?;
        self.entries.iter().try_for_each(|entry| {
            name("login", &entry.login)?;
            name("display", &entry.display)
        })
    }
}
