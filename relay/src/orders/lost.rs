//! Why there is no link to control, and what to do about it.

use kakehashi_wire::frame::FrameError;
use kakehashi_wire::{DecodeError, EncodeError};
use std::path::PathBuf;

/// What stops the link before it has begun: the operator's files and settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A PEM file cannot be read.
    #[error(
        "{path}: {source}. Check the path and that this user may read it",
        path = path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A PEM file holds something else.
    #[error("{path} holds no usable {wanted} in PEM form: {reason}", path = path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The relay's certificate and key do not go with each other.
    #[error("certificate and key of this relay do not fit each other: {0}. Issue them anew")]
    Identity(rustls::Error),
    /// The TLS library refuses to be set up.
    #[error("TLS cannot be set up: {0}. This is a bug, please report it")]
    Tls(String),
    /// The name control is verified by is no DNS name or IP address.
    #[error("`{0}` is no DNS name or IP address to verify control's certificate by")]
    ServerName(String),
    /// No address of control is configured.
    #[error("no node of control is configured: name at least one as host:port")]
    NoControl,
    /// The kernel gives no socket or no thread to run on.
    #[error("no socket or event loop for the link to control: {0}")]
    System(#[from] std::io::Error),
}

/// Why a try to reach control, or a conversation with it, ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkLost {
    /// The network's fault: nobody answers, or no longer.
    #[error("control cannot be reached: {0}. Check its address, that it runs, and that UDP passes")]
    Network(String),
    /// One side does not trust the other.
    #[error(
        "a certificate was refused: {0}. Relay and control must be certified by the same CA; check \
         that the relay's files are current and that its number is the one its certificate names"
    )]
    Certificate(String),
    /// The sides speak different versions.
    #[error("version mismatch: {0}. Upgrade the older of relay and control")]
    Version(String),
    /// Control ended the conversation with a reason.
    #[error("control closed the link: {0}")]
    Closed(String),
    /// Control has not been heard for too long.
    #[error("control was silent for {ms} ms")]
    Silent {
        /// How long.
        ms: u64,
    },
    /// Control does not follow the protocol.
    #[error("control broke the protocol: {0}. This is a bug in control, please report it")]
    Protocol(String),
    /// This side built a message that it must not send.
    #[error("{0}. This is a bug in the relay, please report it")]
    Encode(#[from] EncodeError),
    /// The operator's files changed and are no longer usable.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl From<FrameError> for LinkLost {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Version { .. } => Self::Version(error.to_string()),
            _ => Self::Protocol(error.to_string()),
        }
    }
}

impl From<DecodeError> for LinkLost {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<quinn::ConnectionError> for LinkLost {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError::{
            ApplicationClosed, ConnectionClosed, TransportError, VersionMismatch,
        };
        let text = error.to_string();
        match error {
            VersionMismatch => Self::Version(text),
            TransportError(error) => Self::by_code(error.code.into(), text),
            ConnectionClosed(close) => Self::by_code(close.error_code.into(), text),
            ApplicationClosed(close) => {
                Self::Closed(String::from_utf8_lossy(&close.reason).into_owned())
            }
            _ => Self::Network(text),
        }
    }
}

impl LinkLost {
    /// RFC 9001 4.8: a TLS alert is the low byte of a code from 0x0100.
    fn by_code(code: u64, text: String) -> Self {
        match code.checked_sub(0x0100) {
            // no_application_protocol, protocol_version
            Some(120 | 70) => Self::Version(text),
            // bad_certificate to access_denied, decrypt_error (a CA of the same name but another
            // key), certificate_required
            Some(42..=49 | 51 | 116) => Self::Certificate(text),
            _ => Self::Network(text),
        }
    }
}
