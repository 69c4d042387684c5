//! QUIC from terminals: connections, sign-in, and the conversation with the core.

mod audited;
mod close;
mod connection;
mod crowd;
pub mod identity;
pub mod listener;
mod lobby;
mod one_time;
mod outbox;
mod pace;
mod porter;
mod resume;
mod sign_in;
mod tokens;

pub use close::CloseCode;
pub(crate) use connection::Gate;
pub(crate) use crowd::{Crowd, Entry, Limits, Place};
#[cfg(test)]
pub(crate) use outbox::Waiting;
pub use outbox::{Outbox, Overflow, Said};
pub(crate) use pace::Pace;
pub(crate) use porter::{Porter, Split};
pub(crate) use tokens::Tokens;
