//! Who is signed in, and who is told about it. Pure.

mod detached;
mod presence;
mod pushes;
mod registry;
mod revoked;
mod tally;
mod token;

pub use detached::Detached;
pub use presence::Presences;
pub(crate) use presence::pages;
pub use pushes::Pushes;
pub use registry::{Admission, Registry, Session};
pub use revoked::{Epochs, Revocation, Revoked, Whom};
pub use tally::Tally;
pub use token::{TOKEN_KEY_BYTES, TokenClaims, TokenKeys};

use kakehashi_wire::id::{AccountId, TenantId};

/// An account with the tenant it belongs to: neither is used without the other.
#[derive(
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
)]
pub struct AccountKey {
    /// Its tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
}
