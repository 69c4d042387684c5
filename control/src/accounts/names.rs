//! What tenants, accounts and people may be called.
//!
//! Tenant names and login IDs are typed at sign-in and stand in keys and logs: lower-case ASCII,
//! so that no two of them look alike and nothing needs Unicode normalisation. Display names, and
//! reasons of suspensions, are free text without anything that could disguise the text around them.

use super::operators::OPERATORS;
use crate::capacity::REASON_BYTES_MAX;
use core::fmt;
use kakehashi_wire::limits::NAME_BYTES_MAX;

/// Longest tenant name or login ID in bytes.
pub const LOGIN_BYTES_MAX: usize = 64;

/// A name that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadName {
    /// Not a tenant name or login ID.
    #[error(
        "use 1 to {LOGIN_BYTES_MAX} of the characters a-z 0-9 . _ @ -, beginning with a letter \
         or digit"
    )]
    Login,
    /// Not a display name.
    #[error(
        "use 1 to {NAME_BYTES_MAX} bytes of text without control, invisible or \
         direction-changing characters, and not only spaces"
    )]
    Display,
    /// Not a reason.
    #[error(
        "use 1 to {REASON_BYTES_MAX} bytes of one line of text without control, invisible or \
         direction-changing characters, and not only spaces"
    )]
    Reason,
}

/// A tenant name or login ID, lower-case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Login(String);

impl Login {
    /// Takes `text` as a name, folding upper case to lower.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let folded = text.to_ascii_lowercase();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        let fits = (1..=LOGIN_BYTES_MAX).contains(&folded.len());
        let begins_well = folded.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if fits && begins_well && folded.bytes().all(good) {
            Ok(Self(folded))
        } else {
            Err(BadName::Login)
        }
    }

    /// Takes `text` as the name of a tenant or of the [operators](super::OPERATORS).
    pub(super) fn of_house(text: &str) -> Result<Self, BadName> {
        if text == OPERATORS { Ok(Self(text.to_owned())) } else { Self::parse(text) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Takes `text` as a display name, without the spaces around it.
pub fn display(text: &str) -> Result<String, BadName> {
    plain(text, NAME_BYTES_MAX).ok_or(BadName::Display)
}

/// Takes `text` as the reason of a suspension, without the spaces around it.
pub fn reason(text: &str) -> Result<String, BadName> {
    plain(text, REASON_BYTES_MAX).ok_or(BadName::Reason)
}

fn plain(text: &str, bytes_max: usize) -> Option<String> {
    let trimmed = text.trim();
    let fits = (1..=bytes_max).contains(&trimmed.len());
    (fits && !trimmed.chars().any(disguises)).then(|| trimmed.to_owned())
}

/// Whether `c` is invisible or changes how the text around it is shown.
fn disguises(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' // direction
            | '\u{2066}'..='\u{206f}'
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{00ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // invisible
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logins_fold_case_and_nothing_else() {
        assert_eq!(Login::parse("Store-1@Example.JP").unwrap().as_str(), "store-1@example.jp");
        for bad in ["", " a", "a ", "a/b", "a\n", "店", ".a", "-a", "@", "ａ", "a\u{202e}b"] {
            assert_eq!(Login::parse(bad), Err(BadName::Login), "{bad:?}");
        }
        assert!(Login::parse(&"a".repeat(LOGIN_BYTES_MAX)).is_ok());
        assert!(Login::parse(&"a".repeat(LOGIN_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn display_names_are_free_text_that_disguises_nothing() {
        assert_eq!(display(" 架け橋 受付 ").unwrap(), "架け橋 受付");
        assert!(display(&"é".repeat(NAME_BYTES_MAX / 2)).is_ok());
        for bad in ["", "  ", "a\u{202e}b", "a\u{1b}[31m", "a\rb", "a\u{2066}", "\u{feff}a"] {
            assert_eq!(display(bad), Err(BadName::Display), "{bad:?}");
        }
        assert!(display(&"é".repeat(NAME_BYTES_MAX / 2 + 1)).is_err());
    }

    #[test]
    fn reasons_are_one_line_that_disguises_nothing() {
        assert_eq!(reason(" 端末の紛失 (lost) ").unwrap(), "端末の紛失 (lost)");
        assert!(reason(&"é".repeat(REASON_BYTES_MAX / 2)).is_ok());
        for bad in ["", " ", "one\ntwo", "a\u{2028}b", "a\u{202e}b", "a\u{1b}[31m"] {
            assert_eq!(reason(bad), Err(BadName::Reason), "{bad:?}");
        }
        assert!(reason(&"é".repeat(REASON_BYTES_MAX / 2 + 1)).is_err());
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "[a-zA-Z0-9._@-]{0,70}") {
            if let Ok(once) = Login::parse(&text) {
                prop_assert_eq!(Login::parse(once.as_str()).unwrap(), once);
            }
        }
    }
}
