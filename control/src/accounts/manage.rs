//! Adding tenants and accounts, and setting passwords.

use super::model::{
    Account, AccountRecord, CountRecord, LoginRecord, NameRecord, Standing, Tenant, account_key,
    count_key, login_key, name_key, tenant_key,
};
use super::names::{self, BadName, Login};
use super::password::{self, StoredHash};
use super::pool::Busy;
use super::rules::{self, BadPassword};
use super::{ATTEMPTS, Accounts, Revision, StoreError};
use crate::capacity::TENANTS_MAX;
use crate::clock::UnixMs;
use crate::desks::BadDesk;
use crate::policy::{BadPolicy, TenantLimits, TenantRules};
use crate::store::{Expected, Prefix, Transaction, encode, list};
use kakehashi_wire::id::{AccountId, TenantId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;

/// Why tenants or accounts were not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountError {
    /// The tenant's name cannot be.
    #[error("not a tenant name: {0}")]
    TenantName(BadName),
    /// The login ID cannot be.
    #[error("not a login ID: {0}")]
    Login(BadName),
    /// The desk's name cannot be.
    #[error("not a desk name: {0}")]
    DeskName(BadName),
    /// The desk cannot be as asked.
    #[error(transparent)]
    Desk(#[from] BadDesk),
    /// The display name cannot be.
    #[error("not a display name: {0}")]
    Display(BadName),
    /// The reason cannot be.
    #[error("not a reason: {0}")]
    Reason(BadName),
    /// The password is not taken.
    #[error(transparent)]
    Password(#[from] BadPassword),
    /// The policy cannot be so.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// There is one with this name.
    #[error("{0} exists already: choose another name")]
    Taken(String),
    /// No such tenant.
    #[error("there is no tenant {0}: see `kakehashi tenant list`")]
    NoSuchTenant(String),
    /// No such account.
    #[error("there is no account {0} in this tenant: see `kakehashi account list`")]
    NoSuchAccount(String),
    /// No such desk.
    #[error("there is no desk {0} in this tenant: see `kakehashi desk list`")]
    NoSuchDesk(String),
    /// A limit was reached.
    #[error("the limit of {0} {1} is reached")]
    Limit(u32, &'static str),
    /// Too many passwords are being hashed.
    #[error("busy: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Busy> for AccountError {
    fn from(Busy { retry_after_ms }: Busy) -> Self {
        Self::Busy { retry_after_ms }
    }
}

/// What a new account shall be.
pub struct NewAccount {
    /// Its login ID.
    pub login: String,
    /// The name shown to others; the login ID if there is none.
    pub display: Option<String>,
    /// Its password; one is generated if there is none.
    pub password: Option<Password>,
    /// Whether it must be changed at the first sign-in.
    pub one_time: bool,
    /// What it is for.
    pub role: Role,
}

/// A new account.
pub struct Added {
    /// The account.
    pub account: Account,
    /// Its password, if it was generated: this is the only time it is seen.
    pub generated: Option<Password>,
}

impl Accounts {
    /// Adds a tenant.
    pub async fn add_tenant(
        &self,
        name: &str,
        limits: TenantLimits,
        now: UnixMs,
    ) -> Result<Tenant, AccountError> {
        let name = Login::parse(name).map_err(AccountError::TenantName)?;
        let all = list(&*self.store, Prefix::of_index("tenant-name")).await?;
        if all.entries.len() >= usize::try_from(TENANTS_MAX).unwrap_or(usize::MAX) {
            return Err(AccountError::Limit(TENANTS_MAX, "tenants"));
        }
        let id = TenantId(self.entropy.nonzero());
        let tenant = Tenant {
            id,
            name: name.as_str().to_owned(),
            limits,
            rules: TenantRules::default(),
            created: now,
            standing: Standing::Active,
            epoch: 1,
        };
        let change = Transaction::new()
            .compare(name_key(&name), Expected::Absent)
            .compare(tenant_key(id), Expected::Absent)
            .put(name_key(&name), encode(&NameRecord { tenant: id }))
            .put(tenant_key(id), encode(&tenant));
        match self.store.transact(change).await {
            Ok(_) => Ok(tenant),
            Err(StoreError::Conflict) => Err(AccountError::Taken(tenant.name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds an account to `tenant`.
    pub async fn add_account(
        &self,
        tenant: TenantId,
        new: NewAccount,
        now: UnixMs,
    ) -> Result<Added, AccountError> {
        let login = Login::parse(&new.login).map_err(AccountError::Login)?;
        let display = match &new.display {
            Some(text) => names::display(text).map_err(AccountError::Display)?,
            None => login.as_str().to_owned(),
        };
        let about = self.tenant(tenant).await?;
        let (password, generated) = self.new_password(new.password, &about, &login)?;
        let hash = self.hash(password).await?;
        let account = Account {
            id: AccountId(self.entropy.nonzero()),
            tenant,
            login: login.as_str().to_owned(),
            display,
            epoch: 1,
            created: now,
            role: new.role,
            standing: Standing::Active,
            suspended_devices: Vec::new(),
            devices_epoch: 0,
        };
        let record = AccountRecord { account, password: hash, one_time: new.one_time };
        self.insert(&login, &record).await?;
        Ok(Added { account: record.account, generated })
    }

    /// Writes a new account, with the tenant's count as the fence of its limit.
    async fn insert(&self, login: &Login, record: &AccountRecord) -> Result<(), AccountError> {
        let Account { id, tenant, .. } = record.account;
        for _ in 0..ATTEMPTS {
            let about = self.tenant(tenant).await?;
            let taken: Option<(LoginRecord, Revision)> =
                self.read(&login_key(tenant, login)).await?;
            if taken.is_some() {
                return Err(AccountError::Taken(login.to_string()));
            }
            let counted: Option<(CountRecord, Revision)> = self.read(&count_key(tenant)).await?;
            let (count, fence) = match counted {
                Some((record, revision)) => (record.accounts, Expected::At(revision)),
                None => (0, Expected::Absent),
            };
            if count >= about.limits.accounts {
                return Err(AccountError::Limit(about.limits.accounts, "accounts of this tenant"));
            }
            let change = Transaction::new()
                .compare(login_key(tenant, login), Expected::Absent)
                .compare(account_key(tenant, id), Expected::Absent)
                .compare(count_key(tenant), fence)
                .put(login_key(tenant, login), encode(&LoginRecord { account: id }))
                .put(account_key(tenant, id), encode(record))
                .put(count_key(tenant), encode(&CountRecord { accounts: count + 1 }));
            match self.store.transact(change).await {
                Err(StoreError::Conflict) => {}
                result => return result.map(|_| ()).map_err(AccountError::Store),
            }
        }
        Err(AccountError::Store(StoreError::Conflict))
    }

    /// Gives the account a new password (a generated one if `password` is none), to be changed at
    /// the next sign-in if it is `one_time`, and raises its epoch, so that nothing granted with the
    /// old one counts any longer.
    pub async fn set_password(
        &self,
        tenant: TenantId,
        login: &str,
        password: Option<Password>,
        one_time: bool,
    ) -> Result<Added, AccountError> {
        let login = Login::parse(login).map_err(AccountError::Login)?;
        let about = self.tenant(tenant).await?;
        let (password, generated) = self.new_password(password, &about, &login)?;
        let hash = self.hash(password).await?;
        for _ in 0..ATTEMPTS {
            let absent = || AccountError::NoSuchAccount(login.to_string());
            let found: Option<(LoginRecord, Revision)> =
                self.read(&login_key(tenant, &login)).await?;
            let (LoginRecord { account }, _) = found.ok_or_else(absent)?;
            let key = account_key(tenant, account);
            let found: Option<(AccountRecord, Revision)> = self.read(&key).await?;
            let (mut record, revision) = found.ok_or_else(absent)?;
            record.password = hash.clone();
            record.one_time = one_time;
            record.account.epoch += 1;
            let change = Transaction::new()
                .compare(key.clone(), Expected::At(revision))
                .put(key, encode(&record));
            match self.store.transact(change).await {
                Ok(_) => return Ok(Added { account: record.account, generated }),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Store(StoreError::Conflict))
    }

    /// The tenant, which must be there.
    pub(super) async fn tenant(&self, tenant: TenantId) -> Result<Tenant, AccountError> {
        let found: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
        let (about, _) = found.ok_or_else(|| AccountError::NoSuchTenant(tenant.to_string()))?;
        Ok(about)
    }

    /// The password to hash, and the same again if it was generated.
    fn new_password(
        &self,
        typed: Option<Password>,
        tenant: &Tenant,
        login: &Login,
    ) -> Result<(Password, Option<Password>), BadPassword> {
        match typed {
            Some(password) => {
                rules::check(&password, &tenant.name, login.as_str()).map(|()| (password, None))
            }
            None => {
                let generated = password::generate(&self.entropy);
                Ok((generated.clone(), Some(generated)))
            }
        }
    }

    pub(super) async fn hash(&self, password: Password) -> Result<StoredHash, AccountError> {
        let hash = self.pool.hash(password, self.entropy.bytes()).await?;
        // Argon2 fails only when there is no memory for it.
        hash.ok_or(AccountError::Busy { retry_after_ms: 1000 })
    }
}
