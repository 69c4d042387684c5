//! The link to control: orders come in over QUIC, go to the shards through bounded mailboxes, and
//! their outcomes, the relay's load and its counters go back.

pub mod bell;
pub mod desk;
// pub mod link;
pub mod mailbox;
pub mod report;
