//! The machine: what it offers, and which shard runs where.

mod check;
#[cfg_attr(not(test), expect(dead_code, reason = "no way to send past the kernel uses it yet"))]
pub(crate) mod routes;
mod topology;

pub use check::{HostError, check};
pub use topology::place;
