//! What a form says.

use kakehashi_wire::secret::Password;
use zeroize::{Zeroize, Zeroizing};

/// The fields of a form (`application/x-www-form-urlencoded`). Has no `Debug`: passwords are in it.
pub(super) struct Fields(Vec<(String, String)>);

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

impl Fields {
    /// Reads a body, or a query.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first value of a field; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The same as owned text without the spaces around it.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).trim().to_owned()
    }

    /// The same if it says anything.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let of = self.0.iter().filter(|(field, _)| field == name);
        of.map(|(_, value)| value.clone()).collect()
    }

    /// Every field with its value, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// A number.
    pub(super) fn number<T: core::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).trim().parse().ok()
    }

    /// A password, as it was typed.
    pub(super) fn password(&self, name: &str) -> Password {
        Password::new(self.get(name).to_owned())
    }

    /// The fields again, as a query.
    pub(super) fn query(pairs: &[(&str, &str)]) -> Zeroizing<String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let said = pairs.iter().filter(|(_, value)| !value.is_empty());
        said.for_each(|(name, value)| {
            query.append_pair(name, value);
        });
        Zeroizing::new(query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_out() {
        let fields = Fields::parse("a=1&b=+x%26%E6%9E%B6+&a=2&c=on&bad=%ff".as_bytes());
        assert_eq!((fields.get("a"), fields.text("b").as_str()), ("1", "x&架"));
        assert_eq!(fields.all("a"), ["1", "2"]);
        assert!(fields.is_ticked("c") && !fields.is_ticked("a"));
        assert_eq!((fields.number("a"), fields.number::<u32>("b")), (Some(1_u32), None));
        assert_eq!((fields.some("z"), fields.get("z")), (None, ""));
        let query = Fields::query(&[("q", "x&架"), ("empty", "")]);
        assert_eq!(Fields::parse(query.as_bytes()).get("q"), "x&架");
        assert!(!query.contains("empty"));
    }
}
