//! Who takes part in a call that goes on: bring in, hand on, join two calls.

use super::CallEnd;
use crate::id::{CallId, RequestId};
use crate::limits::STREAMS_PER_LEG_MAX;
use crate::media::StreamOffer;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Brings `login` of the same tenant into the call: its terminals ring, hearing
/// [`Incoming`](super::Incoming) from this member, and the first that accepts takes part in the
/// call's next round. Answer: [`Done`](super::Done), then [`Members`](super::Members) to all;
/// [`AddFailed`] if it does not come about.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct AddMember {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// Whom.
    pub login: String,
    /// This member leaves when the other is there: a transfer.
    pub then_leave: bool,
}

/// Asks a desk of the same tenant for somebody: the call waits there like one that calls it, in the
/// same queue, and the first agent that accepts takes part in the call's next round. Agents hear
/// [`Incoming`](super::Incoming) from this member with the desk's name. A call asks one desk at a
/// time; no name takes that back. Answer: [`Done`](super::Done), then
/// [`QueueNews`](super::QueueNews) to this member until an agent has accepted; [`AddDeskFailed`] if
/// none does.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct AddDesk {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// Which desk; empty to ask none any more.
    pub desk: String,
    /// This member leaves when the agent is there: a transfer.
    pub then_leave: bool,
}

/// Joins another call of this terminal's to the call: its members take part in the call's next
/// round. Answer: [`Done`](super::Done), then [`Merged`] when that begins, or [`AddFailed`] and
/// both calls go on as before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Merge {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call goes on.
    pub call: CallId,
    /// Which call becomes part of it.
    pub with: CallId,
    /// This member leaves when the others are together: a transfer after asking.
    pub then_leave: bool,
}

/// Listens to a call of the tenant in which this account has no part, where its role and the tenant
/// allow it: every member is told ([`MemberPhase::Listening`](super::MemberPhase::Listening)), and
/// nobody receives anything of it. Answer: [`Done`](super::Done), then
/// [`CallReady`](super::CallReady) of the call's next round, or
/// [`CallEnded`](super::CallEnded) if that does not come about.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Listen {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// What carries this terminal's reports, at least one stream; nobody receives it.
    pub streams: Vec<StreamOffer>,
}

/// Somebody whom this member wanted in the call did not come into it.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct AddFailed {
    /// The call, which goes on.
    pub call: CallId,
    /// Whose login ID.
    pub login: String,
    /// Why.
    pub reason: CallEnd,
}

/// Nobody came from the desk that this member has asked.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct AddDeskFailed {
    /// The call, which goes on.
    pub call: CallId,
    /// The name of the desk.
    pub desk: String,
    /// Why.
    pub reason: CallEnd,
}

/// A call goes on as part of another, whose [`CallReady`](super::CallReady) follows unless this
/// member has handed it on. Nothing more is said of the old one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Merged {
    /// What the call was.
    pub call: CallId,
    /// What it is from now on.
    pub into: CallId,
}

impl Check for Merge {}
impl Check for Merged {}

impl Check for Listen {
    fn check(&self) -> Result<(), &'static str> {
        at_most("streams", self.streams.len(), STREAMS_PER_LEG_MAX)
    }
}

impl Check for AddMember {
    fn check(&self) -> Result<(), &'static str> {
        name("login", &self.login)
    }
}

impl Check for AddFailed {
    fn check(&self) -> Result<(), &'static str> {
        name("login", &self.login)
    }
}

impl Check for AddDesk {
    fn check(&self) -> Result<(), &'static str> {
        name("desk", &self.desk)
    }
}

impl Check for AddDeskFailed {
    fn check(&self) -> Result<(), &'static str> {
        name("desk", &self.desk)
    }
}
