//! Being away.

use crate::id::RequestId;
use crate::message::Check;
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

impl Check for SetAway {}
