//! The audit log over real store files: what is acknowledged is there, and what was touched is
//! found.

use super::crash::{FOLDER, run_and_kill};
use kakehashi_control::audit::chain::{head_key, record_key};
use kakehashi_control::audit::{
    Actor, Audit, AuditError, AuditRecord, Break, Entry, Head, How, NotAudited, Offline, Outcome,
    Plain, Verdict,
};
use kakehashi_control::capacity::{AUDIT_BATCH_MAX, AUDIT_MINUTE, AUDIT_QUEUE_MAX};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::store::{
    Condition, Embedded, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch, encode,
};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

const STORE: &str = "store.redb";

async fn open_over(store: SharedStore, folder: &Path) -> (Arc<Audit>, JoinHandle<()>) {
    let opened = Audit::open(store, folder, &folder.join("pki"), || UnixMs(77)).await;
    let (audit, writing) = opened.unwrap();
    (Arc::new(audit), writing)
}

async fn open(folder: &Path) -> (Arc<Audit>, JoinHandle<()>) {
    let store = Embedded::open(&folder.join(STORE)).unwrap();
    open_over(Arc::new(store), folder).await
}

async fn close((audit, writing): (Arc<Audit>, JoinHandle<()>)) {
    audit.stop();
    writing.await.unwrap();
}

fn act(target: &str) -> Entry {
    let target = Plain::of(target);
    Entry {
        target,
        ..Entry::new(Actor::Operator { address: ([127, 0, 0, 1], 5).into() }, "account_add")
    }
}

fn failure(login: &str) -> Entry {
    let actor = Actor::Terminal { address: ([192, 0, 2, 1], 4433).into() };
    let target = Plain::of(login);
    let outcome = Outcome::Refused;
    Entry { target, outcome, may_share: true, ..Entry::new(actor, "sign_in") }
}

async fn verify(folder: &Path) -> Verdict {
    Offline::open(folder).unwrap().verify(None).await.unwrap()
}

/// A folder with a log of ten records and the checkpoint of the last.
async fn log_of_ten() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    for target in 1..=10 {
        assert_eq!(log.0.note(act(&target.to_string())).await, Ok(Some(target)));
    }
    close(log).await;
    folder
}

#[tokio::test]
async fn records_are_numbered_without_a_gap_whoever_comes_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for life in 0..3_u64 {
        let log = open(folder.path()).await;
        let mut acts = JoinSet::new();
        for number in 0..200 {
            let audit = Arc::clone(&log.0);
            acts.spawn(async move { audit.note(act(&number.to_string())).await });
        }
        let mut numbers: Vec<u64> =
            acts.join_all().await.into_iter().map(|noted| noted.unwrap().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (life * 200 + 1..=(life + 1) * 200).collect::<Vec<_>>());
        let verdict = log.0.verify(Head::START).await.unwrap();
        assert_eq!((verdict.head.seq, verdict.broken), ((life + 1) * 200, None));
        let newest = log.0.newest(Some(numbers[0] + 1), 2).await.unwrap();
        let seqs: Vec<u64> = newest.iter().map(|record| record.seq).collect();
        assert_eq!(seqs[0], numbers[0]);
        close(log).await;
    }
    assert_eq!(verify(folder.path()).await.head.seq, 600);
}

#[tokio::test]
async fn failures_of_one_kind_share_a_record_and_none_of_them_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    assert_eq!(log.0.note(failure("a")).await, Ok(Some(1)));
    for _ in 0..4 {
        assert_eq!(log.0.note(failure("a")).await, Ok(None));
    }
    assert_eq!(log.0.note(failure("b")).await, Ok(Some(2)));
    close(log).await;
    let offline = Offline::open(folder.path()).unwrap();
    let rows = offline.newest(None, 10).await.unwrap();
    let said: Vec<_> = rows.iter().map(|row| (row.seq, row.target.as_str(), row.times)).collect();
    assert_eq!(said, [(3, "a", 4), (2, "b", 1), (1, "a", 1)]);
    assert_eq!(offline.verify(None).await.unwrap().broken, None);
}

#[tokio::test(start_paused = true)]
async fn every_minute_ends_with_what_was_counted_and_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    for _ in 0..5 {
        log.0.note(failure("a")).await.unwrap();
    }
    let checkpoints = folder.path().join("audit-checkpoints");
    // The clock is the test's, the disk is not: on a busy one it takes more of these minutes.
    let (mut kept, mut last, mut times) = (String::new(), String::new(), 0);
    for _ in 0..1_000 {
        tokio::time::sleep(AUDIT_MINUTE).await;
        let rows = log.0.newest(None, 100).await.unwrap();
        times = rows.iter().map(|row| row.times).sum::<u64>();
        kept = std::fs::read_to_string(&checkpoints).unwrap_or_default();
        last = format!("{{\"seq\":{},\"hash\":\"{}\"", rows[0].seq, rows[0].hash);
        if times == 5 && kept.lines().last().is_some_and(|line| line.starts_with(&last)) {
            break;
        }
    }
    assert_eq!(times, 5, "without a stop");
    assert!(kept.lines().last().unwrap().starts_with(&last), "{kept} ends with {last}");
    assert_eq!(log.0.verify(Head::START).await.unwrap().broken, None);
    close(log).await;
}

/// A copy of a log on which `change` was done; what a verification finds.
async fn after(original: &TempDir, change: Transaction) -> Option<Break> {
    let folder = copy_of(original);
    let store = Embedded::open(&folder.path().join(STORE)).unwrap();
    store.transact(change).await.unwrap();
    drop(store);
    verify(folder.path()).await.broken
}

fn copy_of(original: &TempDir) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [STORE, "audit-checkpoints", "audit.pub"] {
        std::fs::copy(original.path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

async fn value_of(original: &TempDir, key: &Key) -> Vec<u8> {
    let store = Embedded::open(&copy_of(original).path().join(STORE)).unwrap();
    store.get(key).await.unwrap().unwrap().value
}

#[tokio::test]
async fn tampering_with_any_record_of_a_store_file_is_found() {
    let log = log_of_ten().await;
    assert_eq!(verify(log.path()).await.broken, None);
    for seq in 1..=10 {
        let key = record_key(seq);
        let text = String::from_utf8(value_of(&log, &key).await).unwrap();
        let other = text.replace("account_add", "account_del").into_bytes();
        let found = after(&log, Transaction::new().put(key.clone(), other)).await;
        assert_eq!(found, Some(Break { seq, how: How::Altered }));
        let spaced = format!("{text} ").into_bytes();
        let found = after(&log, Transaction::new().put(key.clone(), spaced)).await;
        assert_eq!(found, Some(Break { seq, how: How::Unreadable }));
        let found = after(&log, Transaction::new().delete(key.clone())).await;
        let how = if seq == 10 { How::CutOff } else { How::Missing };
        assert_eq!(found, Some(Break { seq, how }));
        let next = record_key(seq % 10 + 1);
        let moved =
            Transaction::new().put(key, value_of(&log, &next).await).put(next, text.into_bytes());
        let found = after(&log, moved).await.unwrap();
        assert_eq!(found.seq, if seq == 10 { 1 } else { seq });
    }
    let found = after(&log, Transaction::new().delete(head_key())).await;
    assert_eq!(found.map(|found| found.how), Some(How::Contradicted));
}

#[tokio::test]
async fn a_tail_that_was_cut_off_with_its_head_is_found_by_the_checkpoint() {
    let log = log_of_ten().await;
    let ninth = value_of(&log, &record_key(9)).await;
    let ninth: AuditRecord = serde_json::from_slice(&ninth).unwrap();
    let cut = Transaction::new().delete(record_key(10)).put(head_key(), encode(&ninth.head()));
    let found = after(&log, cut.clone()).await;
    assert_eq!(found, Some(Break { seq: 10, how: How::CutOff }));

    // A node does not go on over it, so that the evidence stays.
    let folder = copy_of(&log);
    std::fs::create_dir(folder.path().join("pki")).unwrap();
    std::fs::copy(log.path().join("pki/audit.key"), folder.path().join("pki/audit.key")).unwrap();
    let store: SharedStore = Arc::new(Embedded::open(&folder.path().join(STORE)).unwrap());
    store.transact(cut).await.unwrap();
    let opened = Audit::open(store, folder.path(), &folder.path().join("pki"), || UnixMs(1)).await;
    assert!(matches!(opened.err().unwrap(), AuditError::Broken(10)));

    // Without the checkpoints beside it, one that was kept elsewhere still shows it.
    let kept = folder.path().join("kept");
    std::fs::rename(folder.path().join("audit-checkpoints"), &kept).unwrap();
    let offline = Offline::open(folder.path()).unwrap();
    assert_eq!(offline.verify(None).await.unwrap().broken, None);
    let found = offline.verify(Some(&kept)).await.unwrap().broken;
    assert_eq!(found, Some(Break { seq: 10, how: How::CutOff }));
    let forged = std::fs::read_to_string(&kept).unwrap().replace("\"seq\":10", "\"seq\":9");
    std::fs::write(&kept, forged).unwrap();
    let found = offline.verify(Some(&kept)).await.unwrap().broken;
    assert_eq!(found, Some(Break { seq: 9, how: How::Forged }));
}

/// A store whose writes wait for permits, and fail before or after they are done.
struct Wayward {
    inner: Embedded,
    may_write: Semaphore,
    fails: AtomicU8,
}

const NOT: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Wayward {
    fn open(folder: &TempDir, permits: usize) -> Arc<Self> {
        let inner = Embedded::open(&folder.path().join(STORE)).unwrap();
        let (may_write, fails) = (Semaphore::new(permits), AtomicU8::new(NOT));
        Arc::new(Self { inner, may_write, fails })
    }
}

impl Store for Wayward {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<kakehashi_control::store::Entry>> {
        self.inner.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.inner.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(async move {
            self.may_write.acquire().await.unwrap().forget();
            let failed = Err(StoreError::Closed);
            match self.fails.swap(NOT, Ordering::Relaxed) {
                BEFORE => failed,
                AFTER => {
                    self.inner.transact(transaction).await?;
                    failed
                }
                _ => self.inner.transact(transaction).await,
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.inner.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.inner.condition()
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_everything_it_took_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Wayward::open(&folder, 0);
    let log = open_over(Arc::<Wayward>::clone(&store), folder.path()).await;
    let mut acts = JoinSet::new();
    for number in 0..AUDIT_QUEUE_MAX + 2 * AUDIT_BATCH_MAX {
        let audit = Arc::clone(&log.0);
        acts.spawn(async move { audit.note(act(&number.to_string())).await });
    }
    let first = acts.join_next().await.unwrap().unwrap();
    assert_eq!(first, Err(NotAudited::Busy), "before anything is written");
    store.may_write.add_permits(1000);
    let results = acts.join_all().await;
    let written = results.iter().filter(|result| result.is_ok()).count();
    assert!(written >= AUDIT_QUEUE_MAX, "{written}");
    let verdict = log.0.verify(Head::START).await.unwrap();
    assert_eq!((verdict.head.seq, verdict.broken), (written as u64, None));
    close(log).await;
}

#[tokio::test]
async fn a_write_that_fails_refuses_and_leaves_no_gap_whether_it_was_done_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Wayward::open(&folder, 1000);
    let log = open_over(Arc::<Wayward>::clone(&store), folder.path()).await;
    assert_eq!(log.0.note(act("1")).await, Ok(Some(1)));
    store.fails.store(BEFORE, Ordering::Relaxed);
    assert!(matches!(log.0.note(failure("a")).await, Err(NotAudited::Store(_))));
    assert_eq!(log.0.note(failure("a")).await, Ok(Some(2)), "it has no record to share yet");
    store.fails.store(AFTER, Ordering::Relaxed);
    assert_eq!(log.0.note(act("3")).await, Ok(Some(3)), "found to be done after all");
    assert_eq!(log.0.note(act("4")).await, Ok(Some(4)));
    let verdict = log.0.verify(Head::START).await.unwrap();
    assert_eq!((verdict.head.seq, verdict.broken), (4, None));
    close(log).await;
}

/// The process that is killed: four lanes act, and say so after each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs only as the child of the test below"]
async fn actor() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (audit, _writing) = open(Path::new(&folder)).await;
    let mut lanes = JoinSet::new();
    for lane in 0..4_u64 {
        let audit = Arc::clone(&audit);
        lanes.spawn(async move {
            loop {
                let seq = audit.note(act(&format!("lane-{lane}"))).await.unwrap().unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {lane} {seq}").unwrap();
                out.flush().unwrap();
            }
        });
    }
    lanes.join_all().await;
}

#[tokio::test]
async fn after_a_kill_the_chain_is_whole_and_no_acknowledged_act_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let entropy = Entropy::system();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    let mut total = 0;
    for _ in 0..10 {
        let wait = u64::from(u16::from_le_bytes(entropy.bytes())) % 60_000;
        let wait = Duration::from_micros(wait);
        total += run_and_kill("audit::actor", folder.path(), wait, &mut acknowledged);
        let offline = Offline::open(folder.path()).unwrap();
        let verdict = offline.verify(None).await.unwrap();
        assert_eq!(verdict.broken, None);
        for (lane, seq) in &acknowledged {
            let found = offline.newest(Some(seq + 1), 1).await.unwrap();
            assert_eq!(found[0].seq, *seq);
            assert_eq!(found[0].target.as_str(), format!("lane-{lane}"));
        }
        assert!(verdict.head.seq >= total, "{} of {total} are there", verdict.head.seq);
    }
    println!("{total} acknowledged acts, 10 kills, none lost");
}

#[tokio::test]
async fn acts_that_come_together_share_the_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    let mut waits = Vec::new();
    for number in 0..200 {
        let begun = now();
        log.0.note(act(&number.to_string())).await.unwrap();
        waits.push(begun.elapsed());
    }
    waits.sort_unstable();
    let begun = now();
    let mut acts = JoinSet::new();
    for number in 0..400 {
        let audit = Arc::clone(&log.0);
        acts.spawn(async move { audit.note(act(&number.to_string())).await });
    }
    assert!(acts.join_all().await.iter().all(Result::is_ok));
    let each = begun.elapsed() / 400;
    println!("one alone: median {:?}, p99 {:?}; each of 400: {each:?}", waits[100], waits[198]);
    assert!(each < waits[100], "{each:?} against {:?}", waits[100]);
    close(log).await;
}

#[expect(clippy::disallowed_methods, reason = "what a record costs is what this measures")]
fn now() -> Instant {
    Instant::now()
}
