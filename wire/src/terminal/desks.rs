//! Desks: names that many agents answer to. Callers wait until one of them is free.

use crate::id::{CallId, RequestId};
use crate::limits::STREAMS_PER_LEG_MAX;
use crate::media::StreamOffer;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Calls a desk of the same tenant. Answer: [`Queued`]; then [`QueueNews`] until an agent has the
/// call, and [`CallReady`](super::CallReady) as for any other.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct InviteDesk {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which desk.
    pub desk: String,
    /// What the caller will send.
    pub streams: Vec<StreamOffer>,
}

/// Ends the time in which an agent is left alone after a call: the next one may come. Answer:
/// [`Done`](super::Done), or [`Refused`](super::Refused) as too late if it is over already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct EndWrapUp {
    /// Pairs the answer.
    pub request: RequestId,
}

/// The call waits at the desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Queued {
    /// The request this answers.
    pub request: RequestId,
    /// The new call.
    pub call: CallId,
    /// 1 for who is next.
    pub position: u16,
    /// How long that is expected to take in milliseconds; 0 while unknown.
    pub wait_ms: u32,
    /// The desk asks the terminal to play its announcement while it waits.
    pub announce: bool,
}

/// The place of a call that waits has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct QueueNews {
    /// The call.
    pub call: CallId,
    /// 1 for who is next; 0 while it rings at an agent.
    pub position: u16,
    /// How long that is expected to take in milliseconds; 0 while unknown.
    pub wait_ms: u32,
    /// The call waits at another desk by now, to which the one that was called overflows.
    pub overflow: bool,
}

impl Check for InviteDesk {
    fn check(&self) -> Result<(), &'static str> {
        name("desk", &self.desk)?;
        at_most("streams", self.streams.len(), STREAMS_PER_LEG_MAX)
    }
}

impl Check for EndWrapUp {}
impl Check for Queued {}
impl Check for QueueNews {}
