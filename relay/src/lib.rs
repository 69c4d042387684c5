//! The data plane of Kakehashi: authenticates SRTP once and forwards the same bytes to the others
//! of the call, on pinned shards that share nothing.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod args;
pub mod capacity;
pub mod config;
pub mod counting;
pub mod host;
pub mod io;
pub mod legs;
mod memory;
pub mod metrics;
pub mod orders;
pub mod path;
pub mod program;
mod service;
pub mod shard;
pub mod tick;

#[cfg(test)]
mod testing;
