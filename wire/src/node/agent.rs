//! Whose turn it is at desks, for the lead after this one.
//!
//! The lead says it to the nodes of an agent's sessions, and they say it when they hand the
//! sessions over: what one lead knew of order outlives it without a write to the store. No clock is
//! compared: turns are counted, and what is left of a time is measured by whoever keeps it.

use crate::id::Term;
use crate::limits::DESKS_PER_AGENT_MAX;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Counts what happens at desks: of two turns the later one is greater, whichever leads counted.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Archive, Serialize, Deserialize,
)]
pub struct Turn {
    /// In which term it was counted.
    pub term: Term,
    /// Which one of that term.
    pub nth: u64,
}

/// A desk at which agents take turns.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct OfferedAt {
    /// Its name.
    pub desk: String,
    /// When it offered the agent a call last.
    pub turn: Turn,
}

/// What the desks of an agent know of it.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct AgentOrder {
    /// When it became free; [`Turn::NEVER`] if it has not been since it is there.
    pub idle: Turn,
    /// For how long it is left alone, in milliseconds; 0 if it is not.
    pub wrap_up_ms: u32,
    /// At most [`DESKS_PER_AGENT_MAX`].
    pub offered: Vec<OfferedAt>,
}

impl Turn {
    /// Before all others.
    pub const NEVER: Self = Self { term: Term::NONE, nth: 0 };
}

impl Check for AgentOrder {
    fn check(&self) -> Result<(), &'static str> {
        at_most("offered", self.offered.len(), DESKS_PER_AGENT_MAX)?;
        self.offered.iter().try_for_each(|offered| name("desk", &offered.desk))
    }
}
