//! What a request says: names in its path, numbers in its query, JSON in its body.

use super::problem::Problem;
use core::str::FromStr;
use kakehashi_wire::id::{CallId, DeviceId, RelayId};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// One request, taken apart and not yet understood.
pub(super) struct Asked<'a> {
    /// The named segments of its path, decoded.
    pub(super) names: &'a [(String, String)],
    /// Its query.
    pub(super) query: &'a str,
    /// Its body.
    pub(super) body: &'a [u8],
}

impl Asked<'_> {
    /// What stands in the path in place of `{name}`.
    pub(super) fn name(&self, name: &str) -> String {
        let found = self.names.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The device that the path names.
    pub(super) fn device(&self) -> Result<DeviceId, Problem> {
        number(&self.name("device")).map(DeviceId).ok_or_else(|| {
            Problem::wrong("not a device: give up to 16 hexadecimal digits, as sessions show them")
        })
    }

    /// The call that the path names.
    pub(super) fn call(&self) -> Result<CallId, Problem> {
        number(&self.name("call")).map(CallId).ok_or_else(|| {
            Problem::wrong("not a call: give up to 16 hexadecimal digits, as calls show them")
        })
    }

    /// The relay that the path names.
    pub(super) fn relay(&self) -> Result<RelayId, Problem> {
        let number = self.name("relay").parse().map(RelayId);
        number.map_err(|_| Problem::wrong("not a relay: give its number, as relays show it"))
    }

    /// A value of the query, if it is there.
    pub(super) fn query<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let mut found = pairs(self.query).filter(|(known, _)| *known == name);
        let Some((_, value)) = found.next() else { return Ok(None) };
        match (value.parse(), found.next()) {
            (Ok(value), None) => Ok(Some(value)),
            _ => Err(Problem::wrong(format!("`{name}` in the query is not one good value"))),
        }
    }

    /// The body.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // Says where the text is wrong, never what it holds: that may be a password.
        serde_json::from_slice(self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                Category::Io | Category::Syntax | Category::Eof => "is not JSON",
                Category::Data => "lacks a member, or has one that is unknown or of another type",
            };
            let help = "GET /v1/openapi.json says what it must be";
            Problem::wrong(format!("the body {what} (line {line}, column {column}): {help}"))
        })
    }

    /// The body, or what it would say if nothing was sent.
    pub(super) fn body_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.body() }
    }

    /// Refuses whatever stands in the query besides `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match pairs(self.query).find(|(name, _)| !known.contains(name)) {
            Some(_) if known.is_empty() => Err(Problem::wrong("this path takes no query")),
            Some(_) => Err(Problem::wrong(format!("the query may have: {}", known.join(", ")))),
            None => Ok(()),
        }
    }
}

/// Numbers and digests need no escapes, so none are undone.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

fn number(text: &str) -> Option<u64> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && text.len() <= 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(query: &'a str, body: &'a [u8]) -> Asked<'a> {
        Asked { names: &[], query, body }
    }

    #[test]
    fn a_query_says_each_thing_once() {
        assert_eq!(asked("a=1&b=2", b"").query::<u32>("b"), Ok(Some(2)));
        assert_eq!(asked("", b"").query::<u32>("b"), Ok(None));
        for bad in ["b", "b=", "b=-1", "b=1&b=1", "b=1%30", "b=99999999999"] {
            assert!(asked(bad, b"").query::<u32>("b").is_err(), "{bad}");
        }
        assert!(asked("a=1&b=2", b"").only(&["a", "b"]).is_ok());
        assert!(asked("a=1&b=2", b"").only(&["a"]).is_err());
        assert!(asked("a", b"").only(&[]).is_err());
    }

    #[test]
    fn a_body_that_may_be_left_out_is_still_understood_or_refused() {
        let read = |body: &[u8]| asked("", body).body_or_default::<Vec<u8>>();
        assert_eq!((read(b""), read(b"[1]")), (Ok(Vec::new()), Ok(vec![1])));
        assert!(read(b" ").is_err() && read(b"{}").is_err());
    }

    #[test]
    fn identifiers_are_hexadecimal_and_fit() {
        assert_eq!(number("00ff"), Some(255));
        for bad in ["", "+1", "0x1", "11112222333344445", "架"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said_without_repeating_it() {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            #[expect(dead_code, reason = "only whether it can be read counts")]
            login: String,
        }
        for bad in [r#"{"login":1,"hunter2":1}"#, r#"{"login":"a","hunter2":1}"#, "hunter2", ""] {
            let problem = asked("", bad.as_bytes()).body::<Body>().err().unwrap();
            let said = format!("{problem:?}");
            assert!(said.contains("line") && !said.contains("hunter2"), "{said}");
        }
        bolero::check!().for_each(|body: &[u8]| {
            let _ = asked("", body).body::<Body>();
        });
    }
}
