//! One leg: its parts side by side. What concerns a single part lives in that part's file.

use super::calls::CallSlot;
use super::latch::Latch;
use super::streams::Streams;
use crate::tick::Tick;
use kakehashi_wire::id::{Generation, LegId};
use kakehashi_wire::secret::IcePassword;

/// A terminal's presence in a call, as this shard needs it.
pub struct Leg {
    pub(super) id: LegId,
    /// Written by orders.
    pub(super) generation: Generation,
    pub(super) call: CallSlot,
    pub(super) passwords: Passwords,
    pub(super) ends: Tick,
    /// Written by authentic packets.
    pub(super) latch: Latch,
    pub(super) streams: Streams,
}

/// The two short-term credentials of a leg (RFC 8489 9.1).
pub struct Passwords {
    /// Keys the terminal's binding requests and the relay's answers.
    pub relay: IcePassword,
    /// Keys the relay's challenges and the terminal's answers.
    pub terminal: IcePassword,
}

impl Leg {
    /// Its number.
    pub fn id(&self) -> LegId {
        self.id
    }

    /// Whether its lifetime is over.
    pub fn has_ended(&self, now: Tick) -> bool {
        self.ends <= now
    }

    /// Where it is.
    pub fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Where it is, to be told of an authentic event.
    pub fn latch_mut(&mut self) -> &mut Latch {
        &mut self.latch
    }

    /// Its STUN credentials.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }
}
