//! The outside probe: from any place it signs in two terminals through the public doors, lets them
//! call each other over one relay after the other, listens, and **names what is wrong**.
//!
//! It has no rights but those of two ordinary accounts and no message of its own: which relay a
//! call gets is control's business ([`round`] says how it sees all of them nevertheless). What is
//! wrong is a [`fault::Fault`]; [`record`] is what a round leaves behind, [`metrics`] and [`shown`]
//! show it to Prometheus, [`table`] to people.

mod call;
pub mod config;
pub mod fault;
mod judge;
pub mod metrics;
pub mod record;
pub mod round;
mod session;
pub mod shown;
pub mod table;
mod voice;

pub use config::Config;
pub use record::{Round, Status};
pub use round::Prober;
