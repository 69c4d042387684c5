//! What terminals say of the media that they heard, and of the ways it came.

use crate::id::{CallId, RelayId};
use crate::limits::RELAYS_PER_CALL_MAX;
use crate::message::{Check, at_most};
use rkyv::{Archive, Deserialize, Serialize};

/// How a call's media arrived so far, summed over its streams. No answer.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct ReportQuality {
    /// Which call.
    pub call: CallId,
    /// Packets this terminal sent.
    pub packets_sent: u64,
    /// Packets this terminal received and authenticated, without repeats.
    pub packets_received: u64,
    /// Packets that never arrived, by sequence number.
    pub packets_lost: u64,
    /// Interarrival jitter (RFC 3550 6.4.1) in microseconds, the worst stream's.
    pub jitter_us: u32,
    /// Round trip to the other terminal in microseconds; 0 while unknown.
    pub round_trip_us: u32,
    /// Packets of voice that were not there when their turn came to be heard, whether they came
    /// later or never: what was heard instead was made up.
    pub packets_concealed: u64,
    /// The ways to the call's relays, as far as this terminal has measured them.
    pub ways: Vec<WayToRelay>,
}

/// How far a relay of the call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct WayToRelay {
    /// Which relay.
    pub relay: RelayId,
    /// Time to it and back in microseconds, of the last answered check; 0 while unknown.
    pub round_trip_us: u32,
}

impl Check for ReportQuality {
    fn check(&self) -> Result<(), &'static str> {
        at_most("ways", self.ways.len(), RELAYS_PER_CALL_MAX)
    }
}
