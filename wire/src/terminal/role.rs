//! What an account is for, and so what it may do.

use rkyv::{Archive, Deserialize, Serialize};

/// The role of an account in its tenant. Which role may do what is control's to say.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Archive,
    Serialize,
    Deserialize,
)]
#[repr(u8)]
pub enum Role {
    /// A store's terminal. What an account is that was given no other role.
    #[default]
    Store = 1,
    /// Takes the stores' calls.
    Concierge = 2,
    /// Looks after concierges.
    Supervisor = 3,
    /// Manages the tenant's accounts.
    TenantAdmin = 4,
}

impl Role {
    /// Every role, in the order of the wire.
    pub const ALL: [Self; 4] = [Self::Store, Self::Concierge, Self::Supervisor, Self::TenantAdmin];

    /// Its name in records and machine-readable output; never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Concierge => "concierge",
            Self::Supervisor => "supervisor",
            Self::TenantAdmin => "tenant-admin",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_listed_once_and_has_a_name_of_its_own() {
        for (place, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, place + 1);
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("Store"), None);
    }
}
