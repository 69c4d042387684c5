//! Everything of Kakehashi that crosses a machine border.
//!
//! **Bytes in, typed views or typed errors out: nothing here reads a clock, opens a socket or
//! draws a random number.** A view is validated once, when it is made; after that no accessor can
//! fail. Two families live here:
//!
//! - what terminals and relays exchange over UDP: [`rtp`], [`rtcp`] with [`feedback`], [`stun`],
//!   told apart by [`datagram`];
//! - what travels inside QUIC: messages between a terminal and control ([`terminal`]), between
//!   control and a relay ([`relay`]) and between two nodes of control ([`node`]), each in the fixed
//!   outer header of [`frame`], which also holds the reader that finds them in a stream of bytes.
//!
//! Every byte of the second family is drawn in `wire/FORMAT.md`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod datagram;
pub mod device;
pub mod feedback;
pub mod frame;
pub mod id;
pub mod limits;
pub mod media;
#[macro_use]
mod message;
pub mod node;
pub mod relay;
pub mod rtcp;
pub mod rtcp_renumber;
pub mod rtp;
pub mod secret;
pub mod stun;
pub mod terminal;

pub use message::{DecodeError, EncodeError};
