//! Watches: the changes under a prefix, in order, through a bounded channel.

use super::{Key, Prefix, Revision};
use crate::capacity::STORE_WATCH_EVENTS_MAX;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// One change. Has no `Debug`: values may hold password hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// When. The changes of one transaction share a revision.
    pub revision: Revision,
    /// What.
    pub key: Key,
    /// Its new value; `None` if it was deleted.
    pub value: Option<Vec<u8>>,
}

/// Why a watch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WatchEnd {
    /// Changes were lost: list anew and watch from the listing's revision.
    #[error("the watcher fell behind: list anew and watch from there")]
    Lagged,
    /// The store was closed.
    #[error("the store was closed")]
    Closed,
}

/// The receiving side.
pub struct Watch {
    backlog: VecDeque<Arc<Event>>,
    events: mpsc::Receiver<Arc<Event>>,
    lagged: Arc<AtomicBool>,
}

impl Watch {
    /// A watch of what is under `prefix` and later than `after`; for engines.
    ///
    /// `backlog` are the changes so far; with `None` they are no longer known, and the watch ends
    /// at once.
    pub fn channel(
        prefix: Prefix,
        after: Revision,
        backlog: Option<VecDeque<Arc<Event>>>,
    ) -> (WatchSender, Self) {
        let (sender, events) = mpsc::channel(STORE_WATCH_EVENTS_MAX);
        let lagged = Arc::new(AtomicBool::new(backlog.is_none()));
        let sender = backlog.is_some().then_some(sender);
        let mut backlog = backlog.unwrap_or_default();
        backlog.retain(|event| event.revision > after && prefix.holds(&event.key));
        let sender = WatchSender { prefix, after, sender, lagged: Arc::clone(&lagged) };
        (sender, Self { backlog, events, lagged })
    }

    /// The next change.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchEnd> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(event);
        }
        match self.events.recv().await {
            Some(event) => Ok(event),
            None if self.lagged.load(Ordering::Acquire) => Err(WatchEnd::Lagged),
            None => Err(WatchEnd::Closed),
        }
    }
}

/// The engine's side.
pub struct WatchSender {
    prefix: Prefix,
    after: Revision,
    sender: Option<mpsc::Sender<Arc<Event>>>,
    lagged: Arc<AtomicBool>,
}

impl WatchSender {
    /// Tells the watcher of `event` if it asked for such; never waits for it.
    pub fn tell(&mut self, event: &Arc<Event>) {
        if event.revision <= self.after || !self.prefix.holds(&event.key) {
            return;
        }
        let Some(sender) = &self.sender else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(Arc::clone(event)) {
            self.lose();
        }
    }

    /// Ends the watch as one that lost changes.
    pub fn lose(&mut self) {
        self.lagged.store(true, Ordering::Release);
        self.sender = None;
    }

    /// Returns when nobody listens any more.
    #[cfg(feature = "etcd")]
    pub(super) async fn closed(&self) {
        if let Some(sender) = &self.sender {
            sender.closed().await;
        }
    }

    /// Whether anybody still listens.
    pub fn is_open(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }
}
