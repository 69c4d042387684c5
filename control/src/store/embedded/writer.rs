//! The writing thread: takes what has gathered, commits it as one, answers, tells the watchers.

use super::file::{ABOUT, ENTRIES, Opened, REVISION, current_revision, fault, open};
use super::{Expected, Key, Revision, Shared, StoreError, Transaction};
use crate::capacity::STORE_BATCH_MAX;
use crate::store::Event;
use crate::store::feed::Feed;
use redb::{Database, Durability, ReadableTable, Table};
use std::sync::PoisonError;
use tokio::sync::{mpsc, oneshot};

/// Where the outcome goes.
pub(super) type Answer = oneshot::Sender<Result<Revision, StoreError>>;

/// What the writing thread is asked to do.
pub(super) enum Job {
    /// Do this, and answer with its revision when it is on disk.
    Change { transaction: Transaction, answer: Answer },
    /// Open the file anew, unless that has happened since its life `life`.
    Reopen { life: u64, answer: Answer },
}

/// A transaction that waits for the commit.
struct Change {
    transaction: Transaction,
    answer: Answer,
}

/// Runs until all senders of jobs are gone and the queue is empty.
pub(super) fn run(shared: &Shared, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        let mut batch = Vec::new();
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                Job::Change { transaction, answer } => batch.push(Change { transaction, answer }),
                Job::Reopen { life, answer } => {
                    let result = reopen(shared, life).map(|()| Revision(0));
                    // Whoever asked may have gone: nothing depends on the answer.
                    let _ = answer.send(result);
                }
            }
            next = if batch.len() < STORE_BATCH_MAX { jobs.try_recv().ok() } else { None };
        }
        if !batch.is_empty() {
            commit(shared, batch);
        }
    }
}

/// Commits `batch` and answers it.
fn commit(shared: &Shared, batch: Vec<Change>) {
    match write(shared, &batch) {
        Ok(outcomes) => {
            let mut feed = shared.feed();
            for (change, outcome) in batch.into_iter().zip(outcomes) {
                if let (Ok(revision), true) = (&outcome.result, outcome.changed) {
                    publish(&mut feed, *revision, &outcome.removed, &change.transaction);
                }
                let _ = change.answer.send(outcome.result);
            }
        }
        Err((life, error)) => {
            tracing::error!(event = "store_write_failed", %error, "the store could not write");
            if let Err(error) = reopen(shared, life) {
                tracing::error!(event = "store_reopen_failed", %error,
                    "the store cannot be opened again yet");
            }
            for change in batch {
                let _ = change.answer.send(Err(error.clone()));
            }
        }
    }
}

fn publish(feed: &mut Feed, revision: Revision, removed: &[Key], transaction: &Transaction) {
    for key in removed {
        feed.publish(Event { revision, key: key.clone(), value: None });
    }
    for (key, value) in transaction.puts() {
        feed.publish(Event { revision, key: key.clone(), value: Some(value.clone()) });
    }
}

/// What became of one transaction.
struct Outcome {
    result: Result<Revision, StoreError>,
    changed: bool,
    /// Those of its deletes that were there.
    removed: Vec<Key>,
}

impl Outcome {
    fn unchanged(result: Result<Revision, StoreError>) -> Self {
        Self { result, changed: false, removed: Vec::new() }
    }
}

/// Writes `batch`; if that failed, says which life of the file it failed in.
fn write(shared: &Shared, batch: &[Change]) -> Result<Vec<Outcome>, (u64, StoreError)> {
    let failed_life = {
        let slot = shared.slot.read().unwrap_or_else(PoisonError::into_inner);
        matches!(slot.opened, Opened::No(_)).then_some(slot.life)
    };
    if let Some(life) = failed_life {
        reopen(shared, life).map_err(|error| (life, error))?;
    }
    let slot = shared.slot.read().unwrap_or_else(PoisonError::into_inner);
    match &slot.opened {
        Opened::Yes(database) => {
            write_to(database, batch).map_err(|error| (slot.life, fault(&shared.path, error)))
        }
        Opened::No(error) => Err((slot.life, error.clone())),
    }
}

fn write_to(database: &Database, batch: &[Change]) -> Result<Vec<Outcome>, redb::Error> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut entries = txn.open_table(ENTRIES)?;
    let mut about = txn.open_table(ABOUT)?;
    let before = about.get(REVISION)?.map_or(0, |found| found.value());
    let mut revision = before;
    for Change { transaction, .. } in batch {
        if !holds(&entries, transaction)? {
            outcomes.push(Outcome::unchanged(Err(StoreError::Conflict)));
            continue;
        }
        let removed = apply(&mut entries, transaction, revision + 1)?;
        if removed.is_empty() && transaction.puts().is_empty() {
            outcomes.push(Outcome::unchanged(Ok(Revision(revision))));
            continue;
        }
        revision += 1;
        outcomes.push(Outcome { result: Ok(Revision(revision)), changed: true, removed });
    }
    about.insert(REVISION, revision)?;
    drop((entries, about));
    if revision == before {
        txn.abort()?;
    } else {
        txn.commit()?;
    }
    Ok(outcomes)
}

type Entries<'txn> = Table<'txn, &'static str, (u64, &'static [u8])>;

fn holds(entries: &Entries<'_>, transaction: &Transaction) -> Result<bool, redb::Error> {
    for compare in transaction.compares() {
        let found = entries.get(compare.key.as_str())?.map(|found| Revision(found.value().0));
        let expected = match compare.expected {
            Expected::Absent => None,
            Expected::At(revision) => Some(revision),
        };
        if found != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does `transaction`, and says which of its deletes were there.
fn apply(
    entries: &mut Entries<'_>,
    transaction: &Transaction,
    revision: u64,
) -> Result<Vec<Key>, redb::Error> {
    let mut removed = Vec::new();
    for key in transaction.deletes() {
        if entries.remove(key.as_str())?.is_some() {
            removed.push(key.clone());
        }
    }
    for (key, value) in transaction.puts() {
        entries.insert(key.as_str(), (revision, value.as_slice()))?;
    }
    Ok(removed)
}

/// Closes and opens the file, unless that has happened since its life `life`.
///
/// A write that failed may still have reached the file, so watchers have to list anew.
fn reopen(shared: &Shared, life: u64) -> Result<(), StoreError> {
    let mut slot = shared.slot.write().unwrap_or_else(PoisonError::into_inner);
    if slot.life != life && matches!(slot.opened, Opened::Yes(_)) {
        return Ok(());
    }
    slot.close(StoreError::Closed);
    let opened = open(&shared.path).and_then(|database| {
        let revision = current_revision(&shared.path, &database)?;
        Ok((database, revision))
    });
    match opened {
        Ok((database, revision)) => {
            shared.feed().forget(revision);
            slot.opened = Opened::Yes(database);
            Ok(())
        }
        Err(error) => {
            slot.opened = Opened::No(error.clone());
            Err(error)
        }
    }
}
