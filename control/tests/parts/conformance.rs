//! What every engine must do. [`all`] takes the engine as a trait object.

use kakehashi_control::capacity::{
    STORE_OPERATIONS_MAX, STORE_RANGE_ENTRIES_MAX, STORE_TRANSACTION_BYTES_MAX,
    STORE_VALUE_BYTES_MAX, STORE_WATCH_EVENTS_MAX,
};
use kakehashi_control::store::{
    Expected, Fenced, Key, Order, Prefix, Range, Revision, SharedStore, Store, StoreError,
    Transaction, WatchEnd, list,
};
use kakehashi_wire::id::TenantId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text.to_owned()).unwrap()
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text.to_owned()).unwrap()
}

pub(crate) fn put(at: &str, value: &[u8]) -> Transaction {
    Transaction::new().put(key(at), value.to_vec())
}

/// Runs every check on an engine that may hold other keys, but none below `c/`.
pub(crate) async fn all(store: SharedStore) {
    what_is_put_is_there(&*store).await;
    compares_decide(&*store).await;
    a_transaction_is_whole_or_nothing(&*store).await;
    a_change_of_nothing_is_none(&*store).await;
    a_key_named_twice_is_written_once(&*store).await;
    a_fence_keeps_out_whoever_lost_it(&store).await;
    ranges_page_both_ways(&*store).await;
    tenants_do_not_mix(&*store).await;
    limits_are_kept(&*store).await;
    a_watch_misses_nothing(&*store).await;
    a_slow_watcher_is_told(&*store).await;
    concurrent_counting_loses_nothing(store).await;
}

async fn what_is_put_is_there(store: &dyn Store) {
    assert!(store.get(&key("c/put/a")).await.unwrap().is_none());
    let first = store.transact(put("c/put/a", b"1")).await.unwrap();
    let second = store.transact(put("c/put/a", b"")).await.unwrap();
    assert!(second > first);
    let entry = store.get(&key("c/put/a")).await.unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (&b""[..], second));
    store.transact(Transaction::new().delete(key("c/put/a"))).await.unwrap();
    assert!(store.get(&key("c/put/a")).await.unwrap().is_none());
    store.transact(Transaction::new().delete(key("c/put/never"))).await.unwrap();
    let both = Transaction::new().delete(key("c/put/b")).put(key("c/put/b"), b"2".to_vec());
    store.transact(both).await.unwrap();
    assert_eq!(store.get(&key("c/put/b")).await.unwrap().unwrap().value, b"2");
}

async fn compares_decide(store: &dyn Store) {
    let at = || key("c/compare");
    let absent = put("c/compare", b"1").compare(at(), Expected::Absent);
    let made = store.transact(absent.clone()).await.unwrap();
    assert_eq!(store.transact(absent).await, Err(StoreError::Conflict));
    let fenced = |revision| put("c/compare", b"2").compare(at(), Expected::At(revision));
    let changed = store.transact(fenced(made)).await.unwrap();
    assert_eq!(store.transact(fenced(made)).await, Err(StoreError::Conflict));
    assert_eq!(store.transact(fenced(Revision(0))).await, Err(StoreError::Conflict));
    assert_eq!(store.get(&at()).await.unwrap().unwrap().revision, changed);
    let asks = Transaction::new().compare(at(), Expected::At(changed));
    store.transact(asks).await.unwrap();
    assert_eq!(store.get(&at()).await.unwrap().unwrap().revision, changed);
}

async fn a_transaction_is_whole_or_nothing(store: &dyn Store) {
    store.transact(put("c/whole/gone", b"1")).await.unwrap();
    let change = put("c/whole/a", b"1")
        .put(key("c/whole/b"), b"2".to_vec())
        .delete(key("c/whole/gone"))
        .compare(key("c/whole/c"), Expected::At(Revision(1)));
    assert_eq!(store.transact(change).await, Err(StoreError::Conflict));
    let found = list(store, prefix("c/whole/")).await.unwrap();
    assert_eq!(found.entries.len(), 1);
    let change = put("c/whole/a", b"1").put(key("c/whole/b"), b"2".to_vec());
    let revision = store.transact(change.delete(key("c/whole/gone"))).await.unwrap();
    let found = list(store, prefix("c/whole/")).await.unwrap();
    let found: Vec<_> = found.entries.iter().map(|e| (e.key.as_str(), e.revision)).collect();
    assert_eq!(found, [("c/whole/a", revision), ("c/whole/b", revision)]);
}

async fn a_change_of_nothing_is_none(store: &dyn Store) {
    let under = prefix("c/nothing/");
    let before = store.transact(put("c/nothing/a", b"1")).await.unwrap();
    let mut watch = store.watch(&under, before).await.unwrap();
    let never = Transaction::new().delete(key("c/nothing/never"));
    assert_eq!(store.transact(never.clone()).await.unwrap(), before);
    assert_eq!(store.transact(Transaction::new()).await.unwrap(), before);
    let after = store.transact(never.put(key("c/nothing/b"), b"2".to_vec())).await.unwrap();
    let told = watch.next().await.ok().unwrap();
    assert_eq!((told.key.as_str(), told.revision), ("c/nothing/b", after));
}

async fn a_key_named_twice_is_written_once(store: &dyn Store) {
    let under = prefix("c/twice/");
    let before = store.transact(put("c/twice/a", b"1")).await.unwrap();
    let mut watch = store.watch(&under, before).await.unwrap();
    let a = || key("c/twice/a");
    let twice = Transaction::new().delete(a()).put(a(), b"2".to_vec()).put(a(), b"3".to_vec());
    let revision = store.transact(twice.delete(a()).delete(key("c/twice/z"))).await.unwrap();
    let last = store.transact(put("c/twice/b", b"")).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let event = watch.next().await.ok().unwrap();
        seen.push((event.revision, event.value.clone()));
    }
    assert_eq!(seen, [(revision, Some(b"3".to_vec())), (last, Some(Vec::new()))]);
}

async fn a_fence_keeps_out_whoever_lost_it(store: &SharedStore) {
    let fence = || key("c/fence/lead");
    let claimed = store.transact(put("c/fence/lead", b"one")).await.unwrap();
    let one = Fenced::new(Arc::clone(store), fence(), claimed);
    let written = one.transact(put("c/fence/a", b"1")).await.unwrap();
    let wrong = put("c/fence/a", b"2").compare(key("c/fence/a"), Expected::Absent);
    assert_eq!(one.transact(wrong).await, Err(StoreError::Conflict));
    let next = put("c/fence/lead", b"two").compare(fence(), Expected::At(claimed));
    let claimed = store.transact(next).await.unwrap();
    let late = one.transact(put("c/fence/a", b"late")).await;
    assert_eq!(late, Err(StoreError::Fenced));
    assert_eq!(one.transact(Transaction::new()).await, Err(StoreError::Fenced));
    let entry = one.get(&key("c/fence/a")).await.unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (&b"1"[..], written));
    let two = Fenced::new(Arc::clone(store), fence(), claimed);
    let most = (1..STORE_OPERATIONS_MAX)
        .fold(Transaction::new(), |change, n| change.put(key(&format!("c/fence/{n}")), vec![]));
    two.transact(most.put(key("c/fence/0"), vec![])).await.unwrap();
}

async fn ranges_page_both_ways(store: &dyn Store) {
    for part in 0..3 {
        let change = (0..100).fold(Transaction::new(), |change, n| {
            change.put(key(&format!("c/range/{:04}", part * 100 + n)), vec![1])
        });
        store.transact(change).await.unwrap();
    }
    store.transact(put("c/range0", b"outside").put(key("c/rangf"), vec![])).await.unwrap();
    for order in [Order::Ascending, Order::Descending] {
        let mut range = Range { limit: 7, order, ..Range::first(prefix("c/range/")) };
        let mut seen = Vec::new();
        loop {
            let page = store.range(range.clone()).await.unwrap();
            assert!(page.entries.len() <= 7);
            seen.extend(page.entries.iter().map(|entry| entry.key.clone()));
            if !page.more {
                break;
            }
            assert_eq!(page.entries.len(), 7);
            range.after = seen.last().cloned();
        }
        let mut expected: Vec<Key> = (0..300).map(|n| key(&format!("c/range/{n:04}"))).collect();
        if order == Order::Descending {
            expected.reverse();
        }
        assert!(seen == expected, "{order:?}");
    }
    let mut beyond = Range::first(prefix("c/range/"));
    beyond.after = Some(key("z"));
    assert!(store.range(beyond).await.unwrap().entries.is_empty());
}

async fn tenants_do_not_mix(store: &dyn Store) {
    let (one, other) = (TenantId(0xc1), TenantId(0xc10));
    for tenant in [one, other] {
        let at = Key::of_tenant(tenant, format_args!("conformance/x")).unwrap();
        store.transact(Transaction::new().put(at, vec![1])).await.unwrap();
    }
    let found = list(store, Prefix::tenant(one)).await.unwrap();
    assert_eq!(found.entries.len(), 1);
    assert!(found.entries[0].key.as_str().starts_with("t/00000000000000c1/"));
}

async fn limits_are_kept(store: &dyn Store) {
    let most = vec![7; STORE_VALUE_BYTES_MAX];
    store.transact(put("c/limit", &most)).await.unwrap();
    assert_eq!(store.get(&key("c/limit")).await.unwrap().unwrap().value, most);
    let more = vec![7; STORE_VALUE_BYTES_MAX + 1];
    let refused = store.transact(put("c/limit", &more)).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    let many = |count: usize| {
        (0..count).fold(Transaction::new(), |change, n| change.delete(key(&format!("c/limit/{n}"))))
    };
    store.transact(many(STORE_OPERATIONS_MAX)).await.unwrap();
    let large = |count: usize| {
        let size = STORE_VALUE_BYTES_MAX;
        (0..count).fold(Transaction::new(), |change, n| {
            change.put(key(&format!("c/large/{n:02}")), vec![7; size])
        })
    };
    let most = STORE_TRANSACTION_BYTES_MAX / STORE_VALUE_BYTES_MAX;
    store.transact(large(most - 1)).await.unwrap();
    for too_much in [many(STORE_OPERATIONS_MAX + 1), large(most)] {
        let refused = store.transact(too_much).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    }
    let range = Range { limit: usize::MAX, ..Range::first(prefix("c/")) };
    assert!(store.range(range).await.unwrap().entries.len() <= STORE_RANGE_ENTRIES_MAX);
}

async fn a_watch_misses_nothing(store: &dyn Store) {
    let under = prefix("c/watch/");
    let listed = store.range(Range::first(under.clone())).await.unwrap();
    let before = store.transact(put("c/watch/before", b"0")).await.unwrap();
    let mut watch = store.watch(&under, listed.revision).await.unwrap();
    store.transact(put("c/other", b"x")).await.unwrap();
    let change = put("c/watch/a", b"1").delete(key("c/watch/before"));
    let both = store.transact(change).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = watch.next().await.unwrap_or_else(|end| panic!("{end}"));
        seen.push((event.revision, event.key.as_str().to_owned(), event.value.clone()));
    }
    assert_eq!(
        seen,
        [
            (before, "c/watch/before".into(), Some(b"0".to_vec())),
            (both, "c/watch/before".into(), None),
            (both, "c/watch/a".into(), Some(b"1".to_vec())),
        ]
    );
    let mut later = store.watch(&under, both).await.unwrap();
    let last = store.transact(put("c/watch/z", b"9")).await.unwrap();
    assert_eq!(later.next().await.ok().unwrap().revision, last);
}

async fn a_slow_watcher_is_told(store: &dyn Store) {
    let under = prefix("c/slow/");
    let now = store.range(Range::first(under.clone())).await.unwrap().revision;
    let mut watch = store.watch(&under, now).await.unwrap();
    let (mut sent, mut seen) = (0, 0);
    let end = 'lost: loop {
        for _ in 0..=STORE_WATCH_EVENTS_MAX / 100 {
            let change = (0..100).fold(Transaction::new(), |change, n| {
                change.put(key(&format!("c/slow/{n}")), vec![])
            });
            store.transact(change).await.unwrap();
            sent += 100;
        }
        // An engine that tells late would find a reader that keeps up: it is given ever more time.
        tokio::time::sleep(Duration::from_micros(100 * sent)).await;
        assert!(sent < 20_000, "nobody is ever told");
        while let Ok(next) = tokio::time::timeout(Duration::from_secs(1), watch.next()).await {
            match next {
                Ok(_) => seen += 1,
                Err(end) => break 'lost end,
            }
        }
    };
    assert!((STORE_WATCH_EVENTS_MAX as u64..sent).contains(&seen), "{seen} of {sent}");
    assert_eq!(end, WatchEnd::Lagged);
    let listed = list(store, under.clone()).await.unwrap();
    assert_eq!(listed.entries.len(), 100);
    let mut again = store.watch(&under, listed.revision).await.unwrap();
    let revision = store.transact(put("c/slow/again", b"1")).await.unwrap();
    assert_eq!(again.next().await.ok().unwrap().revision, revision);
}

async fn concurrent_counting_loses_nothing(store: SharedStore) {
    let conflicts = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, conflicts) = (Arc::clone(&store), Arc::clone(&conflicts));
            tokio::spawn(async move {
                for _ in 0..25 {
                    while !add_one(&*store).await {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let entry = store.get(&key("c/count")).await.unwrap().unwrap();
    assert_eq!(entry.value, 200_u64.to_le_bytes());
}

async fn add_one(store: &dyn Store) -> bool {
    let found = store.get(&key("c/count")).await.unwrap();
    let (count, expected) = match &found {
        None => (0, Expected::Absent),
        Some(entry) => {
            let count = u64::from_le_bytes(entry.value.as_slice().try_into().unwrap());
            (count, Expected::At(entry.revision))
        }
    };
    let change = put("c/count", &(count + 1_u64).to_le_bytes()).compare(key("c/count"), expected);
    match store.transact(change).await {
        Ok(_) => true,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("{error}"),
    }
}
