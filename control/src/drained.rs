//! Which relays are out of use, as the store has it: a node that starts again, or another that
//! leads, is to know. A relay that is to be upgraded must not get calls because of what became of
//! control.

use crate::store::{Expected, Key, Record, SharedStore, StoreError, Transaction, decode, encode};
use kakehashi_wire::id::RelayId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The relays by number; a few at most, each of which an operator has named.
#[derive(Serialize, Deserialize, Default)]
struct DrainedRecord {
    relays: BTreeSet<u32>,
}

impl Record for DrainedRecord {
    const VERSION: u32 = 1;
}

fn key() -> Key {
    Key::of_index(format_args!("drained")).expect("invariant: the key is short and printable")
}

async fn read(store: &SharedStore) -> Result<(DrainedRecord, Expected), StoreError> {
    match store.get(&key()).await? {
        Some(entry) => Ok((decode(&entry)?, Expected::At(entry.revision))),
        None => Ok((DrainedRecord::default(), Expected::Absent)),
    }
}

/// The relays that are out of use.
///
/// # Errors
/// [`StoreError`].
pub async fn all(store: &SharedStore) -> Result<Vec<RelayId>, StoreError> {
    Ok(read(store).await?.0.relays.into_iter().map(RelayId).collect())
}

/// Notes that a relay is out of use, or in use again.
///
/// # Errors
/// [`StoreError`]; then nothing may be done about it, since it would not last.
pub async fn note(store: &SharedStore, relay: RelayId, on: bool) -> Result<(), StoreError> {
    loop {
        let (mut record, expected) = read(store).await?;
        let is_news =
            if on { record.relays.insert(relay.0) } else { record.relays.remove(&relay.0) };
        if !is_news {
            return Ok(());
        }
        let write = Transaction::new().compare(key(), expected).put(key(), encode(&record));
        match store.transact(write).await {
            // Somebody else has just noted another.
            Err(StoreError::Conflict) => {}
            noted => return noted.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_was_noted_is_there_after_a_restart_whoever_noted_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let open = || -> SharedStore { Arc::new(Embedded::open(&path).unwrap()) };
        let store = open();
        assert_eq!(all(&store).await.unwrap(), []);
        let noted = tokio::join!(
            note(&store, RelayId(7), true),
            note(&store, RelayId(2), true),
            note(&store, RelayId(9), true),
        );
        assert_eq!(noted, (Ok(()), Ok(()), Ok(())));
        note(&store, RelayId(7), true).await.unwrap();
        note(&store, RelayId(2), false).await.unwrap();
        note(&store, RelayId(5), false).await.unwrap();
        drop(store);
        assert_eq!(all(&open()).await.unwrap(), [7, 9].map(RelayId));
    }
}
