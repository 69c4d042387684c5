//! Bencode, in which rtpengine's control protocol speaks: just what its commands and answers need.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Nesting an answer may have; rtpengine's have four.
const DEPTH_MAX: usize = 16;

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// Values by name, in the order of their names.
    Dictionary(BTreeMap<Vec<u8>, Self>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl Value {
    /// Names with texts, as most commands are.
    pub fn dictionary<const N: usize>(entries: [(&str, Self); N]) -> Self {
        let entries = entries.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value));
        Self::Dictionary(entries.collect())
    }

    /// The entry of a dictionary that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let Self::Dictionary(entries) = self else { return None };
        match entries.get(name.as_bytes())? {
            Self::Bytes(bytes) => core::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => out.extend(format!("i{number}e").bytes()),
            Self::Bytes(bytes) => write_bytes(bytes, out),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (name, value) in entries {
                    write_bytes(name, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads one value that fills `bytes`.
    ///
    /// # Errors
    /// What is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        let value = reader.value(DEPTH_MAX)?;
        if !reader.0.is_empty() {
            bail!("{} bytes follow the value", reader.0.len());
        }
        Ok(value)
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{}:", bytes.len()).bytes());
    out.extend(bytes);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth == 0 {
            bail!("nested more than {DEPTH_MAX} deep");
        }
        match self.0.first() {
            Some(b'i') => {
                self.0 = &self.0[1..];
                Ok(Value::Integer(self.number(b'e')?))
            }
            Some(b'l') => {
                let mut values = Vec::new();
                self.0 = &self.0[1..];
                while !self.at_end() {
                    values.push(self.value(depth - 1)?);
                }
                Ok(Value::List(values))
            }
            Some(b'd') => {
                let mut entries = BTreeMap::new();
                self.0 = &self.0[1..];
                while !self.at_end() {
                    let name = self.bytes()?.to_vec();
                    entries.insert(name, self.value(depth - 1)?);
                }
                Ok(Value::Dictionary(entries))
            }
            _ => Ok(Value::Bytes(self.bytes()?.to_vec())),
        }
    }

    /// Whether the list or dictionary ends here; takes the end.
    fn at_end(&mut self) -> bool {
        match self.0.split_first() {
            Some((b'e', rest)) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn number(&mut self, end: u8) -> Result<i64> {
        let Some(at) = self.0.iter().position(|byte| *byte == end) else {
            bail!("a number does not end");
        };
        let number = core::str::from_utf8(&self.0[..at])?.parse()?;
        self.0 = &self.0[at + 1..];
        Ok(number)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number(b':')?)?;
        let Some((bytes, rest)) = self.0.split_at_checked(length) else {
            bail!("a string of {length} bytes is cut short");
        };
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_were_written() {
        let list = Value::List(vec![Value::Integer(-7), Value::from("a")]);
        let value = Value::dictionary([("sdp", "v=0\r\n".into()), ("flags", list)]);
        let bytes = value.encode();
        assert_eq!(bytes, b"d5:flagsli-7e1:ae3:sdp5:v=0\r\ne");
        assert_eq!(Value::decode(&bytes).unwrap(), value);
        assert_eq!(value.text("sdp"), Some("v=0\r\n"));
        assert_eq!(value.text("flags"), None);
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let deep = vec![b'l'; 1_000];
        for bytes in ["", "i7", "ixe", "5:abc", "-1:a", "l1:a", "d1:a", "di1e1:ae", "1:ab"]
            .iter()
            .map(|text| text.as_bytes())
            .chain([&deep[..]])
        {
            assert!(Value::decode(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
