//! Tests of the call records over the embedded engine.

use super::*;
use crate::archive::{Name, Objects, SharedArchive};
use crate::capacity::RECORDS_SHIP_EVERY;
use crate::entropy::Entropy;
use crate::store::Embedded;
use std::path::Path;
use std::sync::Arc;

fn record(call: u64, started: u64) -> CallRecord {
    CallRecord {
        call: CallId(call),
        state: RecordState::Ringing,
        started: UnixMs(started),
        answered: None,
        ..CallRecord::sample("store-1", "concierge")
    }
}

fn records() -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    (folder, Records::new(Arc::new(store)))
}

#[tokio::test]
async fn a_call_is_live_until_it_has_ended_and_keeps_its_quality() {
    let (_folder, records) = records();
    let mut call = record(1, 1000);
    records.put(&call).await.unwrap();
    call.state = RecordState::Active;
    call.answered = Some(UnixMs(1500));
    records.put(&call).await.unwrap();
    assert_eq!(records.live(TenantId(1)).await.unwrap(), [call.clone()]);
    assert_eq!(records.live(TenantId(2)).await.unwrap(), []);
    call.members[1].quality = Some(Quality {
        packets_sent: 10,
        packets_received: 9,
        packets_lost: 1,
        jitter_us: 300,
        round_trip_us: 900,
        packets_concealed: 2,
    });
    call.members[0].left = Some(UnixMs(8000));
    let call = call.ended(UnixMs(9000), CallEnd::HungUp);
    let left: Vec<_> = call.members.iter().map(|member| member.left).collect();
    assert_eq!(left, [Some(UnixMs(8000)), Some(UnixMs(9000))]);
    records.put(&call).await.unwrap();
    assert_eq!(records.live(TenantId(1)).await.unwrap(), []);
    assert_eq!(records.ended(TenantId(1), 10).await.unwrap(), [call]);
}

#[tokio::test]
async fn ended_calls_are_listed_newest_first_and_nothing_live_is_left_of_them() {
    let (_folder, records) = records();
    for call in 1..=5 {
        let live = record(call, call * 100);
        let kept = Transaction::new().put(lives::key(TenantId(1), live.call), b"sealed".to_vec());
        records.put_with(&live, kept).await.unwrap();
    }
    let kept =
        async || list(&*records.store, Prefix::of_index("live")).await.unwrap().entries.len();
    assert_eq!((records.live(TenantId(1)).await.unwrap().len(), kept().await), (5, 5));
    records.forget(&record(1, 100)).await.unwrap();
    for call in 2..=5 {
        let ended = record(call, call * 100).ended(UnixMs(9000), CallEnd::ControlRestarted);
        records.put(&ended).await.unwrap();
    }
    let newest = records.ended(TenantId(1), 2).await.unwrap();
    assert_eq!(newest.iter().map(|r| r.call.0).collect::<Vec<_>>(), [5, 4]);
    assert_eq!((records.live(TenantId(1)).await.unwrap().len(), kept().await), (0, 0));
}

#[tokio::test]
async fn pruning_keeps_the_newest() {
    let (_folder, records) = records();
    for call in 1..=300 {
        let ended = record(call, call).ended(UnixMs(call + 1), CallEnd::NoAnswer);
        records.put(&ended).await.unwrap();
    }
    records.prune(TenantId(1), 7).await.unwrap();
    let kept = records.ended(TenantId(1), 1000).await.unwrap();
    assert_eq!(
        kept.iter().map(|r| r.call.0).collect::<Vec<_>>(),
        [300, 299, 298, 297, 296, 295, 294]
    );
}

#[tokio::test]
async fn records_are_kept_as_long_as_the_tenant_says() {
    let (_folder, records) = records();
    const DAY_MS: u64 = 24 * 3600 * 1000;
    for day in 1..=300 {
        let at = UnixMs(day * DAY_MS);
        records.put(&record(day, at.0).ended(at, CallEnd::NoAnswer)).await.unwrap();
    }
    let mut other = record(999, 0).ended(UnixMs(1), CallEnd::NoAnswer);
    other.tenant = TenantId(2);
    records.put(&other).await.unwrap();
    records.put(&record(1000, 0)).await.unwrap();
    let tenant = |records_days| {
        let json = serde_json::json!({
            "id": "1", "name": "shop", "limits": {"accounts": 1}, "created": 0,
            "rules": {"records_days": records_days},
        });
        serde_json::from_value::<Tenant>(json).unwrap()
    };
    let kept = async || {
        let kept = records.ended(TenantId(1), 1000).await.unwrap();
        (kept.len(), kept.last().unwrap().started.0 / DAY_MS)
    };
    let now = UnixMs(300 * DAY_MS);
    records.forget_old(&tenant(0), now).await.unwrap();
    assert_eq!(kept().await, (300, 1), "0 is for ever");
    records.forget_old(&tenant(365), now).await.unwrap();
    assert_eq!(kept().await, (300, 1));
    records.forget_old(&tenant(10), now).await.unwrap();
    assert_eq!(kept().await, (11, 290));
    assert_eq!(records.ended(TenantId(2), 10).await.unwrap(), [other], "another tenant's");
    assert_eq!(records.live(TenantId(1)).await.unwrap().len(), 1, "what goes on is not touched");
}

#[tokio::test]
async fn every_tenant_is_pruned_whoever_else_ends_calls() {
    let (_folder, mut records) = records();
    records.kept_max = 5;
    for call in 1..=2 * u64::from(CALL_RECORDS_PRUNE_EVERY) + 2 {
        let mut ended = record(call, call).ended(UnixMs(call + 1), CallEnd::HungUp);
        ended.tenant = TenantId(call % 2 + 1);
        records.put(&ended).await.unwrap();
    }
    for tenant in [TenantId(1), TenantId(2)] {
        assert_eq!(records.ended(tenant, 1000).await.unwrap().len(), 5, "{tenant}");
    }
}

#[tokio::test]
async fn a_tenant_with_few_calls_in_each_life_of_the_node_is_pruned_too() {
    let (_folder, records) = records();
    for life in 0..20 {
        let store = Arc::clone(&records.store);
        let records = Records { kept_max: 5, ..Records::new(store) };
        let ended = record(life + 1, life).ended(UnixMs(life), CallEnd::HungUp);
        records.put(&ended).await.unwrap();
    }
    assert_eq!(records.ended(TenantId(1), 1000).await.unwrap().len(), 5);
}

const HOUR_MS: u64 = 3600 * 1000;

fn archive(folder: &Path) -> SharedArchive {
    Arc::new(Objects::folder(&folder.join("archive")).unwrap())
}

/// Records over `store` of a node of its own.
fn node(store: &SharedStore, archive: &SharedArchive) -> Records {
    let (archive, entropy) = (Arc::clone(archive), Entropy::system());
    let claimed = Claimed::new(archive, Arc::clone(store), entropy, true);
    Records::new(Arc::clone(store)).with_archive(Some(Arc::new(claimed)))
}

fn two_nodes(folder: &tempfile::TempDir) -> (Records, Records, SharedArchive) {
    let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
    let archive = archive(folder.path());
    (node(&store, &archive), node(&store, &archive), archive)
}

async fn end(records: &Records, call: u64, started: u64) {
    let ended = record(call, started).ended(UnixMs(started + 1), CallEnd::HungUp);
    records.put(&ended).await.unwrap();
}

fn calls(found: &[CallRecord]) -> Vec<u64> {
    found.iter().map(|record| record.call.0).collect()
}

async fn in_store(records: &Records) -> usize {
    list(&*records.store, Prefix::of_tenant(TenantId(1), "call")).await.unwrap().entries.len()
}

#[tokio::test]
async fn what_one_node_archived_another_lists_with_what_is_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, archive) = two_nodes(&folder);
    for call in 1..=500 {
        end(&one, call, call * HOUR_MS / 100).await;
    }
    assert_eq!(one.ship(TenantId(1)).await.unwrap(), 500);
    assert_eq!(in_store(&one).await, 0);
    assert_eq!(one.ship(TenantId(1)).await.unwrap(), 0, "once");
    // A long call ends after later ones were archived; the node that wrote those is gone.
    end(&other, 501, HOUR_MS / 2).await;
    end(&other, 502, 9 * HOUR_MS).await;
    let all = other.ended(TenantId(1), 1000).await.unwrap();
    assert_eq!(all.len(), 502);
    assert!(all.is_sorted_by_key(|record| core::cmp::Reverse(record.started)));
    for limit in [1, 3, 120, 451, 500] {
        assert_eq!(other.ended(TenantId(1), limit).await.unwrap(), all[..limit]);
    }
    assert_eq!(other.ship(TenantId(1)).await.unwrap(), 2);
    assert_eq!(one.ended(TenantId(1), 1000).await.unwrap(), all);
    assert_eq!(other.ended(TenantId(2), 10).await.unwrap(), []);
    let names = archive.list(&Name::of(format_args!("calls")), None, 1000).await.unwrap();
    // 100 calls began in each of five hours but the first and the last, and two were late.
    assert_eq!(names.len(), 6 + 2);
}

#[tokio::test]
async fn a_node_that_dies_between_archive_and_store_leaves_each_call_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, _archive) = two_nodes(&folder);
    for call in 1..=10 {
        end(&one, call, call).await;
    }
    let prefix = Prefix::of_tenant(TenantId(1), "call");
    let entries = list(&*one.store, prefix).await.unwrap().entries;
    let archive = one.archive.as_ref().unwrap().ready().await.unwrap();
    shelf::write(archive, TenantId(1), &entries).await.unwrap();
    assert_eq!(calls(&other.ended(TenantId(1), 100).await.unwrap()).len(), 10);
    end(&other, 11, 11).await;
    let newest: Vec<u64> = (1..=11).rev().collect();
    assert_eq!(calls(&other.ended(TenantId(1), 100).await.unwrap()), newest);
    assert_eq!(other.ship(TenantId(1)).await.unwrap(), 11);
    assert_eq!(calls(&one.ended(TenantId(1), 100).await.unwrap()), newest);
    assert_eq!(calls(&one.ended(TenantId(1), 4).await.unwrap()), newest[..4]);
}

#[tokio::test]
async fn what_is_old_leaves_the_archive_by_whole_hours() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _other, archive) = two_nodes(&folder);
    for call in 1..=50 {
        end(&one, call, call * HOUR_MS).await;
    }
    one.ship(TenantId(1)).await.unwrap();
    let json = serde_json::json!({
        "id": "1", "name": "shop", "limits": {"accounts": 1}, "created": 0,
        "rules": {"records_days": 1},
    });
    let tenant: Tenant = serde_json::from_value(json).unwrap();
    // What began in hour 26 is a day old in part.
    one.forget_old(&tenant, UnixMs(50 * HOUR_MS + HOUR_MS / 2)).await.unwrap();
    let left: Vec<u64> = (26..=50).rev().collect();
    assert_eq!(calls(&one.ended(TenantId(1), 100).await.unwrap()), left);
    let names = archive.list(&Name::of(format_args!("calls")), None, 1000).await.unwrap();
    assert_eq!(names.len(), left.len());
}

#[tokio::test]
async fn a_changed_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _other, archive) = two_nodes(&folder);
    end(&one, 1, HOUR_MS).await;
    one.ship(TenantId(1)).await.unwrap();
    let names = archive.list(&Name::of(format_args!("calls")), None, 10).await.unwrap();
    let [name] = &names[..] else { panic!("{names:?}") };
    let file = folder.path().join("archive").join(name.as_str());
    let written = std::fs::read_to_string(&file).unwrap();
    for bad in [written.replace("store-1", "store-9"), String::new(), "{}\n".to_owned()] {
        std::fs::write(&file, bad).unwrap();
        let said = one.ended(TenantId(1), 10).await.unwrap_err().to_string();
        assert!(said.contains(name.as_str()) && said.contains("damaged"), "{said}");
    }
    std::fs::write(&file, written).unwrap();
    assert_eq!(one.ended(TenantId(1), 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_lead_archives_what_ended_before_it_and_under_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, _archive) = two_nodes(&folder);
    end(&one, 1, 1).await;
    let other = Arc::new(other);
    let known = BTreeSet::from([TenantId(1)]);
    let porter = tokio::spawn(porter::run(Arc::clone(&other), known));
    let emptied = async |records: &Records| {
        while in_store(records).await > 0 {
            tokio::time::sleep(RECORDS_SHIP_EVERY / 100).await;
        }
    };
    emptied(&one).await;
    // So many that they do not wait.
    let many = u64::try_from(RECORDS_PER_SEGMENT_MAX).unwrap();
    for call in 2..2 + many {
        end(&other, call, call).await;
    }
    emptied(&one).await;
    assert_eq!(one.ended(TenantId(1), 1000).await.unwrap().len(), RECORDS_PER_SEGMENT_MAX + 1);
    porter.abort();
}
