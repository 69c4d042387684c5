//! The relays: which legs each should hold, which it does hold, and the difference as orders.
//!
//! `plan` and `relay` are pure; [`link`] is the connection.

mod generations;
pub mod link;
mod plan;
mod relay;
mod roster;

pub use generations::Generations;
pub use plan::{Plan, Standing, WantedLeg};
pub use relay::Relay;
pub use roster::{Fleet, LegNews, ToLink, Together};

/// One connection of a relay. A relay that connects again gets another number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);
