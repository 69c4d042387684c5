//! The link to control: orders come in over QUIC, go to the shards through bounded mailboxes, and
//! their outcomes, the relay's load and its counters go back.
//!
//! Legs do not depend on the link: while control is away they live on, each until its lifetime
//! ends.

pub mod bell;
mod conversation;
pub mod desk;
mod dispatch;
pub mod file;
mod frames;
pub mod link;
#[cfg(test)]
mod link_tests;
pub mod lost;
pub mod mailbox;
pub mod report;
mod tls;
