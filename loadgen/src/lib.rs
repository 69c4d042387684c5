//! Traffic for a relay that is under test: many legs with realistic mixes, how much a relay
//! carries, authentic packets at a steady rate ([`steady`]), what still arrives of who was
//! suspended ([`suspend`]), relays that die under calls ([`failover`]), strangers who sign in
//! without end ([`storm`]) and honest terminals beside them ([`honest`]), as many terminals as a
//! node takes ([`bare`]), and what an attacker would send ([`hostile`]). And the outside [`probe`],
//! which is no load: it places real calls for ever and names what is wrong.
//!
//! A load begins with a [`mix`]; [`engine`] drives it with one thread that sends on schedule and
//! one that opens every packet; [`conduct`] watches, [`report`] tells. Calls come from control, as
//! any terminal's do ([`real_calls`]), or from a file of [`orders`] for a relay alone. Hostile
//! traffic is only ever sent to the loopback address.
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
mod at_once;
pub mod bare;
pub mod batch_socket;
pub mod capacity;
pub mod clock;
pub mod conduct;
pub mod cpu;
pub mod desk;
pub mod engine;
pub mod failover;
pub mod flows;
pub mod honest;
pub mod hostile;
pub mod leg;
pub mod local_relay;
pub mod measure;
pub mod member;
pub mod mix;
pub mod operator;
pub mod orders;
mod pacer;
pub mod probe;
pub mod program;
pub mod real_calls;
pub mod report;
pub mod search;
pub mod self_check;
pub mod signed_in;
mod sink;
pub mod steady;
pub mod storm;
pub mod suspend;
