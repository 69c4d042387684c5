//! Who is meant, and since when their rights count.

use crate::id::{AccountId, DeviceId, TenantId};
use crate::terminal::SessionEnd;
use rkyv::{Archive, Deserialize, Serialize};

/// An account with the tenant it belongs to: neither is used without the other.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Archive, Serialize, Deserialize,
)]
pub struct AccountKey {
    /// Its tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
}

/// Whose rights end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Whom {
    /// An account, on every device.
    Account(AccountKey) = 1,
    /// An account on one device.
    Device(AccountKey, DeviceId) = 2,
    /// All accounts of a tenant.
    Tenant(TenantId) = 3,
}

impl Whom {
    /// Whether it means this account on this device.
    pub fn includes(self, account: AccountKey, device: DeviceId) -> bool {
        match self {
            Self::Account(whom) => whom == account,
            Self::Device(whom, on) => whom == account && on == device,
            Self::Tenant(tenant) => tenant == account.tenant,
        }
    }
}

/// What was granted before `epoch` counts no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose rights end.
    pub whom: Whom,
    /// The epoch of what is named that begins with it; see [`Epochs`].
    pub epoch: u64,
    /// What its sessions are told.
    pub why: SessionEnd,
}

impl Revocation {
    /// What was granted with the password before `epoch` of the account counts no longer.
    pub fn of_password(account: AccountKey, epoch: u64) -> Self {
        Self { whom: Whom::Account(account), epoch, why: SessionEnd::PasswordChanged }
    }
}

/// The epochs in which a right was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Epochs {
    /// The tenant's.
    pub tenant: u64,
    /// The account's.
    pub account: u64,
    /// That of the account's devices: raised when one of them is suspended, and no matter to the
    /// others.
    pub devices: u64,
}
