//! Benchmarks: what single steps of a packet's or a message's way cost (`bench/benches`), and the
//! relay beside others at equal work ([`program`], started by `bench/peers/run`).
//!
//! ```text
//!  core 0                                  core 1
//!  generator: seals, sends     ------>     floor, relay, rtpengine or coturn
//!  sink: receives, opens       <------
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests may fail by panicking"
    )
)]

pub mod bencode;
pub mod chart;
pub mod contest;
pub mod cpu;
pub mod ends;
pub mod flood;
pub mod flooded;
pub mod frame;
pub mod frames;
pub mod measure;
pub mod medium;
pub mod nic;
pub mod program;
pub mod report;
pub mod subject;
pub mod table;
pub mod traffic;
pub mod turn;
pub mod workload;
