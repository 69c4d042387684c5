//! Changing the own password.

use crate::id::RequestId;
use crate::limits::PASSWORD_BYTES_MAX;
use crate::message::{Check, at_most};
use crate::secret::Password;
use rkyv::{Archive, Deserialize, Serialize};

/// Changes the password of the session's account. Answer: [`Done`](super::Done). Then the session
/// ends with [`PasswordChanged`](super::SessionEnd::PasswordChanged), and the terminal signs in
/// with the new one.
#[derive(Archive, Serialize, Deserialize)]
pub struct ChangePassword {
    /// Pairs the answer.
    pub request: RequestId,
    /// The password until now.
    pub old: Password,
    /// The password from now on.
    pub new: Password,
}

impl Check for ChangePassword {
    fn check(&self) -> Result<(), &'static str> {
        at_most("old", self.old.expose().len(), PASSWORD_BYTES_MAX)?;
        at_most("new", self.new.expose().len(), PASSWORD_BYTES_MAX)
    }
}
