//! Desks: who answers for many, who waits, and whose turn it is. Pure.
//!
//! **A call waits at one desk at a time; whoever has waited longest is first; of the free agents it
//! is offered to those whose turn it is.** The core hands in the time and says who is free; nothing
//! here knows of sessions or of the store.
//!
//! ```text
//!           +--------------------- passed by its agents ----------------+
//!           v                                                           |
//!  enter -> waits, in the order of `since` --- next_offer ---> rings at agents --> leave
//!           |        ^                                                  |
//!           +--------+ overflow: to another desk, keeping its `since`   +--> leave (given up)
//! ```

mod desk;
mod floor;
mod lane;
mod wrap_up;

pub use desk::{Agent, BadDesk, Desk, DeskChange, Overflow, OverflowChange, RingOrder};
pub use floor::{DeskId, Desks, Offer, Place, Staff, Told, Waited};
pub use wrap_up::WrapUps;
