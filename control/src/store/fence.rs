//! A store that only one may write: whoever last claimed one record of it.

use super::{
    Condition, Entry, Expected, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch,
};

/// A store whose every change also compares the revision of one record, the fence.
///
/// **A change is made only while nobody else has claimed the fence.** Whoever claims it writes it,
/// so that its revision is another; what the one before it still has under way is then refused
/// ([`StoreError::Fenced`]), however late it comes.
pub struct Fenced {
    store: SharedStore,
    fence: Key,
    claimed: Revision,
}

impl Fenced {
    /// `store`, for whoever claimed `fence` at revision `claimed`.
    pub fn new(store: SharedStore, fence: Key, claimed: Revision) -> Self {
        Self { store, fence, claimed }
    }

    /// Whether nobody else has claimed the fence, at some time after this was asked.
    ///
    /// # Errors
    /// [`StoreError`] if that is not known.
    pub async fn holds(&self) -> Result<bool, StoreError> {
        let found = self.store.get(&self.fence).await?;
        Ok(found.is_some_and(|found| found.revision == self.claimed))
    }

    /// Which of the compares failed: the caller's, or that of the fence?
    async fn refused(&self) -> StoreError {
        match self.holds().await {
            Ok(true) => StoreError::Conflict,
            Ok(false) => StoreError::Fenced,
            Err(error) => error,
        }
    }
}

impl Store for Fenced {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.store.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.store.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(async move {
            let fenced = transaction.compare(self.fence.clone(), Expected::At(self.claimed));
            match self.store.transact(fenced).await {
                Err(StoreError::Conflict) => Err(self.refused().await),
                result => result,
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.store.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.store.condition()
    }
}
