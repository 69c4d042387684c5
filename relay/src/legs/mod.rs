//! What a shard knows of its legs: pure state, changed by orders and by authenticated packets.

mod apply;
mod calls;
mod expiry;
mod hash;
pub mod latch;
pub mod leg;
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
pub use resync::{ResyncCursor, Wanted};
pub use slots::Slot;
pub use table::LegTable;
