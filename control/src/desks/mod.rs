//! Desks: who answers for many, who waits, and whose turn it is. Pure.
//!
//! **A call waits at one desk at a time; whoever has waited longest is first; of the free agents it
//! is offered to those whose turn it is.** The core hands in the time and says who is free; nothing
//! here knows of sessions or of the store.

mod desk;

pub use desk::{Agent, BadDesk, Desk, DeskChange, Overflow, OverflowChange, RingOrder};
