//! The embedded engine: conformance, opening, and files that are not what they should be.

use super::conformance::{self, key, put};
use kakehashi_control::store::{Embedded, Revision, Store, StoreError, Transaction};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_engine_does_what_every_engine_must() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    conformance::all(Arc::new(store)).await;
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut last = Revision(0);
    for round in 0_u64..5 {
        let store = Embedded::open(&path).unwrap();
        if round > 0 {
            let entry = store.get(&key("k")).await.unwrap().unwrap();
            assert_eq!((entry.value, entry.revision), ((round - 1).to_le_bytes().to_vec(), last));
        }
        last = store.transact(put("k", &round.to_le_bytes())).await.unwrap();
        assert_eq!(last, Revision(round + 1));
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_opening_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Embedded::open(&path).unwrap();
    let second = Embedded::open(&path).err().unwrap();
    assert_eq!(second, StoreError::Locked { path: path.clone() });
    assert!(second.to_string().starts_with("another kakehashi-control uses"), "{second}");
    store.transact(put("k", b"1")).await.unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for content in [vec![0x55; 100_000], b"not a store".to_vec()] {
        std::fs::write(&path, &content).unwrap();
        let error = Embedded::open(&path).err().unwrap();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    let error = Embedded::open(&folder.path().join("no/such/folder")).err().unwrap();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn damage_is_found_when_the_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Embedded::open(&path).unwrap();
    for n in 0..200 {
        store.transact(put(&format!("k/{n}"), &[0xab; 1000])).await.unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let mut damaged = 0;
    for place in 8192..bytes.len() - 8 {
        if bytes[place..place + 8] == [0xab; 8] {
            bytes[place] = 0;
            damaged += 1;
        }
    }
    assert!(damaged > 1000);
    std::fs::write(&path, &bytes).unwrap();
    let error = Embedded::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.transact(put(&format!("k/{n}"), b"v")).await.unwrap() })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.push(task.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=500).map(Revision).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_change_whose_asker_went_away_is_done_or_not_but_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    for n in 0..50 {
        let change = Transaction::new()
            .put(key(&format!("a/{n}")), vec![])
            .put(key(&format!("b/{n}")), vec![]);
        let asked = store.transact(change);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(n * 20), asked).await;
    }
    store.transact(put("z", b"")).await.unwrap();
    for n in 0..50 {
        let a = store.get(&key(&format!("a/{n}"))).await.unwrap();
        let b = store.get(&key(&format!("b/{n}"))).await.unwrap();
        assert_eq!(a.map(|entry| entry.revision), b.map(|entry| entry.revision));
    }
}
