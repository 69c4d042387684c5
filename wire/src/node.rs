//! The link between two nodes of a cell: what terminals of one ask the other, which leads.
//!
//! The dialling node opens one bidirectional stream: [`FromNode`] one way, [`ToNode`] the other,
//! both in order, and beats both ways. What a terminal is told travels as the bytes it gets.

mod agent;
mod asked;
mod guess;
mod whom;

pub use agent::{AgentOrder, OfferedAt, Turn};
pub use asked::{Called, KnownAccount, Request};
pub use guess::{GuessedAt, WrongGuess};
pub use whom::{AccountKey, Epochs, Revocation, Whom};

use crate::id::{CallId, DeviceId, RelayId, RequestId, SessionId, TenantId, Term};
use crate::limits::{NODE_NAME_BYTES_MAX, ROWS_BYTES_MAX, SAID_BYTES_MAX, SESSIONS_PER_PUSH_MAX};
use crate::media::Host;
use crate::message::{Check, at_most, name};
use crate::secret::{ResumeToken, SaidBytes};
use crate::terminal::{Refusal, Role, SessionEnd, ToTerminal};
use rkyv::{Archive, Deserialize, Serialize};

messages! {
    /// What a node says to one that it dialled.
    FromNode {
        /// First message of every link.
        0x0501 NodeHello,
        /// That it is alive.
        0x0502 NodeBeat,
        /// Somebody was let in.
        0x0503 Arrival,
        /// A session asks for something.
        0x0504 Asked,
        /// A session's connection is gone.
        0x0505 Left,
        /// Asks for rows that operators are shown.
        0x0506 Look,
        /// A tenant's records have changed.
        0x0507 Reread,
        /// An operator ends a call.
        0x0508 EndCall,
        /// Somebody's rights end.
        0x0509 Revoke,
        /// A relay is taken out of use, or put back.
        0x050a Drain,
        /// A password was wrong.
        0x050b WrongGuess,
    }
}

messages! {
    /// What a node says to one that dialled it.
    ToNode {
        /// That it is alive, and whether it leads.
        0x0601 NodeBeat,
        /// Whether a session is let in.
        0x0602 Verdict,
        /// Something for one terminal.
        0x0603 Say,
        /// One thing for many terminals.
        0x0604 Push,
        /// A session is over.
        0x0605 End,
        /// The answer to what operators asked to be done.
        0x0606 Did,
        /// The answer to [`Look`], in parts.
        0x0607 Rows,
        /// What is to be said with the next hand-over of a session.
        0x0608 Remember,
    }
}

/// A node presents itself; its certificate must have the same name.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct NodeHello {
    /// Its name.
    pub node: String,
    /// Name and version of its software.
    pub software: String,
}

/// A node is alive. Silence is what others notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct NodeBeat {
    /// The term in which it leads; [`Term::NONE`] if it does not.
    pub leads: Term,
}

/// Somebody who has proved to be let in, by password or by token. Answer: [`Verdict`].
#[derive(Clone, Archive, Serialize, Deserialize)]
pub struct Arrival {
    /// The number the session gets if it is let in.
    pub session: SessionId,
    /// The request to answer.
    pub request: RequestId,
    /// Whose password it was.
    pub account: AccountKey,
    /// Its login ID.
    pub login: String,
    /// Its name for others.
    pub display: String,
    /// What the account is for.
    pub role: Role,
    /// From which device.
    pub device: DeviceId,
    /// Name and version of the terminal's software.
    pub software: String,
    /// The epochs in which it was let in.
    pub epochs: Epochs,
    /// What the session can be resumed with; none if its terminal keeps what it has.
    pub token: ResumeToken,
    /// The first number of the session it resumes.
    pub resumes: Option<SessionId>,
    /// An earlier lead let it in, and its connection has stood since.
    pub is_handed_over: bool,
    /// Nobody sits there, as it was said last.
    pub is_away: bool,
    /// Where the node sees its terminal.
    pub seen_at: Host,
    /// What that lead had the node [`Remember`], with what is left of the time in it.
    pub agent: Option<AgentOrder>,
}

/// A session asks for something.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Asked {
    /// Which session.
    pub session: SessionId,
    /// For what.
    pub request: Request,
}

/// A session's connection is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Left {
    /// Which session.
    pub session: SessionId,
    /// Its terminal may come back.
    pub may_return: bool,
}

/// Asks for rows. Answer: [`Rows`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Look {
    /// Pairs the answer.
    pub ask: u64,
    /// Of what.
    pub at: LookAt,
}

/// What operators are shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum LookAt {
    /// The calls that go on.
    Calls = 1,
    /// Who is signed in.
    Sessions = 2,
    /// The relays.
    Relays = 3,
}

/// A tenant's policy or desks have changed in the store. Answer: [`Did`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Reread {
    /// Pairs the answer.
    pub ask: u64,
    /// Whose.
    pub tenant: TenantId,
}

/// An operator or administrator ends a call. Answer: [`Did`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct EndCall {
    /// Pairs the answer.
    pub ask: u64,
    /// The tenant whose call it must be, if it matters.
    pub tenant: Option<TenantId>,
    /// Which call.
    pub call: CallId,
}

/// Somebody's rights end. Answer: [`Did`], when the relays have been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Revoke {
    /// Pairs the answer.
    pub ask: u64,
    /// Whose, since when, and why.
    pub revocation: Revocation,
}

/// A relay is taken out of use, or put back. Answer: [`Did`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Drain {
    /// Pairs the answer.
    pub ask: u64,
    /// Which.
    pub relay: RelayId,
    /// Whether it is to be out of use.
    pub on: bool,
}

/// Whether a session is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Verdict {
    /// The session's number.
    pub session: SessionId,
    /// Why not; none if it is.
    pub refused: Option<Rejection>,
}

/// Why a sign-in is not let in although its password was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Rejection {
    /// Why.
    pub reason: Refusal,
    /// When to try again, in milliseconds; 0 for never.
    pub retry_after_ms: u32,
}

/// Something for one terminal.
#[derive(Clone, PartialEq, Archive, Serialize, Deserialize)]
pub struct Say {
    /// Whose.
    pub session: SessionId,
    /// The request that it answers, if it is an answer.
    pub answers: Option<RequestId>,
    /// A message with its header, as the terminal gets it.
    pub said: SaidBytes,
}

/// One thing for many terminals; nothing in it is secret.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Push {
    /// Whose.
    pub sessions: Vec<SessionId>,
    /// A message with its header, as the terminals get it.
    pub said: Vec<u8>,
}

/// A session is over: nothing follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub session: SessionId,
    /// What its terminal is told.
    pub reason: SessionEnd,
}

/// What operators asked for was carried out.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Did {
    /// Which ask.
    pub ask: u64,
    /// Whether there was anything to do.
    pub done: bool,
    /// What else operators are told of it: JSON as their door gives it out, or nothing.
    pub told: Vec<u8>,
}

/// A part of the rows that were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Rows {
    /// Which ask.
    pub ask: u64,
    /// The next bytes of a JSON list: the rows as the operators' door gives them out.
    pub part: Vec<u8>,
    /// Another part follows.
    pub more: bool,
}

/// What the lead knows of the agent whose session it is, in place of what it said before: for the
/// next one.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Remember {
    /// Which session.
    pub session: SessionId,
    /// What it is.
    pub agent: AgentOrder,
}

impl Check for NodeBeat {}
impl Check for Left {}
impl Check for Look {}
impl Check for Reread {}
impl Check for EndCall {}
impl Check for Revoke {}
impl Check for Drain {}
impl Check for Verdict {}
impl Check for End {}

impl Check for NodeHello {
    fn check(&self) -> Result<(), &'static str> {
        at_most("node", self.node.len(), NODE_NAME_BYTES_MAX)?;
        name("software", &self.software)
    }
}

impl Check for Arrival {
    fn check(&self) -> Result<(), &'static str> {
        name("login", &self.login)?;
        name("display", &self.display)?;
        name("software", &self.software)?;
        crate::terminal::token(&self.token)?;
        self.agent.as_ref().map_or(Ok(()), Check::check)
    }
}

impl Check for Remember {
    fn check(&self) -> Result<(), &'static str> {
        self.agent.check()
    }
}

impl Check for Asked {
    fn check(&self) -> Result<(), &'static str> {
        self.request.check()
    }
}

impl Check for Say {
    fn check(&self) -> Result<(), &'static str> {
        at_most("said", self.said.as_bytes().len(), SAID_BYTES_MAX)
    }
}

impl Check for Push {
    fn check(&self) -> Result<(), &'static str> {
        at_most("sessions", self.sessions.len(), SESSIONS_PER_PUSH_MAX)?;
        at_most("said", self.said.len(), SAID_BYTES_MAX)
    }
}

impl Check for Did {
    fn check(&self) -> Result<(), &'static str> {
        at_most("told", self.told.len(), ROWS_BYTES_MAX)
    }
}

impl Check for Rows {
    fn check(&self) -> Result<(), &'static str> {
        at_most("part", self.part.len(), ROWS_BYTES_MAX)
    }
}

impl ToTerminal {
    /// The request that this answers, if it is an answer.
    pub fn answers(&self) -> Option<RequestId> {
        match self {
            Self::Done(it) => Some(it.request),
            Self::Refused(it) => Some(it.request),
            Self::Ringing(it) => Some(it.request),
            Self::Queued(it) => Some(it.request),
            Self::SignedIn(it) => Some(it.request),
            Self::Resumed(it) => Some(it.request),
            _ => None,
        }
    }
}
