//! The conversation with control: signs in, keeps signed in, asks and is told.
//!
//! **The core is pure: [`machine`] says what to do next, [`backoff`] when, `nodes` and `race` where
//! to, `liveness` whether control is still there, [`requests`] which question an answer belongs to.
//! `driver` and `dial` are the thin shell that dials and waits.** An application holds a
//! [`Terminal`] to ask with and [`Events`] to be told by.

mod arriving;
pub mod backoff;
mod conversation;
mod device_secret;
mod dial;
mod driver;
pub mod error;
pub mod known;
mod liveness;
pub mod machine;
mod news;
mod nodes;
mod race;
pub mod requests;
mod terminal;

pub use device_secret::{DeviceSecret, SEED_BYTES};
pub(crate) use dial::authorities;
pub use error::TerminalError;
pub use terminal::{Event, Events, Settings, Terminal, Timing};
