//! The machine: what it offers, and which shard runs where.

mod check;
mod doctor;
mod nic;
pub(crate) mod routes;
mod topology;

pub use check::{HostError, check};
pub use doctor::{Finding, Judgement, examine};
pub use nic::NicError;
pub(crate) use nic::{Nic, check_rights, find, forwards, offers_checksums};
pub use topology::place;
