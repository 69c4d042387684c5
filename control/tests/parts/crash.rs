//! `kill -9` at any moment: every acknowledged write is there, and none is there by half.
//!
//! The test runs itself again as the process that is killed.

use super::conformance::key;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::store::{Embedded, Prefix, Store, Transaction, list};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub const FOLDER: &str = "KAKEHASHI_TEST_CRASH_STORE";
const LANES: u64 = 4;
const ROUNDS: u32 = 30;

/// The process that is killed: four lanes write, and say so after each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs only as the child of the test below"]
async fn writer() {
    let Ok(path) = std::env::var(FOLDER) else { return };
    let store = Arc::new(Embedded::open(Path::new(&path)).unwrap());
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let counter = key(&format!("counter/{lane}"));
                let start = store.get(&counter).await.unwrap().map_or(0, |e| number(&e.value));
                for n in start + 1.. {
                    let value = n.to_le_bytes().to_vec();
                    let change = Transaction::new()
                        .put(counter.clone(), value.clone())
                        .put(key(&format!("a/{lane}/{n:08}")), value.clone())
                        .put(key(&format!("b/{lane}/{n:08}")), value)
                        .delete(key(&format!("a/{lane}/{:08}", n.saturating_sub(50))));
                    store.transact(change).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {lane} {n}").unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().unwrap())
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let entropy = Entropy::system();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    let mut total = 0_u64;
    for round in 0..ROUNDS {
        let wait = u64::from(u16::from_le_bytes(entropy.bytes())) % 120_000;
        let wait = Duration::from_micros(wait);
        total += run_and_kill("crash::writer", &path, wait, &mut acknowledged);
        verify(&path, &acknowledged, round).await;
    }
    assert!(total > u64::from(ROUNDS), "{total} writes in {ROUNDS} rounds");
    println!("{total} acknowledged writes, {ROUNDS} kills, none lost");
}

/// Runs the test `writer`, kills it `wait` after its first write, and notes what each of its lanes
/// acknowledged.
pub fn run_and_kill(
    writer: &str,
    path: &Path,
    wait: Duration,
    acknowledged: &mut HashMap<u64, u64>,
) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([writer, "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (first, has_first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for line in out.lines().map_while(Result::ok) {
            // The harness writes its own words before the first line of ours.
            let Some(place) = line.find("acknowledged ") else { continue };
            let words: Vec<u64> =
                line[place..].split(' ').skip(1).filter_map(|word| word.parse().ok()).collect();
            if let [lane, n] = words[..] {
                seen.push((lane, n));
                let _ = first.send(());
            }
        }
        seen
    });
    has_first.recv_timeout(Duration::from_secs(60)).unwrap();
    // Counts time without reading a clock: nobody sends a second message here.
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = reader.join().unwrap();
    for (lane, n) in &seen {
        let last = acknowledged.entry(*lane).or_default();
        assert!(n > last, "lane {lane} went back from {last} to {n}");
        *last = *n;
    }
    seen.len() as u64
}

async fn verify(path: &Path, acknowledged: &HashMap<u64, u64>, round: u32) {
    let store = Embedded::open(path).unwrap();
    for (lane, acknowledged) in acknowledged {
        let entry = store.get(&key(&format!("counter/{lane}"))).await.unwrap().unwrap();
        let last = number(&entry.value);
        assert!(last >= *acknowledged, "round {round}: lane {lane} lost {acknowledged}");
        let below = |kind| Prefix::parse(format!("{kind}/{lane}/")).unwrap();
        let a = list(&store, below("a")).await.unwrap().entries;
        let b = list(&store, below("b")).await.unwrap().entries;
        assert_eq!(b.len() as u64, last, "round {round}: lane {lane} misses writes");
        assert_eq!(a.len() as u64, last.min(50));
        for (n, entry) in b.iter().enumerate() {
            assert_eq!(number(&entry.value), n as u64 + 1);
        }
        for (a, b) in a.iter().rev().zip(b.iter().rev()) {
            assert_eq!((&a.value, a.revision), (&b.value, b.revision), "a torn write");
        }
        assert_eq!(b.last().unwrap().revision, entry.revision);
    }
}
