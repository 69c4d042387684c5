//! Tenants and accounts: adding, finding, and checking who somebody is.
//!
//! Sign-in tells nobody which part was wrong: an unknown tenant, an unknown login ID, a wrong
//! password and a suspension take the same reads, one hash of the same cost, and give the same
//! answer. Who guesses too often is refused before the hash, for unknown accounts too.

mod change;
mod current;
mod desks;
mod devices;
mod ended;
pub mod guard;
mod manage;
mod model;
pub mod names;
mod operators;
pub mod password;
mod pool;
mod resume;
mod rules;
mod second;
#[cfg(test)]
mod second_tests;
mod standing;
mod trial;

pub use change::ChangeRefusal;
pub use current::Current;
pub use desks::DeskList;
pub use devices::ProvenDevice;
pub use manage::{AccountError, Added, NewAccount};
pub use model::{Account, Standing, SuspendedDevice, Tenant};
pub use operators::{OPERATORS, OPERATORS_ID};
pub use resume::ResumeRefusal;
pub use rules::BadPassword;
pub use second::{SecondProof, SecondSealer, SharedSecret};
pub use standing::{KnownTenant, Subject};

use crate::capacity::HASH_QUEUE_PER_WORKER;
use crate::capacity::nodes::GUESSES_TO_TELL_MAX;
use crate::clock::Now;
use crate::entropy::Entropy;
use crate::sessions::{AccountKey, Epochs};
use crate::site::Site;
use crate::store::{
    Prefix, Record, Revision, SharedStore, Store, StoreError, all_of, decode, list,
};
use guard::{Guard, Guess, Origin, Outcome, TooOften};
use kakehashi_wire::id::{AccountId, DeviceId, TenantId};
use kakehashi_wire::limits::PASSWORD_BYTES_MAX;
use kakehashi_wire::node::WrongGuess;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use model::{
    AccountRecord, DevicesRecord, LoginRecord, NameRecord, account_key, devices_key, login_key,
    name_key, tenant_key,
};
use names::Login;
use password::StoredHash;
pub(crate) use pool::Hashing;
use pool::{Busy, Lane, Pool};
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use trial::Trial;

/// How often a change is tried again when somebody else changed the same thing first.
const ATTEMPTS: usize = 8;

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

/// Who somebody says to be.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The login ID.
    pub login: &'a str,
    /// The password.
    pub password: &'a Password,
    /// From where.
    pub from: IpAddr,
    /// From which device, if one has proven itself.
    pub device: Option<ProvenDevice>,
}

/// Somebody who proved who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
    /// The account.
    pub account: AccountId,
    /// Its login ID, as it is kept.
    pub login: String,
    /// The name shown to others.
    pub display: String,
    /// What the account is for.
    pub role: Role,
    /// The password was for one time and must be changed before anything else is done.
    pub must_change: bool,
    /// The epochs in which this counts.
    pub epochs: Epochs,
    /// What is granted to the device names this number; 0 if nothing can be, since the device is
    /// not known.
    pub grant: u64,
    suspended_devices: Vec<SuspendedDevice>,
}

impl Verified {
    fn of(record: AccountRecord, tenant: Tenant) -> Self {
        let AccountRecord { account, one_time, .. } = record;
        Self {
            epochs: Epochs {
                tenant: tenant.epoch,
                account: account.epoch,
                devices: account.devices_epoch,
            },
            tenant: account.tenant,
            tenant_name: tenant.name,
            account: account.id,
            login: account.login,
            display: account.display,
            role: account.role,
            must_change: one_time,
            grant: 0,
            suspended_devices: account.suspended_devices,
        }
    }

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
    /// Too many sign-ins at once, or too many wrong ones.
    #[error("too many sign-ins: try again in {retry_after_ms} ms")]
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
    guard: Mutex<Guard>,
    /// Where the other nodes hear of wrong guesses.
    told: OnceLock<mpsc::Sender<WrongGuess>>,
    entropy: Entropy,
}

impl Accounts {
    /// Starts the hashing threads over `store`.
    pub fn new(store: SharedStore, config: AccountsConfig) -> std::io::Result<Self> {
        let pool = Pool::start(config.hash_jobs.max(1), config.hash_queue)?;
        let dummy = StoredHash::dummy(&config.entropy);
        let guard = Mutex::new(Guard::new(config.entropy.bytes()));
        Ok(Self { store, pool, dummy, guard, told: OnceLock::new(), entropy: config.entropy })
    }

    /// What password hashing has done and has before it.
    pub(crate) fn hashing(&self) -> Hashing {
        self.pool.hashing()
    }

    /// From now on guesses are counted as the other nodes of a cell count them, which hear of wrong
    /// ones. The `seed` is theirs, too, and unpredictable for everybody else.
    pub(crate) fn share_guesses(&self, seed: [u8; 32]) -> mpsc::Receiver<WrongGuess> {
        let (told, heard) = mpsc::channel(GUESSES_TO_TELL_MAX);
        *trial::lock(&self.guard) = Guard::new(seed);
        // A node joins its cell once.
        let _first = self.told.set(told);
        heard
    }

    /// A password was wrong at another node.
    pub(crate) fn heard_guess(&self, guess: &WrongGuess, since_start: Duration) {
        trial::lock(&self.guard).heard(guess, since_start);
    }

    /// Checks who somebody of a tenant says to be. `now` tells the time.
    pub async fn verify(
        &self,
        claim: Claim<'_>,
        now: impl Fn() -> Now,
    ) -> Result<Verified, SignInRefusal> {
        self.verify_in(Login::parse(claim.tenant).ok(), claim, now).await
    }

    /// The same of an account in `house`, which may be the operators'.
    async fn verify_in(
        &self,
        house: Option<Login>,
        claim: Claim<'_>,
        now: impl Fn() -> Now,
    ) -> Result<Verified, SignInRefusal> {
        let Claim { tenant, login, password, from, device } = claim;
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Err(SignInRefusal::BadCredentials);
        }
        let (found, devices) = self.look_up(house, login).await.map_err(|error| {
            tracing::error!(event = "sign_in_check_failed", %error,
                "a sign-in could not be checked");
            SignInRefusal::StoreUnavailable
        })?;
        let hash = found.as_ref().map_or(&self.dummy, |(record, _)| &record.password);
        let known = device.map(|device| device.key()).filter(|key| devices.knows(*key));
        let from = known.map_or_else(|| Origin::Stranger(Site::of(from)), Origin::Known);
        let is_right = self.guess(Guess { tenant, login, from }, password, hash, &now).await?;
        let Some((record, tenant)) = found.filter(|_| is_right) else {
            return Err(SignInRefusal::BadCredentials);
        };
        let mut verified = Verified::of(record, tenant);
        if let Some(device) = device {
            let account = AccountKey { tenant: verified.tenant, account: verified.account };
            match self.remember(account, device, now().wall).await {
                Ok(grant) => verified.grant = grant.unwrap_or(0),
                Err(error) => {
                    tracing::error!(event = "device_not_noted", %error,
                        "a device stays unknown until its next sign-in");
                }
            }
        }
        Ok(verified)
    }

    /// Whether `password` has `hash`, if it may be tried.
    async fn guess(
        &self,
        guess: Guess<'_>,
        password: &Password,
        hash: &StoredHash,
        now: impl Fn() -> Now,
    ) -> Result<bool, SignInRefusal> {
        let trial = Trial::begin((&self.guard, self.told.get()), guess, &now);
        let trial = trial.map_err(|TooOften { retry_after }| SignInRefusal::Busy {
            retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
        })?;
        let lane = match guess.from {
            Origin::Stranger(_) => Lane::Stranger,
            Origin::Known(_) | Origin::Session(_) | Origin::Second(_) | Origin::Token(..) => {
                Lane::Known
            }
        };
        let matches = self.pool.matches(lane, password.clone(), hash.clone()).await;
        trial.end(match matches {
            Ok(Some(true)) => Outcome::Right,
            Ok(_) => Outcome::Wrong,
            Err(_) => Outcome::Untried,
        });
        if matches == Ok(None) {
            let Guess { tenant, login, .. } = guess;
            tracing::error!(
                event = "password_hash_damaged",
                ?tenant,
                ?login,
                "a stored password hash is damaged: set it anew"
            );
        }
        matches
            .map(|matches| matches == Some(true))
            .map_err(|Busy { retry_after_ms }| SignInRefusal::Busy { retry_after_ms })
    }

    /// The account with its tenant if it may sign in, and its devices, or none, after the same
    /// five reads.
    async fn look_up(
        &self,
        house: Option<Login>,
        login: &str,
    ) -> Result<(Option<(AccountRecord, Tenant)>, DevicesRecord), StoreError> {
        // Names that cannot be look for something that never is there.
        let nobody = || Login::parse("0").expect("one digit is a name");
        let is_name = house.is_some() && Login::parse(login).is_ok();
        let house = house.unwrap_or_else(nobody);
        let login = Login::parse(login).unwrap_or_else(|_| nobody());
        let tenant = self.id_of(&house).await?.unwrap_or(TenantId(0));
        let keys = (tenant_key(tenant), login_key(tenant, &login));
        let (about, found) =
            tokio::try_join!(self.read::<Tenant>(&keys.0), self.read::<LoginRecord>(&keys.1))?;
        let account = found.map_or(AccountId(0), |(record, _)| record.account);
        let keys = (account_key(tenant, account), devices_key(tenant, account));
        let (found, devices) = tokio::try_join!(
            self.read::<AccountRecord>(&keys.0),
            self.read::<DevicesRecord>(&keys.1),
        )?;
        let found = found.zip(about).map(|((record, _), (tenant, _))| (record, tenant));
        let found = found.filter(|(record, tenant)| {
            let standings = [&record.account.standing, &tenant.standing];
            is_name && standings.into_iter().all(Standing::is_active)
        });
        Ok((found, devices.map(|(record, _)| record).unwrap_or_default()))
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
        let Ok(name) = Login::of_house(name) else { return Ok(None) };
        let Some(tenant) = self.id_of(&name).await? else { return Ok(None) };
        let found: Option<(Tenant, Revision)> = self.read(&tenant_key(tenant)).await?;
        Ok(found.map(|(tenant, _)| tenant))
    }

    /// The number of the tenant with this name, or of the operators.
    async fn id_of(&self, name: &Login) -> Result<Option<TenantId>, StoreError> {
        let found: Option<(NameRecord, Revision)> = self.read(&name_key(name)).await?;
        let is_operators = name.as_str() == OPERATORS;
        Ok(found.map(|(record, _)| record.tenant).or_else(|| is_operators.then_some(OPERATORS_ID)))
    }

    /// All tenants, in order of name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let known = self.known_tenants().await?;
        Ok(known.into_iter().map(|known| known.tenant).collect())
    }

    /// All tenants as they are now, in order of name.
    pub async fn known_tenants(&self) -> Result<Vec<KnownTenant>, StoreError> {
        let names = list(&*self.store, Prefix::of_index("tenant-name")).await?;
        let names: Vec<NameRecord> = names.entries.iter().map(decode).collect::<Result<_, _>>()?;
        let tenants = names.iter().map(|name| self.known_tenant(name.tenant)).collect();
        Ok(all_of(tenants).await?.into_iter().flatten().collect())
    }

    /// A tenant as it is kept by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_tenant(&self, id: TenantId) -> Result<Option<KnownTenant>, StoreError> {
        let found: Option<(Tenant, Revision)> = self.read(&tenant_key(id)).await?;
        Ok(found.map(|(tenant, revision)| KnownTenant { tenant, revision }))
    }

    /// What the rights of an account follow from: its tenant, itself, and its devices. Asked
    /// together, they are read together.
    async fn records_of(
        &self,
        AccountKey { tenant, account }: AccountKey,
    ) -> Result<(Option<Tenant>, Option<AccountRecord>, Option<DevicesRecord>), StoreError> {
        let keys = (tenant_key(tenant), account_key(tenant, account), devices_key(tenant, account));
        let (about, found, devices) = tokio::try_join!(
            self.read::<Tenant>(&keys.0),
            self.read::<AccountRecord>(&keys.1),
            self.read::<DevicesRecord>(&keys.2),
        )?;
        Ok((about.map(|it| it.0), found.map(|it| it.0), devices.map(|it| it.0)))
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
