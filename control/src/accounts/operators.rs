//! Operators with names of their own, for the console.
//!
//! They are kept as the accounts of a tenant are, with passwords, limits on guesses, suspension and
//! epochs, in a house that no tenant can be: its name is none that a tenant may have, so no
//! terminal can say that it is of it, and no list of tenants shows it. An account there with the
//! role of an administrator is an operator, any other is an observer.

use super::model::{Standing, Tenant, tenant_key};
use super::names::Login;
use super::{Accounts, Claim, SignInRefusal, StoreError, Verified};
use crate::clock::{Now, UnixMs};
use crate::policy::{TenantLimits, TenantRules};
use crate::store::{Expected, Transaction, encode};
use kakehashi_wire::id::TenantId;
use kakehashi_wire::terminal::Role;

/// What the operators' house is called where a tenant is named.
pub const OPERATORS: &str = "_operators";

/// Its number; no tenant draws it with a chance worth naming.
pub const OPERATORS_ID: TenantId = TenantId(u64::MAX);

impl Verified {
    /// Of an operator's account, whether they may change anything.
    pub fn may_change(&self) -> bool {
        self.role == Role::TenantAdmin
    }
}

impl Accounts {
    /// Makes the operators' house if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle_operators(&self, now: UnixMs) -> Result<(), StoreError> {
        let house = Tenant {
            id: OPERATORS_ID,
            name: OPERATORS.to_owned(),
            limits: TenantLimits::default(),
            rules: TenantRules::default(),
            created: now,
            standing: Standing::Active,
            epoch: 1,
        };
        let key = tenant_key(OPERATORS_ID);
        let change =
            Transaction::new().compare(key.clone(), Expected::Absent).put(key, encode(&house));
        match self.store.transact(change).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Checks who somebody says to be of the operators: `claim.tenant` is [`OPERATORS`].
    ///
    /// # Errors
    /// [`SignInRefusal`].
    pub async fn verify_operator(
        &self,
        claim: Claim<'_>,
        now: impl Fn() -> Now,
    ) -> Result<Verified, SignInRefusal> {
        self.verify_in(Login::of_house(claim.tenant).ok(), claim, now).await
    }
}
