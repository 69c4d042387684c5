//! Keys: readable paths of printable ASCII, laid out so that one tenant is one prefix.
//!
//! `t/<tenant>/...` holds everything of a tenant; `x/...` holds the few indexes across tenants.

use crate::capacity::STORE_KEY_BYTES_MAX;
use core::fmt;
use kakehashi_wire::id::TenantId;

/// Where an entry stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(String);

/// What a set of keys begins with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prefix(String);

/// Text that cannot be a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key is 1 to {STORE_KEY_BYTES_MAX} printable ASCII characters")]
pub struct KeyError;

impl Key {
    /// A key of `tenant`: `path` below its prefix.
    pub fn of_tenant(tenant: TenantId, path: fmt::Arguments<'_>) -> Result<Self, KeyError> {
        Self::parse(format!("t/{tenant}/{path}"))
    }

    /// A key of an index across tenants.
    pub fn of_index(path: fmt::Arguments<'_>) -> Result<Self, KeyError> {
        Self::parse(format!("x/{path}"))
    }

    /// Takes `text` as a key if it can be one.
    pub fn parse(text: String) -> Result<Self, KeyError> {
        check(&text)?;
        Ok(Self(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Prefix {
    /// Everything.
    pub fn all() -> Self {
        Self(String::new())
    }

    /// Everything of `tenant`.
    pub fn tenant(tenant: TenantId) -> Self {
        Self(format!("t/{tenant}/"))
    }

    /// What lies below `path` within `tenant`.
    pub fn of_tenant(tenant: TenantId, path: &'static str) -> Self {
        Self(format!("t/{tenant}/{path}/"))
    }

    /// What lies below `path` in the indexes across tenants.
    pub fn of_index(path: &'static str) -> Self {
        Self(format!("x/{path}/"))
    }

    /// Takes `text` as a prefix if keys can begin with it.
    pub fn parse(text: String) -> Result<Self, KeyError> {
        check(&text)?;
        Ok(Self(text))
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` begins with this.
    pub fn holds(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }
}

fn check(text: &str) -> Result<(), KeyError> {
    let fits = (1..=STORE_KEY_BYTES_MAX).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(()) } else { Err(KeyError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_prefix_and_no_other_tenants() {
        let (one, two) = (TenantId(1), TenantId(0x10));
        let key = Key::of_tenant(one, format_args!("account/{}", 7)).unwrap();
        assert_eq!(key.as_str(), "t/0000000000000001/account/7");
        assert!(Prefix::tenant(one).holds(&key));
        assert!(Prefix::of_tenant(one, "account").holds(&key));
        assert!(!Prefix::tenant(two).holds(&key));
        assert!(!Prefix::of_tenant(one, "acc").holds(&key));
    }

    #[test]
    fn a_key_is_short_and_printable() {
        assert!(Key::parse(String::new()).is_err());
        assert!(Key::parse("a b".into()).is_err());
        assert!(Key::parse("架".into()).is_err());
        assert!(Key::parse("a\n".into()).is_err());
        assert!(Key::parse("a".repeat(STORE_KEY_BYTES_MAX)).is_ok());
        assert!(Key::parse("a".repeat(STORE_KEY_BYTES_MAX + 1)).is_err());
    }
}
