//! Which passwords a person may choose: the rules of NIST SP 800-63B-4. Pure.
//!
//! Long, and not what a guesser tries first. Nothing is asked about which characters: that makes
//! passwords harder to keep, not harder to guess.

use crate::capacity::{PASSWORD_CHARACTERS_MIN, PASSWORD_OWN_CHARACTERS_MIN};
use kakehashi_wire::limits::PASSWORD_BYTES_MAX;
use kakehashi_wire::secret::Password;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// A password that is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPassword {
    /// Too few characters.
    #[error(
        "the password is shorter than {PASSWORD_CHARACTERS_MIN} characters: use a longer one, \
         such as four or five words"
    )]
    Short,
    /// Too many bytes.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes: use a shorter one")]
    Long,
    /// Made of what everybody uses.
    #[error(
        "the password is made of what guessers try first (common passwords, sequences, \
         repetitions): use words that have nothing to do with each other"
    )]
    Common,
    /// Made of what everybody knows.
    #[error("the password holds the name of the tenant, the account or this service: leave it out")]
    Names,
}

/// The name of the service, which its passwords must not hold.
const SERVICE: &str = "kakehashi";

/// Names shorter than this are in too many words by chance.
const NAME_CHARACTERS_MIN: usize = 4;

/// Pieces of the most common passwords, one a line, in order.
const COMMON: &str = include_str!("blocklist.txt");

/// What people type along: rows of the keyboard, digits, letters.
const SEQUENCES: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];

/// Characters of a sequence from which on it is one.
const SEQUENCE_CHARACTERS_MIN: usize = 3;

/// Whether `password` may be that of the account `login` of `tenant`.
pub(super) fn check(password: &Password, tenant: &str, login: &str) -> Result<(), BadPassword> {
    if password.expose().len() > PASSWORD_BYTES_MAX {
        return Err(BadPassword::Long);
    }
    if password.expose().chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(BadPassword::Short);
    }
    let text = bare(password.expose());
    let holds = |name: &str| {
        let name = bare(name);
        name.len() >= NAME_CHARACTERS_MIN && text.windows(name.len()).any(|part| part == &**name)
    };
    if [tenant, login, SERVICE].into_iter().any(holds) {
        return Err(BadPassword::Names);
    }
    if own_characters(&text) + signs(password.expose()) < PASSWORD_OWN_CHARACTERS_MIN {
        return Err(BadPassword::Common);
    }
    Ok(())
}

/// Letters and digits only, in lower case: what guessers vary first does not count.
fn bare(text: &str) -> Zeroizing<Vec<char>> {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    Zeroizing::new(letters.flat_map(char::to_lowercase).collect())
}

/// How many different characters there are that are neither letters nor digits.
fn signs(text: &str) -> usize {
    let signs: HashSet<char> = text.chars().filter(|c| !c.is_alphanumeric()).collect();
    signs.len()
}

/// Characters that are left when everything common is taken out as well as it can be.
fn own_characters(text: &[char]) -> usize {
    let text = once(text);
    let mut least = Zeroizing::new(vec![0; text.len() + 1]);
    for end in 1..=text.len() {
        let mut own = least[end - 1] + 1;
        let starts = COMMON.lines().filter_map(|word| {
            let start = end.checked_sub(word.chars().count())?;
            text[start..end].iter().copied().eq(word.chars()).then_some(start)
        });
        for start in starts.chain(run_start(&text[..end])) {
            own = own.min(least[start]);
        }
        least[end] = own;
    }
    least[text.len()]
}

/// What `text` repeats, if it repeats something at least three times, else all of it.
fn once(text: &[char]) -> &[char] {
    let repeats = |unit: &usize| text.iter().zip(&text[*unit..]).all(|(a, b)| a == b);
    let unit = (1..=text.len() / 3).find(repeats);
    unit.map_or(text, |unit| &text[..unit])
}

/// Where the longest sequence or repetition begins that ends with `text`.
fn run_start(text: &[char]) -> Option<usize> {
    let longest = |follows: &dyn Fn(char, char) -> bool| {
        let pairs = text.windows(2).rev();
        1 + pairs.take_while(|pair| follows(pair[0], pair[1])).count()
    };
    let along = |row: &str, from: char, to: char| {
        row.chars().zip(row.chars().skip(1)).any(|pair| pair == (from, to))
    };
    let runs = SEQUENCES.iter().flat_map(|row| {
        let up = longest(&|a, b| along(row, a, b));
        let down = longest(&|a, b| along(row, b, a));
        [up, down]
    });
    let run = runs.chain([longest(&|a, b| a == b)]).max()?;
    (run >= SEQUENCE_CHARACTERS_MIN).then(|| text.len() - run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(text: &str) -> Result<(), BadPassword> {
        check(&Password::new(text.to_owned()), "ginza", "store-17")
    }

    #[test]
    fn length_is_asked_and_no_character_in_particular() {
        let words = "あさひ にわとり みずうみ 12345";
        assert_eq!(verdict(&words.chars().take(14).collect::<String>()), Err(BadPassword::Short));
        for good in [
            words,
            "correct horse battery",
            "tangerine umbrella",
            "8vq2-x0nd-mmf5-r3yt",
            "!%&/()=?*+#<>|;:",
        ] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        let long = "lantern seventeen ".repeat(20);
        assert_eq!(verdict(&long[..PASSWORD_BYTES_MAX]), Ok(()));
        assert_eq!(verdict(&long[..=PASSWORD_BYTES_MAX]), Err(BadPassword::Long));
    }

    #[test]
    fn what_guessers_try_first_is_not_taken() {
        for common in [
            "passwordpassword",
            "Password1234567!",
            "P-a-s-s-w-o-r-d 2 0 1 2 3",
            "qwertyuiopasdfghjkl",
            "1qaz2wsx3edc4rfv",
            "123456789012345",
            "abcdefghijklmnop",
            "zyxwvutsrqponml",
            "aaaaaaaaaaaaaaaaaaaa",
            "!!!!!!!!!!!!!!!!!!!!",
            "xk9xk9xk9xk9xk9xk9",
            "correct horse battery staple",
            "welcome admin 123",
            "thisismypassword",
            "iloveyou12345678",
            "letmeinletmein99",
            "ああああああああああああああああ",
        ] {
            assert_eq!(verdict(common), Err(BadPassword::Common), "{common}");
        }
    }

    #[test]
    fn names_everybody_knows_are_not_taken() {
        for named in [
            "lantern in Ginza 4711",
            "umbrella STORE 17 teapot",
            "lantern kakehashi teapot",
            "K.a.k.e.h.a.s.h.i lantern",
        ] {
            assert_eq!(verdict(named), Err(BadPassword::Names), "{named}");
        }
        let password = Password::new("umbrella a lantern".to_owned());
        assert_eq!(check(&password, "a", "um"), Ok(()), "short names are in too many words");
    }

    #[test]
    fn the_list_is_in_order_and_bare() {
        let words: Vec<_> = COMMON.lines().collect();
        assert!(words.is_sorted_by(|a, b| a < b));
        for word in words {
            assert!(word.len() >= 2 && bare(word).iter().collect::<String>() == word, "{word}");
        }
    }

    proptest! {
        #[test]
        fn every_text_has_a_verdict(text in "\\PC{0,300}", tenant in ".{0,9}", login in ".{0,9}") {
            let password = Password::new(text.clone());
            let verdict = check(&password, &tenant, &login);
            let fits = text.len() <= PASSWORD_BYTES_MAX;
            let is_long = text.chars().count() >= PASSWORD_CHARACTERS_MIN;
            prop_assert!(verdict != Ok(()) || fits && is_long);
        }
    }
}
