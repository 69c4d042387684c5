//! Calls: their states, their members, their keys. Pure.

mod at_desk;
mod call;
mod heard;
mod live;
mod media;
mod member;
mod receives;
mod registry;
mod round;
mod state;

pub use at_desk::{AtDesk, DeskAsk, Ringing};
pub use call::{Apart, CALLEE, CALLER, Call, Crossing, Entered, Merging, Received, Restart};
pub use heard::{Heard, QualitySample};
pub use live::{Ages, Around, Kept, LIVE_VERSION, LegLife, Live, NoLive};
pub use media::{CallMedia, InUse, Joining, Known, NewLife, Offers, Protected, Round, Ssrcs};
pub use member::{Answers, Brought, Member, MemberEvent, MemberStep, Phase, Standing};
pub use receives::{Manner, limits, subscriptions};
pub use registry::Calls;
pub use round::Rounds;
pub use state::{Event, State, Step, step};
