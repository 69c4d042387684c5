//! A change: what must still be true, what is put, what is deleted; all of it or nothing.

use super::{Key, Revision, StoreError};
use crate::capacity::{STORE_OPERATIONS_MAX, STORE_VALUE_BYTES_MAX};

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

    /// Sets `key` to `value`.
    #[must_use]
    pub fn put(mut self, key: Key, value: Vec<u8>) -> Self {
        self.puts.push((key, value));
        self
    }

    /// Removes `key` if it is there. Deletes are done before puts.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.deletes.push(key);
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
        let found = self.compares.len() + self.puts.len() + self.deletes.len();
        if found > STORE_OPERATIONS_MAX {
            let what = "operations of one transaction";
            return Err(StoreError::TooLarge { what, found, most: STORE_OPERATIONS_MAX });
        }
        match self.puts.iter().map(|(_, value)| value.len()).max() {
            Some(found) if found > STORE_VALUE_BYTES_MAX => {
                let what = "bytes of one value";
                Err(StoreError::TooLarge { what, found, most: STORE_VALUE_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }
}
