//! What can go wrong between a terminal and control, by fault, with what to do about it.

use kakehashi_wire::frame::FrameError;
use kakehashi_wire::terminal::{Refusal, SessionEnd};

/// Why something could not be done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TerminalError {
    /// Network: the name does not resolve.
    #[error("cannot find the address of {control}: check the name, and the DNS")]
    NoSuchHost {
        /// Host and port as given.
        control: String,
    },
    /// Network: nothing came back.
    #[error(
        "control at {control} did not answer: check the address, and that the firewall lets UDP \
         through"
    )]
    NoAnswer {
        /// Host and port as given.
        control: String,
    },
    /// Network: the connection broke.
    #[error("the connection to control was lost: {why}")]
    Lost {
        /// What the transport says.
        why: String,
    },
    /// Network: no session at the moment.
    #[error("not signed in to control at the moment: try again when the connection is back")]
    NotConnected,
    /// Certificate: control is not who it should be.
    #[error(
        "control's certificate is not signed by the given CA, or not made out to the given name \
         ({why}): check --ca and --server-name"
    )]
    NotTrusted {
        /// What the certificate check says.
        why: String,
    },
    /// Certificate: control's has run out, or is not good yet.
    #[error(
        "control's certificate is not good at this time ({why}): renew it, or set this machine's \
         clock"
    )]
    CertificateExpired {
        /// What the certificate check says.
        why: String,
    },
    /// Version: the two sides do not understand each other.
    #[error("control speaks another version of the protocol: {why}")]
    Version {
        /// Which.
        why: String,
    },
    /// Policy: control said no.
    #[error("{}{}", sentence(*.reason), retry(*.retry_after_ms))]
    Refused {
        /// Why.
        reason: Refusal,
        /// When to try again; 0 if waiting does not help.
        retry_after_ms: u32,
    },
    /// Policy: control ended the session.
    #[error("{}", farewell(*.reason))]
    SessionEnded {
        /// Why.
        reason: SessionEnd,
    },
    /// Peer: no answer to one request.
    #[error("control did not answer the request in time: it may be overloaded, try again")]
    NoReply,
    /// Peer: it broke the protocol.
    #[error("control sent something this terminal does not understand: {why}")]
    Protocol {
        /// What.
        why: String,
    },
    /// Misuse: too much at once.
    #[error("too many requests wait for an answer already")]
    TooManyRequests,
    /// Misuse: the settings cannot be used.
    #[error("{why}")]
    Settings {
        /// What is wrong with which setting.
        why: String,
    },
    /// The session is finished; make a new terminal.
    #[error("the session is over")]
    Over,
}

impl TerminalError {
    /// Whether another node might do better.
    pub(super) fn is_the_nodes(&self) -> bool {
        match self {
            Self::SessionEnded { reason } => {
                matches!(reason, SessionEnd::NodeStopping | SessionEnd::TooSlow)
            }
            Self::Refused { reason, .. } => {
                matches!(reason, Refusal::Busy | Refusal::StoreUnavailable)
            }
            Self::Lost { .. } | Self::NoReply | Self::Protocol { .. } | Self::Version { .. } => {
                true
            }
            _ => false,
        }
    }
}

impl From<FrameError> for TerminalError {
    fn from(error: FrameError) -> Self {
        let why = error.to_string();
        match error {
            FrameError::Version { .. } => Self::Version { why },
            _ => Self::Protocol { why },
        }
    }
}

/// A refusal as a sentence for a person.
pub fn sentence(reason: Refusal) -> &'static str {
    match reason {
        Refusal::BadCredentials => "tenant, login ID or password is wrong",
        Refusal::Busy => "control is at its limit",
        Refusal::NotSignedIn => "control expected a sign-in first",
        Refusal::SignedInElsewhere => "as many devices as may be are signed in with this account",
        Refusal::NoSuchLogin => "there is no such login ID or desk in this tenant",
        Refusal::NotAvailable => "the called account or desk has no terminal waiting",
        Refusal::InAnotherCall => {
            "this account or the called one is in another call: put it on hold or end it first"
        }
        Refusal::NoSuchCall => "there is no such call",
        Refusal::TooLate => "the call is past the point where that can be done",
        Refusal::NoRelay => "no relay is ready to carry the call",
        Refusal::StoreUnavailable => "control's store does not answer; nothing was changed",
        Refusal::CallsItself => "an account cannot call itself",
        Refusal::BadRequest => "control does not accept the request as it stands",
        Refusal::NotAllowed => "the role of this account, or of the other, does not allow that",
        Refusal::OutsideHours => "it is outside the opening hours",
        Refusal::Outdated => "this terminal's software is too old or not let in: update it",
        Refusal::TenantFull => "as many terminals or calls as the tenant may have are there",
        Refusal::TooManyCalls => "this account has as many calls as it may have: end one first",
        Refusal::CallFull => "the call has as many members as it may have",
        Refusal::QueueFull => "as many callers as may be wait at the desk: call again later",
        Refusal::Expired => "the session cannot be resumed: sign in again",
        Refusal::PasswordMustChange => "the password was for one time: change it first",
        Refusal::BadPassword => {
            "the new password is not taken: use 15 characters or more, such as four or five words \
             that are not common passwords, without the names of tenant, account and service, and \
             not the old one"
        }
    }
}

fn retry(after_ms: u32) -> String {
    match after_ms {
        0 => String::new(),
        ms => format!("; try again in {} s", ms.div_ceil(1000)),
    }
}

fn farewell(reason: SessionEnd) -> &'static str {
    match reason {
        SessionEnd::SignedOut => "signed out",
        SessionEnd::Replaced => "the same device signed in again elsewhere: this session is over",
        SessionEnd::NodeStopping => "the control node is shutting down",
        SessionEnd::Protocol => "control says that this terminal broke the protocol",
        SessionEnd::PasswordChanged => "the password was changed: sign in with the new one",
        SessionEnd::RoleChanged => "the account has another role now: sign in again",
        SessionEnd::Suspended => "suspended: ask whoever manages this terminal's account",
        SessionEnd::TooSlow => "this terminal read too slowly for what it asked to be told",
    }
}
