//! How an account stands now, for whoever was granted something before.

use super::model::{AccountRecord, account_key, tenant_key};
use super::{Accounts, Revision, StoreError, Tenant};
use crate::sessions::{AccountKey, Epochs};
use kakehashi_wire::terminal::Role;

/// An account that may sign in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Current {
    /// Its tenant's name.
    pub tenant: String,
    /// Its login ID.
    pub login: String,
    /// What it is for.
    pub role: Role,
    /// The epochs in which what is granted counts.
    pub epochs: Epochs,
}

impl Accounts {
    /// The account, if neither it nor its tenant is suspended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn current(&self, key: AccountKey) -> Result<Option<Current>, StoreError> {
        let AccountKey { tenant, account } = key;
        let about: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
        let found: Option<(AccountRecord, Revision)> =
            self.read(&account_key(tenant, account)).await?;
        let Some(((tenant, _), (record, _))) = about.zip(found) else { return Ok(None) };
        let account = record.account;
        let may = tenant.standing.is_active() && account.standing.is_active();
        Ok(may.then_some(Current {
            tenant: tenant.name,
            login: account.login,
            role: account.role,
            epochs: Epochs {
                tenant: tenant.epoch,
                account: account.epoch,
                devices: account.devices_epoch,
            },
        }))
    }
}
