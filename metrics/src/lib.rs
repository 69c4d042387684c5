//! Shows the figures of a program to whoever scrapes them: plain HTTP, `GET /metrics`, as
//! OpenMetrics or as the older text format of Prometheus.
//!
//! Relay and control both have such a listener and know nothing of each other, so it is a crate of
//! its own. Figures are read when somebody asks; what counts them never waits for whoever reads.
//!
//! Nothing is asked of whoever reads: the listener is for the machine itself, or for a network that
//! only the operator's servers are in.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may fail by panicking"))]

pub mod capacity;
mod format;
mod listener;
mod page;
mod settings;

pub use format::Format;
pub use listener::{ListenError, Listener};
pub use page::{ALONE, Figures, Page};
pub use settings::Settings;

/// Everything a listener shows.
#[derive(Debug)]
pub struct Shown {
    registry: prometheus_client::registry::Registry,
    /// A JSON text beside the figures, and where it is.
    json: Option<(&'static str, Box<dyn Json>)>,
}

/// Whoever knows a JSON text.
pub trait Json: core::fmt::Debug + Send + Sync + 'static {
    /// The text, as it is now.
    fn json(&self) -> String;
}
