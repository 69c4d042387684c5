//! The store's record of who leads, and the fence it makes: claimed by compare-and-swap, compared
//! by every write of the lead.

use super::NodeName;
use super::election::Lead;
use crate::capacity::nodes::LEAD_WATCH_RETRY;
use crate::schema;
use crate::store::{
    Condition, Entry, Expected, Fenced, Key, Listing, Pending, Prefix, Range, Record, Revision,
    SharedStore, Store, StoreError, Transaction, Watch, decode, encode,
};
use kakehashi_wire::id::Term;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

const PATH: &str = "x/lead";

/// What stands in the store. Its revision is the term.
#[derive(Serialize, Deserialize)]
struct LeadRecord {
    node: NodeName,
    life: u64,
}

impl Record for LeadRecord {
    const VERSION: u32 = 1;
}

/// Where it stands. Whoever removes it ends the term.
pub(crate) fn lead_key() -> Key {
    Key::parse(PATH.to_owned()).expect("invariant: the key is short and printable")
}

/// Who leads, as the store has it now.
///
/// # Errors
/// [`StoreError`] if the store does not answer, or the record cannot be read.
pub async fn read(store: &SharedStore) -> Result<Option<Lead>, StoreError> {
    let found = store.get(&lead_key()).await?;
    let lead = |entry: Entry| {
        let LeadRecord { node, life } = decode(&entry)?;
        Ok(Lead { node, life, term: Term(entry.revision.0) })
    };
    found.map(lead).transpose()
}

/// Claims the lead for `node` if the record is the one of term `before`, and this version knows the
/// store's layout.
///
/// # Errors
/// [`StoreError::Conflict`] if the record is another by now, and others if the store does not
/// answer.
pub async fn claim(
    store: &SharedStore,
    (node, life): (NodeName, u64),
    before: Option<Term>,
) -> Result<Term, StoreError> {
    let expected = before.map_or(Expected::Absent, |term| Expected::At(Revision(term.0)));
    let (schema, known) = schema::fence(&**store).await?;
    let claim = Transaction::new().compare(schema, known).compare(lead_key(), expected);
    let claim = claim.put(lead_key(), encode(&LeadRecord { node, life }));
    store.transact(claim).await.map(|revision| Term(revision.0))
}

/// Gives the lead up, so that nobody need wait to notice.
///
/// # Errors
/// [`StoreError::Conflict`] if another leads by now; else what kept the store from it.
pub async fn resign(store: &SharedStore, term: Term) -> Result<(), StoreError> {
    let resign = Transaction::new().compare(lead_key(), at(term)).delete(lead_key());
    store.transact(resign).await.map(drop)
}

fn at(term: Term) -> Expected {
    Expected::At(Revision(term.0))
}

/// Tells of the record whenever it changes, until nobody listens.
pub(super) async fn follow(store: SharedStore, told: mpsc::Sender<Option<Lead>>) {
    let prefix = Prefix::parse(PATH.to_owned()).expect("invariant: it is short and printable");
    while !told.is_closed() {
        match listed(&store, &prefix).await {
            Ok((mut watch, lead)) => {
                if told.send(lead).await.is_err() {
                    return;
                }
                let changes = async {
                    while watch.next().await.is_ok() {
                        // What stands there now, not what it was by then.
                        let Ok(lead) = read(&store).await else { return };
                        if told.send(lead).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = changes => {}
                    () = told.closed() => return,
                }
            }
            Err(error) => tracing::warn!(event = "lead_record_unread", %error,
                "who leads cannot be read"),
        }
        tokio::time::sleep(LEAD_WATCH_RETRY).await;
    }
}

async fn listed(store: &SharedStore, prefix: &Prefix) -> Result<(Watch, Option<Lead>), StoreError> {
    let revision = store.range(Range::first(prefix.clone())).await?.revision;
    Ok((store.watch(prefix, revision).await?, read(store).await?))
}

/// The store as the lead of one term may write it: not once another has claimed the next, which is
/// told then.
pub struct Tenured {
    store: Fenced,
    over: Arc<Notify>,
}

impl Tenured {
    /// `over` is told when a write or a question shows that the term is over.
    pub fn new(store: SharedStore, term: Term, over: Arc<Notify>) -> Self {
        Self { store: Fenced::new(store, lead_key(), Revision(term.0)), over }
    }

    /// Whether the term goes on, at some time after this was asked: whoever claims the next one
    /// reads whatever was written before this was asked.
    ///
    /// # Errors
    /// [`StoreError`] if that is not known.
    pub async fn goes_on(&self) -> Result<bool, StoreError> {
        let goes_on = self.store.holds().await?;
        if !goes_on {
            self.over.notify_one();
        }
        Ok(goes_on)
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let written = self.store.transact(transaction).await;
        if written == Err(StoreError::Fenced) {
            self.over.notify_one();
        }
        written
    }
}

impl Store for Tenured {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.store.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.store.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(self.write(transaction))
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.store.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.store.condition()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;

    #[tokio::test]
    async fn an_old_lead_writes_nothing_and_hears_why() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
        let node = |name: &str| NodeName::parse(name).unwrap();
        let (told, mut heard) = mpsc::channel(8);
        let following = tokio::spawn(follow(Arc::clone(&store), told));
        assert_eq!(heard.recv().await, Some(None));

        let first = claim(&store, (node("a"), 7), None).await.unwrap();
        let again = claim(&store, (node("b"), 8), None).await;
        assert_eq!(again, Err(StoreError::Conflict), "the other was quicker");
        let over = Arc::new(Notify::new());
        let old = Tenured::new(Arc::clone(&store), first, Arc::clone(&over));
        let mark = Key::parse("x/mark".into()).unwrap();
        let put = |value: u8| Transaction::new().put(mark.clone(), vec![value]);
        old.transact(put(1)).await.unwrap();

        let second = claim(&store, (node("b"), 8), Some(first)).await.unwrap();
        assert!(second > first);
        assert_eq!(old.transact(put(2)).await, Err(StoreError::Fenced));
        over.notified().await;
        assert_eq!(old.goes_on().await, Ok(false));
        over.notified().await;
        let new = Tenured::new(Arc::clone(&store), second, Arc::clone(&over));
        assert_eq!(new.goes_on().await, Ok(true));
        new.transact(put(3)).await.unwrap();
        assert_eq!(store.get(&mark).await.unwrap().unwrap().value, [3]);
        assert_eq!(resign(&store, first).await, Err(StoreError::Conflict));
        resign(&store, second).await.unwrap();
        assert_eq!(new.goes_on().await, Ok(false), "nobody leads");
        while heard.recv().await.unwrap().is_some() {}
        drop(heard);
        following.await.unwrap();
        let third = claim(&store, (node("a"), 9), None).await.unwrap();
        assert!(third > second, "terms go up although the record was gone");
    }
}
