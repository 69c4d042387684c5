//! Which language a page is in.

use super::words::{EN, JA, Words};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};

/// The cookie that remembers a choice.
pub(super) const COOKIE_NAME: &str = "__Host-kakehashi-language";

/// A language that pages come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lang {
    En,
    Ja,
}

impl Lang {
    /// Its code (BCP 47).
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// The language of this code.
    pub(super) fn named(code: &str) -> Option<Self> {
        [Self::En, Self::Ja].into_iter().find(|lang| lang.code() == code)
    }

    /// All that pages say.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::En => &EN,
            Self::Ja => &JA,
        }
    }

    /// What was chosen, else the first of the browser's languages that there is, else English.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE_NAME).and_then(Self::named);
        chosen.unwrap_or_else(|| {
            let wished = headers.get(ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
            let wished = wished.unwrap_or_default().split(',');
            let code = |wish: &str| wish.trim().get(..2).map(str::to_ascii_lowercase);
            wished.filter_map(code).find_map(|code| Self::named(&code)).unwrap_or(Self::En)
        })
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = all.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_comes_before_the_browsers_wish_and_english_last() {
        let headers = |cookie: &str, wish: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookie.parse().unwrap());
            headers.insert(ACCEPT_LANGUAGE, wish.parse().unwrap());
            headers
        };
        let chosen = format!("a=b; {COOKIE_NAME}=en; c=d");
        assert_eq!(Lang::of(&headers(&chosen, "ja")), Lang::En);
        assert_eq!(Lang::of(&headers("a=b", "fr-CH, ja-JP;q=0.9, en;q=0.8")), Lang::Ja);
        assert_eq!(Lang::of(&headers(&format!("{COOKIE_NAME}=xx"), "*")), Lang::En);
        assert_eq!(Lang::of(&HeaderMap::new()), Lang::En);
    }
}
