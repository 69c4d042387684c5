//! The relays: which legs each should hold, which it does hold, and the difference as orders.
//!
//! `plan` and `relay` are pure; [`link`] is the connection.

mod generations;
pub mod link;
mod load;
mod plan;
mod relay;
mod roster;
mod wanted;

pub use generations::Generations;
pub use plan::Plan;
pub use relay::Relay;
pub use roster::{Fleet, LegNews, ToLink, Together};
pub use wanted::{Standing, WantedLeg};

/// One connection of a relay. A relay that connects again gets another number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);
