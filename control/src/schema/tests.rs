//! Tests of the way forward, over the embedded engine.

use super::*;
use crate::nodes::lead_key;
use crate::store::{Condition, Embedded, Listing, Pending, Watch, list};
use core::sync::atomic::{AtomicU32, Ordering};

/// Enough to need several transactions.
const CALLS: u64 = 300;

const MARK: &str = "x/mark";

fn at(path: &str) -> Key {
    Key::parse(path.to_owned()).unwrap()
}

/// A store of the first layout, in which somebody leads.
async fn first_layout(folder: &tempfile::TempDir) -> SharedStore {
    let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
    let mark = Transaction::new().put(at(MARK), b"stays".to_vec()).put(lead_key(), b"{}".to_vec());
    store.transact(mark).await.unwrap();
    for call in 0..CALLS {
        let value = format!(
            r#"{{"v":1,"call":"{call:x}","tenant":"1","caller":{{"account":"3","login":"a",
            "quality":null}},"callee":{{"account":"4","login":"b","quality":null}},
            "state":"ended","started":1000,"answered":1500,"ended":9000,"reason":"hung_up"}}"#
        );
        let key = at(&format!("t/0000000000000001/call/{call:016x}"));
        store.transact(Transaction::new().put(key, value.into_bytes())).await.unwrap();
    }
    store
}

/// How many records say that they are of version 1, and of version 3.
async fn forms(store: &dyn Store) -> (usize, usize) {
    let calls = Prefix::parse("t/0000000000000001/call/".into()).unwrap();
    let found = list(store, calls).await.unwrap().entries;
    let of = |start: &[u8]| found.iter().filter(|entry| entry.value.starts_with(start)).count();
    (of(br#"{"v":1,"#), of(br#"{"v":3,"#))
}

/// A node that dies before its write of this number.
struct Dying(SharedStore, AtomicU32);

impl Store for Dying {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.0.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.0.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        let left = self.1.load(Ordering::Relaxed);
        self.1.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => Box::pin(core::future::ready(Err(StoreError::Closed))),
            _ => self.0.transact(transaction),
        }
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.0.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.0.condition()
    }
}

#[test]
fn there_is_a_step_to_every_layout() {
    let to: Vec<u32> = STEPS.iter().map(|step| step.to).collect();
    assert_eq!(to, (FIRST + 1..=SCHEMA_VERSION).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_empty_store_has_the_latest_layout_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
    assert_eq!(version(&*store).await.unwrap(), None);
    settle(&store).await.unwrap();
    assert_eq!(version(&*store).await.unwrap(), Some(SCHEMA_VERSION));
    let revision = store.get(&key()).await.unwrap().unwrap().revision;
    settle(&store).await.unwrap();
    assert_eq!(store.get(&key()).await.unwrap().unwrap().revision, revision, "once");
}

#[tokio::test]
async fn a_node_that_dies_at_any_write_leaves_what_the_next_one_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let store = first_layout(&folder).await;
    assert_eq!(version(&*store).await.unwrap(), Some(FIRST));
    let mut writes = 0;
    loop {
        let dying: SharedStore = Arc::new(Dying(Arc::clone(&store), AtomicU32::new(writes)));
        match settle(&dying).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error, StoreError::Closed),
        }
        assert_eq!(version(&*store).await.unwrap(), Some(FIRST), "not before all is done");
        let (old, new) = forms(&*store).await;
        assert_eq!(old + new, usize::try_from(CALLS).unwrap());
        writes += 1;
    }
    // What earlier lives have changed is not changed again, so the last one needs fewer writes.
    assert!(writes >= 3, "{writes}");
    assert_eq!(forms(&*store).await, (0, usize::try_from(CALLS).unwrap()));
    assert_eq!(version(&*store).await.unwrap(), Some(SCHEMA_VERSION));
    assert_eq!(store.get(&at(MARK)).await.unwrap().unwrap().value, b"stays");
    assert!(store.get(&lead_key()).await.unwrap().is_none(), "who led before leads no longer");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_begin_together_finish_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = first_layout(&folder).await;
    let (one, two, three) = tokio::join!(settle(&store), settle(&store), settle(&store));
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
    assert_eq!(forms(&*store).await, (0, usize::try_from(CALLS).unwrap()));
}

#[tokio::test]
async fn a_later_layout_is_refused_also_while_it_is_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = first_layout(&folder).await;
    let later = SCHEMA_VERSION + 1;
    for schema in [
        Schema { version: later, next: None },
        Schema { version: SCHEMA_VERSION, next: Some(later) },
    ] {
        store.transact(Transaction::new().put(key(), encode(&schema))).await.unwrap();
        let refused = settle(&store).await.unwrap_err();
        assert!(matches!(refused, StoreError::Newer { .. }), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains("the layout of the store was written by a later"), "{said}");
        assert!(fence(&*store).await.is_err(), "nobody claims the lead over it");
    }
    assert_eq!(forms(&*store).await.1, 0, "nothing was changed");
}
