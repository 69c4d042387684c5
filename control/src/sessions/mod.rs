//! Who is signed in, and who is told about it. Pure.

mod detached;
mod presence;
mod pushes;
mod registry;
mod revoked;
mod tally;
mod token;

pub use detached::Detached;
pub use kakehashi_wire::node::{AccountKey, Epochs, Revocation, Whom};
pub use presence::Presences;
pub(crate) use presence::pages;
pub use pushes::Pushes;
pub use registry::{Admission, Registry, Session};
pub use revoked::Revoked;
pub use tally::Tally;
pub use token::{TOKEN_KEY_BYTES, TokenClaims, TokenKey};
