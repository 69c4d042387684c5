//! A session that outlives its connection: resumed by a token and the device's key.

use super::{CallEnded, Merged};
use crate::device::DeviceProof;
use crate::id::{CallId, RequestId, SessionId};
use crate::limits::{RESUMED_CALLS_MAX, TOKEN_BYTES_MAX};
use crate::message::{Check, at_most, name};
use crate::secret::ResumeToken;
use rkyv::{Archive, Deserialize, Serialize};

/// Takes a session up again, or begins a new one where the old one is over, without a password.
/// Like [`SignIn`](super::SignIn) the first message of a connection. Answer: [`Resumed`].
#[derive(Clone, Archive, Serialize, Deserialize)]
pub struct Resume {
    /// Pairs the answer.
    pub request: RequestId,
    /// What the session was given last.
    pub token: ResumeToken,
    /// That this is the device the token was made for, for this connection.
    pub device_proof: DeviceProof,
    /// Name and version of the terminal's software.
    pub software: String,
}

/// The session goes on, on this connection, under a new number. Of each call in `calls` follows
/// what its terminal must know of it by now; each call in `rings` follows as
/// [`Incoming`](super::Incoming), told before or not. All other calls are over for this terminal.
///
/// With request 0 it answers nothing: another node decides about calls from here on, and this is
/// what it knows. The connection is the same.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub struct Resumed {
    /// The request this answers.
    pub request: RequestId,
    /// The session's number from here on.
    pub session: SessionId,
    /// For the next time; empty if the last one is to be kept. The one that was used stays good
    /// until it expires.
    pub token: ResumeToken,
    /// How long the session is kept without a connection, in milliseconds.
    pub grace_ms: u32,
    /// The calls it takes part in.
    pub calls: Vec<CallId>,
    /// The calls that ring on it.
    pub rings: Vec<CallId>,
    /// Calls that had become part of one of these, whether the terminal heard of it or not.
    pub merged: Vec<Merged>,
    /// Calls that ended while it had no connection, as far as they are known.
    pub over: Vec<CallEnded>,
}

/// Another token for the session, before the last one expires. It replaces that.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub struct TokenRenewed {
    /// The token.
    pub token: ResumeToken,
}

impl Check for Resume {
    fn check(&self) -> Result<(), &'static str> {
        token(&self.token)?;
        name("software", &self.software)
    }
}

impl Check for Resumed {
    fn check(&self) -> Result<(), &'static str> {
        token(&self.token)?;
        at_most("calls", self.calls.len(), RESUMED_CALLS_MAX)?;
        at_most("rings", self.rings.len(), RESUMED_CALLS_MAX)?;
        at_most("merged", self.merged.len(), RESUMED_CALLS_MAX)?;
        at_most("over", self.over.len(), RESUMED_CALLS_MAX)
    }
}

impl Check for TokenRenewed {
    fn check(&self) -> Result<(), &'static str> {
        token(&self.token)
    }
}

/// `Ok` if the token is no longer than one may be.
pub(crate) fn token(token: &ResumeToken) -> Result<(), &'static str> {
    at_most("token", token.as_bytes().len(), TOKEN_BYTES_MAX)
}
