//! The reading thread: takes the keys that were asked for meanwhile, reads them in one
//! transaction, and answers. To wake a thread for each key would cost several times the reading.

use super::file::ENTRIES;
use super::{Entry, Key, Revision, Shared, StoreError};
use crate::capacity::STORE_GETS_AT_ONCE;
use redb::ReadTransaction;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::{mpsc, oneshot};

/// What is at a key, or which life of the file could not say it and why.
pub(super) type Found = Result<Option<Entry>, (u64, StoreError)>;

/// A key that somebody wants to know.
pub(super) struct Get {
    pub(super) key: Key,
    pub(super) answer: oneshot::Sender<Found>,
}

/// Runs until nobody can ask any more.
pub(super) fn run(shared: &Shared, mut gets: mpsc::Receiver<Get>) {
    let mut batch = Vec::with_capacity(STORE_GETS_AT_ONCE);
    while gets.blocking_recv_many(&mut batch, STORE_GETS_AT_ONCE) > 0 {
        let taken = AssertUnwindSafe(|| answer(shared, &mut batch));
        if catch_unwind(taken).is_err() {
            tracing::error!(event = "store_read_panicked", path = %shared.path.display(),
                "a read panicked");
        }
        // Who was not answered hears that the store is closed.
        batch.clear();
    }
}

fn answer(shared: &Shared, batch: &mut Vec<Get>) {
    let keys: Vec<&Key> = batch.iter().map(|get| &get.key).collect();
    let found = shared.read(&|txn| read(txn, &keys));
    match found {
        Ok(found) => {
            for (get, entry) in batch.drain(..).zip(found) {
                // Whoever asked may have gone.
                let _ = get.answer.send(Ok(entry));
            }
        }
        Err((life, error)) => {
            for get in batch.drain(..) {
                let _ = get.answer.send(Err((life, error.clone())));
            }
        }
    }
}

fn read(txn: &ReadTransaction, keys: &[&Key]) -> Result<Vec<Option<Entry>>, redb::Error> {
    let table = txn.open_table(ENTRIES)?;
    let entry = |key: &&Key| {
        let found = table.get(key.as_str())?;
        Ok(found.map(|found| {
            let (revision, value) = found.value();
            Entry { key: (*key).clone(), value: value.to_vec(), revision: Revision(revision) }
        }))
    };
    keys.iter().map(entry).collect()
}
