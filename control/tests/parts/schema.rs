//! A store of an earlier layout, as that version's backup holds it, on both engines.

use super::conformance::key;
use kakehashi_control::records::{PartyRole, Records};
use kakehashi_control::schema::{SCHEMA_VERSION, settle, version};
use kakehashi_control::store::moving::{open_empty, sum};
use kakehashi_control::store::{SharedStore, StoreSettings, backup};
use kakehashi_wire::id::TenantId;
use std::path::Path;
use std::sync::Arc;

/// Two tenants, three accounts; of the first tenant one call that goes on, as the second version
/// of records had it, and ended ones of all three versions.
const FIRST: &str = "tests/parts/layout-1.backup";

/// Brings back the backup and settles its layout.
async fn brought_forward(settings: &StoreSettings, file: &Path) {
    let fixture = Path::new(FIRST);
    let from = backup::check(fixture).unwrap();
    let store: SharedStore = open_empty(settings, file, from).await.unwrap();
    let before = backup::restore(fixture, &*store).await.unwrap();
    assert_eq!(version(&*store).await.unwrap(), Some(1));
    let account = key("t/0000000000000001/account/0000000000000003");
    let untouched = store.get(&account).await.unwrap().unwrap().value;

    settle(&store).await.unwrap();

    assert_eq!(version(&*store).await.unwrap(), Some(SCHEMA_VERSION));
    let after = sum(&*store).await.unwrap();
    assert_eq!(after.entries, before.entries + 1, "all, and what says the layout");
    assert!(store.get(&account).await.unwrap().unwrap().value == untouched);
    let records = Records::new(Arc::clone(&store));
    let ended = records.ended(TenantId(1), 10).await.unwrap();
    let who = ended.iter().map(|call| (call.call.0, call.login(PartyRole::Callee)));
    assert_eq!(who.collect::<Vec<_>>(), [(3, "desk-1"), (2, "store-2"), (1, "store-2")]);
    assert_eq!(records.live(TenantId(1)).await.unwrap().len(), 1);

    settle(&store).await.unwrap();
    assert_eq!(sum(&*store).await.unwrap(), after, "once");
}

#[tokio::test]
async fn a_file_of_the_first_layout_is_brought_forward() {
    let folder = tempfile::tempdir().unwrap();
    brought_forward(&StoreSettings::default(), &folder.path().join("store")).await;
}

#[cfg(feature = "etcd")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_the_first_layout_is_brought_forward() {
    use super::cluster::Cluster;
    use kakehashi_control::store::{Engine, EtcdSettings};

    let cluster = Cluster::start(1);
    let etcd = EtcdSettings { endpoints: cluster.endpoints(), ..EtcdSettings::default() };
    let settings = StoreSettings { engine: Engine::Etcd, etcd };
    brought_forward(&settings, Path::new("unused")).await;
}
