//! Resume tokens as connections make and take them.

use crate::accounts::Verified;
use crate::clock::UnixMs;
use crate::sessions::{AccountKey, TokenClaims, TokenKey};
use kakehashi_wire::device::DeviceKey;
use kakehashi_wire::id::{DeviceId, SessionId};
use kakehashi_wire::secret::ResumeToken;
use std::time::Duration;

/// Makes tokens and reads them.
pub(crate) struct Tokens {
    key: TokenKey,
    lifetime: Duration,
}

impl Tokens {
    pub(crate) fn new(key: TokenKey, lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// After what time a session that lasts gets another.
    pub(super) fn renew_after(&self) -> Duration {
        self.lifetime / 2
    }

    /// What is claimed for a session that begins at `now`.
    pub(super) fn claims(
        &self,
        verified: &Verified,
        (device, device_key): (DeviceId, DeviceKey),
        session: SessionId,
        now: UnixMs,
    ) -> TokenClaims {
        let claims = TokenClaims {
            account: AccountKey { tenant: verified.tenant, account: verified.account },
            tenant_epoch: verified.epochs.tenant,
            account_epoch: verified.epochs.account,
            device,
            device_key,
            session,
            grant: verified.grant,
            expires: now,
        };
        self.from(claims, now)
    }

    /// The same as good from `now` on.
    pub(super) fn from(&self, claims: TokenClaims, now: UnixMs) -> TokenClaims {
        let lifetime_ms = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        TokenClaims { expires: UnixMs(now.0.saturating_add(lifetime_ms)), ..claims }
    }

    /// The token that says so.
    pub(super) fn token(&self, claims: TokenClaims) -> ResumeToken {
        self.key.token(claims)
    }

    /// What a token says that is good at `now`.
    pub(super) fn read(&self, token: &ResumeToken, now: UnixMs) -> Option<TokenClaims> {
        self.key.read(token, now)
    }
}
