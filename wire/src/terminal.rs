//! The conversation between a terminal and control.
//!
//! One bidirectional QUIC stream, opened by the terminal, carries it for the life of the session:
//! [`FromTerminal`] one way, [`ToTerminal`] the other, both in order. Requests carry a
//! [`RequestId`]; each is answered exactly once, by [`Done`], [`Refused`], or the message its
//! documentation names.

mod absence;
mod desks;
mod joining;
mod password;
mod ping;
mod presence;
mod quality;
mod resume;
mod role;
mod within;

pub use absence::{Missed, MissedCall, MissedCalls, SetAway};
pub use desks::{EndWrapUp, InviteDesk, QueueNews, Queued};
pub use joining::{AddDesk, AddDeskFailed, AddFailed, AddMember, Listen, Merge, Merged};
pub use password::ChangePassword;
pub use ping::Ping;
pub use presence::{Presence, PresenceEntry, PresenceState};
pub use quality::{ReportQuality, WayToRelay};
pub(crate) use resume::token;
pub use resume::{Resume, Resumed, TokenRenewed};
pub use role::Role;
pub use within::{ChooseLayer, Hold, Layer, MemberPhase, MemberState, Members, Mute, Share};

use crate::device::{DeviceKey, DeviceProof};
use crate::id::{AccountId, CallId, DeviceId, Epoch, LegId, RequestId, SessionId, TenantId};
use crate::limits::{
    FIRST_SEQUENCE_MAX, LEGS_PER_CALL_MAX, PASSWORD_BYTES_MAX, RELAYS_PER_CALL_MAX,
    STREAMS_PER_LEG_MAX,
};
use crate::media::{RelayPath, Sender, StreamOffer, StreamPlan};
use crate::message::{Check, at_most, name};
use crate::rtp::Ssrc;
use crate::secret::{MasterKey, Password, ResumeToken};
use rkyv::{Archive, Deserialize, Serialize};

messages! {
    /// What a terminal says to control.
    FromTerminal {
        /// First message of every session.
        0x0101 SignIn,
        /// Ends the session in good order.
        0x0102 SignOut,
        /// Asks for presence, now and whenever it changes.
        0x0103 WatchPresence,
        /// Calls someone.
        0x0104 Invite,
        /// Takes a call.
        0x0105 Accept,
        /// Declines a call.
        0x0106 Reject,
        /// Gives up a call that nobody has taken yet.
        0x0107 Cancel,
        /// Ends a call.
        0x0108 HangUp,
        /// Says how a call's media arrived.
        0x0109 ReportQuality,
        /// Takes a session up again on another connection.
        0x010a Resume,
        /// Changes the account's password.
        0x010b ChangePassword,
        /// Says that nobody sits at the account's terminals, or somebody does again.
        0x010c SetAway,
        /// Calls a desk.
        0x010d InviteDesk,
        /// Puts a call on hold, or takes it back.
        0x010e Hold,
        /// Mutes this member, or not.
        0x010f Mute,
        /// Starts or stops sharing the screen.
        0x0110 Share,
        /// Chooses which layer of another's camera to receive.
        0x0111 ChooseLayer,
        /// Brings somebody into a call.
        0x0112 AddMember,
        /// Joins two calls of this terminal's.
        0x0113 Merge,
        /// Listens to a call.
        0x0114 Listen,
        /// Asks for missed calls.
        0x0115 Missed,
        /// Ends the time in which an agent is left alone.
        0x0116 EndWrapUp,
        /// Asks a desk for somebody who comes into a call.
        0x0117 AddDesk,
        /// Wants to be acknowledged by the transport, and nothing else.
        0x0118 Ping,
    }
}

messages! {
    /// What control says to a terminal.
    ToTerminal {
        /// The answer to a good [`SignIn`].
        0x0201 SignedIn,
        /// The request was done.
        0x0202 Done,
        /// The request was refused.
        0x0203 Refused,
        /// Who of the tenant is there.
        0x0204 Presence,
        /// The answer to a good [`Invite`]: the other side rings.
        0x0205 Ringing,
        /// Someone calls.
        0x0206 Incoming,
        /// All relays hold the call's legs: send.
        0x0207 CallReady,
        /// A call is over.
        0x0208 CallEnded,
        /// The session is over; the connection closes after this.
        0x0209 SessionEnded,
        /// A relay began a new life of a sealed leg.
        0x020a PathRenewed,
        /// The answer to a good [`Resume`].
        0x020b Resumed,
        /// The answer to a good [`InviteDesk`]: the call waits.
        0x020c Queued,
        /// Who is in a call and how.
        0x020d Members,
        /// Somebody else has the call.
        0x020e Taken,
        /// What the account has missed.
        0x020f MissedCalls,
        /// The place of a call that waits has changed.
        0x0210 QueueNews,
        /// Somebody did not come into a call.
        0x0211 AddFailed,
        /// A call goes on as part of another.
        0x0212 Merged,
        /// Another token to resume the session with.
        0x0213 TokenRenewed,
        /// Nobody came from a desk into a call.
        0x0214 AddDeskFailed,
        /// A call goes over other relays.
        0x0215 PathsChanged,
    }
}

/// Names tenant and account and proves the right to act for them. Answer: [`SignedIn`].
#[derive(Archive, Serialize, Deserialize)]
pub struct SignIn {
    /// Pairs the answer.
    pub request: RequestId,
    /// The tenant's name.
    pub tenant: String,
    /// The account's login ID within the tenant.
    pub login: String,
    /// The account's password.
    pub password: Password,
    /// Which device signs in. It replaces its own older session; other devices of the account keep
    /// theirs, up to a limit of control's.
    pub device: DeviceId,
    /// The device's public key.
    pub device_key: DeviceKey,
    /// That the device has the other half, for this connection.
    pub device_proof: DeviceProof,
    /// Name and version of the terminal's software, with a space between.
    pub software: String,
}

/// Ends the session. Answer: [`SessionEnded`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct SignOut {
    /// Pairs the answer.
    pub request: RequestId,
}

/// Asks for [`Presence`]: all of the tenant at once, then each change. Answer: [`Done`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct WatchPresence {
    /// Pairs the answer.
    pub request: RequestId,
}

/// Calls `login` of the same tenant. Answer: [`Ringing`]. If `login` calls this account at the same
/// time, the call named there is that one, and is taken: [`CallReady`] follows.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Invite {
    /// Pairs the answer.
    pub request: RequestId,
    /// Whom to call.
    pub login: String,
    /// What the caller will send.
    pub streams: Vec<StreamOffer>,
}

/// Takes the call. Answer: [`Done`], then [`CallReady`] when the relays are.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Accept {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
    /// What the called side will send.
    pub streams: Vec<StreamOffer>,
}

/// Declines the call on this device: others of the account ring on, and this one hears no more of
/// the call. Where no other rings, the call is over. Answer: [`Done`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Reject {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
}

/// Gives up a ringing call; if it was taken in the meantime, ends it. Answer: [`Done`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Cancel {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
}

/// Ends the call, in whatever state it is. Answer: [`Done`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct HangUp {
    /// Pairs the answer.
    pub request: RequestId,
    /// Which call.
    pub call: CallId,
}

/// The session has begun.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub struct SignedIn {
    /// The request this answers.
    pub request: RequestId,
    /// The new session.
    pub session: SessionId,
    /// The tenant's number.
    pub tenant: TenantId,
    /// The account's number.
    pub account: AccountId,
    /// The name shown to others.
    pub display: String,
    /// The password was for one time: until it is changed, the session can do nothing but
    /// [`ChangePassword`] and [`SignOut`].
    pub must_change_password: bool,
    /// The account's role.
    pub role: Role,
    /// What the session can be resumed with on another connection; empty if it cannot.
    pub token: ResumeToken,
    /// How long the session is kept without a connection, in milliseconds.
    pub grace_ms: u32,
}

/// The request was done.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Done {
    /// The request this answers.
    pub request: RequestId,
}

/// The request was refused and changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Refused {
    /// The request this answers.
    pub request: RequestId,
    /// Why.
    pub reason: Refusal,
    /// When to try again, in milliseconds; 0 means that waiting will not help.
    pub retry_after_ms: u32,
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Refusal {
    /// Tenant, login ID or password is wrong; which of them is not said.
    BadCredentials = 1,
    /// The node is at a limit; try again later.
    Busy = 2,
    /// The first message must be a sign-in.
    NotSignedIn = 3,
    /// As many other devices as may be hold sessions of this account.
    SignedInElsewhere = 4,
    /// No such login ID in this tenant, or no such desk.
    NoSuchLogin = 5,
    /// The account exists but has no terminal waiting; nobody of the desk is there.
    NotAvailable = 6,
    /// The account, or the one it calls, is in another call that is not on hold.
    InAnotherCall = 7,
    /// No such call, or none that the session is part of.
    NoSuchCall = 8,
    /// The call is past the point where that can be done, or has not come to it.
    TooLate = 9,
    /// No relay is ready to carry the call.
    NoRelay = 10,
    /// The store does not answer; nothing was changed.
    StoreUnavailable = 11,
    /// An account cannot call itself.
    CallsItself = 12,
    /// The request is not acceptable as it stands: an empty or doubled list, a limit passed.
    BadRequest = 13,
    /// Not with the role of the account, or not to the role of the other.
    NotAllowed = 14,
    /// The account is part of as many calls as it may be.
    TooManyCalls = 15,
    /// The tenant takes no calls at this hour.
    OutsideHours = 16,
    /// The tenant lets only other or newer terminals' software in.
    Outdated = 17,
    /// The one-time password must be changed first.
    PasswordMustChange = 18,
    /// The new password is too short, too common, the old one, or holds a name.
    BadPassword = 19,
    /// The session cannot be resumed with this token: sign in with the password.
    Expired = 20,
    /// As many calls wait at the desk as may.
    QueueFull = 21,
    /// The call has as many members as it may have.
    CallFull = 22,
    /// The tenant has as many terminals or calls as it may have.
    TenantFull = 23,
}

/// The other side rings.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Ringing {
    /// The request this answers.
    pub request: RequestId,
    /// The new call.
    pub call: CallId,
}

/// Someone calls; every device of the called account hears this, or of all the agents that a desk
/// rings at once, and the first [`Accept`] has the call. Answer with [`Accept`] or [`Reject`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Incoming {
    /// The call.
    pub call: CallId,
    /// Login ID of the caller.
    pub login: String,
    /// Name of the caller.
    pub display: String,
    /// The desk that was called; empty if it is this account itself.
    pub desk: String,
    /// What the caller will send.
    pub streams: Vec<StreamOffer>,
}

/// All relays hold the call's legs: bind at every path, then send over the primary.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CallReady {
    /// The call.
    pub call: CallId,
    /// Which round of it: each change of who takes part begins another, counted from 0, in which
    /// everything below is new. What the round before has given goes on for a moment.
    pub round: u32,
    /// Seals what this terminal sends.
    pub key: MasterKey,
    /// What this terminal sends.
    pub streams: Vec<StreamPlan>,
    /// What it receives, one entry for each other member that sends.
    pub senders: Vec<Sender>,
    /// The relays, primary first.
    pub paths: Vec<RelayPath>,
    /// Send everything over all of them all the time.
    pub hitless: bool,
}

impl CallReady {
    /// The sources of what this terminal sends. They tell rounds of the same number apart: what a
    /// lead begins that others have not heard of, the next one begins with keys and sources of its
    /// own.
    pub fn sources(&self) -> Vec<Ssrc> {
        self.streams.iter().map(|stream| stream.ssrc).collect()
    }
}

/// From now on the call goes over these relays: one was lost, or is to be left. Keys, sources and
/// legs at relays that were there before stay as they are. Bind at those that are new; what comes
/// over one that is named no longer is still good for a second.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PathsChanged {
    /// The call.
    pub call: CallId,
    /// The round that this is about; of any other it says nothing.
    pub round: u32,
    /// The relays, primary first.
    pub paths: Vec<RelayPath>,
    /// Send everything over all of them all the time.
    pub hitless: bool,
}

/// A relay seals with another key from now on: it was started again, or got the leg anew, or has
/// confirmed only now a leg whose epoch [`CallReady`] did not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct PathRenewed {
    /// The call.
    pub call: CallId,
    /// The leg whose [`SealedDownlink`](crate::media::SealedDownlink) has this epoch now.
    pub leg: LegId,
    /// The leg's new life.
    pub epoch: Epoch,
}

/// Another device of the account, or another agent of the desk, has taken the call: stop ringing.
/// Nothing more is said of it here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Taken {
    /// The call.
    pub call: CallId,
}

/// A call is over.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct CallEnded {
    /// The call.
    pub call: CallId,
    /// Why.
    pub reason: CallEnd,
}

/// Why a call is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum CallEnd {
    /// A member hung up.
    HungUp = 1,
    /// The called side declined.
    Rejected = 2,
    /// The caller gave up before anyone took it.
    Cancelled = 3,
    /// Nobody took it in time.
    NoAnswer = 4,
    /// A member's session ended.
    PeerLost = 5,
    /// No relay could carry it.
    NoRelay = 6,
    /// Control restarted while the call was going on.
    ControlRestarted = 7,
    /// A member was suspended. The others are told [`PeerLost`](Self::PeerLost): who is suspended
    /// is not their business.
    Suspended = 8,
    /// This member handed the call on to another. In records: the call went on as part of another.
    Transferred = 9,
    /// It waited at a desk for as long as calls may, or the desk was removed.
    NobodyAtDesk = 11,
    /// Who runs the platform or administers the tenant ended it.
    EndedByOperator = 12,
    /// A member's role or password is another, and its session ended with that. The others are told
    /// [`PeerLost`](Self::PeerLost).
    RightsChanged = 13,
}

impl CallEnd {
    /// Every reason, in the order of the wire.
    pub const ALL: [Self; 12] = [
        Self::HungUp,
        Self::Rejected,
        Self::Cancelled,
        Self::NoAnswer,
        Self::PeerLost,
        Self::NoRelay,
        Self::ControlRestarted,
        Self::Suspended,
        Self::Transferred,
        Self::NobodyAtDesk,
        Self::EndedByOperator,
        Self::RightsChanged,
    ];

    /// Its name in records and machine-readable output; never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::NoAnswer => "no_answer",
            Self::PeerLost => "peer_lost",
            Self::NoRelay => "no_relay",
            Self::ControlRestarted => "control_restarted",
            Self::Suspended => "suspended",
            Self::Transferred => "transferred",
            Self::NobodyAtDesk => "nobody_at_desk",
            Self::EndedByOperator => "ended_by_operator",
            Self::RightsChanged => "rights_changed",
        }
    }
}

/// The session is over.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct SessionEnded {
    /// Why.
    pub reason: SessionEnd,
}

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum SessionEnd {
    /// The terminal signed out.
    SignedOut = 1,
    /// The same device signed in again.
    Replaced = 2,
    /// The node is shutting down; connect again.
    NodeStopping = 3,
    /// The terminal broke the protocol.
    Protocol = 4,
    /// The terminal read too slowly for what it asked to be told.
    TooSlow = 5,
    /// The account, the device or the whole tenant was suspended. Signing in is answered as if the
    /// password were wrong until that is over.
    Suspended = 6,
    /// The password was changed: sign in with the new one.
    PasswordChanged = 7,
    /// The account has another role now: sign in again.
    RoleChanged = 9,
}

impl Check for SignIn {
    fn check(&self) -> Result<(), &'static str> {
        name("tenant", &self.tenant)?;
        name("login", &self.login)?;
        at_most("password", self.password.expose().len(), PASSWORD_BYTES_MAX)?;
        name("software", &self.software)
    }
}

impl Check for SignOut {}
impl Check for WatchPresence {}
impl Check for Reject {}
impl Check for Cancel {}
impl Check for HangUp {}
impl Check for Done {}
impl Check for Refused {}
impl Check for Ringing {}
impl Check for PathRenewed {}
impl Check for Taken {}
impl Check for CallEnded {}
impl Check for SessionEnded {}

impl Check for Invite {
    fn check(&self) -> Result<(), &'static str> {
        name("login", &self.login)?;
        at_most("streams", self.streams.len(), STREAMS_PER_LEG_MAX)
    }
}

impl Check for Accept {
    fn check(&self) -> Result<(), &'static str> {
        at_most("streams", self.streams.len(), STREAMS_PER_LEG_MAX)
    }
}

impl Check for SignedIn {
    fn check(&self) -> Result<(), &'static str> {
        token(&self.token)?;
        name("display", &self.display)
    }
}

impl Check for Incoming {
    fn check(&self) -> Result<(), &'static str> {
        name("login", &self.login)?;
        name("display", &self.display)?;
        name("desk", &self.desk)?;
        at_most("streams", self.streams.len(), STREAMS_PER_LEG_MAX)
    }
}

impl Check for PathsChanged {
    fn check(&self) -> Result<(), &'static str> {
        at_most("paths", self.paths.len(), RELAYS_PER_CALL_MAX)
    }
}

impl Check for CallReady {
    fn check(&self) -> Result<(), &'static str> {
        plans(&self.streams)?;
        at_most("senders", self.senders.len(), LEGS_PER_CALL_MAX)?;
        at_most("paths", self.paths.len(), RELAYS_PER_CALL_MAX)?;
        self.senders.iter().try_for_each(|sender| {
            name("login", &sender.login)?;
            plans(&sender.streams)
        })
    }
}

fn plans(streams: &[StreamPlan]) -> Result<(), &'static str> {
    at_most("streams", streams.len(), STREAMS_PER_LEG_MAX)?;
    let low = streams.iter().all(|plan| plan.first_sequence <= FIRST_SEQUENCE_MAX);
    if low { Ok(()) } else { Err("first_sequence") }
}
