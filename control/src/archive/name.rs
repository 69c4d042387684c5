//! Names of objects: short paths of small letters, digits and hyphens, which mean the same in a
//! folder and in a bucket.

use crate::capacity::ARCHIVE_NAME_BYTES_MAX;
use core::fmt;

/// Where an object is, or what the names of some begin with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(String);

/// Text that cannot be a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a name is 1 to {ARCHIVE_NAME_BYTES_MAX} small letters, digits and hyphens, with single \
     slashes between them"
)]
pub struct NameError;

impl Name {
    /// Takes `text` as a name if it can be one.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: String) -> Result<Self, NameError> {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let part = |part: &str| !part.is_empty() && part.bytes().all(is_good);
        let fits = text.len() <= ARCHIVE_NAME_BYTES_MAX;
        if fits && text.split('/').all(part) { Ok(Self(text)) } else { Err(NameError) }
    }

    /// A name that this program makes.
    pub(crate) fn of(path: fmt::Arguments<'_>) -> Self {
        Self::parse(path.to_string()).expect("invariant: names of ours are short and plain")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes after the last slash.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for good in ["a", "calls/0/f-1", "audit/tokyo-1/0"] {
            assert_eq!(Name::parse(good.into()).unwrap().as_str(), good);
        }
        let long = "a".repeat(ARCHIVE_NAME_BYTES_MAX + 1);
        for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "A", "a b", "架", &long] {
            assert_eq!(Name::parse(bad.to_owned()), Err(NameError), "{bad:?}");
        }
        assert_eq!(Name::of(format_args!("a/{}", 7)).last(), "7");
    }
}
