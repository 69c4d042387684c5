//! The machine: what it offers, and which shard runs where.

mod admission;
mod check;
mod doctor;
mod firewall;
mod nic;
pub(crate) mod routes;
mod topology;

pub(crate) use admission::{Admission, Door};
pub use check::{HostError, check};
pub use doctor::{Finding, Judgement, NIC_ITEMS, examine};
pub(crate) use firewall::Firewall;
pub use firewall::FirewallError;
pub use nic::NicError;
pub(crate) use nic::{Nic, check_rights, find, forwards, offers_checksums};
pub use topology::{distribute, place};
