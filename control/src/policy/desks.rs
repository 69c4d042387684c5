//! Which desks may be called?

use crate::accounts::names::Login;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Some desks of a tenant, or all there are: `"all"`, or a list of names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Said", into = "Said")]
pub enum Desks {
    /// All.
    #[default]
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Desks {
    /// Whether the desk of that name is one of them.
    pub fn include(&self, desk: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => {
                Login::parse(desk).is_ok_and(|name| names.contains(name.as_str()))
            }
        }
    }

    /// How many are named.
    pub fn named(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Named(names) => names.len(),
        }
    }
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Said {
    Word(String),
    Names(Vec<String>),
}

impl TryFrom<Said> for Desks {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, Self::Error> {
        let name = |text: String| match Login::parse(&text) {
            Ok(name) => Ok(name.to_string()),
            Err(error) => Err(format!("{text:?} is no name of a desk: {error}")),
        };
        match said {
            Said::Word(word) if word == "all" => Ok(Self::All),
            Said::Word(word) => Err(format!("{word:?} is neither \"all\" nor a list of desks")),
            Said::Names(names) => {
                names.into_iter().map(name).collect::<Result<_, _>>().map(Self::Named)
            }
        }
    }
}

impl From<Desks> for Said {
    fn from(desks: Desks) -> Self {
        match desks {
            Desks::All => Self::Word("all".to_owned()),
            Desks::Named(names) => Self::Names(names.into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_some_are_read_back_and_nothing_else() {
        for (json, included, named) in [
            ("\"all\"", true, 0),
            ("[\"repairs\",\"sales\"]", true, 2),
            ("[\"repairs\"]", false, 1),
            ("[]", false, 0),
        ] {
            let desks: Desks = serde_json::from_str(json).unwrap();
            assert_eq!((desks.include("Sales"), desks.named()), (included, named), "{json}");
            assert_eq!(serde_json::to_string(&desks).unwrap(), json);
        }
        for bad in ["\"some\"", "[\"a b\"]", "[\"\"]", "7"] {
            assert!(serde_json::from_str::<Desks>(bad).is_err(), "{bad}");
        }
    }
}
