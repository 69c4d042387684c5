//! Who may act no longer, and sign-ins that were checked before that and arrive after it.
//!
//! Whether somebody may sign in is read from the store; a session begins in the core. In between a
//! suspension may have passed: it found no session to end, and the session must not begin after it.

use super::{AccountKey, Epochs, Revocation, Whom};
use crate::capacity::REVOKED_KEPT;
use kakehashi_wire::id::DeviceId;
use std::collections::HashMap;
use std::time::Duration;

/// The revocations of the last moments. There are as many as operators can have written to disk in
/// [`REVOKED_KEPT`], one after the other.
#[derive(Debug, Default)]
pub struct Revoked {
    /// The epoch that began, and when.
    recent: HashMap<Whom, (u64, Duration)>,
}

impl Revoked {
    /// Notes a revocation.
    pub fn note(&mut self, revocation: &Revocation, now: Duration) {
        self.recent.retain(|_, (_, since)| now < *since + REVOKED_KEPT);
        let (epoch, since) = self.recent.entry(revocation.whom).or_default();
        *epoch = (*epoch).max(revocation.epoch);
        *since = now;
    }

    /// Whether a right granted to `account` on `device` in these epochs is over.
    pub fn ends(&self, account: AccountKey, device: DeviceId, granted: Epochs) -> bool {
        let ended = |whom, held| self.recent.get(&whom).is_some_and(|(epoch, _)| held < *epoch);
        ended(Whom::Tenant(account.tenant), granted.tenant)
            || ended(Whom::Account(account), granted.account)
            || ended(Whom::Device(account, device), granted.devices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};
    use kakehashi_wire::terminal::SessionEnd;

    const DEVICE: DeviceId = DeviceId(9);

    fn key(tenant: u64, account: u64) -> AccountKey {
        AccountKey { tenant: TenantId(tenant), account: AccountId(account) }
    }

    fn of(whom: Whom, epoch: u64) -> Revocation {
        Revocation { whom, epoch, why: SessionEnd::Suspended }
    }

    #[test]
    fn what_was_granted_before_ends_and_what_is_granted_after_counts() {
        let granted = |tenant, account| Epochs { tenant, account, devices: 9 };
        let device = |devices| Epochs { tenant: 9, account: 9, devices };
        let other = DeviceId(8);
        for (whom, epochs) in [
            (Whom::Account(key(1, 2)), [granted(9, 4), granted(9, 5)]),
            (Whom::Device(key(1, 2), DEVICE), [device(4), device(5)]),
            (Whom::Tenant(TenantId(1)), [granted(4, 9), granted(5, 9)]),
        ] {
            let mut revoked = Revoked::default();
            revoked.note(&of(whom, 5), Duration::ZERO);
            revoked.note(&of(whom, 4), Duration::ZERO);
            let [before, after] = epochs;
            assert!(revoked.ends(key(1, 2), DEVICE, before), "{whom:?}");
            assert!(!revoked.ends(key(1, 2), DEVICE, after), "{whom:?}");
            assert!(!revoked.ends(key(2, 2), DEVICE, before), "another tenant's: {whom:?}");
            let elsewhere = revoked.ends(key(1, 2), other, before);
            assert_eq!(elsewhere, !matches!(whom, Whom::Device(..)), "{whom:?}");
            assert_eq!(whom.includes(key(1, 3), DEVICE), whom == Whom::Tenant(TenantId(1)));
        }
    }

    #[test]
    fn it_is_remembered_for_as_long_as_a_sign_in_may_take() {
        let mut revoked = Revoked::default();
        revoked.note(&of(Whom::Account(key(1, 1)), 2), Duration::ZERO);
        let last = REVOKED_KEPT - Duration::from_millis(1);
        revoked.note(&of(Whom::Account(key(1, 2)), 2), last);
        let old = Epochs { tenant: 1, account: 1, devices: 1 };
        assert!(revoked.ends(key(1, 1), DEVICE, old));
        revoked.note(&of(Whom::Account(key(1, 3)), 2), REVOKED_KEPT);
        assert!(!revoked.ends(key(1, 1), DEVICE, old));
        assert_eq!(revoked.recent.len(), 2);
    }
}
