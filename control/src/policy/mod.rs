//! Decides what is allowed: facts in, verdict with its reason out. Pure.
//!
//! The tenant in every fact comes from a session, never from a request.

mod call;
mod conference;
mod media;
mod role;
pub(crate) mod role_name;
mod streams;

pub use call::{CallFacts, Callee, Engaged, MayCall, may_call};
pub use conference::{AddFacts, MergeFacts, may_add, may_merge};
pub use media::{Isolation, MediaFacts, MediaTerms, media_terms};
pub use role::{Act, Rank};
pub use streams::acceptable;
