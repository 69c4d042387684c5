//! A full disk under the store: nothing is lost, and writing goes on when there is space again.

use super::conformance::{key, put};
use super::namespace::{SmallDisk, is_where_it_may_mount};
use kakehashi_control::store::{Embedded, Prefix, Store, StoreError, WatchEnd, list};
use std::path::Path;

/// Writes until the disk is full; says how many writes were acknowledged.
async fn fill(store: &Embedded, from: u32) -> u32 {
    for n in from..10_000 {
        match store.transact(put(&format!("k/{n:05}"), &[n as u8; 20_000])).await {
            Ok(_) => {}
            Err(StoreError::Full { .. }) => return n,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk never was full");
}

async fn check(store: &Embedded, acknowledged: u32) {
    let found = list(store, Prefix::parse("k/".into()).unwrap()).await.unwrap();
    assert_eq!(found.entries.len() as u32, acknowledged);
    for (n, entry) in found.entries.iter().enumerate() {
        assert_eq!(entry.value, [n as u8; 20_000]);
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_over_when_there_is_space() {
    if !is_where_it_may_mount("full::a_full_disk_loses_nothing_and_is_over_when_there_is_space") {
        return;
    }
    let disk = SmallDisk::mount("8m");
    let ballast = disk.path("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let store = Embedded::open(&disk.path("store")).unwrap();
    let everything = Prefix::parse("k/".into()).unwrap();
    let now = store.transact(put("first", b"1")).await.unwrap();
    let mut watch = store.watch(&everything, now).await.unwrap();
    let acknowledged = fill(&store, 0).await;
    assert!(acknowledged > 20, "{acknowledged}");
    for _ in 0..5 {
        let refused = store.transact(put("k/99999", &[0; 60_000])).await.err().unwrap();
        assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
        assert!(refused.to_string().contains("free space; nothing was lost"));
        check(&store, acknowledged).await;
    }
    let mut told = 0;
    let end = loop {
        match watch.next().await {
            Ok(_) => told += 1,
            Err(end) => break end,
        }
    };
    assert_eq!((told, end), (acknowledged, WatchEnd::Lagged));
    std::fs::remove_file(&ballast).unwrap();
    store.transact(put("again", b"1")).await.unwrap();
    let acknowledged = fill(&store, acknowledged).await;
    check(&store, acknowledged).await;
    drop(store);
    opens_while_full(&disk.path("store"), acknowledged).await;
}

async fn opens_while_full(path: &Path, acknowledged: u32) {
    let store = Embedded::open(path).unwrap();
    check(&store, acknowledged).await;
    assert_eq!(store.get(&key("again")).await.unwrap().unwrap().value, b"1");
}

#[tokio::test]
async fn a_disk_without_any_space_is_named_when_the_store_is_made() {
    let name = "full::a_disk_without_any_space_is_named_when_the_store_is_made";
    if !is_where_it_may_mount(name) {
        return;
    }
    let disk = SmallDisk::mount("64k");
    // Takes all there is, and is cut short by that.
    let _ = std::fs::write(disk.path("ballast"), vec![1; 128 << 10]);
    let error = Embedded::open(&disk.path("store")).err().unwrap();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
}
