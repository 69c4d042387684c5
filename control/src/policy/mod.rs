//! Decides what is allowed: facts in, verdict with its reason out. Pure.
//!
//! The tenant in every fact comes from a session, never from a request.

mod call;
mod conference;
mod desk;
mod desks;
mod hours;
mod media;
mod request;
mod role;
mod roles;
mod software;
mod streams;
mod tenant;

pub use call::{CallFacts, Callee, Engaged, MayCall, may_call};
pub use conference::{AddFacts, ListenFacts, MergeFacts, may_add, may_listen, may_merge};
pub use desk::{AddDeskFacts, DeskFacts, may_add_desk, may_call_desk};
pub use desks::Desks;
pub use hours::{Hours, Span};
pub use media::{Isolation, MediaFacts, MediaTerms, media_terms};
pub use request::{Counts, Facts, Reason, Target, Verdict, may};
pub use role::{Act, Rank};
pub(crate) use roles::role_name;
pub use roles::{PerRole, Roles};
pub use software::Version;
pub use streams::acceptable;
pub use tenant::{BadPolicy, Lane, Protection, TenantLimits, TenantPolicy, TenantRules};
