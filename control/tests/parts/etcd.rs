//! The engine on a cluster: conformance, and what befalls real members of etcd.

use super::cluster::{Cluster, Tls};
use super::conformance::{self, key, put};
use etcd_client::{Client, Permission, PermissionType};
use kakehashi_control::store::{
    Etcd, EtcdSettings, Event, Expected, Prefix, Range, Revision, Store, StoreError, Transaction,
    WatchEnd, list,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn settings(cluster: &Cluster) -> EtcdSettings {
    EtcdSettings { endpoints: cluster.endpoints(), ..EtcdSettings::default() }
}

async fn open(cluster: &Cluster) -> Etcd {
    Etcd::open(&settings(cluster)).await.unwrap()
}

fn all() -> Prefix {
    Prefix::parse("k/".into()).unwrap()
}

async fn now(store: &Etcd) -> Revision {
    store.range(Range { limit: 1, ..Range::first(all()) }).await.unwrap().revision
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_does_what_every_engine_must() {
    let cluster = Cluster::start(3);
    conformance::all(Arc::new(open(&cluster).await)).await;
    let condition = open(&cluster).await.condition().await.unwrap();
    assert_eq!(condition.members.iter().filter(|it| it.is_leader).count(), 1);
    assert!(condition.members.iter().all(|it| it.problem.is_none() && it.bytes > 0));
    assert!(condition.revision.is_some() && condition.problem.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_platforms_share_a_cluster_and_see_nothing_of_each_other() {
    let cluster = Cluster::start(1);
    let other = EtcdSettings { prefix: "other/".into(), ..settings(&cluster) };
    let (one, other) = (open(&cluster).await, Etcd::open(&other).await.unwrap());
    one.transact(put("k/a", b"1")).await.unwrap();
    other.transact(put("k/b", b"2").compare(key("k/a"), Expected::Absent)).await.unwrap();
    let found = list(&one, all()).await.unwrap();
    let keys: Vec<_> = found.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["k/a"]);
}

/// Counts up until it is told to stop; what was acknowledged, what was refused or not known.
async fn count_up(store: &Etcd, stop: &AtomicBool, acknowledged: &AtomicU64) -> u64 {
    let mut failures = 0;
    while !stop.load(Ordering::Relaxed) {
        // Reading first is what makes an unknown outcome harmless.
        let next = acknowledged.load(Ordering::Relaxed) + 1;
        let at = key(&format!("k/{next:08}"));
        let change = put(at.as_str(), b"x").compare(at.clone(), Expected::Absent);
        match store.transact(change).await {
            Ok(_) => acknowledged.store(next, Ordering::Relaxed),
            Err(StoreError::Conflict) => {
                assert!(store.get(&at).await.unwrap().is_some(), "{at} was not there");
                acknowledged.store(next, Ordering::Relaxed);
            }
            Err(StoreError::Unsure { .. } | StoreError::Unavailable { .. }) => failures += 1,
            Err(error) => panic!("{error}"),
        }
    }
    failures
}

/// Follows `k/` from `after` until `last` was told; every event exactly once and in order.
async fn follow(store: &Etcd, after: Revision, last: &str) -> Vec<Arc<Event>> {
    let mut watch = store.watch(&all(), after).await.unwrap();
    let mut seen: Vec<Arc<Event>> = Vec::new();
    while seen.last().is_none_or(|event| event.key.as_str() != last) {
        let next = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.unwrap();
        let event = next.unwrap_or_else(|end| panic!("{end}"));
        assert!(seen.last().is_none_or(|before| before.revision < event.revision));
        seen.push(event);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_killed_in_turn_loses_no_acknowledged_write_and_no_event() {
    let mut cluster = Cluster::start(3);
    let store = Arc::new(open(&cluster).await);
    let start = now(&store).await;
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let counting = tokio::spawn({
        let (store, stop, done) =
            (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&acknowledged));
        async move { count_up(&store, &stop, &done).await }
    });
    let following = tokio::spawn({
        let store = Arc::clone(&store);
        async move { follow(&store, start, "k/z-last").await }
    });
    let wait_for_writes = async |more: u64| {
        let reached = acknowledged.load(Ordering::Relaxed) + more;
        for _ in 0..600 {
            if acknowledged.load(Ordering::Relaxed) >= reached {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing more was acknowledged");
    };
    for member in 0..3 {
        wait_for_writes(20).await;
        cluster.kill(member);
        wait_for_writes(20).await;
        cluster.launch(member);
        cluster.wait_until_ready(member);
    }
    stop.store(true, Ordering::Relaxed);
    let failures = counting.await.unwrap();
    store.transact(put("k/z-last", b"")).await.unwrap();
    let seen = following.await.unwrap();
    let found = list(&*store, all()).await.unwrap();
    let count = acknowledged.load(Ordering::Relaxed);
    assert!(found.entries.len() as u64 > count, "{count} acknowledged");
    let keys: Vec<_> = found.entries.iter().map(|entry| &entry.key).collect();
    let told: Vec<_> = seen.iter().map(|event| &event.key).collect();
    assert_eq!(told, keys, "the watch told every write once");
    println!("{count} writes acknowledged over 3 kills, {failures} refused or not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_writes_and_reads_are_refused_and_come_back_with_it() {
    let mut cluster = Cluster::start(3);
    let store = open(&cluster).await;
    let first = store.transact(put("k/a", b"1")).await.unwrap();
    let mut watch = store.watch(&all(), first).await.unwrap();
    cluster.kill(0);
    cluster.kill(1);
    // The last member notices after an election time-out; what comes before is not known.
    let mut refusals = Vec::new();
    for _ in 0..3 {
        let refused = store.transact(put("k/b", b"2")).await.unwrap_err();
        refusals.push(refused);
    }
    assert!(matches!(refusals.last(), Some(StoreError::Unavailable { .. })), "{refusals:?}");
    let unread = store.get(&key("k/a")).await.err().unwrap();
    assert!(matches!(unread, StoreError::Unavailable { .. }), "{unread:?}");
    assert!(unread.to_string().contains("more than half"), "{unread}");
    let condition = store.condition().await.unwrap();
    assert_eq!(condition.members.iter().filter(|it| it.problem.is_some()).count(), 3);
    assert!(condition.problem.is_some());
    for member in [0, 1] {
        cluster.launch(member);
    }
    for member in 0..3 {
        cluster.wait_until_ready(member);
    }
    assert_eq!(store.get(&key("k/a")).await.unwrap().unwrap().revision, first);
    let last = store.transact(put("k/c", b"3")).await.unwrap();
    assert!(last > first);
    let mut told = watch.next().await.ok().unwrap();
    if told.key == key("k/b") {
        // A write whose outcome was not known was done after all.
        assert!(refusals.iter().any(|it| matches!(it, StoreError::Unsure { .. })), "{refusals:?}");
        told = watch.next().await.ok().unwrap();
    }
    assert_eq!((told.key.as_str(), told.revision), ("k/c", last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stalls_is_passed_over() {
    let cluster = Cluster::start(3);
    let store = open(&cluster).await;
    store.transact(put("k/a", b"0")).await.unwrap();
    cluster.stall(0);
    // If it led, the others elect first, and on a busy machine take their time.
    let mut tries = 0;
    while let Err(error) = store.transact(put("k/a", b"1")).await {
        let is_known = matches!(error, StoreError::Unsure { .. } | StoreError::Unavailable { .. });
        tries += 1;
        assert!(is_known && tries < 15, "after {tries} tries: {error}");
    }
    for n in 0..10_u8 {
        store.transact(put(&format!("k/{n}"), &[n])).await.unwrap();
    }
    assert_eq!(store.get(&key("k/9")).await.unwrap().unwrap().value, [9]);
    cluster.go_on(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_although_each_member_stalls_in_turn() {
    let cluster = Cluster::start(3);
    let store = open(&cluster).await;
    store.transact(put("k/a", b"0")).await.unwrap();
    // One of them leads the others, and one is asked first.
    for member in 0..3 {
        cluster.stall(member);
        for _ in 0..20 {
            assert_eq!(store.get(&key("k/a")).await.unwrap().unwrap().value, b"0");
        }
        cluster.go_on(member);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unknown_outcome_reading_tells() {
    let cluster = Cluster::start(1);
    let store = open(&cluster).await;
    store.transact(put("k/a", b"0")).await.unwrap();
    cluster.stall(0);
    let at = key("k/b");
    let change = || put("k/b", b"1").compare(at.clone(), Expected::Absent);
    let unknown = store.transact(change()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Unsure { .. }), "{unknown:?}");
    assert!(unknown.to_string().contains("read again before trying again"), "{unknown}");
    cluster.go_on(0);
    let found = store.get(&at).await.unwrap();
    let again = store.transact(change()).await;
    match found {
        Some(_) => assert_eq!(again, Err(StoreError::Conflict)),
        None => assert!(again.is_ok() || again == Err(StoreError::Conflict), "{again:?}"),
    }
    assert_eq!(list(&store, all()).await.unwrap().entries.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_before_a_compaction_is_told_and_lists_anew() {
    let cluster = Cluster::start(1);
    let store = open(&cluster).await;
    let old = store.transact(put("k/a", b"1")).await.unwrap();
    let mut running = store.watch(&all(), old).await.unwrap();
    for n in 0..5 {
        store.transact(put("k/a", &[n])).await.unwrap();
    }
    let last = store.transact(Transaction::new().delete(key("k/a"))).await.unwrap();
    // A watch that had not been told of these yet would have to list anew as well.
    for _ in 0..6 {
        assert_eq!(running.next().await.ok().unwrap().key, key("k/a"));
    }
    let mut client = Client::connect(cluster.endpoints(), None).await.unwrap();
    client.compact(i64::try_from(last.0).unwrap(), None).await.unwrap();
    let mut late = store.watch(&all(), old).await.unwrap();
    assert_eq!(late.next().await.err(), Some(WatchEnd::Lagged));
    let listed = list(&store, all()).await.unwrap();
    assert!(listed.entries.is_empty());
    let mut again = store.watch(&all(), listed.revision).await.unwrap();
    let new = store.transact(put("k/b", b"2")).await.unwrap();
    assert_eq!(again.next().await.ok().unwrap().revision, new);
    assert_eq!(running.next().await.ok().unwrap().revision, new);
}

#[tokio::test]
async fn a_watch_ends_with_its_store() {
    let cluster = Cluster::start(1);
    let store = open(&cluster).await;
    let start = now(&store).await;
    let mut watch = store.watch(&all(), start).await.unwrap();
    drop(store);
    assert_eq!(watch.next().await.err(), Some(WatchEnd::Closed));
}

#[tokio::test]
async fn a_cluster_over_its_quota_says_so_and_loses_nothing() {
    let cluster = Cluster::start_with(1, None, &["--quota-backend-bytes", "1000000"]);
    let store = open(&cluster).await;
    let mut written = 0_usize;
    let refused = loop {
        match store.transact(put(&format!("k/{written:04}"), &[7; 60_000])).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::OverQuota { .. }), "{refused:?}");
    // etcd may have done the one that it refused.
    let kept = list(&store, all()).await.unwrap().entries.len();
    assert!((written..=written + 1).contains(&kept), "{kept} of {written} writes");
}

#[tokio::test]
async fn pages_larger_than_an_answer_come_in_parts() {
    let cluster = Cluster::start_with(1, None, &["--quota-backend-bytes", "200000000"]);
    let store = open(&cluster).await;
    for n in 0..40 {
        let change = (0..10).fold(Transaction::new(), |change, part| {
            change.put(key(&format!("k/{n:03}/{part}")), vec![7; 60_000])
        });
        store.transact(change).await.unwrap();
    }
    let first = store.range(Range::first(all())).await.unwrap();
    assert!(first.more && first.entries.len() < 400, "{}", first.entries.len());
    assert_eq!(list(&store, all()).await.unwrap().entries.len(), 400);
}

#[tokio::test]
async fn revisions_go_on_where_another_store_ended() {
    let cluster = Cluster::start(1);
    let far = Revision(1_000_000);
    let store = Etcd::go_on_from(&settings(&cluster), far).await.unwrap();
    let first = store.transact(put("k/a", b"1")).await.unwrap();
    assert!(first > far, "{first:?}");
    let stale = put("k/a", b"2").compare(key("k/a"), Expected::At(Revision(7)));
    assert_eq!(store.transact(stale).await, Err(StoreError::Conflict));
    let next = put("k/a", b"2").compare(key("k/a"), Expected::At(first));
    let second = store.transact(next).await.unwrap();
    let mut watch = store.watch(&all(), first).await.unwrap();
    assert_eq!(watch.next().await.ok().unwrap().revision, second);
    let mut older = store.watch(&all(), Revision(5)).await.unwrap();
    assert_eq!(older.next().await.err(), Some(WatchEnd::Lagged));
    drop(store);
    let again = open(&cluster).await;
    assert_eq!(again.get(&key("k/a")).await.unwrap().unwrap().revision, second);
    let full = Etcd::go_on_from(&settings(&cluster), far).await.err();
    assert_eq!(full, Some(StoreError::Conflict));
}

/// An authority, and what it has issued, as PEM files.
struct Authority {
    folder: PathBuf,
    name: &'static str,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { folder: folder.to_owned(), name, issuer }
    }

    fn ca(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |kind: &str| self.folder.join(format!("{}-{name}-{kind}.pem", self.name));
        std::fs::write(path("certificate"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("certificate"), path("key"))
    }
}

/// Gives `user` the rights on `kakehashi/` alone, and switches passwords on.
async fn guard(client: &mut Client) {
    client.user_add("root", "root-password", None).await.unwrap();
    client.role_add("root").await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("node", "node-password", None).await.unwrap();
    client.role_add("platform").await.unwrap();
    let (from, to) = ("kakehashi/", "kakehashi0");
    let rights = Permission::new(PermissionType::Readwrite, from).with_range_end(to);
    client.role_grant_permission("platform", rights).await.unwrap();
    client.user_grant_role("node", "platform").await.unwrap();
    client.auth_enable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_passwords_are_asked_for_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, foreign) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "foreign"));
    let (certificate, member_key) = ours.issue("member");
    let tls = Tls { ca: ours.ca(), certificate, key: member_key };
    let cluster = Cluster::start_with(1, Some(tls), &[]);
    let (certificate, node_key) = ours.issue("node");
    let with_tls = EtcdSettings {
        ca: ours.ca(),
        certificate: certificate.clone(),
        key: node_key.clone(),
        ..settings(&cluster)
    };
    let read = |path: &Path| std::fs::read(path).unwrap();
    let tls = etcd_client::TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(read(&ours.ca())))
        .identity(etcd_client::Identity::from_pem(read(&certificate), read(&node_key)));
    let options = etcd_client::ConnectOptions::new().with_tls(tls);
    let mut client = Client::connect(cluster.endpoints(), Some(options)).await.unwrap();
    guard(&mut client).await;

    let password = |text: &str| {
        let path = cluster.folder().join("password");
        std::fs::write(&path, text).unwrap();
        EtcdSettings { user: "node".into(), password_file: path, ..with_tls.clone() }
    };
    let store = Etcd::open(&password("node-password\n")).await.unwrap();
    let start = now(&store).await;
    let mut watch = store.watch(&all(), start).await.unwrap();
    let revision = store.transact(put("k/a", b"1")).await.unwrap();
    assert_eq!(watch.next().await.ok().unwrap().revision, revision);

    let refusal = async |settings: EtcdSettings| Etcd::open(&settings).await.err().unwrap();
    let refused = refusal(password("wrong")).await;
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("[store]"), "{refused}");
    let refused = refusal(with_tls.clone()).await;
    assert!(matches!(refused, StoreError::Refused { .. }), "without a password: {refused:?}");
    let elsewhere = EtcdSettings { prefix: "elsewhere/".into(), ..password("node-password") };
    let refused = refusal(elsewhere).await;
    assert!(matches!(refused, StoreError::Refused { .. }), "beyond its rights: {refused:?}");

    let right = password("node-password");
    let (certificate, foreign_key) = foreign.issue("node");
    for wrong in [
        EtcdSettings { ca: foreign.ca(), ..right.clone() },
        EtcdSettings { certificate, key: foreign_key, ..right.clone() },
        EtcdSettings { certificate: PathBuf::new(), key: PathBuf::new(), ..right.clone() },
    ] {
        let refused = refusal(wrong).await;
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(refused.to_string().contains("take its certificate"), "{refused}");
    }
    let missing = EtcdSettings { ca: "/no/such/file".into(), ..right };
    assert!(refusal(missing).await.to_string().contains("/no/such/file"));
}
