//! Which terminals' software is let in?

use core::fmt;
use serde::{Deserialize, Serialize};

/// A version of three numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version([u32; 3]);

impl Version {
    /// Reads `1.2.3`. What follows a `-` or `+` does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        });
        let version = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(out, "{major}.{minor}.{patch}")
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
            .ok_or_else(|| format!("{text:?} is no version: give three numbers such as \"1.2.3\""))
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

/// Name and version of software as a terminal says them, with a space between.
pub(super) fn name_and_version(software: &str) -> Option<(&str, Version)> {
    let (name, version) = software.rsplit_once(' ')?;
    Some((name, Version::parse(version)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("0.9.0") < version("0.10.0"));
        assert!(version("1.0.0") > version("0.99.99"));
        assert_eq!(version("1.2.3-rc1"), version("1.2.3+build"));
        assert_eq!(version("1.2.3").to_string(), "1.2.3");
        for bad in
            ["", "1", "1.2", "1.2.3.4", "1.2.x", "1..3", "v1.2.3", "1.2.4294967296", "-1.0.0"]
        {
            assert_eq!(Version::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn software_has_a_name_and_a_version() {
        let version = Version([0, 1, 0]);
        assert_eq!(name_and_version("our terminal 0.1.0"), Some(("our terminal", version)));
        for bad in ["", "terminal", "terminal/0.1.0", "0.1.0", "terminal 0.1"] {
            assert_eq!(name_and_version(bad), None, "{bad:?}");
        }
    }
}
