//! A role in JSON: the names that operators read.

use kakehashi_wire::terminal::Role;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the role.
pub(crate) fn serialize<S: Serializer>(role: &Role, to: S) -> Result<S::Ok, S::Error> {
    role.name().serialize(to)
}

/// Reads the role.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
    let text = String::deserialize(from)?;
    Role::named(&text).ok_or_else(|| D::Error::custom("unknown role"))
}
