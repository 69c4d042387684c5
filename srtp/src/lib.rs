//! SRTP with AES-GCM: protect and unprotect in place, replay windows, rollover counters.
//!
//! **Bytes and keys in, bytes or a reason out: nothing here allocates per packet, reads a clock,
//! draws a random number or opens a socket.** One master key serves one leg's uplink; every SSRC of
//! that leg has a small state of its own, a [`StreamSealer`] where packets are made and a
//! [`StreamOpener`] where they arrive. What the key becomes depends on who holds it:
//!
//! | holder | keys | bytes |
//! |---|---|---|
//! | terminal | [`SessionKeys`], in a [`SendingSession`] or [`ReceivingSession`] | as below |
//! | relay, pass lane | [`AuthKeys`] for RTP, [`RtcpKeys`] for RTCP | 493, none on the heap |
//! | relay, seal lane | [`SessionKeys`], a pair of each leg | 88 each, and the provider's heap |
//!
//! The pair is one derived from the leg's own key, to open what it sends, and its
//! [`SessionKeys::downlink`], to seal what it receives.
//!
//! Three promises, each with its tests:
//! - a packet that fails to open changes neither its buffer nor any state, so a wrong guess of the
//!   rollover counter costs nothing and the next candidate can be tried;
//! - a nonce is never used twice: a [`StreamSealer`] refuses an index that does not increase, and
//!   whoever seals at an index of its own choice ([`seal_rtp_at`]) vouches for it;
//! - authentication needs no plaintext to be handed out ([`StreamOpener::authenticate_rtp`]).
//!
//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714) with the key derivation of RFC 3711 4.3 and
//! RFC 6188, no key derivation rate, no MKI.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

mod aead;
mod auth;
pub mod capacity;
mod downlink;
mod error;
mod index;
mod kdf;
mod keys;
mod known;
mod opener;
mod provider;
mod replay;
mod rtcp;
mod rtp;
mod sealer;
mod session;
#[cfg(test)]
mod vectors;

pub use aead::Provider;
pub use auth::{AuthKeys, Authenticator};
pub use error::SrtpError;
pub use index::{PacketIndex, RtcpIndex};
pub use keys::{RtcpKeys, Scratch, SessionKeys};
pub use known::{reopen_rtp, seal_rtcp_at, seal_rtp_at};
pub use opener::{Opened, OpenedRtcp, StreamOpener, StreamPosition};
pub use provider::{Measurement, Timing, UnknownProvider};
pub use rtcp::RtcpPrivacy;
pub use sealer::{SealerPosition, StreamSealer};
pub use session::{ReceivingSession, SendingSession};

/// Bytes that protection adds to an RTP packet: the tag (RFC 7714 5.2.1).
pub const RTP_OVERHEAD_BYTES: usize = aead::TAG_BYTES;

/// Bytes that protection adds to an RTCP packet: the tag and the index word (RFC 7714 9.2).
pub const RTCP_OVERHEAD_BYTES: usize = aead::TAG_BYTES + rtcp::INDEX_WORD_BYTES;

// Keys and states are made where orders arrive and used on the thread of a shard.
const _: () = {
    const fn movable<T: Send + Sync>() {}
    movable::<SessionKeys>();
    movable::<AuthKeys>();
    movable::<RtcpKeys>();
    movable::<StreamOpener>();
    movable::<StreamSealer>();
    movable::<Scratch>();
};
