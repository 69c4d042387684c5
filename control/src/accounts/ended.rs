//! Which sessions of an account count no longer, for whoever was not there when their rights ended.

use super::model::{AccountRecord, DevicesRecord};
use super::{Accounts, Standing, StoreError};
use crate::sessions::{AccountKey, Revocation, Session, Whom};
use kakehashi_wire::terminal::SessionEnd;

impl Accounts {
    /// What ends of `sessions`, all of one account, by what the store says now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ended_since(
        &self,
        key: AccountKey,
        sessions: &[&Session],
    ) -> Result<Vec<Revocation>, StoreError> {
        let (about, found, devices) = self.records_of(key).await?;
        let Some((tenant, AccountRecord { account, .. })) = about.zip(found) else {
            // Nobody is left who could have a right.
            let (whom, why) = (Whom::Account(key), SessionEnd::Suspended);
            return Ok(vec![Revocation { whom, epoch: u64::MAX, why }]);
        };
        let ended = |session: &&Session| {
            let suspended =
                |standing: &Standing| (!standing.is_active()).then_some(SessionEnd::Suspended);
            let granted = session.epochs;
            let role = (session.role != account.role).then_some(SessionEnd::RoleChanged);
            let changed = role.unwrap_or(SessionEnd::PasswordChanged);
            let knows =
                |it: &DevicesRecord| it.devices.iter().any(|it| it.device == session.device);
            let is_known = devices.as_ref().is_some_and(knows);
            if granted.tenant < tenant.epoch {
                let why = SessionEnd::Suspended;
                Some(Revocation { whom: Whom::Tenant(tenant.id), epoch: tenant.epoch, why })
            } else if granted.account < account.epoch {
                let why = suspended(&account.standing).unwrap_or(changed);
                Some(Revocation { whom: Whom::Account(key), epoch: account.epoch, why })
            } else if granted.devices < account.devices_epoch && !is_known {
                // A device that is suspended is forgotten, and not known again without a password.
                let whom = Whom::Device(key, session.device);
                let why = SessionEnd::Suspended;
                Some(Revocation { whom, epoch: account.devices_epoch, why })
            } else {
                None
            }
        };
        Ok(sessions.iter().filter_map(ended).collect())
    }
}
