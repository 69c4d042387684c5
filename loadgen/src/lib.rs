//! Traffic for a relay that is under test: authentic packets at a steady rate ([`steady`]), and
//! what an attacker would send ([`hostile`]).
//!
//! Both speak to a relay through a call that control has set up, so nothing here needs a back
//! door. Hostile traffic is only ever sent to the loopback address.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod batch_socket;
pub mod clock;
pub mod cpu;
pub mod engine;
pub mod flows;
pub mod hostile;
pub mod leg;
pub mod measure;
pub mod member;
pub mod mix;
pub mod orders;
mod pacer;
pub mod program;
pub mod search;
pub mod self_check;
pub mod signed_in;
mod sink;
pub mod steady;
