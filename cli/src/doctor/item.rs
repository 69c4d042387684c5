//! What is said of an item: its state, what is, what should be, and what to type.

use super::machine::Read;
use super::scene::Scene;
use serde::Serialize;

/// Whose business an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// A relay's, and the machine's as far as a relay needs it.
    Relay,
    /// A control node's, and the machine's as far as it needs it.
    Control,
    /// The machine's.
    Host,
}

/// Whether an item will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Advice,
    /// Something does not work, or soon will not.
    Wrong,
    /// It could not be read.
    Unknown,
}

impl State {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Advice => "advice",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }

    /// How much it matters beside others.
    pub(super) fn gravity(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Advice => 1,
            Self::Unknown => 2,
            Self::Wrong => 3,
        }
    }
}

/// Something that is looked at.
pub(crate) struct Item {
    /// Its name, which stays what it is.
    pub(crate) name: &'static str,
    /// Whose business it is.
    pub(crate) of: &'static [Part],
    /// What of `tuning/` declares it, as its files name it; empty if nothing does.
    pub(crate) declared: &'static [&'static str],
    /// What it is good for.
    pub(crate) why: &'static str,
    /// Looks at it.
    pub(crate) look: fn(&Scene<'_>) -> Seen,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) state: State,
    /// What is; why it is not known if it is not.
    pub(crate) is: String,
    /// What should be.
    pub(crate) should: String,
    /// What to type or do.
    pub(crate) fix: String,
}

impl Seen {
    /// It is as it should be.
    pub(crate) fn ok(is: impl Into<String>, should: impl Into<String>) -> Self {
        Self { state: State::Ok, is: is.into(), should: should.into(), fix: String::new() }
    }

    /// It could be better.
    pub(crate) fn advice(self, fix: impl Into<String>) -> Self {
        Self { state: State::Advice, fix: fix.into(), ..self }
    }

    /// It is wrong.
    pub(crate) fn wrong(self, fix: impl Into<String>) -> Self {
        Self { state: State::Wrong, fix: fix.into(), ..self }
    }

    /// It is not known, for this reason.
    pub(crate) fn unknown(reason: impl Into<String>, should: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::ok(reason, should) }
    }

    /// What `judge` says of what was read; unknown if it was not.
    pub(crate) fn of<T>(read: Read<T>, should: &str, judge: impl FnOnce(T) -> Self) -> Self {
        match read {
            Ok(found) => judge(found),
            Err(why) => Self::unknown(why.0, should),
        }
    }
}

/// What `--json` prints of an item.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    item: &'static str,
    #[serde(rename = "for")]
    of: &'static [Part],
    state: State,
    /// None if it is not known.
    is: Option<&'a str>,
    should: &'a str,
    why: &'static str,
    /// None if nothing is to be done.
    fix: Option<&'a str>,
    /// Why it is not known.
    reason: Option<&'a str>,
    /// What `tuning/` declares of it, which `tuning/host/tune` sets.
    declared: &'static [&'static str],
}

impl<'a> Row<'a> {
    pub(crate) fn of(item: &Item, seen: &'a Seen) -> Self {
        let is_known = seen.state != State::Unknown;
        Self {
            item: item.name,
            of: item.of,
            state: seen.state,
            is: is_known.then_some(seen.is.as_str()),
            should: &seen.should,
            why: item.why,
            fix: Some(seen.fix.as_str()).filter(|fix| !fix.is_empty()),
            reason: (!is_known).then_some(seen.is.as_str()),
            declared: item.declared,
        }
    }
}
