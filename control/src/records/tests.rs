//! Tests of the call records over the embedded engine.

use super::*;
use crate::store::Embedded;
use std::sync::Arc;

fn record(call: u64, started: u64) -> CallRecord {
    let party = |account: u64, login: &str, role| Party {
        account: AccountId(account),
        login: login.into(),
        role,
        device: None,
        joined: None,
        left: None,
        quality: None,
    };
    CallRecord {
        call: CallId(call),
        tenant: TenantId(1),
        members: vec![
            party(1, "store-1", PartyRole::Caller),
            party(2, "concierge", PartyRole::Callee),
        ],
        desk: None,
        state: RecordState::Ringing,
        started: UnixMs(started),
        answered: None,
        ended: None,
        reason: None,
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
