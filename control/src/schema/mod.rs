//! Which layout the store has, and the way from an earlier one to this one.
//!
//! One entry, `x/schema`, says it; a store without that entry and with others has the first
//! layout. A node settles it before it does anything else: it refuses a later layout, and brings an
//! earlier one forward, step by step. A step changes entries one by one, so that one that was
//! interrupted is begun again and finds done what is done. **Nobody who knows only the old layout
//! leads over the new one:** whoever begins a step claims `x/schema`, without which no step of
//! another's is taken, and takes the lead from whoever has it; no node claims the lead over a
//! layout that it does not know.

mod calls;

use crate::capacity::{
    FENCE_COMPARES, SCHEMA_RETRY, STORE_OPERATIONS_MAX, STORE_TRANSACTION_BYTES_MAX,
};
use crate::nodes::lead_key;
use crate::store::{
    Entry, Expected, Fenced, Key, Prefix, Range, Record, Revision, SharedStore, Store, StoreError,
    Transaction, decode, encode,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The layout that this version reads and writes.
pub const SCHEMA_VERSION: u32 = 2;

/// What a store without `x/schema` has, if it holds anything.
const FIRST: u32 = 1;

/// What the store says of its layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Schema {
    /// All entries are of this layout.
    version: u32,
    /// Some are of this one already: it is being brought forward.
    #[serde(default)]
    next: Option<u32>,
}

impl Record for Schema {
    const VERSION: u32 = 1;
}

/// The way from one layout to the next.
struct Step {
    to: u32,
    what: &'static str,
    /// The value of an entry from then on; none for one that stays as it is, as every one does
    /// whose turn was before.
    change: fn(&Entry) -> Result<Option<Vec<u8>>, StoreError>,
}

/// All steps, from the first layout to this version's.
const STEPS: [Step; 1] =
    [Step { to: 2, what: "records of calls are all of one form", change: calls::of_one_form }];

const _: () = assert!(STEPS[STEPS.len() - 1].to == SCHEMA_VERSION);

fn key() -> Key {
    Key::of_index(format_args!("schema")).expect("invariant: the key is short and printable")
}

/// The layout of `store`; none if it is empty.
///
/// # Errors
/// [`StoreError`].
pub async fn version(store: &dyn Store) -> Result<Option<u32>, StoreError> {
    Ok(found(store).await?.map(|(schema, _)| schema.version))
}

/// What a change compares that is to be made over a layout that this version knows, and no other.
///
/// # Errors
/// [`StoreError::Newer`] if the layout is a later one, or becomes so; or whatever else the store
/// says.
pub(crate) async fn fence(store: &dyn Store) -> Result<(Key, Expected), StoreError> {
    match found(store).await? {
        None => Ok((key(), Expected::Absent)),
        Some((schema, fence)) => known(schema).map(|()| (key(), fence)),
    }
}

fn known(schema: Schema) -> Result<(), StoreError> {
    let latest = schema.next.map_or(schema.version, |next| next.max(schema.version));
    if latest <= SCHEMA_VERSION {
        return Ok(());
    }
    Err(StoreError::Newer {
        path: PathBuf::from("the layout of the store"),
        found: latest.into(),
        known: SCHEMA_VERSION.into(),
    })
}

/// What the store says, and what fences it.
async fn found(store: &dyn Store) -> Result<Option<(Schema, Expected)>, StoreError> {
    if let Some(entry) = store.get(&key()).await? {
        return Ok(Some((decode(&entry)?, Expected::At(entry.revision))));
    }
    let any = store.range(Range { limit: 1, ..Range::first(Prefix::all()) }).await?;
    let first = Schema { version: FIRST, next: None };
    Ok((!any.entries.is_empty()).then_some((first, Expected::Absent)))
}

/// Sees that `store` has this version's layout. Nothing else may be done with it before.
///
/// # Errors
/// [`StoreError::Newer`] if a later version wrote it; or whatever else the store says: then it is
/// to be done again.
pub async fn settle(store: &SharedStore) -> Result<(), StoreError> {
    loop {
        let settled = match found(&**store).await? {
            None => begin(store).await,
            Some((schema, fence)) => {
                known(schema)?;
                match STEPS.iter().find(|step| step.to > schema.version) {
                    None => return Ok(()),
                    Some(step) => take(store, step, (schema, fence)).await,
                }
            }
        };
        match settled {
            Ok(()) => {}
            // Another node does the same, or a lead has written meanwhile.
            Err(StoreError::Conflict | StoreError::Fenced) => {
                tokio::time::sleep(SCHEMA_RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn begin(store: &SharedStore) -> Result<(), StoreError> {
    let schema = encode(&Schema { version: SCHEMA_VERSION, next: None });
    let change = Transaction::new().compare(key(), Expected::Absent).put(key(), schema);
    store.transact(change).await.map(drop)
}

/// Takes one step, alone.
async fn take(
    store: &SharedStore,
    step: &Step,
    (schema, fence): (Schema, Expected),
) -> Result<(), StoreError> {
    tracing::warn!(
        event = "store_upgrade_begun",
        from = schema.version,
        to = step.to,
        what = step.what,
        "the store is brought forward"
    );
    let claim = Schema { next: Some(step.to), ..schema };
    let claim = Transaction::new().compare(key(), fence).put(key(), encode(&claim));
    let claimed = store.transact(claim.delete(lead_key())).await?;
    let fenced = Fenced::new(Arc::clone(store), key(), claimed);
    let changed = change_all(&fenced, step).await?;
    finish(&fenced, step.to, claimed).await?;
    tracing::warn!(
        event = "store_upgrade_done",
        to = step.to,
        changed,
        "the store was brought forward"
    );
    Ok(())
}

async fn finish(store: &dyn Store, version: u32, claimed: Revision) -> Result<(), StoreError> {
    let schema = encode(&Schema { version, next: None });
    let change = Transaction::new().compare(key(), Expected::At(claimed)).put(key(), schema);
    store.transact(change.delete(lead_key())).await.map(drop)
}

/// Changes every entry that the step concerns, many in one transaction.
async fn change_all(store: &dyn Store, step: &Step) -> Result<u64, StoreError> {
    let (mut changed, mut bytes) = (0, 0);
    let mut change = Transaction::new();
    let mut range = Range::first(Prefix::all());
    loop {
        let page = store.range(range.clone()).await?;
        for entry in &page.entries {
            let Some(value) = (step.change)(entry)? else { continue };
            // The key twice: it is compared, too. One compare is the fence's.
            let more = 2 * entry.key.as_str().len() + value.len();
            let is_full = change.puts().len() + FENCE_COMPARES >= STORE_OPERATIONS_MAX;
            if is_full || bytes + more > STORE_TRANSACTION_BYTES_MAX / 2 {
                store.transact(std::mem::take(&mut change)).await?;
                bytes = 0;
            }
            (changed, bytes) = (changed + 1, bytes + more);
            change = change.compare(entry.key.clone(), Expected::At(entry.revision));
            change = change.put(entry.key.clone(), value);
        }
        range.after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    store.transact(change).await?;
    Ok(changed)
}

#[cfg(test)]
mod tests;
