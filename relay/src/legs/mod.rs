//! What a shard knows of its legs: pure state, changed by orders and by authenticated packets.

mod apply;
pub mod bucket;
mod calls;
pub mod downlink;
mod expiry;
mod guests;
mod hash;
mod index;
pub mod latch;
pub mod leg;
pub mod repair;
mod resync;
mod slots;
pub mod streams;
mod table;
mod tombstones;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod snapshot;

pub use apply::subject;
pub use calls::{Members, Position, Receivers};
pub use guests::Guest;
pub use resync::{ResyncCursor, Wanted};
pub use slots::Slot;
pub use table::{Identity, LegTable};
