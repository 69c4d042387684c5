//! What the audit log is told, in words that cannot break a record or a line of it.

use crate::accounts::names::Login;
use crate::capacity::AUDIT_WORDS_BYTES_MAX;
use core::fmt;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Text of one line of printable ASCII, however it began: it may come from a peer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Plain(String);

impl Plain {
    /// `text` with everything else written as an escape, cut to [`AUDIT_WORDS_BYTES_MAX`].
    pub fn of(text: &str) -> Self {
        let mut plain = String::new();
        for character in text.chars() {
            let escaped = character.escape_default();
            if plain.len() + escaped.len() > AUDIT_WORDS_BYTES_MAX - 3 {
                plain.push_str("...");
                break;
            }
            plain.extend(escaped);
        }
        Self(plain)
    }

    /// A login ID or tenant name as it is kept. What cannot be one is not repeated: people type
    /// their password into the wrong field.
    pub fn name(text: &str) -> Self {
        Self(Login::parse(text).map_or_else(|_| "(not a name)".to_owned(), |it| it.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl TryFrom<String> for Plain {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_plain && text.len() <= AUDIT_WORDS_BYTES_MAX {
            Ok(Self(text))
        } else {
            Err("the text is not what an audit record holds")
        }
    }
}

/// Who did something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Who has the operator's token.
    Operator {
        /// The other end of the connection.
        address: SocketAddr,
    },
    /// An operator with a name of their own.
    Staff {
        /// Their name.
        login: Plain,
        /// The other end of the connection.
        address: SocketAddr,
    },
    /// An account that manages its tenant.
    Account {
        /// Its login ID.
        login: Plain,
        /// The other end of the connection.
        address: SocketAddr,
    },
    /// Whoever speaks from there.
    Terminal {
        /// The other end of the connection.
        address: SocketAddr,
    },
}

impl Actor {
    /// What kind of actor it is.
    pub fn kind(&self) -> Plain {
        match self {
            Self::Operator { .. } | Self::Staff { .. } => Plain::of("operator"),
            Self::Account { .. } => Plain::of("account"),
            Self::Terminal { .. } => Plain::of("terminal"),
        }
    }

    /// Who it is, as far as that is known.
    pub(super) fn who(&self) -> Plain {
        match self {
            Self::Account { login, .. } => Plain::of(&format!("account {login}")),
            Self::Staff { login, .. } => Plain::of(&format!("operator {login}")),
            Self::Operator { .. } | Self::Terminal { .. } => self.kind(),
        }
    }

    /// Where it acted from, and which account it was.
    pub fn place(&self) -> Plain {
        match self {
            Self::Operator { address } | Self::Terminal { address } => {
                Plain::of(&address.to_string())
            }
            Self::Account { login, address } | Self::Staff { login, address } => {
                Plain::of(&format!("{login} {address}"))
            }
        }
    }
}

/// How far an act has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is about to be done; another record says how it ended. If none does, the node died in
    /// between, and the act may be done or not.
    Begun,
    /// It was done.
    Done,
    /// It was not done, and the answer said so.
    Refused,
}

impl Outcome {
    /// Its name in records and machine-readable output; never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// One act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who.
    pub actor: Actor,
    /// Did what: a name that never changes.
    pub act: &'static str,
    /// In which tenant; empty for none.
    pub tenant: Plain,
    /// To whom or what; empty for nothing in particular.
    pub target: Plain,
    /// How far it has come.
    pub outcome: Outcome,
    /// Why it was refused; else why it is done, if whoever does it said so, as far as it fits.
    pub detail: Plain,
    /// The record that said that it was about to be done.
    pub begun: Option<u64>,
    /// How often it happened.
    pub times: u64,
    /// Whether others like it within a minute may share a record with a count.
    pub may_share: bool,
}

impl Entry {
    /// `actor` did `act`.
    pub fn new(actor: Actor, act: &'static str) -> Self {
        Self {
            actor,
            act,
            tenant: Plain::default(),
            target: Plain::default(),
            outcome: Outcome::Done,
            detail: Plain::default(),
            begun: None,
            times: 1,
            may_share: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_one_short_line_that_reads_back() {
        bolero::check!().with_type::<String>().for_each(|text| {
            let plain = Plain::of(text);
            assert!(plain.as_str().len() <= AUDIT_WORDS_BYTES_MAX);
            assert_eq!(Plain::try_from(plain.as_str().to_owned()), Ok(plain));
        });
    }

    #[test]
    fn what_was_typed_into_the_wrong_field_is_not_kept() {
        assert_eq!(Plain::name("Store-1").as_str(), "store-1");
        assert_eq!(Plain::name("correct horse battery").as_str(), "(not a name)");
        assert_eq!(Plain::name("a\nb").as_str(), "(not a name)");
        assert_eq!(Plain::of("a\n\u{202e}\"架").as_str(), r#"a\n\u{202e}\"\u{67b6}"#);
    }
}
