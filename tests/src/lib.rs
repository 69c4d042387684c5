//! Helpers of the tests that need more than one crate; the tests themselves lie in `tests/tests`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may fail by panicking"))]

pub mod children;
pub mod collector;
pub mod console;
pub mod debian;
pub mod dependencies;
pub mod detour;
pub mod ethernet;
pub mod forwarder;
pub mod gstreamer;
pub mod party;
pub mod platform;
pub mod python;
pub mod scrape;
pub mod talk;
pub mod tidy;
pub mod typed;
pub mod way;
