//! The links to control, one to each node: orders come in over QUIC from the node whose term is the
//! newest, go to the shards through bounded mailboxes, and their outcomes go back. The relay's load
//! and its counters go to all nodes.
//!
//! Legs do not depend on the links: while control is away they live on, each until its lifetime
//! ends.

pub mod bell;
mod conversation;
pub mod desk;
mod dispatch;
pub mod figures;
pub mod file;
mod frames;
pub mod link;
#[cfg(test)]
mod link_tests;
pub mod lost;
pub mod mailbox;
mod office;
pub mod report;
pub mod terms;
mod tls;
