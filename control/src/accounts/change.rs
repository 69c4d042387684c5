//! People change their own passwords.

use super::guard::{Guess, Origin};
use super::manage::AccountError;
use super::model::{AccountRecord, account_key};
use super::rules::{self, BadPassword};
use super::{Accounts, Revision, SignInRefusal, StoreError};
use crate::clock::Now;
use crate::sessions::{AccountKey, Revocation};
use crate::store::{Expected, Transaction, encode};
use kakehashi_wire::secret::Password;

/// Why a password was not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeRefusal {
    /// The password until now is another.
    #[error("the old password is wrong")]
    WrongPassword,
    /// The new one is the old one.
    #[error("the new password is the old one: choose another")]
    Same,
    /// The new one is not taken.
    #[error(transparent)]
    Bad(#[from] BadPassword),
    /// Too many wrong ones, or too much to do.
    #[error("too many attempts: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The store does not answer; the log says why.
    #[error("the store does not answer: try again later")]
    StoreUnavailable,
}

impl From<SignInRefusal> for ChangeRefusal {
    fn from(refusal: SignInRefusal) -> Self {
        match refusal {
            SignInRefusal::BadCredentials => Self::WrongPassword,
            SignInRefusal::Busy { retry_after_ms } => Self::Busy { retry_after_ms },
            SignInRefusal::StoreUnavailable => Self::StoreUnavailable,
        }
    }
}

impl From<AccountError> for ChangeRefusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Busy { retry_after_ms } => Self::Busy { retry_after_ms },
            error => {
                tracing::error!(event = "password_change_failed", %error,
                    "a password could not be changed");
                Self::StoreUnavailable
            }
        }
    }
}

impl From<StoreError> for ChangeRefusal {
    fn from(error: StoreError) -> Self {
        AccountError::from(error).into()
    }
}

impl Accounts {
    /// Changes the password of `account` from `old` to `new`, which is for good, and raises the
    /// account's epoch, so that nothing granted with the old one counts any longer. Wrong ones are
    /// limited as for a device that the account knows. Sessions that are there end with what is
    /// returned.
    pub async fn change_password(
        &self,
        account: AccountKey,
        old: &Password,
        new: Password,
        now: impl Fn() -> Now,
    ) -> Result<Revocation, ChangeRefusal> {
        let key = account_key(account.tenant, account.account);
        let found: Option<(AccountRecord, Revision)> = self.read(&key).await?;
        let (mut record, revision) = found.ok_or(ChangeRefusal::WrongPassword)?;
        if !record.account.standing.is_active() {
            return Err(ChangeRefusal::WrongPassword);
        }
        let guess = Guess { tenant: "", login: "", from: Origin::Session(account) };
        if !self.guess(guess, old, &record.password, now).await? {
            return Err(ChangeRefusal::WrongPassword);
        }
        if new.expose() == old.expose() {
            return Err(ChangeRefusal::Same);
        }
        let tenant = self.tenant(account.tenant).await?;
        rules::check(&new, &tenant.name, &record.account.login)?;
        record.password = self.hash(new).await?;
        record.one_time = false;
        record.account.epoch += 1;
        // Who else changed the account meanwhile may have given it another password: `old` would
        // have to be checked anew.
        let change = Transaction::new()
            .compare(key.clone(), Expected::At(revision))
            .put(key, encode(&record));
        self.store.transact(change).await?;
        Ok(Revocation::of_password(account, record.account.epoch))
    }
}
