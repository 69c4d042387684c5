//! How the store is: what an operator looks at when it does not answer.

use super::{Engine, Revision};
use serde::{Deserialize, Serialize};

/// The store as it was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// What keeps it.
    pub engine: Engine,
    /// How far it has come; none if it does not answer.
    pub revision: Option<Revision>,
    /// Why it does not answer.
    pub problem: Option<String>,
    /// Its members; none if it is one file.
    pub members: Vec<MemberCondition>,
}

/// One member of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberCondition {
    /// Its URL, as in the settings.
    pub name: String,
    /// Why it is of no use now.
    pub problem: Option<String>,
    /// Its version; empty if it does not answer.
    pub version: String,
    /// Whether it leads the others.
    pub is_leader: bool,
    /// The size of its file in bytes.
    pub bytes: u64,
}
