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
        reason = "tests may fail by panicking"
    )
)]

pub mod batch_socket;
pub mod clock;
pub mod hostile;
pub mod leg;
pub mod program;
pub mod signed_in;
pub mod steady;
