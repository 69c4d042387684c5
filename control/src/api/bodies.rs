//! The JSON that requests carry.

use crate::admin::optional_password;
use crate::desks::DeskChange;
use crate::policy::{TenantLimits, TenantRules, role_name};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Who somebody says to be.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    pub(super) tenant: String,
    pub(super) login: String,
    #[serde(with = "password")]
    pub(super) password: Password,
}

/// What somebody who signed in gets.
#[derive(Serialize, Deserialize)]
pub(super) struct Token {
    #[serde(with = "secret")]
    pub(super) token: Zeroizing<String>,
    /// For so many seconds after it was used last.
    pub(super) idle_s: u64,
    /// For so many seconds in all.
    pub(super) life_s: u64,
}

/// A token in JSON.
mod secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        it: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        it.as_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

/// A password in JSON.
mod password {
    use kakehashi_wire::secret::Password;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(it: &Password, to: S) -> Result<S::Ok, S::Error> {
        it.expose().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Password, D::Error> {
        String::deserialize(from).map(Password::new)
    }
}

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

/// A suspension.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSuspension {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
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
