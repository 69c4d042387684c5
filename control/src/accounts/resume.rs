//! Whether a session may be resumed: three reads, and no password.

use super::guard::{Guess, Origin, Outcome, TooOften};
use super::model::{AccountRecord, account_key, tenant_key};
use super::trial::Trial;
use super::{Accounts, StoreError, Tenant, Verified};
use crate::clock::Now;
use crate::sessions::{AccountKey, Epochs, TokenClaims};
use kakehashi_wire::id::DeviceId;

/// Why a session is not resumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResumeRefusal {
    /// What was granted counts no longer, or never did.
    #[error("the session cannot be resumed: sign in with the password")]
    Expired,
    /// The device resumes too often.
    #[error("too many attempts: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The store does not answer; the log says why.
    #[error("the store does not answer: try again later")]
    StoreUnavailable,
}

impl Accounts {
    /// Whose session a token is for, if it still counts: nobody concerned has been suspended since,
    /// the password is the same, and the account knows the device. That the token is control's and
    /// has not expired, and that the device holds its key, is the caller's to check.
    ///
    /// # Errors
    /// [`ResumeRefusal`].
    pub async fn resume(&self, claims: &TokenClaims, now: Now) -> Result<Verified, ResumeRefusal> {
        self.pace(claims, now)?;
        let verified = self.still_granted(claims).await.map_err(|error| {
            tracing::error!(event = "token_check_failed", %error, "a token could not be checked");
            ResumeRefusal::StoreUnavailable
        })?;
        verified.ok_or(ResumeRefusal::Expired)
    }

    /// Each attempt counts, good or not.
    fn pace(&self, claims: &TokenClaims, now: Now) -> Result<(), ResumeRefusal> {
        let from = Origin::Token(claims.account, claims.device);
        let guess = Guess { tenant: "", login: "", from };
        let admitted = Trial::begin((&self.guard, None), guess, || now);
        admitted.map(|attempt| attempt.end(Outcome::Wrong)).map_err(|TooOften { retry_after }| {
            ResumeRefusal::Busy {
                retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
            }
        })
    }

    /// Whether what was granted to `account` on `device` in these epochs still counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn still_counts(
        &self,
        account: AccountKey,
        device: DeviceId,
        granted: Epochs,
    ) -> Result<bool, StoreError> {
        let AccountKey { tenant, account } = account;
        let keys = (tenant_key(tenant), account_key(tenant, account));
        let (about, record) =
            tokio::try_join!(self.read::<Tenant>(&keys.0), self.read::<AccountRecord>(&keys.1))?;
        let Some(((record, _), (about, _))) = record.zip(about) else { return Ok(false) };
        let is_active = record.account.standing.is_active() && about.standing.is_active();
        let verified = Verified::of(record, about);
        let (now, then) = (verified.epochs, granted);
        let counts = (now.tenant, now.account) == (then.tenant, then.account);
        Ok(is_active && counts && verified.may_use(device))
    }

    async fn still_granted(&self, claims: &TokenClaims) -> Result<Option<Verified>, StoreError> {
        let (about, record, devices) = self.records_of(claims.account).await?;
        let Some(((record, about), devices)) = record.zip(about).zip(devices) else {
            return Ok(None);
        };
        let is_active = record.account.standing.is_active() && about.standing.is_active();
        let mut verified = Verified::of(record, about);
        verified.grant = devices.grant_of(claims.device, claims.device_key).unwrap_or(0);
        let counts = is_active
            && !verified.must_change
            && claims.counts_in(verified.epochs)
            && verified.may_use(claims.device)
            && (verified.grant > 0 && verified.grant == claims.grant);
        Ok(counts.then_some(verified))
    }
}
