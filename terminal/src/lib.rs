//! A terminal of Kakehashi: the SDK to build one with, and the reference terminal.
//!
//! **What decides is pure and is handed time, randomness and bytes; what waits is a thin shell on
//! tokio.** [`session`] is the conversation with control, [`media`] exchanges a call's media with
//! the relays, [`program`] is the command line.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod capacity;
pub mod clock;
pub mod config;
pub mod congestion;
pub mod files;
pub mod media;
pub mod packets;
pub mod program;
pub mod samples;
pub mod session;
pub mod stats;

pub use session::{DeviceSecret, Event, Events, Settings, Terminal, TerminalError, Timing};
