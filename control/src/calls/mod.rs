//! Calls: their states, their members, their keys. Pure.

mod call;
mod media;
mod registry;
mod state;

pub use call::{Call, Member};
pub use media::{CallMedia, NewLife, Offers, Ssrcs};
pub use registry::Calls;
pub use state::{Event, State, Step, step};
