//! What members do within a call that goes on: hold, mute, share the screen, choose a layer.

use crate::id::{CallId, MemberId, RequestId};
use crate::limits::MEMBERS_PER_MESSAGE_MAX;
use crate::message::{Check, at_most, name};
use rkyv::{Archive, Deserialize, Serialize};

/// Puts the call on hold for this member, or takes it back: while it is on hold, the member neither
/// receives nor is received. Answer: [`Done`](super::Done), then [`Members`] to all if it changed
/// anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Hold {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// On hold, or back.
    pub on: bool,
}

/// Nobody receives this member's voice, or all do again. Answer: [`Done`](super::Done), then
/// [`Members`] to all if it changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Mute {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// Muted, or not.
    pub on: bool,
}

/// Starts or stops sharing the screen that was offered; until this is said, it is shared. Answer:
/// [`Done`](super::Done), then [`Members`] to all if it changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Share {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// Shared, or not.
    pub on: bool,
}

/// Says which of another member's cameras this member receives; until this is said, all of them.
/// Answer: [`Done`](super::Done).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct ChooseLayer {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// Whose cameras.
    pub member: MemberId,
    /// Which of them.
    pub layer: Layer,
}

/// A camera's layer. Of two cameras that a member offers the first is the high one; one alone is
/// both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Layer {
    /// No camera at all.
    None = 1,
    /// The low layer.
    Low = 2,
    /// The high layer.
    High = 3,
}

/// Who is in a call and how, all members at each change. Until the first of these, nobody holds or
/// is muted, and every screen that was offered is shared.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Members {
    /// The call.
    pub call: CallId,
    /// At most [`MEMBERS_PER_MESSAGE_MAX`].
    pub members: Vec<MemberState>,
}

/// One member of a call.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct MemberState {
    /// Its number in the call.
    pub member: MemberId,
    /// Its login ID.
    pub login: String,
    /// Its name for others.
    pub display: String,
    /// Where it is.
    pub phase: MemberPhase,
    /// Nobody receives its voice.
    pub muted: bool,
    /// Its screen is received.
    pub sharing: bool,
}

/// Where a member of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum MemberPhase {
    /// Its terminals ring.
    Ringing = 1,
    /// It waits for its media.
    Joining = 2,
    /// It has keys and paths.
    In = 3,
    /// It has the call on hold.
    Held = 4,
    /// Its terminal has lost its connection to control and may come back: its media goes on.
    Reconnecting = 5,
    /// It only listens, or is about to.
    Listening = 6,
    /// It has the call on hold, and is reconnecting.
    HeldReconnecting = 7,
}

impl Check for Hold {}
impl Check for Mute {}
impl Check for Share {}
impl Check for ChooseLayer {}

impl Check for Members {
    fn check(&self) -> Result<(), &'static str> {
        at_most("members", self.members.len(), MEMBERS_PER_MESSAGE_MAX)?;
        self.members.iter().try_for_each(|member| {
            name("login", &member.login)?;
            name("display", &member.display)
        })
    }
}
