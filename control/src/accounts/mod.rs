//! Tenants and accounts: adding, finding, and checking who somebody is.
//!
//! Sign-in tells nobody which part was wrong: an unknown tenant, an unknown login ID, a wrong
//! password and a suspension take the same reads, one hash of the same cost, and give the same
//! answer.

mod manage;
mod model;
pub mod names;
pub mod password;
mod pool;
mod standing;

pub use manage::{AccountError, Added, NewAccount};
pub use model::{Account, Standing, SuspendedDevice, Tenant, TenantLimits};
pub use standing::Subject;

use crate::capacity::HASH_QUEUE_PER_WORKER;
use crate::entropy::Entropy;
use crate::sessions::Epochs;
use crate::store::{Prefix, Record, Revision, SharedStore, Store, StoreError, decode, list};
use kakehashi_wire::id::{AccountId, DeviceId, TenantId};
use kakehashi_wire::limits::PASSWORD_BYTES_MAX;
use kakehashi_wire::secret::Password;
use model::{AccountRecord, LoginRecord, NameRecord, account_key, login_key, name_key, tenant_key};
use names::Login;
use password::StoredHash;
use pool::{Busy, Pool};

/// How accounts are checked.
#[derive(Clone)]
pub struct AccountsConfig {
    /// Password hashes at the same time.
    pub hash_jobs: u32,
    /// Password hashes that may wait.
    pub hash_queue: usize,
    /// Where identifiers, salts and one-time passwords come from.
    pub entropy: Entropy,
}

impl AccountsConfig {
    /// Half of the `cores` for hashing, at least one.
    pub fn for_cores(cores: usize, entropy: Entropy) -> Self {
        let jobs = (cores / 2).max(1);
        let hash_jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        Self { hash_jobs, hash_queue: jobs * HASH_QUEUE_PER_WORKER, entropy }
    }
}

/// Somebody who proved who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
    /// Its login ID, as it is kept.
    pub login: String,
    /// The name shown to others.
    pub display: String,
    /// The epochs in which this counts.
    pub epochs: Epochs,
    suspended_devices: Vec<SuspendedDevice>,
}

impl Verified {
    /// Whether the account may be used on `device`. If not, the answer is the one to a wrong
    /// password, as for every suspension.
    pub fn may_use(&self, device: DeviceId) -> bool {
        !self.suspended_devices.iter().any(|suspended| suspended.device == device)
    }
}

/// Why a sign-in was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// Tenant, login ID or password is wrong; which of them is not said.
    #[error("tenant, login ID or password is wrong")]
    BadCredentials,
    /// Too many sign-ins at once.
    #[error("too many sign-ins at once: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The store does not answer; the log says why.
    #[error("the store does not answer: try again later")]
    StoreUnavailable,
}

/// Tenants and accounts over a store.
pub struct Accounts {
    store: SharedStore,
    pool: Pool,
    dummy: StoredHash,
    entropy: Entropy,
}

impl Accounts {
    /// Starts the hashing threads over `store`.
    pub fn new(store: SharedStore, config: AccountsConfig) -> std::io::Result<Self> {
        let pool = Pool::start(config.hash_jobs.max(1), config.hash_queue)?;
        let dummy = StoredHash::dummy(&config.entropy);
        Ok(Self { store, pool, dummy, entropy: config.entropy })
    }

    /// Checks who somebody says to be.
    pub async fn verify(
        &self,
        tenant: &str,
        login: &str,
        password: &Password,
    ) -> Result<Verified, SignInRefusal> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Err(SignInRefusal::BadCredentials);
        }
        let found = self.look_up(tenant, login).await.map_err(|error| {
            tracing::error!(%error, "a sign-in could not be checked");
            SignInRefusal::StoreUnavailable
        })?;
        let hash = found.as_ref().map_or(&self.dummy, |(record, _)| &record.password);
        let matches = self.pool.matches(password.clone(), hash.clone()).await;
        match (matches, found) {
            (Err(Busy { retry_after_ms }), _) => Err(SignInRefusal::Busy { retry_after_ms }),
            (Ok(None), Some((record, _))) => {
                let Account { tenant, id, .. } = record.account;
                tracing::error!(%tenant, account = %id, "the stored password hash is damaged");
                Err(SignInRefusal::BadCredentials)
            }
            (Ok(Some(true)), Some((AccountRecord { account, .. }, tenant))) => Ok(Verified {
                tenant: account.tenant,
                account: account.id,
                login: account.login,
                display: account.display,
                epochs: Epochs { tenant: tenant.epoch, account: account.epoch },
                suspended_devices: account.suspended_devices,
            }),
            _ => Err(SignInRefusal::BadCredentials),
        }
    }

    /// The account with its tenant if it may sign in, or none, after the same four reads.
    async fn look_up(
        &self,
        tenant: &str,
        login: &str,
    ) -> Result<Option<(AccountRecord, Tenant)>, StoreError> {
        // Names that cannot be look for something that never is there.
        let nobody = || Login::parse("0").expect("one digit is a name");
        let is_name = Login::parse(tenant).is_ok() && Login::parse(login).is_ok();
        let tenant = Login::parse(tenant).unwrap_or_else(|_| nobody());
        let login = Login::parse(login).unwrap_or_else(|_| nobody());
        let found: Option<(NameRecord, Revision)> = self.read(&name_key(&tenant)).await?;
        let tenant = found.map_or(TenantId(0), |(record, _)| record.tenant);
        let about: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
        let found: Option<(LoginRecord, Revision)> = self.read(&login_key(tenant, &login)).await?;
        let account = found.map_or(AccountId(0), |(record, _)| record.account);
        let found: Option<(AccountRecord, Revision)> =
            self.read(&account_key(tenant, account)).await?;
        let found = found.zip(about).map(|((record, _), (tenant, _))| (record, tenant));
        Ok(found.filter(|(record, tenant)| {
            let standings = [record.account.standing, tenant.standing];
            is_name && standings == [Standing::Active; 2]
        }))
    }

    /// The account with this login ID. One of another tenant is as absent as one that never was.
    pub async fn find_login(
        &self,
        tenant: TenantId,
        login: &str,
    ) -> Result<Option<Account>, StoreError> {
        let Ok(login) = Login::parse(login) else { return Ok(None) };
        let found: Option<(LoginRecord, Revision)> = self.read(&login_key(tenant, &login)).await?;
        let Some((LoginRecord { account }, _)) = found else { return Ok(None) };
        let found: Option<(AccountRecord, Revision)> =
            self.read(&account_key(tenant, account)).await?;
        Ok(found.map(|(record, _)| record.account))
    }

    /// The accounts of `tenant`, in order of login ID.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Account>, StoreError> {
        let found = list(&*self.store, Prefix::of_tenant(tenant, "account")).await?;
        let mut accounts = Vec::with_capacity(found.entries.len());
        for entry in &found.entries {
            accounts.push(decode::<AccountRecord>(entry)?.account);
        }
        accounts.sort_by(|a, b| a.login.cmp(&b.login));
        Ok(accounts)
    }

    /// The tenant with this name.
    pub async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, StoreError> {
        let Ok(name) = Login::parse(name) else { return Ok(None) };
        let found: Option<(NameRecord, Revision)> = self.read(&name_key(&name)).await?;
        let Some((NameRecord { tenant }, _)) = found else { return Ok(None) };
        let found: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
        Ok(found.map(|(tenant, _)| tenant))
    }

    /// All tenants, in order of name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let names = list(&*self.store, Prefix::of_index("tenant-name")).await?;
        let mut tenants = Vec::with_capacity(names.entries.len());
        for entry in &names.entries {
            let NameRecord { tenant } = decode(entry)?;
            let found: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
            tenants.extend(found.map(|(tenant, _)| tenant));
        }
        Ok(tenants)
    }

    async fn read<T: Record>(
        &self,
        key: &crate::store::Key,
    ) -> Result<Option<(T, Revision)>, StoreError> {
        let store: &dyn Store = &*self.store;
        let found = store.get(key).await?;
        found.map(|entry| Ok((decode(&entry)?, entry.revision))).transpose()
    }
}
