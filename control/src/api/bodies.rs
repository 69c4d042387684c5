//! The JSON that requests carry.

use crate::admin::optional_password;
use crate::desks::DeskChange;
use crate::policy::{TenantLimits, TenantRules, role_name};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use serde::{Deserialize, Serialize};

/// A tenant to add.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accounts: Option<u32>,
}

/// An account to add.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    pub(super) login: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) display: Option<String>,
    #[serde(default, with = "optional_password", skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Password>,
    #[serde(default)]
    pub(super) permanent: bool,
    #[serde(default, with = "role_name")]
    pub(super) role: Role,
}

/// A policy to set; what is not given stays.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPolicy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<TenantLimits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<Box<TenantRules>>,
}

/// A role to give.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    #[serde(with = "role_name")]
    pub(super) role: Role,
}

/// A desk to add.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDesk {
    pub(super) desk: String,
    #[serde(default)]
    pub(super) settings: DeskChange,
}

/// A password to set.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    #[serde(default, with = "optional_password", skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Password>,
    #[serde(default)]
    pub(super) permanent: bool,
}
