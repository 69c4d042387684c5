//! What an account is doing, in JSON: the names that operators read.

use kakehashi_wire::terminal::PresenceState;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(super) fn serialize<S: Serializer>(state: &PresenceState, to: S) -> Result<S::Ok, S::Error> {
    state.name().serialize(to)
}

/// Reads it.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PresenceState, D::Error> {
    let text = String::deserialize(from)?;
    let known = PresenceState::ALL.into_iter().find(|state| state.name() == text);
    known.ok_or_else(|| D::Error::custom("unknown state"))
}
