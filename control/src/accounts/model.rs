//! Tenants and accounts as they are kept, and where.

use super::names::Login;
use super::password::StoredHash;
use crate::clock::UnixMs;
use crate::policy::{TenantLimits, TenantPolicy, TenantRules, role_name};
use crate::store::{Key, Record, hex_id};
use kakehashi_wire::id::{AccountId, DeviceId, TenantId};
use kakehashi_wire::terminal::Role;
use serde::{Deserialize, Serialize};

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Its number.
    #[serde(with = "hex_id")]
    pub id: TenantId,
    /// Its name, unique in the cell, lower-case.
    pub name: String,
    /// What it may have.
    pub limits: TenantLimits,
    /// How it wants its calls.
    #[serde(default, skip_serializing_if = "TenantRules::are_usual")]
    pub rules: TenantRules,
    /// When it was made.
    pub created: UnixMs,
    /// Whether its accounts may sign in.
    #[serde(default)]
    pub standing: Standing,
    /// Raised whenever what was granted to its accounts before must no longer count.
    #[serde(default)]
    pub epoch: u64,
}

impl Tenant {
    /// What it may have, and how it wants its calls.
    pub fn policy(&self) -> TenantPolicy {
        TenantPolicy { limits: self.limits, rules: self.rules.clone() }
    }
}

/// Whether somebody may sign in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Yes.
    #[default]
    Active,
    /// No, until it is activated again.
    Suspended {
        /// Since when.
        since: UnixMs,
        /// Why, as far as whoever did it said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// When a relay sent on media of it last, as far as the relays have answered. None also if
        /// it was in no call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_ended: Option<UnixMs>,
    },
}

impl Standing {
    /// Whether sign-ins are taken.
    pub fn is_active(&self) -> bool {
        *self == Self::Active
    }
}

/// A device on which an account may not be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspendedDevice {
    /// The device.
    #[serde(with = "hex_id")]
    pub device: DeviceId,
    /// Since when.
    pub since: UnixMs,
    /// Why, as far as whoever did it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When a relay sent on media of the account there last, as far as the relays have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_ended: Option<UnixMs>,
}

/// An account, without its password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    #[serde(with = "hex_id")]
    pub id: AccountId,
    /// Its tenant.
    #[serde(with = "hex_id")]
    pub tenant: TenantId,
    /// Its login ID, unique in the tenant, lower-case.
    pub login: String,
    /// The name shown to others.
    pub display: String,
    /// Raised whenever what was granted before must no longer count.
    pub epoch: u64,
    /// When it was made.
    pub created: UnixMs,
    /// What it is for.
    #[serde(default, with = "role_name")]
    pub role: Role,
    /// Whether it may sign in.
    #[serde(default)]
    pub standing: Standing,
    /// On which devices it may not.
    #[serde(default)]
    pub suspended_devices: Vec<SuspendedDevice>,
    /// Raised whenever one of its devices is suspended: what was granted to that one before no
    /// longer counts.
    #[serde(default)]
    pub devices_epoch: u64,
}

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountRecord {
    #[serde(flatten)]
    pub(super) account: Account,
    pub(super) password: StoredHash,
    /// The password is for one sign-in, in which it must be changed.
    #[serde(default)]
    pub(super) one_time: bool,
}

/// Which tenant has a name.
#[derive(Serialize, Deserialize)]
pub(super) struct NameRecord {
    #[serde(with = "hex_id")]
    pub(super) tenant: TenantId,
}

/// Which account has a login ID.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginRecord {
    #[serde(with = "hex_id")]
    pub(super) account: AccountId,
}

/// How many accounts a tenant has.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct CountRecord {
    pub(super) accounts: u32,
}

/// A device an account has signed in from.
#[derive(Serialize, Deserialize)]
pub(super) struct DeviceRecord {
    #[serde(with = "hex_id")]
    pub(super) device: DeviceId,
    pub(super) key: [u8; 32],
    pub(super) last: UnixMs,
    /// What is granted to it names this number, and counts as long as it has it. No time: the
    /// clocks of two nodes say nothing about what came first.
    #[serde(default)]
    pub(super) grant: u64,
}

/// All devices an account has signed in from.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct DevicesRecord {
    /// The one seen last at the end.
    pub(super) devices: Vec<DeviceRecord>,
    /// The highest number that any device was given.
    #[serde(default)]
    pub(super) last_grant: u64,
}

impl Record for Tenant {
    // 2: `standing` and `epoch`; 3: `rules` and more limits; 4: `reason` and `media_ended`.
    const VERSION: u32 = 4;
}
impl Record for AccountRecord {
    // 2: `standing` and `suspended_devices`; 3: `role`; 4: `reason` and `media_ended`.
    const VERSION: u32 = 4;
}
impl Record for NameRecord {
    const VERSION: u32 = 1;
}
impl Record for LoginRecord {
    const VERSION: u32 = 1;
}
impl Record for CountRecord {
    const VERSION: u32 = 1;
}
impl Record for DevicesRecord {
    // 2: `signed_out`; 3: `grant` in place of when it was seen first and signed out.
    const VERSION: u32 = 3;
}

pub(super) const FITS: &str = "names are at most 64 printable bytes, far below the longest key";

pub(super) fn name_key(name: &Login) -> Key {
    Key::of_index(format_args!("tenant-name/{name}")).expect(FITS)
}

pub(super) fn tenant_key(tenant: TenantId) -> Key {
    Key::of_tenant(tenant, format_args!("about")).expect(FITS)
}

pub(super) fn count_key(tenant: TenantId) -> Key {
    Key::of_tenant(tenant, format_args!("accounts")).expect(FITS)
}

pub(super) fn account_key(tenant: TenantId, account: AccountId) -> Key {
    Key::of_tenant(tenant, format_args!("account/{account}")).expect(FITS)
}

pub(super) fn devices_key(tenant: TenantId, account: AccountId) -> Key {
    Key::of_tenant(tenant, format_args!("devices/{account}")).expect(FITS)
}

pub(super) fn login_key(tenant: TenantId, login: &Login) -> Key {
    Key::of_tenant(tenant, format_args!("login/{login}")).expect(FITS)
}
