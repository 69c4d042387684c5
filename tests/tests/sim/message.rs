//! What is said over connections. What travels between terminals, relays and nodes is what the wire
//! crate defines, without its encoding, which has tests of its own.

use kakehashi_control::coordinator::Request;
use kakehashi_control::sessions::Revocation;
use kakehashi_wire::id::{CallId, DeviceId, RelayId, RequestId, SessionId, TenantId, Term};
use kakehashi_wire::node::{AgentOrder, Arrival, Epochs, Rejection};
use kakehashi_wire::relay::{FromRelay, ToRelay};
use kakehashi_wire::terminal::{Refusal, SessionEnd, ToTerminal};

/// What is said over a connection.
pub(crate) enum Message {
    ToRelay(ToRelay),
    FromRelay(FromRelay),
    FromNode(FromNode),
    ToNode(ToNode),
    FromTerminal(FromTerminal),
    ToTerminal(Told),
    Close,
}

/// What a session can be taken up again with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) first: SessionId,
    pub(crate) epochs: Epochs,
}

/// What a terminal says. Login and password are one number here: which account it is of.
#[derive(Clone)]
pub(crate) enum FromTerminal {
    SignIn { account: usize, device: DeviceId, token: Option<Token> },
    Asks(Request),
}

/// What a terminal hears.
pub(crate) enum Told {
    /// It is let in, and this is its token.
    Token(Token),
    /// It is not.
    No(Refusal),
    Says(ToTerminal),
    Over(SessionEnd),
}

/// What operators want of the lead.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Revoke(Revocation),
    Reread(TenantId),
    Drain(RelayId, bool),
    EndCall(CallId),
}

/// What a node says to the lead.
#[derive(Clone)]
pub(crate) enum FromNode {
    Beat(Term),
    Arrived(Box<Arrival>),
    Asked(SessionId, Request),
    Left(SessionId, bool),
    Does(u64, Deed),
}

/// What the lead says to a node.
pub(crate) enum ToNode {
    Beat(Term),
    Verdict(SessionId, Option<Rejection>),
    Say(SessionId, Option<RequestId>, ToTerminal),
    End(SessionId, SessionEnd),
    Remember(SessionId, AgentOrder),
    Did(u64),
}

impl From<ToRelay> for Message {
    fn from(said: ToRelay) -> Self {
        Self::ToRelay(said)
    }
}

impl From<FromRelay> for Message {
    fn from(said: FromRelay) -> Self {
        Self::FromRelay(said)
    }
}

impl From<FromNode> for Message {
    fn from(said: FromNode) -> Self {
        Self::FromNode(said)
    }
}

impl From<ToNode> for Message {
    fn from(said: ToNode) -> Self {
        Self::ToNode(said)
    }
}

impl From<FromTerminal> for Message {
    fn from(said: FromTerminal) -> Self {
        Self::FromTerminal(said)
    }
}

impl From<Told> for Message {
    fn from(told: Told) -> Self {
        Self::ToTerminal(told)
    }
}
