//! The relays: which legs each should hold, which it does hold, and the difference as orders.
//!
//! `plan` and `relay` are pure; [`link`] is the connection.
//!
//! A fleet orders in the term of its node as the one that leads. Relays tell of a newer term by
//! their heartbeats, or by refusing orders: such a relay is not ordered any more, and whoever holds
//! the fleet hears of it ([`Fleet::newer_term`]). A relay's word is a reason to look into the
//! store, not a proof.

mod generations;
pub mod link;
mod load;
mod plan;
mod relay;
mod removals;
mod roster;
mod wanted;

pub use generations::Generations;
pub use plan::Plan;
pub use relay::Relay;
pub use removals::Removals;
pub use roster::{Fleet, LegNews, ToLink, Together};
pub use wanted::{Standing, WantedLeg};

/// One connection of a relay. A relay that connects again gets another number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);
