//! A sign of life that a terminal asks for.

use crate::message::Check;
use rkyv::{Archive, Deserialize, Serialize};

/// Says nothing: whoever waits for control sees by QUIC's acknowledgement that it is still there.
/// No answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Ping {
    /// The terminal's own clock in milliseconds, from any beginning; of no meaning to control.
    pub at_ms: u64,
}

impl Check for Ping {}
