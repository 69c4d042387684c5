//! Calls: their states, their members, their keys. Pure.

mod call;
mod media;
mod member;
mod receives;
mod registry;
mod state;

pub use call::{CALLEE, CALLER, Call, Crossing, Received};
pub use media::{CallMedia, NewLife, Offers, Ssrcs};
pub use member::{Member, MemberEvent, MemberStep, Phase, Standing};
pub use receives::{Manner, limits, subscriptions};
pub use registry::Calls;
pub use state::{Event, State, Step, step};
