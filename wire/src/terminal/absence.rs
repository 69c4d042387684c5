//! Being away, and what was missed.

use crate::id::RequestId;
use crate::limits::MISSED_CALLS_MAX;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Says that nobody sits at the account's terminals, or that somebody does again; the account is
/// away on all its devices, until its last session ends. Calls to it ring all the same. Answer:
/// [`Done`](super::Done).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct SetAway {
    /// Pairs the answer.
    pub request: RequestId,
    /// Away, or back.
    pub away: bool,
}

/// Asks for the account's missed calls, and says which of them somebody has seen. Answer:
/// [`Done`](super::Done), then [`MissedCalls`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Missed {
    /// Pairs the answer.
    pub request: RequestId,
    /// Those missed until then are forgotten, in milliseconds since 1970 as [`MissedCall::at_ms`];
    /// 0 forgets none.
    pub seen_until_ms: u64,
}

/// All that the account has missed: after a sign-in if there is anything, and at each change. To
/// call back is to invite that login ID; once the two have talked, the entry is gone.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct MissedCalls {
    /// The latest first, at most [`MISSED_CALLS_MAX`].
    pub calls: Vec<MissedCall>,
}

/// All calls of one account that this one has missed.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct MissedCall {
    /// Login ID of who called.
    pub login: String,
    /// When it did last, in milliseconds since 1970 by control's clock.
    pub at_ms: u64,
    /// How often; several attempts within a minute are one.
    pub calls: u32,
}

impl Check for SetAway {}
impl Check for Missed {}

impl Check for MissedCalls {
    fn check(&self) -> Result<(), &'static str> {
        at_most("calls", self.calls.len(), MISSED_CALLS_MAX)?;
        self.calls.iter().try_for_each(|call| name("login", &call.login))
    }
}
