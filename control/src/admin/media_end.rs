//! When the media of whoever was suspended ended.

use super::relay_numbers;
use crate::clock::UnixMs;
use kakehashi_wire::id::RelayId;
use serde::{Deserialize, Serialize};

/// What became of the media of whose rights ended. All times are of one control node's clock: of
/// relays' clocks only differences are taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MediaEnd {
    /// When the relays were told to remove its legs.
    pub ordered: UnixMs,
    /// Its legs, at all relays; 0 if it was in no call.
    pub legs: usize,
    /// When a relay sent on media of it last, at the latest: what the relay says it was before the
    /// removal, from when its answer came. None if none was sent on, or no relay has said.
    pub ended: Option<UnixMs>,
    /// The relays that have removed all its legs.
    #[serde(with = "relay_numbers")]
    pub confirmed: Vec<RelayId>,
    /// The relays that are away or did not answer in time. They may send on until they are back, or
    /// the legs' lifetime ends.
    #[serde(with = "relay_numbers")]
    pub silent: Vec<RelayId>,
}
