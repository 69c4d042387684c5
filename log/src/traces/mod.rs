//! Traces: what is logged of a call, sent to a collector of OpenTelemetry as spans (OTLP over
//! HTTP).
//!
//! Nothing is measured for them that the log does not say. A record with the field `call` becomes a
//! span of the trace that has the call's number; terminal, control and relay know that number, so
//! that their spans meet at the collector with nothing handed from one to the other.

#[cfg(feature = "otel")]
mod send;
#[cfg(feature = "otel")]
mod span;

#[cfg(feature = "otel")]
pub(crate) use send::Traces;

use serde::{Deserialize, Serialize};

/// `[traces]` in the settings of a program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where spans of calls are sent: an OpenTelemetry collector that takes OTLP over HTTP, such as
    /// `http://127.0.0.1:4318/v1/traces`. Nowhere if it is empty. It is to be on this machine or in
    /// a network of the operator's: they are sent in the clear.
    pub collector: String,
}

/// Who sends spans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The program: `relay`, `control`, `terminal`.
    pub program: &'static str,
    /// Which of them, as the operator names it.
    pub instance: String,
}

/// Why no spans can be sent there.
#[derive(Debug, thiserror::Error)]
pub enum NoTraces {
    /// This program cannot.
    #[error(
        "this program was built without traces: leave it empty, or build it with `--features otel`"
    )]
    NotBuilt,
    /// It is no such address.
    #[error("is no address of a collector; try \"http://127.0.0.1:4318/v1/traces\"")]
    Address,
    /// The system gives no thread for it.
    #[error("nothing can be sent: {0}")]
    Sending(String),
}

#[cfg(all(test, not(feature = "otel")))]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_traces_says_so() {
        let settings = Settings { collector: "http://127.0.0.1:4318/v1/traces".into() };
        let sender = Sender { program: "relay", instance: "1".into() };
        let error = crate::start(("info", crate::Format::Text), &settings, &sender).unwrap_err();
        assert!(error.to_string().contains("--features otel"), "{error}");
    }
}
