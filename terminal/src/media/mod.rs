//! A call's media: binds at the relays, seals and sends, receives and opens, measures.
//!
//! **[`Engine`] is pure: datagrams, frames and time in, datagrams and frames out.** [`call`] is
//! its shell: one task with one UDP socket. Frames come from [`FrameSource`]s and go to
//! [`FrameSink`]s; plain RTP from and to local ports is in [`plain`].

pub mod binding;
pub mod call;
mod copies;
mod downlink;
pub mod engine;
mod feeds;
mod gate;
mod governor;
mod incoming;
mod manners;
mod mover;
mod outbox;
mod outgoing;
pub mod pacer;
pub mod plain;
mod rate;
mod received;
pub mod recorder;
mod repair;
pub mod rounds;
pub(crate) mod sockets;
pub mod summary;
pub mod timeline;

pub use call::{CallMedia, CallOptions, MediaEvents, MediaOutput};
pub use engine::Engine;
pub use feeds::{Feed, MediaInput};
pub use pacer::{FrameSource, SourceError, TimedFrame};
pub use recorder::{FrameSink, SinkFactory};
pub use summary::{CallSummary, Phase};

use crate::packets::Frame;
use core::net::SocketAddr;
use kakehashi_srtp::SrtpError;

/// A received stream of the call, counted over all members in the order of `CallReady`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub usize);

/// What an authentic packet brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The plain RTP packet, as soon as it came.
    Packet {
        /// Its stream.
        stream: StreamId,
        /// Header and payload.
        bytes: Vec<u8>,
    },
    /// A whole frame, in order.
    Frame {
        /// Its stream.
        stream: StreamId,
        /// The frame.
        frame: Frame,
    },
}

/// What the other side of the call wants of this terminal's encoders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MediaEvent {
    /// Receivers can go on only with a key frame: pictures were lost, or held back.
    KeyFrameWanted {
        /// Number of this terminal's stream, as in `CallReady`.
        stream: usize,
    },
    /// What the network carries has changed: encode all streams together at no more than this.
    TargetRate {
        /// Bits a second of RTP datagrams, of all streams together, audio included.
        bits_per_second: u64,
    },
}

/// A datagram to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// Why a call's media could not be exchanged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Network: no relay answers.
    #[error(
        "no relay answered at {addresses}: check that the firewall lets UDP through to these ports"
    )]
    NoRelayAnswers {
        /// Where they should be.
        addresses: String,
    },
    /// Network: the local socket.
    #[error("the UDP socket for media cannot be used: {why}")]
    Socket {
        /// What the system says.
        why: String,
    },
    /// Peer: control gave keys or streams that cannot be used.
    #[error("control's call cannot be carried: {0}")]
    Plan(#[from] SrtpError),
    /// Peer: control gave no key to open a member's packets with.
    #[error("control gave no key for a member of the call")]
    NoKey,
    /// Peer: control gave no relay.
    #[error("control gave no relay for the call")]
    NoPath,
    /// Misuse: this terminal offered no stream.
    #[error(
        "this terminal offered no stream, so nothing carries its hello and its reports and the \
         others would wait: offer at least one, with `Feed::Silence` if nothing is to be sent"
    )]
    NoStream,
    /// Misuse: an input cannot be used.
    #[error("{why}")]
    Input {
        /// Which, and what to do.
        why: String,
    },
}
