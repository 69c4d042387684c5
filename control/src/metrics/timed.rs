//! A store that is watched: how long it takes, and what it does not do.

use super::{Metrics, names};
use crate::store::{
    Condition, Entry, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch,
};
use std::sync::Arc;
use tokio::time::Instant;

/// A store and whoever counts.
pub(crate) struct Timed {
    store: SharedStore,
    metrics: Arc<Metrics>,
}

impl Timed {
    /// `store`, watched.
    pub(crate) fn new(store: SharedStore, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    fn time<'a, T: 'a>(&'a self, operation: &'static str, asked: Pending<'a, T>) -> Pending<'a, T> {
        let asked_at = Instant::now();
        Box::pin(async move {
            let answer = asked.await;
            self.metrics.stored(operation, asked_at, answer.as_ref().err());
            answer
        })
    }
}

impl Metrics {
    fn stored(&self, operation: &'static str, asked_at: Instant, failed: Option<&StoreError>) {
        let took = asked_at.elapsed().as_secs_f64();
        self.store.get_or_create(&[("operation", operation)]).observe(took);
        if let Some(error) = failed {
            let labels = [("operation", operation), ("reason", names::store_failure(error))];
            self.store_failed.get_or_create(&labels).inc();
        }
    }
}

impl Store for Timed {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.time("get", self.store.get(key))
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.time("range", self.store.range(range))
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        self.time("transact", self.store.transact(transaction))
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.store.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.store.condition()
    }
}
