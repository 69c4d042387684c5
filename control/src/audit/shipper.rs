//! Copies the log of this node to an archive, a piece whenever some time has passed: a node that
//! loses its disk loses no more of its log than it wrote since.
//!
//! **Each record is in one object, and objects follow one another without a gap.** Where the last
//! one ends is noted in the store; after a start, and whenever it is not sure that a write was
//! done, the archive is asked what it has. Nothing is taken from the log.

use super::AuditError;
use super::chain::{AuditRecord, Head, Walk, record_key, record_prefix};
use super::checkpoint::Checkpoint;
use super::digest::PublicKey;
use super::segment::{Span, folder, pack};
use crate::archive::{Archive, Claimed, Name};
use crate::capacity::{
    AUDIT_LAST_SHIP, AUDIT_NAMES_AT_ONCE, AUDIT_SEGMENT_RECORDS_MAX, AUDIT_SHIP_EVERY,
    AUDIT_SHIP_LOG_EVERY,
};
use crate::clock::UnixMs;
use crate::nodes::NodeName;
use crate::seldom::Seldom;
use crate::store::{Entry, Key, Range, SharedStore, StoreError, Transaction, decode, encode};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Up to where the log is in the archive.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// The last record that is there.
    end: Head,
    /// The object that has it.
    name: Option<Name>,
    /// The first record behind it that is there as well, if some in between are missing.
    next: Option<u64>,
}

impl Place {
    const START: Self = Self { end: Head::START, name: None, next: None };
}

/// Copies the log.
pub(super) struct Shipper {
    store: SharedStore,
    archive: Arc<Claimed>,
    node: NodeName,
    key: Arc<Ed25519KeyPair>,
    now: fn() -> UnixMs,
    /// The last record that is known to be there.
    archived: Arc<AtomicU64>,
    /// Records of one object.
    records_max: usize,
    /// None if it has to be found out.
    place: Option<Place>,
}

impl Shipper {
    /// Copies the log in `store`, which is that of `node` and signed with `key`, to `archive`.
    pub(super) fn new(
        (store, node): (SharedStore, NodeName),
        archive: Arc<Claimed>,
        (key, now): (Arc<Ed25519KeyPair>, fn() -> UnixMs),
        archived: Arc<AtomicU64>,
    ) -> Self {
        let records_max = AUDIT_SEGMENT_RECORDS_MAX;
        Self { store, archive, node, key, now, archived, records_max, place: None }
    }

    /// Copies what there is, and then what comes, until `stopped`.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut due = interval(AUDIT_SHIP_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let seldom = Seldom::new(AUDIT_SHIP_LOG_EVERY);
        let mut is_behind = false;
        loop {
            let ship = async {
                due.tick().await;
                self.ship().await
            };
            let shipped = tokio::select! {
                biased;
                _ = &mut stopped => break,
                shipped = ship => shipped,
            };
            if let Err(error) = &shipped
                && seldom.note(Instant::now()).is_some()
            {
                tracing::error!(event = "audit_copy_failed",
                    %error, archived = self.archived.load(Ordering::Relaxed),
                    "the audit log was not copied to the archive; it waits in the data folder");
            } else if shipped.is_ok() && is_behind {
                tracing::info!(
                    event = "audit_copy_resumed",
                    archived = self.archived.load(Ordering::Relaxed),
                    "the audit log is copied to the archive again"
                );
            }
            is_behind = shipped.is_err();
        }
        match timeout(AUDIT_LAST_SHIP, self.ship()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(event = "audit_end_copy_failed", %error,
                    "the end of the audit log was not copied to the archive");
            }
            Err(_elapsed) => {
                tracing::error!(
                    event = "audit_end_copy_late",
                    "the archive is too slow for the end of the audit log"
                );
            }
        }
    }

    /// Copies what is not in the archive.
    pub(super) async fn ship(&mut self) -> Result<(), AuditError> {
        let claimed = Arc::clone(&self.archive);
        let archive = claimed.ready().await?;
        // Whoever is stopped in here does not know what was done.
        let mut place = match self.place.take() {
            Some(place) => place,
            None => self.find(archive).await?,
        };
        loop {
            self.archived.store(place.end.seq, Ordering::Relaxed);
            if place.next == Some(place.end.seq + 1) {
                place = self.follow(archive, place).await?;
                continue;
            }
            let entries = self.page(&place).await?;
            let Some(span) = span_of(place.end, &entries)? else { break };
            let seal = Checkpoint::sign(span.end, (self.now)(), &self.key);
            let mut key = PublicKey([0; 32]);
            key.0.copy_from_slice(self.key.public_key().as_ref());
            let name = span.name(&self.node);
            archive.put_new(&name, pack(&entries, seal, key)).await?;
            let mark = Transaction::new().put(mark_key(), encode(&span));
            self.store.transact(mark).await?;
            place = Place { end: span.end, name: Some(name), ..place };
        }
        self.place = Some(place);
        Ok(())
    }

    /// The records that come next, as many as one object has.
    async fn page(&self, place: &Place) -> Result<Vec<Entry>, StoreError> {
        let mut range = Range::first(record_prefix());
        range.after = (place.end.seq > 0).then(|| record_key(place.end.seq));
        let missing = place.next.map_or(u64::MAX, |next| next - 1 - place.end.seq);
        range.limit = usize::try_from(missing).unwrap_or(usize::MAX).min(self.records_max);
        Ok(self.store.range(range).await?.entries)
    }

    /// Up to where the log is in the archive.
    async fn find(&self, archive: &dyn Archive) -> Result<Place, AuditError> {
        if let Some(entry) = self.store.get(&mark_key()).await? {
            let span: Span = decode(&entry)?;
            let name = span.name(&self.node);
            if archive.get(&name).await?.is_some() {
                let place = Place { end: span.end, name: Some(name), next: None };
                return self.follow(archive, place).await;
            }
            tracing::warn!(event = "audit_copy_missing", %name,
                "a copied part of the audit log is not in the archive any more");
        }
        self.follow(archive, Place::START).await
    }

    /// The last place that can be reached from `place` without a gap.
    async fn follow(&self, archive: &dyn Archive, place: Place) -> Result<Place, AuditError> {
        let (folder, mut after) = (folder(&self.node), place.name.clone());
        let mut place = Place { next: None, ..place };
        loop {
            let names = archive.list(&folder, after.as_ref(), AUDIT_NAMES_AT_ONCE).await?;
            for name in &names {
                let Some((_, span)) = Span::parse(name) else { continue };
                if !self.has(span.end).await? || span.first <= place.end.seq {
                    continue;
                }
                if span.first > place.end.seq + 1 {
                    place.next = Some(span.first);
                    return Ok(place);
                }
                (place.end, place.name) = (span.end, Some(name.clone()));
            }
            if names.len() < AUDIT_NAMES_AT_ONCE {
                return Ok(place);
            }
            after = names.into_iter().next_back();
        }
    }

    /// Whether this log has that record: another node's of the same name, or one that was written
    /// before this disk was a new one, is not ours to go on from.
    async fn has(&self, head: Head) -> Result<bool, StoreError> {
        let found = self.store.get(&record_key(head.seq)).await?;
        let found = found.as_ref().and_then(|entry| decode::<AuditRecord>(entry).ok());
        Ok(found.is_some_and(|record| record.head() == head))
    }
}

/// Which records `entries` are, all of which follow `before` as they were written; none if there
/// are none.
fn span_of(before: Head, entries: &[Entry]) -> Result<Option<Span>, AuditError> {
    let mut walk = Walk::new(before, []);
    for entry in entries {
        walk.step(entry).map_err(|broken| AuditError::Broken(broken.seq))?;
    }
    let span = Span { first: before.seq + 1, end: walk.head() };
    Ok((!entries.is_empty()).then_some(span))
}

/// Where the last object is noted.
fn mark_key() -> Key {
    Key::of_index(format_args!("audit-archived")).expect("invariant: a short, printable key")
}

#[cfg(test)]
mod tests;
