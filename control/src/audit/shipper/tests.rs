//! However a log is copied, and whatever fails meanwhile, the archive has each record once; and
//! whatever is done to the archive is found.

use super::super::chain::{Break, How, head_key};
use super::super::entry::{Actor, Entry as Act, Plain};
use super::super::kept::{Fault, Kept, Run, verify};
use super::super::segment::check;
use super::*;
use crate::archive::{ArchiveError, Objects, Pending, SharedArchive};
use crate::entropy::Entropy;
use crate::store::Embedded;
use core::sync::atomic::AtomicU8;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder whose writes fail as they are told to.
struct Wayward {
    inner: Objects,
    fails: AtomicU8,
}

const NOT: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Archive for Wayward {
    fn put_new<'a>(&'a self, name: &'a Name, bytes: Vec<u8>) -> Pending<'a, bool> {
        Box::pin(async move {
            let failed = || ArchiveError::Full { place: "there".to_owned() };
            match self.fails.swap(NOT, Ordering::Relaxed) {
                BEFORE => Err(failed()),
                AFTER => {
                    self.inner.put_new(name, bytes).await?;
                    Err(failed())
                }
                _ => self.inner.put_new(name, bytes).await,
            }
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> Pending<'a, Option<Vec<u8>>> {
        self.inner.get(name)
    }

    fn list<'a>(
        &'a self,
        folder: &'a Name,
        after: Option<&'a Name>,
        limit: usize,
    ) -> Pending<'a, Vec<Name>> {
        self.inner.list(folder, after, limit)
    }

    fn remove<'a>(&'a self, name: &'a Name) -> Pending<'a, ()> {
        self.inner.remove(name)
    }
}

/// Nodes that have an archive in common, each with a log of its own.
struct Cell {
    folder: TempDir,
    archive: Arc<Wayward>,
    claim: SharedStore,
    seed: u8,
}

/// A node.
struct Node {
    store: SharedStore,
    shipper: Shipper,
    end: Head,
}

impl Cell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = Objects::folder(&folder.path().join("archive")).unwrap();
        let archive = Arc::new(Wayward { inner, fails: AtomicU8::new(NOT) });
        let claim = Arc::new(Embedded::open(&folder.path().join("common")).unwrap());
        Self { folder, archive, claim, seed: 0 }
    }

    /// A node with an empty disk.
    fn node(&mut self, name: &str) -> Node {
        self.seed += 1;
        let path = self.folder.path().join(format!("{name}-{}", self.seed));
        let store: SharedStore = Arc::new(Embedded::open(&path).unwrap());
        Node { shipper: self.shipper(&store, name, self.seed), store, end: Head::START }
    }

    fn shipper(&self, store: &SharedStore, name: &str, seed: u8) -> Shipper {
        let archive: SharedArchive = Arc::<Wayward>::clone(&self.archive);
        let (claim, entropy) = (Arc::clone(&self.claim), Entropy::system());
        let claimed = Arc::new(Claimed::new(archive, claim, entropy, true));
        let key = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
        let node = NodeName::parse(name).unwrap();
        let log = (Arc::clone(store), node);
        let shipper = Shipper::new(log, claimed, (key, || UnixMs(5)), Arc::default());
        Shipper { records_max: 7, ..shipper }
    }

    /// The same node after a start.
    fn start(&self, node: Node, name: &str) -> Node {
        let shipper = self.shipper(&node.store, name, 0);
        let shipper = Shipper { key: Arc::clone(&node.shipper.key), ..shipper };
        Node { shipper, ..node }
    }

    async fn verified(&self) -> Kept {
        verify(&*self.archive, Vec::new()).await.unwrap()
    }

    /// A shipper of `node`, whose progress is `archived`.
    fn beside(&self, node: &Node, archived: &Arc<AtomicU64>) -> Shipper {
        let shipper = self.shipper(&node.store, "tokyo", 1);
        Shipper { archived: Arc::clone(archived), ..shipper }
    }

    /// The files of the archive's log objects, in order.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let nodes = std::fs::read_dir(self.folder.path().join("archive/audit"));
        for node in nodes.into_iter().flatten() {
            let inside = std::fs::read_dir(node.unwrap().path()).unwrap();
            files.extend(inside.map(|file| file.unwrap().path()));
        }
        files.sort();
        files
    }
}

impl Node {
    /// Writes `many` records the way the log's writer does: two nodes of the same `name`, the same
    /// ones.
    async fn act(&mut self, name: &str, many: usize) {
        for _ in 0..many {
            let actor = Actor::Operator { address: ([127, 0, 0, 1], 5).into() };
            let act = Act { target: Plain::of(name), ..Act::new(actor, "account_add") };
            let record = self.end.append(&act, UnixMs(1_000 + self.end.seq));
            self.end = record.head();
            let change = Transaction::new().put(record_key(record.seq), encode(&record));
            self.store.transact(change.put(head_key(), encode(&self.end))).await.unwrap();
        }
    }

    fn known(&self) -> u64 {
        self.shipper.archived.load(Ordering::Relaxed)
    }
}

/// From where to where, and in how many objects.
fn spans(kept: &Kept) -> Vec<(&str, u64, u64, u64)> {
    let span = |run: &Run| (run.first, run.head.seq, run.objects);
    let runs = kept.runs.iter().map(|run| (run.node.as_str(), span(run)));
    runs.map(|(node, (first, last, objects))| (node, first, last, objects)).collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Act(usize),
    Ship,
    FailBefore,
    FailAfter,
    Start,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_usize..20).prop_map(Step::Act),
        Just(Step::Ship),
        Just(Step::FailBefore),
        Just(Step::FailAfter),
        Just(Step::Start),
    ];
    prop::collection::vec(step, 1..16)
}

async fn whatever_happens(steps: &[Step]) {
    let mut cell = Cell::new();
    let mut node = cell.node("tokyo");
    for step in steps {
        let fails = match step {
            Step::Act(many) => {
                node.act("tokyo", *many).await;
                continue;
            }
            Step::Start => {
                node = cell.start(node, "tokyo");
                continue;
            }
            Step::Ship => NOT,
            Step::FailBefore => BEFORE,
            Step::FailAfter => AFTER,
        };
        let known = node.known();
        cell.archive.fails.store(fails, Ordering::Relaxed);
        let done = node.shipper.ship().await;
        let is_untouched = cell.archive.fails.swap(NOT, Ordering::Relaxed) == fails;
        assert_eq!(done.is_ok(), is_untouched, "{done:?}");
        if done.is_ok() {
            assert_eq!(node.known(), node.end.seq);
        }
        assert!(node.known() >= known);
        let kept = cell.verified().await;
        assert_eq!(kept.faults, []);
        assert!(kept.runs.len() <= 1, "{kept:?}");
    }
    node.shipper.ship().await.unwrap();
    let kept = cell.verified().await;
    let ends: Vec<_> = kept.runs.iter().map(|run| (run.first, run.head)).collect();
    let all = (node.end.seq > 0).then_some((1, node.end));
    assert_eq!(ends, all.into_iter().collect::<Vec<_>>());
    let objects = kept.runs.iter().map(|run| run.objects).sum::<u64>();
    assert_eq!(objects, cell.files().len() as u64, "each record is there once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_fails_and_starts_each_record_is_there_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(whatever_happens(&steps));
    }
}

/// An archive with 30 records of one node in objects of 7, and 3 of another.
async fn of_two() -> (Cell, Node) {
    let mut cell = Cell::new();
    let (mut node, mut other) = (cell.node("tokyo"), cell.node("osaka"));
    node.act("tokyo", 30).await;
    other.act("tokyo", 3).await;
    node.shipper.ship().await.unwrap();
    other.shipper.ship().await.unwrap();
    (cell, node)
}

/// The object that is in `file`.
fn name_of(file: &Path) -> Name {
    let mut parts: Vec<_> = file.iter().rev().take(3).map(|part| part.to_str().unwrap()).collect();
    parts.reverse();
    Name::parse(parts.join("/")).unwrap()
}

fn fault(file: &Path, seq: u64, how: How) -> Fault {
    Fault { object: name_of(file).to_string(), broken: Some(Break { seq, how }) }
}

#[tokio::test]
async fn each_nodes_log_is_verified_from_its_first_record_to_its_last() {
    let (cell, node) = of_two().await;
    let kept = cell.verified().await;
    assert_eq!(spans(&kept), [("osaka", 1, 3, 1), ("tokyo", 1, 30, 5)]);
    assert!(kept.is_intact());
    let run = &kept.runs[1];
    assert_eq!((run.head, run.since, run.until), (node.end, UnixMs(1_000), UnixMs(1_029)));
    assert_eq!(run.key.0, node.shipper.key.public_key().as_ref());
    let empty = Objects::folder(&cell.folder.path().join("empty")).unwrap();
    assert!(!verify(&empty, Vec::new()).await.unwrap().is_intact(), "nothing is there");
}

#[tokio::test]
async fn a_change_of_any_byte_of_an_object_is_found() {
    let (cell, _node) = of_two().await;
    let file = cell.files().remove(2);
    let good = std::fs::read(&file).unwrap();
    let (_, span) = Span::parse(&name_of(&file)).unwrap();
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        bad
    };
    for at in 0..good.len() {
        let found = check(&span, &flipped(at), |_| {}).err().unwrap();
        assert!((8..=15).contains(&found.seq), "{at}: {found:?}");
    }
    for at in (0..good.len()).step_by(97) {
        std::fs::write(&file, flipped(at)).unwrap();
        let kept = cell.verified().await;
        let [found] = &kept.faults[..] else { panic!("{at}: {:?}", kept.faults) };
        assert_eq!(found.object, name_of(&file).to_string());
        // What comes behind it is verified all the same.
        assert_eq!(spans(&kept)[1..], [("tokyo", 1, 7, 1), ("tokyo", 15, 30, 3)]);
    }
    for bad in [&good[..0], &good[..good.len() - 1], &b"\n"[..], &b"\n\n"[..]] {
        std::fs::write(&file, bad).unwrap();
        assert_eq!(cell.verified().await.faults.len(), 1);
    }
    std::fs::write(&file, &good).unwrap();
    assert!(cell.verified().await.is_intact());
}

#[tokio::test]
async fn an_object_that_is_missing_renamed_or_swapped_is_found() {
    let (cell, node) = of_two().await;
    let files = cell.files();
    let away = cell.folder.path().join("away");
    std::fs::rename(&files[3], &away).unwrap();
    let kept = cell.verified().await;
    assert_eq!(kept.faults, [fault(&files[4], 21, How::Missing)]);
    assert_eq!(spans(&kept)[1..], [("tokyo", 1, 14, 2), ("tokyo", 22, 30, 2)]);
    std::fs::copy(&files[2], &files[3]).unwrap();
    let found = cell.verified().await.faults;
    assert_eq!(found, [fault(&files[3], 15, How::Renumbered)]);
    let other = files[3].with_file_name("0000000000000010-0000000000000015-0");
    std::fs::rename(&files[3], &other).unwrap();
    let found = cell.verified().await.faults;
    assert!(found.iter().any(|fault| fault.broken.is_none()), "{found:?}");
    std::fs::remove_file(&other).unwrap();
    std::fs::rename(&away, &files[3]).unwrap();
    assert!(cell.verified().await.is_intact());

    // That the end is gone, only what was kept elsewhere can tell.
    std::fs::remove_file(files.last().unwrap()).unwrap();
    assert!(cell.verified().await.is_intact());
    let kept = verify(&*cell.archive, vec![node.end]).await.unwrap();
    let cut = Break { seq: 30, how: How::CutOff };
    assert_eq!(kept.faults, [Fault { object: "audit".to_owned(), broken: Some(cut) }]);
}

#[tokio::test]
async fn records_made_anew_by_who_has_no_key_are_found() {
    let (cell, node) = of_two().await;
    // The same records as somebody else would seal them.
    let mut forger = cell.shipper(&node.store, "tokyo", 99);
    let file = cell.files().pop().unwrap();
    std::fs::remove_file(&file).unwrap();
    forger.ship().await.unwrap();
    let found = cell.verified().await.faults;
    assert_eq!(found, [fault(&file, 30, How::Forged)]);
}

#[tokio::test]
async fn what_is_gone_from_the_archive_is_copied_again() {
    let (cell, mut node) = of_two().await;
    let files = cell.files();
    for gone in [&files[1], &files[3], files.last().unwrap()] {
        std::fs::remove_file(gone).unwrap();
    }
    node = cell.start(node, "tokyo");
    node.act("tokyo", 2).await;
    node.shipper.ship().await.unwrap();
    let kept = cell.verified().await;
    assert_eq!((kept.is_intact(), spans(&kept)[1]), (true, ("tokyo", 1, 32, 5)));
}

#[tokio::test]
async fn a_lost_disk_and_an_older_copy_of_one_leave_what_there_was() {
    let (mut cell, mut node) = of_two().await;
    // A copy of the store, from which the node goes on later.
    let mut older = cell.node("tokyo");
    older.act("tokyo", 30).await;
    older.shipper.key = Arc::clone(&node.shipper.key);
    older.shipper.ship().await.unwrap();
    assert_eq!(cell.verified().await.runs.len(), 2, "the same records are there once");
    node.act("tokyo", 5).await;
    node.shipper.ship().await.unwrap();
    older.act("otherwise", 3).await;
    older.shipper.ship().await.unwrap();
    let mut new = cell.node("tokyo");
    new.act("anew", 4).await;
    new.shipper.ship().await.unwrap();
    let kept = cell.verified().await;
    assert!(kept.is_intact(), "{:?}", kept.faults);
    let mut found = spans(&kept)[1..].to_vec();
    found.sort_unstable();
    let tokyo = |first, last| found.iter().any(|it| (it.1, it.2) == (first, last));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(tokyo(1, 4), "{found:?}");
    assert!(tokyo(1, 35) && tokyo(31, 33) || tokyo(1, 33) && tokyo(31, 35), "{found:?}");
}

#[tokio::test]
async fn a_log_that_was_touched_is_not_copied() {
    let (cell, mut node) = of_two().await;
    node.act("tokyo", 3).await;
    let entry = node.store.get(&record_key(32)).await.unwrap().unwrap();
    let other = String::from_utf8(entry.value).unwrap().replace("account_add", "account_del");
    let change = Transaction::new().put(record_key(32), other.into_bytes());
    node.store.transact(change).await.unwrap();
    let refused = node.shipper.ship().await.unwrap_err();
    assert!(matches!(refused, AuditError::Broken(32)), "{refused:?}");
    assert_eq!(spans(&cell.verified().await)[1], ("tokyo", 1, 30, 5));
}

#[tokio::test(start_paused = true)]
async fn the_log_is_copied_as_time_passes_and_what_failed_is_tried_again() {
    let mut cell = Cell::new();
    let mut node = cell.node("tokyo");
    node.act("tokyo", 3).await;
    let (_stop, stopped) = oneshot::channel();
    let archived = Arc::default();
    let task = tokio::spawn(cell.beside(&node, &archived).run(stopped));
    let reached = async |seq: u64| {
        while archived.load(Ordering::Relaxed) < seq {
            tokio::time::sleep(AUDIT_SHIP_EVERY / 20).await;
        }
    };
    reached(3).await;
    cell.archive.fails.store(BEFORE, Ordering::Relaxed);
    node.act("tokyo", 2).await;
    reached(5).await;
    assert_eq!(cell.verified().await.runs[0].head, node.end);
    task.abort();
}

#[tokio::test]
async fn a_node_that_stops_leaves_nothing_behind() {
    let mut cell = Cell::new();
    let mut node = cell.node("tokyo");
    node.act("tokyo", 9).await;
    let (stop, stopped) = oneshot::channel();
    drop(stop);
    cell.beside(&node, &Arc::default()).run(stopped).await;
    let kept = cell.verified().await;
    assert_eq!((kept.is_intact(), kept.runs[0].head), (true, node.end));
}
