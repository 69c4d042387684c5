//! QUIC from terminals: connections, sign-in, and the conversation with the core.

mod close;
mod connection;
pub mod identity;
pub mod listener;
mod outbox;
mod pace;
mod sign_in;

pub use close::CloseCode;
pub(crate) use connection::Gate;
pub use outbox::{Outbox, Overflow};
