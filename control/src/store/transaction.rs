//! A change: what must still be true, what is put, what is deleted; all of it or nothing.

use super::{Key, Revision, StoreError};
use crate::capacity::{STORE_OPERATIONS_MAX, STORE_TRANSACTION_BYTES_MAX, STORE_VALUE_BYTES_MAX};

/// What a key must be for a transaction to go ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It does not exist.
    Absent,
    /// It was last changed by this revision.
    At(Revision),
}

/// One condition of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compare {
    /// Which key.
    pub key: Key,
    /// What it must be.
    pub expected: Expected,
}

/// A change, built with the methods below. Has no `Debug`: values may hold password hashes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    compares: Vec<Compare>,
    puts: Vec<(Key, Vec<u8>)>,
    deletes: Vec<Key>,
}

impl Transaction {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes ahead only if `key` is as expected.
    #[must_use]
    pub fn compare(mut self, key: Key, expected: Expected) -> Self {
        self.compares.push(Compare { key, expected });
        self
    }

    /// Sets `key` to `value`, whatever this transaction did to it before.
    #[must_use]
    pub fn put(mut self, key: Key, value: Vec<u8>) -> Self {
        // A cluster takes no key twice in one transaction.
        self.deletes.retain(|other| *other != key);
        self.puts.retain(|(other, _)| *other != key);
        self.puts.push((key, value));
        self
    }

    /// Removes `key` if it is there and this transaction does not put it.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        if !self.deletes.contains(&key) && self.puts.iter().all(|(other, _)| *other != key) {
            self.deletes.push(key);
        }
        self
    }

    /// The conditions.
    pub fn compares(&self) -> &[Compare] {
        &self.compares
    }

    /// The puts, in order.
    pub fn puts(&self) -> &[(Key, Vec<u8>)] {
        &self.puts
    }

    /// The deletes, in order.
    pub fn deletes(&self) -> &[Key] {
        &self.deletes
    }

    /// Refuses what is larger than any engine takes.
    pub fn check(&self) -> Result<(), StoreError> {
        let keys = self.compares.iter().map(|compare| &compare.key).chain(&self.deletes);
        let keys: usize = keys.chain(self.puts.iter().map(|(key, _)| key)).map(bytes).sum();
        let values: usize = self.puts.iter().map(|(_, value)| value.len()).sum();
        let largest = self.puts.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        let writes = self.puts.len() + self.deletes.len();
        let limits = [
            ("compares of one transaction", self.compares.len(), STORE_OPERATIONS_MAX),
            ("writes of one transaction", writes, STORE_OPERATIONS_MAX),
            ("bytes of one value", largest, STORE_VALUE_BYTES_MAX),
            ("bytes of one transaction", keys + values, STORE_TRANSACTION_BYTES_MAX),
        ];
        match limits.into_iter().find(|(_, found, most)| found > most) {
            Some((what, found, most)) => Err(StoreError::TooLarge { what, found, most }),
            None => Ok(()),
        }
    }
}

fn bytes(key: &Key) -> usize {
    key.as_str().len()
}
