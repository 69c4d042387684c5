//! Live calls in the store: what is kept of each at `x/live/<tenant>/<call>`, sealed.
//!
//! They stand beside the tenants and not within them, so that whoever takes the calls up reads one
//! prefix. What is kept of a call goes with the transaction that records its end.

mod sealer;
mod standing;

pub use sealer::Sealer;
pub use standing::ended_rights;

use crate::calls::{Kept, Live};
use crate::store::{Entry, Key, Prefix, SharedStore, StoreError, Transaction, damaged, list};
use kakehashi_wire::id::{CallId, TenantId};

/// What is kept of live calls.
pub struct Lives {
    store: SharedStore,
    sealer: Sealer,
}

/// Where what is kept of a call stands.
pub(crate) fn key(tenant: TenantId, call: CallId) -> Key {
    Key::of_index(format_args!("live/{tenant}/{call}"))
        .expect("invariant: the key is short and printable")
}

fn name(key: &Key) -> Option<(TenantId, CallId)> {
    let (tenant, call) = key.as_str().strip_prefix("x/live/")?.split_once('/')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((TenantId(number(tenant)?), CallId(number(call)?)))
}

impl Lives {
    /// The live calls in `store`, sealed by `sealer`.
    pub fn new(store: SharedStore, sealer: Sealer) -> Self {
        Self { store, sealer }
    }

    /// `change`, and with it what is kept of a call from now on.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be sealed.
    pub fn with(&self, change: Transaction, kept: &Kept) -> Result<Transaction, StoreError> {
        let key = key(kept.tenant, kept.call);
        let sealed = self.sealer.seal(kept);
        let sealed = sealed.ok_or_else(|| damaged(&key, "the call could not be sealed"))?;
        Ok(change.put(key, sealed))
    }

    /// Writes what is kept of a call.
    ///
    /// # Errors
    /// [`StoreError`]; what was kept before may be kept still.
    pub async fn keep(&self, kept: &Kept) -> Result<(), StoreError> {
        let change = self.with(Transaction::new(), kept)?;
        self.store.transact(change).await.map(drop)
    }

    /// All live calls. One that cannot be read is left out, and the log says so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all(&self) -> Result<Vec<Live>, StoreError> {
        let found = list(&*self.store, Prefix::of_index("live")).await?;
        let read = |entry: &Entry| {
            let live = self.open(entry);
            if live.is_none() {
                tracing::error!(
                    event = "live_call_unreadable",
                    key = %entry.key,
                    "a live call cannot be taken up: it was kept under another `cell.key`, or by \
                     another version"
                );
            }
            live
        };
        Ok(found.entries.iter().filter_map(read).collect())
    }

    fn open(&self, entry: &Entry) -> Option<Live> {
        let (tenant, call) = name(&entry.key)?;
        self.sealer.open(tenant, call, &entry.value)?.live().ok()
    }
}
