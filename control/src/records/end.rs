//! The reason why a call ended, in JSON: the names that operators read.

use kakehashi_wire::terminal::CallEnd;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the reason.
#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
pub(crate) fn serialize<S: Serializer>(reason: &Option<CallEnd>, to: S) -> Result<S::Ok, S::Error> {
    reason.map(CallEnd::name).serialize(to)
}

/// Reads the reason.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CallEnd>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let known = CallEnd::ALL.into_iter().find(|reason| reason.name() == text);
    known.map(Some).ok_or_else(|| D::Error::custom("unknown reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_in_the_order_of_the_wire() {
        assert!(CallEnd::ALL.is_sorted_by_key(|reason| *reason as u8));
        let names: std::collections::BTreeSet<_> = CallEnd::ALL.map(CallEnd::name).into();
        assert_eq!(names.len(), CallEnd::ALL.len());
    }
}
