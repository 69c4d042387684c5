//! People of tenants: they sign in with their password and get a token.

use super::bodies::SignIn;
use super::problem::Problem;
use super::token::{draw, hash};
use crate::accounts::{Accounts, Claim, Current, SignInRefusal};
use crate::admin::{Asker, Refused, Service};
use crate::audit::{Actor, Entry, Outcome, Plain};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::grants::{Grant, Grants};
use crate::sessions::AccountKey;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Who has signed in.
pub(super) struct People {
    grants: Mutex<Grants<()>>,
    entropy: Entropy,
    clock: Clock,
}

impl People {
    /// Nobody yet.
    pub(super) fn new(entropy: Entropy, clock: Clock) -> Self {
        Self { grants: Mutex::default(), entropy, clock }
    }

    /// Signs in whoever gives a right password: guarded, hashed and answered as for terminals, and
    /// noted before it is answered.
    pub(super) async fn sign_in(
        &self,
        ask: SignIn,
        service: &Service,
        address: SocketAddr,
    ) -> Result<Zeroizing<String>, Problem> {
        let (tenant, target) = (Plain::name(&ask.tenant), Plain::name(&ask.login));
        let actor = Actor::Terminal { address };
        let entry = Entry { tenant, target, ..Entry::new(actor, "api_sign_in") };
        let decided = self.decide(&ask, &service.accounts, address).await;
        let entry = match &decided {
            Ok(_) => entry,
            // Anybody can be refused without end, so refusals may share a record.
            Err(problem) => {
                let detail = Plain::of(problem.code());
                Entry { outcome: Outcome::Refused, detail, may_share: true, ..entry }
            }
        };
        let noted = service.audit.note(entry).await;
        noted.map_err(|error| Refused::busy(error.to_string()))?;
        let (token, grant) = (draw(&self.entropy), decided?);
        self.grants().add(hash(&token), (grant, ()), self.clock.now().since_start);
        Ok(token)
    }

    async fn decide(
        &self,
        ask: &SignIn,
        accounts: &Accounts,
        address: SocketAddr,
    ) -> Result<Grant, Problem> {
        let SignIn { tenant, login, password } = ask;
        let claim = Claim { tenant, login, password, from: address.ip(), device: None };
        let verified = accounts.verify(claim, || self.clock.now()).await;
        let verified = verified.map_err(|refusal| match refusal {
            SignInRefusal::BadCredentials => Problem::bad_credentials(),
            SignInRefusal::Busy { retry_after_ms } => Problem::too_often(retry_after_ms),
            SignInRefusal::StoreUnavailable => Refused::failed(refusal.to_string()).into(),
        })?;
        if verified.must_change {
            return Err(Problem::must_change());
        }
        let account = AccountKey { tenant: verified.tenant, account: verified.account };
        Ok(Grant { account, epochs: verified.epochs })
    }

    /// Whose `token` is, if it counts: whoever is suspended, or has another password or role than
    /// when it was granted, has none.
    pub(super) async fn asker(
        &self,
        token: &str,
        accounts: &Accounts,
        address: SocketAddr,
    ) -> Result<Option<Asker>, Problem> {
        let token = hash(token);
        let now = self.clock.now().since_start;
        let found = self.grants().find(token, now).map(|(grant, _)| grant);
        let Some(Grant { account, epochs }) = found else { return Ok(None) };
        let current = accounts.current(account).await.map_err(Refused::from)?;
        let current = current.filter(|now| {
            (now.epochs.tenant, now.epochs.account) == (epochs.tenant, epochs.account)
        });
        let Some(Current { tenant, login, role, .. }) = current else {
            self.grants().remove(token);
            return Ok(None);
        };
        Ok(Some(Asker::Account { tenant, login, role, address }))
    }

    /// `token` counts no longer. Whether it did.
    pub(super) fn sign_out(&self, token: &str) -> bool {
        let token = hash(token);
        let counted = self.grants().find(token, self.clock.now().since_start).is_some();
        self.grants().remove(token);
        counted
    }

    fn grants(&self) -> std::sync::MutexGuard<'_, Grants<()>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
