//! Why something was not done.

use super::NoLead;
use super::rights::NotAllowed;
use crate::accounts::AccountError;
use crate::archive::KeptError;
use crate::store::StoreError;

/// A request was not done. Nothing was changed, unless the message says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What kind of reason it is, for programs.
    pub why: Why,
    /// The reason, and what to do.
    pub message: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It cannot be as it was asked.
    Wrong,
    /// Whoever asks may not.
    NotAllowed,
    /// There is nothing of that name.
    Absent,
    /// What is there is in the way.
    Conflict,
    /// Not now; later it may be.
    Busy,
    /// Something failed that has nothing to do with the request.
    Failed,
}

impl Refused {
    /// There is no such thing.
    pub(crate) fn absent(message: String) -> Self {
        Self { why: Why::Absent, message }
    }

    /// Not now.
    pub(crate) fn busy(message: String) -> Self {
        Self { why: Why::Busy, message }
    }

    /// Something failed.
    pub(crate) fn failed(message: String) -> Self {
        Self { why: Why::Failed, message }
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        let why = match &error {
            AccountError::TenantName(_)
            | AccountError::Login(_)
            | AccountError::Display(_)
            | AccountError::Reason(_)
            | AccountError::DeskName(_)
            | AccountError::Desk(_)
            | AccountError::Password(_)
            | AccountError::Policy(_) => Why::Wrong,
            AccountError::NoSuchTenant(_)
            | AccountError::NoSuchAccount(_)
            | AccountError::NoSuchDesk(_) => Why::Absent,
            AccountError::Taken(_) | AccountError::Limit(..) => Why::Conflict,
            AccountError::Busy { .. } => Why::Busy,
            AccountError::Store(_) => Why::Failed,
        };
        Self { why, message: error.to_string() }
    }
}

impl From<NotAllowed> for Refused {
    fn from(error: NotAllowed) -> Self {
        match error {
            NotAllowed::Role(_) => Self { why: Why::NotAllowed, message: error.to_string() },
            NotAllowed::Tenant(error) => error.into(),
        }
    }
}

impl From<NoLead> for Refused {
    fn from(error: NoLead) -> Self {
        Self::busy(error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<KeptError> for Refused {
    fn from(error: KeptError) -> Self {
        Self::failed(error.to_string())
    }
}
