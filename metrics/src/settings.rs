//! `[metrics]` in the settings of a program.

use crate::listener::{ListenError, Listener};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Where the figures are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address, TCP; none if they are not shown, which is an empty string.
    #[serde(with = "address")]
    pub listen: Option<SocketAddr>,
}

impl Settings {
    /// Listens, if that is wanted; must be called within a runtime of tokio.
    ///
    /// # Errors
    /// [`ListenError`], for the operator.
    pub fn bind(self) -> Result<Option<Listener>, ListenError> {
        self.listen.map(Listener::bind).transpose()
    }
}

/// An address as a string, empty for none.
mod address {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::net::SocketAddr;

    #[expect(clippy::ref_option, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        let wanted =
            "`metrics.listen` must be an address and a port such as 127.0.0.1:4437, or \"\"";
        text.parse().map(Some).map_err(|_| D::Error::custom(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_nothing_is_taken() {
        let parse = |text: &str| toml::from_str::<Settings>(text);
        assert_eq!(parse("").unwrap().listen, None);
        assert_eq!(parse("listen = \"\"").unwrap().listen, None);
        let some = parse("listen = \"[::1]:4437\"").unwrap();
        assert_eq!(some.listen.unwrap().port(), 4437);
        assert_eq!(parse(&toml::to_string(&some).unwrap()).unwrap(), some);
        let refused = parse("listen = \"here\"").unwrap_err().to_string();
        assert!(refused.contains("metrics.listen"), "{refused}");
        assert!(parse("port = 1").is_err());
    }
}
