//! Tests of store, accounts, certificates and local admin through their public interface.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "tests may fail by panicking"
)]

mod accounts;
mod admin;
mod archive;
mod audit;
#[cfg(feature = "etcd")]
#[path = "../shared/etcd.rs"]
mod cluster;
mod conformance;
mod crash;
#[cfg(feature = "etcd")]
mod etcd;
mod full;
mod moving;
#[path = "../shared/namespace.rs"]
mod namespace;
mod pki;
mod resume;
#[cfg(feature = "s3")]
mod s3;
mod schema;
mod store;
