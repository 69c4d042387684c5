//! The one task that writes the log: it takes what has gathered, and answers when it is on disk.

use super::book::Book;
use super::chain::{Head, head_key, record_key};
use super::entry::Entry;
use super::share::Shares;
use super::{NotAudited, reading};
use crate::capacity::{AUDIT_BATCH_MAX, AUDIT_MINUTE};
use crate::clock::UnixMs;
use crate::store::{Expected, SharedStore, StoreError, Transaction, encode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Something to write, and where to say that it is written.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Result<Option<u64>, NotAudited>>,
}

/// What the writing task holds.
pub(super) struct Writer {
    pub(super) store: SharedStore,
    /// Where the chain ends and what fences it; none if a write failed and it is not known.
    pub(super) end: Option<(Head, Expected)>,
    pub(super) shares: Shares,
    pub(super) book: Book,
    pub(super) now: fn() -> UnixMs,
    /// The number of the last record.
    pub(super) written: Arc<AtomicU64>,
}

impl Writer {
    /// Runs until nobody has anything more to write.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut minutes = interval_at(Instant::now() + AUDIT_MINUTE, AUDIT_MINUTE);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                _ = minutes.tick() => self = self.end_minute().await,
                taken = jobs.recv_many(&mut batch, AUDIT_BATCH_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    self.write(batch).await;
                }
            }
        }
        self.end_minute().await;
    }

    async fn write(&mut self, batch: Vec<Job>) {
        let before = self.shares.clone();
        let mut entries = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for Job { entry, answer } in batch {
            let written = self.shares.take(entry);
            let place = written.is_some().then_some(entries.len());
            entries.extend(written);
            answers.push((answer, place));
        }
        let first = self.append(&entries).await;
        if let Err(error) = &first {
            tracing::error!(event = "audit_write_failed", %error,
                "the audit log could not be written");
            self.shares = before;
        }
        for (answer, place) in answers {
            let number = |first: &u64| place.map(|place| first.saturating_add(place as u64));
            let result = first.as_ref().map(number);
            // Whoever asked may have gone; the record stands all the same.
            let _ = answer.send(result.map_err(|error| NotAudited::Store(error.clone())));
        }
    }

    /// Writes `entries` as one transaction, and says which number the first has.
    async fn append(&mut self, entries: &[Entry]) -> Result<u64, StoreError> {
        if entries.is_empty() {
            return Ok(0);
        }
        let (start, fence) = match self.end.take() {
            Some(known) => known,
            None => reading::end(&*self.store).await?,
        };
        let at = (self.now)();
        let mut end = start;
        let mut change = Transaction::new().compare(head_key(), fence);
        for entry in entries {
            let record = end.append(entry, at);
            end = record.head();
            change = change.put(record_key(record.seq), encode(&record));
        }
        match self.store.transact(change.put(head_key(), encode(&end))).await {
            Ok(revision) => self.end = Some((end, Expected::At(revision))),
            Err(error) => {
                // What failed may have reached the disk before it did.
                let found = reading::end(&*self.store).await.map_err(|_| error.clone())?;
                self.end = Some(found);
                if found.0 != end {
                    return Err(error);
                }
            }
        }
        self.written.store(end.seq, Ordering::Relaxed);
        Ok(start.seq + 1)
    }

    /// Writes what was counted, and a checkpoint.
    async fn end_minute(mut self) -> Self {
        let counted = self.shares.close();
        for (at, part) in counted.chunks(AUDIT_BATCH_MAX).enumerate() {
            if let Err(error) = self.append(part).await {
                tracing::error!(event = "audit_write_failed", %error,
                    "the audit log could not be written");
                self.shares.reopen(&counted[at * AUDIT_BATCH_MAX..]);
                break;
            }
        }
        let signed = self.book.last().map_or(0, |checkpoint| checkpoint.seq);
        let Some((end, _)) = self.end.filter(|(end, _)| end.seq > signed) else { return self };
        let signing = tokio::task::spawn_blocking(move || {
            let signed = self.book.sign(end, (self.now)());
            (self, signed)
        });
        let (writer, signed) = signing.await.expect("invariant: signing does not panic");
        match signed {
            Ok(checkpoint) => tracing::info!(event = "audit_checkpoint_made", %checkpoint,
                "audit checkpoint"),
            Err(error) => tracing::error!(event = "audit_checkpoint_not_kept", %error,
                "an audit checkpoint could not be kept"),
        }
        writer
    }
}
