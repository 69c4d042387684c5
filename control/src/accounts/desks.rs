//! The desks of tenants, as they are kept: `t/<tenant>/desk/<name>`.

use super::manage::AccountError;
use super::names::Login;
use super::{ATTEMPTS, Accounts, Revision, StoreError};
use crate::capacity::DESKS_PER_TENANT_MAX;
use crate::desks::{Agent, Desk, DeskChange};
use crate::store::{Expected, Key, Prefix, Transaction, decode, encode, list};
use kakehashi_wire::id::TenantId;

/// All desks of a tenant at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeskList {
    /// The later of two lists has the greater one.
    pub revision: Revision,
    /// In order of name.
    pub desks: Vec<Desk>,
}

impl Accounts {
    /// The desks of `tenant`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn desks(&self, tenant: TenantId) -> Result<DeskList, StoreError> {
        let found = list(&*self.store, Prefix::of_tenant(tenant, "desk")).await?;
        let desks = found.entries.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(DeskList { revision: found.revision, desks })
    }

    /// Adds a desk that is as `change` says, and else as usual.
    ///
    /// # Errors
    /// [`AccountError`] if it cannot be so, or nothing could be written.
    pub async fn add_desk(
        &self,
        tenant: TenantId,
        name: &str,
        change: DeskChange,
    ) -> Result<Desk, AccountError> {
        let name = Login::parse(name).map_err(AccountError::DeskName)?;
        let there = self.desks(tenant).await?.desks;
        if there.len() >= DESKS_PER_TENANT_MAX {
            let most = u32::try_from(DESKS_PER_TENANT_MAX).unwrap_or(u32::MAX);
            return Err(AccountError::Limit(most, "desks of this tenant"));
        }
        let desk = self.changed(tenant, Desk::new(name.to_string()), change).await?;
        let key = desk_key(tenant, &name);
        let add = Transaction::new().compare(key.clone(), Expected::Absent).put(key, encode(&desk));
        match self.store.transact(add).await {
            Ok(_) => Ok(desk),
            Err(StoreError::Conflict) => Err(AccountError::Taken(desk.name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a desk; gives it as it is then.
    ///
    /// # Errors
    /// [`AccountError`] if it is not there or cannot be so, or nothing could be written.
    pub async fn set_desk(
        &self,
        tenant: TenantId,
        name: &str,
        change: DeskChange,
    ) -> Result<Desk, AccountError> {
        let name = Login::parse(name).map_err(AccountError::DeskName)?;
        let key = desk_key(tenant, &name);
        for _ in 0..ATTEMPTS {
            let found: Option<(Desk, Revision)> = self.read(&key).await?;
            let (desk, revision) =
                found.ok_or_else(|| AccountError::NoSuchDesk(name.to_string()))?;
            let desk = self.changed(tenant, desk, change.clone()).await?;
            let write = Transaction::new()
                .compare(key.clone(), Expected::At(revision))
                .put(key.clone(), encode(&desk));
            match self.store.transact(write).await {
                Ok(_) => return Ok(desk),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Store(StoreError::Conflict))
    }

    /// Removes a desk. Desks that overflow to it keep their calls from then on.
    ///
    /// # Errors
    /// [`AccountError`] if it is not there, or nothing could be written.
    pub async fn remove_desk(&self, tenant: TenantId, name: &str) -> Result<(), AccountError> {
        let name = Login::parse(name).map_err(AccountError::DeskName)?;
        let key = desk_key(tenant, &name);
        let absent = || AccountError::NoSuchDesk(name.to_string());
        for _ in 0..ATTEMPTS {
            let found: Option<(Desk, Revision)> = self.read(&key).await?;
            let (_, revision) = found.ok_or_else(absent)?;
            let remove =
                Transaction::new().compare(key.clone(), Expected::At(revision)).delete(key.clone());
            match self.store.transact(remove).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Store(StoreError::Conflict))
    }

    /// `desk` as `change` says, if everybody it names is there and it can be so.
    async fn changed(
        &self,
        tenant: TenantId,
        mut desk: Desk,
        change: DeskChange,
    ) -> Result<Desk, AccountError> {
        let agents = match &change.agents {
            Some(logins) => Some(self.agents(tenant, logins).await?),
            None => None,
        };
        let changes_overflow = change.overflow.is_some();
        desk.change(change, agents);
        desk.check()?;
        if let Some(overflow) = desk.overflow.as_mut().filter(|_| changes_overflow) {
            let name = Login::parse(&overflow.desk).map_err(AccountError::DeskName)?;
            let found: Option<(Desk, Revision)> = self.read(&desk_key(tenant, &name)).await?;
            found.ok_or_else(|| AccountError::NoSuchDesk(name.to_string()))?;
            overflow.desk = name.to_string();
        }
        Ok(desk)
    }

    async fn agents(
        &self,
        tenant: TenantId,
        logins: &[String],
    ) -> Result<Vec<Agent>, AccountError> {
        let mut agents = Vec::with_capacity(logins.len());
        for login in logins {
            let login = Login::parse(login).map_err(AccountError::Login)?;
            let found = self.find_login(tenant, login.as_str()).await?;
            let account = found.ok_or_else(|| AccountError::NoSuchAccount(login.to_string()))?;
            agents.push(Agent { account: account.id, login: account.login });
        }
        Ok(agents)
    }
}

fn desk_key(tenant: TenantId, name: &Login) -> Key {
    Key::of_tenant(tenant, format_args!("desk/{name}"))
        .expect("invariant: names are at most 64 printable bytes, far below the longest key")
}
