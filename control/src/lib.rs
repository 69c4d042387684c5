//! The control plane of Kakehashi: who may sign in, who may call whom, and which relay carries it.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod accounts;
pub mod admin;
pub mod api;
pub mod archive;
pub mod args;
pub mod audit;
pub mod calls;
pub mod capacity;
pub mod clock;
pub mod config;
mod console;
pub mod coordinator;
pub mod desks;
pub mod drained;
pub mod driver;
pub mod entropy;
pub mod fleet;
pub mod framing;
pub mod gate;
mod grants;
mod https;
pub mod lives;
mod metrics;
pub mod missed;
pub mod node;
pub mod nodes;
pub mod pki;
pub mod placement;
pub mod policy;
pub mod program;
pub mod records;
mod retention;
pub mod schema;
mod seldom;
mod service;
pub mod sessions;
mod site;
pub mod startup;
pub mod store;
pub mod surroundings;
