//! Stores that are copied, saved and brought back.

use super::conformance::{key, put};
use kakehashi_control::store::backup::{self, BackupError};
use kakehashi_control::store::moving::{copy, open_empty, reached, sum};
use kakehashi_control::store::{
    Embedded, MoveError, Revision, Store, StoreSettings, Sum, Transaction,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Fills `store` with more than a page, large and empty values, and what was changed and removed.
async fn fill(store: &dyn Store) -> Sum {
    for part in 0..12 {
        let change = (0..100).fold(Transaction::new(), |change, n| {
            change.put(key(&format!("t/{part:016x}/account/{n}")), vec![n; usize::from(n)])
        });
        store.transact(change).await.unwrap();
    }
    store.transact(put("x/large", &[9; 60_000])).await.unwrap();
    store.transact(put("x/empty", b"").delete(key("x/large"))).await.unwrap();
    store.transact(put("x/large", &[8; 60_000])).await.unwrap();
    let sum = sum(store).await.unwrap();
    assert_eq!(sum.entries, 1202);
    sum
}

async fn into_file(path: &Path, from: Revision) -> Result<Embedded, MoveError> {
    let empty = open_empty(&StoreSettings::default(), path, from).await?;
    drop(empty);
    Ok(Embedded::open(path)?)
}

#[tokio::test]
async fn a_copy_holds_the_same_and_its_revisions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("store"), folder.path().join("other"));
    let from = Embedded::open(&path).unwrap();
    let held = fill(&from).await;
    let revision = reached(&from).await.unwrap();
    let to = into_file(&other, revision).await.unwrap();
    assert_eq!(copy(&from, &to).await.unwrap(), held);
    assert!(to.transact(put("x/next", b"1")).await.unwrap() > revision);
    assert_ne!(sum(&to).await.unwrap(), held);
    drop(to);
    let refused = into_file(&other, revision).await.err().unwrap();
    assert!(matches!(refused, MoveError::NotEmpty), "{refused:?}");
}

#[tokio::test]
async fn a_backup_is_private_and_brings_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let from = Embedded::open(&at("store")).unwrap();
    let held = fill(&from).await;
    assert_eq!(backup::write(&from, &at("backup")).await.unwrap(), held);
    let mode = std::fs::metadata(at("backup")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = backup::write(&from, &at("backup")).await.err().unwrap();
    assert!(matches!(again, BackupError::Io { .. }), "{again:?}");
    let revision = backup::check(&at("backup")).unwrap();
    assert_eq!(revision, reached(&from).await.unwrap());
    let to = into_file(&at("restored"), revision).await.unwrap();
    assert_eq!(backup::restore(&at("backup"), &to).await.unwrap(), held);
    assert_eq!(sum(&to).await.unwrap(), held);
    assert!(to.transact(put("x/next", b"1")).await.unwrap() > revision);
}

#[tokio::test]
async fn a_backup_that_was_touched_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let from = Embedded::open(&folder.path().join("store")).unwrap();
    from.transact(put("t/1/a", b"value").put(key("x/b"), vec![])).await.unwrap();
    backup::write(&from, &path).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        backup::check(&path).err().unwrap_or_else(|| panic!("{} bytes pass", bytes.len()))
    };
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x80;
        refused(&bytes);
        let cut = refused(&whole[..place]);
        assert!(matches!(cut, BackupError::Damaged { .. }), "{cut:?}");
    }
    refused(&[whole.as_slice(), b"x"].concat());
    let mut later = whole.clone();
    later[16] = 2;
    assert!(matches!(refused(&later), BackupError::Newer { found: 2, .. }));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(backup::check(&path).unwrap(), Revision(1));
}

#[cfg(feature = "etcd")]
#[tokio::test(flavor = "multi_thread")]
async fn from_a_file_to_a_cluster_and_back_and_out_of_a_backup() {
    use super::cluster::Cluster;
    use kakehashi_control::store::{Engine, EtcdSettings};

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cluster = Cluster::start(3);
    let below = |prefix: &str| StoreSettings {
        engine: Engine::Etcd,
        etcd: EtcdSettings {
            endpoints: cluster.endpoints(),
            prefix: prefix.into(),
            ..EtcdSettings::default()
        },
    };
    let file = Embedded::open(&at("store")).unwrap();
    let held = fill(&file).await;
    let before = Revision(1_000_000);
    let there = open_empty(&below("one/"), &at("unused"), before).await.unwrap();
    assert_eq!(copy(&file, &*there).await.unwrap(), held);
    let reached_there = reached(&*there).await.unwrap();
    assert!(reached_there > before);
    let refused = open_empty(&below("one/"), &at("unused"), before).await.err().unwrap();
    assert!(matches!(refused, MoveError::NotEmpty), "{refused:?}");

    let back = into_file(&at("back"), reached_there).await.unwrap();
    assert_eq!(copy(&*there, &back).await.unwrap(), held);
    assert!(back.transact(put("x/next", b"1")).await.unwrap() > reached_there);

    assert_eq!(backup::write(&*there, &at("backup")).await.unwrap(), held);
    let from = backup::check(&at("backup")).unwrap();
    let restored = open_empty(&below("two/"), &at("unused"), from).await.unwrap();
    assert_eq!(backup::restore(&at("backup"), &*restored).await.unwrap(), held);
    assert!(restored.transact(put("x/next", b"1")).await.unwrap() > from);
}
