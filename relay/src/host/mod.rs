//! The machine: what it offers, and which shard runs where.

mod check;
mod topology;

pub use check::{HostError, check};
pub use topology::place;
