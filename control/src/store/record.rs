//! Records: values as JSON with their version, so that a later version can read an earlier one's.

use super::{Entry, Key, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What can be a value.
pub trait Record: Serialize + DeserializeOwned {
    /// The version that is written. Readers refuse what is later.
    const VERSION: u32;
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    #[serde(flatten)]
    record: &'a T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// The value that says `record`.
pub fn encode<T: Record>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Written { v: T::VERSION, record })
        .expect("records are maps with text keys, which JSON can always say")
}

/// The record that `entry` says.
pub fn decode<T: Record>(entry: &Entry) -> Result<T, StoreError> {
    let corrupt = |error: serde_json::Error| damaged(&entry.key, &error.to_string());
    let VersionOnly { v } = serde_json::from_slice(&entry.value).map_err(corrupt)?;
    if v > T::VERSION {
        let path = PathBuf::from(entry.key.as_str());
        return Err(StoreError::Newer { path, found: v.into(), known: T::VERSION.into() });
    }
    serde_json::from_slice(&entry.value).map_err(corrupt)
}

/// The error for an entry that cannot be what it says.
pub(crate) fn damaged(key: &Key, what: &str) -> StoreError {
    StoreError::Corrupt { path: PathBuf::from(key.as_str()), what: what.to_owned() }
}

/// Identifiers in JSON: hexadecimal text, since JSON numbers lose digits above 2^53.
pub mod hex_id {
    use kakehashi_wire::id::{AccountId, CallId, DeviceId, RelayId, SessionId, TenantId};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// An identifier that is a number.
    pub trait HexId: Sized + core::fmt::Display {
        /// The identifier with this number, if it can have it.
        fn from_number(number: u64) -> Option<Self>;
    }

    macro_rules! hex_id {
        ($($name:ident),*) => { $(
            impl HexId for $name {
                fn from_number(number: u64) -> Option<Self> {
                    number.try_into().ok().map(Self)
                }
            }
        )* };
    }
    hex_id!(TenantId, AccountId, CallId, SessionId, DeviceId, RelayId);

    /// Writes `id`.
    pub fn serialize<T: HexId, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    /// An identifier that may be missing.
    pub mod option {
        use super::HexId;
        use serde::de::Error;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        /// Writes `id`.
        pub fn serialize<T: HexId, S: Serializer>(
            id: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            id.as_ref().map(ToString::to_string).serialize(to)
        }

        /// Reads an identifier, if there is one.
        pub fn deserialize<'de, T: HexId, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<T>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| super::parse(&text)).transpose().map_err(D::Error::custom)
        }
    }

    fn parse<T: HexId>(text: &str) -> Result<T, String> {
        let number = u64::from_str_radix(text, 16).map_err(|error| error.to_string())?;
        T::from_number(number).ok_or_else(|| "the identifier is too large".to_owned())
    }

    /// Reads an identifier.
    pub fn deserialize<'de, T: HexId, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        parse(&text).map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revision;
    use kakehashi_wire::id::TenantId;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Sample {
        #[serde(with = "hex_id")]
        tenant: TenantId,
        #[serde(default, with = "hex_id::option")]
        other: Option<TenantId>,
        name: String,
    }

    impl Record for Sample {
        const VERSION: u32 = 3;
    }

    fn entry(value: &[u8]) -> Entry {
        let key = Key::parse("t/1".into()).unwrap();
        Entry { key, value: value.to_vec(), revision: Revision(1) }
    }

    #[test]
    fn a_record_survives_and_says_its_version() {
        let tenant = TenantId(u64::MAX - 1);
        let sample = Sample { tenant, other: Some(TenantId(16)), name: "架".into() };
        let value = encode(&sample);
        assert_eq!(
            String::from_utf8(value.clone()).unwrap(),
            r#"{"v":3,"tenant":"fffffffffffffffe","other":"0000000000000010","name":"架"}"#
        );
        assert_eq!(decode::<Sample>(&entry(&value)).unwrap(), sample);
        for without in
            [r#"{"v":3,"tenant":"1","name":""}"#, r#"{"v":3,"tenant":"1","other":null,"name":""}"#]
        {
            assert_eq!(decode::<Sample>(&entry(without.as_bytes())).unwrap().other, None);
        }
    }

    #[test]
    fn what_is_later_or_damaged_is_refused_by_name() {
        let later = decode::<Sample>(&entry(br#"{"v":4,"shape":"unknown"}"#));
        assert!(matches!(later, Err(StoreError::Newer { found: 4, known: 3, .. })));
        for bad in [
            &b""[..],
            b"{",
            b"{}",
            br#"{"v":3}"#,
            b"\xff",
            br#"{"v":3,"tenant":"g"}"#,
            br#"{"v":3,"tenant":"1","other":"g","name":""}"#,
        ] {
            let read = decode::<Sample>(&entry(bad));
            assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{bad:?}");
        }
    }
}
