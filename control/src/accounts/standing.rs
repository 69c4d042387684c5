//! Suspending accounts, devices and tenants, and letting them in again.

use super::manage::AccountError;
use super::model::{
    AccountRecord, LoginRecord, Standing, SuspendedDevice, Tenant, account_key, login_key,
    tenant_key,
};
use super::names::{self, Login};
use super::{ATTEMPTS, Accounts, Revision, StoreError};
use crate::capacity::SUSPENDED_DEVICES_MAX;
use crate::clock::UnixMs;
use crate::policy::{TenantLimits, TenantRules};
use crate::sessions::{AccountKey, Revocation, Whom};
use crate::store::{Expected, Key, Record, Transaction, encode, hex_id};
use kakehashi_wire::id::{DeviceId, TenantId};
use kakehashi_wire::terminal::{Role, SessionEnd};
use serde::{Deserialize, Serialize};

/// Who is suspended or activated again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "whom", rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// All accounts of a tenant.
    Tenant {
        /// The tenant's name.
        tenant: String,
    },
    /// An account.
    Account {
        /// The tenant's name.
        tenant: String,
        /// The login ID.
        login: String,
    },
    /// An account on one device.
    Device {
        /// The tenant's name.
        tenant: String,
        /// The login ID.
        login: String,
        /// The device, as it names itself at sign-in.
        #[serde(with = "hex_id")]
        device: DeviceId,
    },
}

/// A tenant as it was at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// Of two times, the later has the greater one.
    pub revision: Revision,
}

impl Accounts {
    /// Suspends from now on: no new sign-in counts once this returns. Sessions that are there end
    /// with what is returned. Whoever is suspended already stays so, since when it was; a reason
    /// that is given takes the place of the one there is.
    ///
    /// # Errors
    /// [`AccountError`] if there is nobody of that name, the reason cannot be, or nothing could be
    /// written.
    pub async fn suspend(
        &self,
        subject: &Subject,
        reason: Option<&str>,
        now: UnixMs,
    ) -> Result<Revocation, AccountError> {
        let reason = reason.map(names::reason).transpose().map_err(AccountError::Reason)?;
        let suspended =
            &Standing::Suspended { since: now, reason: reason.clone(), media_ended: None };
        let (whom, epoch) = match subject {
            Subject::Tenant { tenant: name } => {
                let changed = self.change_tenant(name, |tenant| set(tenant, suspended)).await?;
                let tenant = changed.record;
                (Whom::Tenant(tenant.id), tenant.epoch)
            }
            Subject::Account { tenant, login } => {
                let change = |record: &mut AccountRecord| Ok(set(record, suspended));
                let Changed { record, .. } = self.change_account(tenant, login, change).await?;
                (Whom::Account(key(&record)), record.account.epoch)
            }
            Subject::Device { tenant, login, device } => {
                let change = |record: &mut AccountRecord| {
                    suspend_device(record, *device, reason.as_deref(), now)
                };
                let Changed { record, .. } = self.change_account(tenant, login, change).await?;
                self.forget(key(&record), *device).await?;
                (Whom::Device(key(&record), *device), record.account.devices_epoch)
            }
        };
        Ok(Revocation { whom, epoch, why: SessionEnd::Suspended })
    }

    /// Keeps with a suspension when its media ended; of several times the latest. Whoever is not
    /// suspended any more stays as it is.
    ///
    /// # Errors
    /// [`AccountError`] if there is nobody of that name, or nothing could be written.
    pub async fn note_media_end(
        &self,
        subject: &Subject,
        ended: UnixMs,
    ) -> Result<(), AccountError> {
        match subject {
            Subject::Tenant { tenant: name } => {
                let change = |tenant: &mut Tenant| ended_in(&mut tenant.standing, ended);
                self.change_tenant(name, change).await?;
            }
            Subject::Account { tenant, login } => {
                let change =
                    |record: &mut AccountRecord| Ok(ended_in(&mut record.account.standing, ended));
                self.change_account(tenant, login, change).await?;
            }
            Subject::Device { tenant, login, device } => {
                let change = |record: &mut AccountRecord| {
                    let mut devices = record.account.suspended_devices.iter_mut();
                    let known = devices.find(|known| known.device == *device);
                    Ok(known.is_some_and(|known| later(&mut known.media_ended, ended)))
                };
                self.change_account(tenant, login, change).await?;
            }
        }
        Ok(())
    }

    /// Lets sign in again whoever was suspended. Each suspension ends by itself: of a suspended
    /// tenant's accounts, those that were suspended alone stay so.
    ///
    /// # Errors
    /// [`AccountError`] if there is nobody of that name, or nothing could be written.
    pub async fn reactivate(&self, subject: &Subject) -> Result<(), AccountError> {
        match subject {
            Subject::Tenant { tenant: name } => {
                self.change_tenant(name, |tenant| set(tenant, &Standing::Active)).await?;
            }
            Subject::Account { tenant, login } => {
                let change = |record: &mut AccountRecord| Ok(set(record, &Standing::Active));
                self.change_account(tenant, login, change).await?;
            }
            Subject::Device { tenant, login, device } => {
                let change = |record: &mut AccountRecord| {
                    let devices = &mut record.account.suspended_devices;
                    let before = devices.len();
                    devices.retain(|suspended| suspended.device != *device);
                    Ok(devices.len() != before)
                };
                self.change_account(tenant, login, change).await?;
            }
        }
        Ok(())
    }

    /// Gives an account another role. Sessions that are there end with what is returned: what they
    /// were granted is not what they may do now. None if it has that role already.
    ///
    /// # Errors
    /// [`AccountError`] if there is nobody of that name, or nothing could be written.
    pub async fn set_role(
        &self,
        tenant: &str,
        login: &str,
        role: Role,
    ) -> Result<Option<Revocation>, AccountError> {
        let change = |record: &mut AccountRecord| {
            let is_other = record.account.role != role;
            record.account.role = role;
            record.account.epoch += u64::from(is_other);
            Ok(is_other)
        };
        let Changed { record, is_changed, .. } = self.change_account(tenant, login, change).await?;
        let (whom, epoch) = (Whom::Account(key(&record)), record.account.epoch);
        Ok(is_changed.then_some(Revocation { whom, epoch, why: SessionEnd::RoleChanged }))
    }

    /// Gives a tenant other limits or other rules; what is not given stays.
    ///
    /// # Errors
    /// [`AccountError`] if there is no tenant of that name, it cannot be so, or nothing could be
    /// written.
    pub async fn set_policy(
        &self,
        tenant: &str,
        limits: Option<TenantLimits>,
        rules: Option<TenantRules>,
    ) -> Result<KnownTenant, AccountError> {
        limits.as_ref().map_or(Ok(()), TenantLimits::check)?;
        rules.as_ref().map_or(Ok(()), TenantRules::check)?;
        let change = |tenant: &mut Tenant| {
            let before = tenant.clone();
            tenant.limits = limits.unwrap_or(before.limits);
            tenant.rules = rules.clone().unwrap_or_else(|| before.rules.clone());
            *tenant != before
        };
        let Changed { record, revision, .. } = self.change_tenant(tenant, change).await?;
        Ok(KnownTenant { tenant: record, revision })
    }

    async fn change_tenant(
        &self,
        name: &str,
        change: impl Fn(&mut Tenant) -> bool,
    ) -> Result<Changed<Tenant>, AccountError> {
        let id = self.tenant_id(name).await?;
        let absent = || AccountError::NoSuchTenant(name.to_owned());
        self.change(&tenant_key(id), absent, |tenant| Ok(change(tenant))).await
    }

    async fn change_account(
        &self,
        tenant: &str,
        login: &str,
        change: impl Fn(&mut AccountRecord) -> Result<bool, AccountError>,
    ) -> Result<Changed<AccountRecord>, AccountError> {
        let tenant = self.tenant_id(tenant).await?;
        let login = Login::parse(login).map_err(AccountError::Login)?;
        let absent = || AccountError::NoSuchAccount(login.to_string());
        let found: Option<(LoginRecord, Revision)> = self.read(&login_key(tenant, &login)).await?;
        let (LoginRecord { account }, _) = found.ok_or_else(absent)?;
        self.change(&account_key(tenant, account), absent, change).await
    }

    /// Changes a record if `change` says that it did; asks again if somebody else was faster.
    async fn change<T: Record>(
        &self,
        key: &Key,
        absent: impl Fn() -> AccountError,
        change: impl Fn(&mut T) -> Result<bool, AccountError>,
    ) -> Result<Changed<T>, AccountError> {
        for _ in 0..ATTEMPTS {
            let found: Option<(T, Revision)> = self.read(key).await?;
            let (mut record, revision) = found.ok_or_else(&absent)?;
            if !change(&mut record)? {
                return Ok(Changed { record, is_changed: false, revision });
            }
            let write = Transaction::new()
                .compare(key.clone(), Expected::At(revision))
                .put(key.clone(), encode(&record));
            match self.store.transact(write).await {
                Ok(revision) => return Ok(Changed { record, is_changed: true, revision }),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Store(StoreError::Conflict))
    }

    async fn tenant_id(&self, name: &str) -> Result<TenantId, AccountError> {
        let absent = || AccountError::NoSuchTenant(name.to_owned());
        let name = Login::of_house(name).map_err(AccountError::TenantName)?;
        self.id_of(&name).await?.ok_or_else(absent)
    }
}

/// A record as it is now.
struct Changed<T> {
    record: T,
    is_changed: bool,
    revision: Revision,
}

/// What can be suspended as a whole.
trait Suspendable {
    fn parts(&mut self) -> (&mut Standing, &mut u64);
}

impl Suspendable for Tenant {
    fn parts(&mut self) -> (&mut Standing, &mut u64) {
        (&mut self.standing, &mut self.epoch)
    }
}

impl Suspendable for AccountRecord {
    fn parts(&mut self) -> (&mut Standing, &mut u64) {
        (&mut self.account.standing, &mut self.account.epoch)
    }
}

/// Gives it another standing; `false` if it has that already. A suspension raises the epoch.
fn set(it: &mut impl Suspendable, to: &Standing) -> bool {
    let (standing, epoch) = it.parts();
    match (&mut *standing, to) {
        (Standing::Active, Standing::Active) => return false,
        (Standing::Suspended { reason, .. }, Standing::Suspended { reason: given, .. }) => {
            return replace(reason, given.as_deref());
        }
        (Standing::Active, Standing::Suspended { .. }) => *epoch += 1,
        (Standing::Suspended { .. }, Standing::Active) => {}
    }
    *standing = to.clone();
    true
}

/// Puts the reason that is given in the place of the one there is; `false` if nothing changes.
fn replace(reason: &mut Option<String>, given: Option<&str>) -> bool {
    let is_other = given.is_some() && given != reason.as_deref();
    if is_other {
        *reason = given.map(str::to_owned);
    }
    is_other
}

fn ended_in(standing: &mut Standing, ended: UnixMs) -> bool {
    match standing {
        Standing::Active => false,
        Standing::Suspended { media_ended, .. } => later(media_ended, ended),
    }
}

/// Puts the later of two times; `false` if it is there.
fn later(known: &mut Option<UnixMs>, ended: UnixMs) -> bool {
    let is_later = *known < Some(ended);
    *known = (*known).max(Some(ended));
    is_later
}

fn suspend_device(
    record: &mut AccountRecord,
    device: DeviceId,
    reason: Option<&str>,
    now: UnixMs,
) -> Result<bool, AccountError> {
    let account = &mut record.account;
    let devices = &mut account.suspended_devices;
    if let Some(known) = devices.iter_mut().find(|known| known.device == device) {
        return Ok(replace(&mut known.reason, reason));
    }
    if devices.len() >= SUSPENDED_DEVICES_MAX as usize {
        return Err(AccountError::Limit(SUSPENDED_DEVICES_MAX, "suspended devices of an account"));
    }
    let reason = reason.map(str::to_owned);
    devices.push(SuspendedDevice { device, since: now, reason, media_ended: None });
    account.devices_epoch += 1;
    Ok(true)
}

fn key(record: &AccountRecord) -> AccountKey {
    AccountKey { tenant: record.account.tenant, account: record.account.id }
}
