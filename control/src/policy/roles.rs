//! Roles in JSON and TOML: the names that operators read; one role, several, something for each.

use kakehashi_wire::terminal::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A role by its name.
pub(crate) mod role_name {
    use kakehashi_wire::terminal::Role;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the role.
    pub(crate) fn serialize<S: Serializer>(role: &Role, to: S) -> Result<S::Ok, S::Error> {
        role.name().serialize(to)
    }

    /// Reads the role.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
        let text = String::deserialize(from)?;
        Role::named(&text).ok_or_else(|| D::Error::custom("unknown role"))
    }
}

/// Some roles; all of them unless others are said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Whether `role` is one of them.
    pub fn include(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into())
    }
}

impl From<&[Role]> for Roles {
    fn from(roles: &[Role]) -> Self {
        Self(roles.iter().copied().collect())
    }
}

impl TryFrom<Vec<String>> for Roles {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        let role = |name: &String| {
            let all = Role::ALL.map(Role::name).join(", ");
            Role::named(name).ok_or_else(|| format!("{name:?} is no role: give some of {all}"))
        };
        names.iter().map(role).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Roles> for Vec<String> {
    fn from(Roles(roles): Roles) -> Self {
        roles.into_iter().map(|role| role.name().to_owned()).collect()
    }
}

/// Something for each role.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PerRole<T: Default> {
    /// For stores' terminals.
    pub store: T,
    /// For concierges.
    pub concierge: T,
    /// For supervisors.
    pub supervisor: T,
    /// For administrators of the tenant.
    pub tenant_admin: T,
}

impl<T: Default> PerRole<T> {
    /// What is for `role`.
    pub fn of(&self, role: Role) -> &T {
        match role {
            Role::Store => &self.store,
            Role::Concierge => &self.concierge,
            Role::Supervisor => &self.supervisor,
            Role::TenantAdmin => &self.tenant_admin,
        }
    }
}
