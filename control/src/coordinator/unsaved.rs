//! Writes the store did not take, until it does.

use super::Write;
use crate::capacity::{SAVE_RETRY, UNSAVED_MAX};
use kakehashi_wire::id::CallId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The latest write of each call that is not on disk.
#[derive(Default)]
pub(super) struct Unsaved {
    writes: BTreeMap<CallId, Write>,
    retry: Option<Duration>,
}

impl Unsaved {
    /// Keeps a write that failed. Past the limit it is dropped: the call is over, or its end will
    /// be written.
    pub(super) fn keep(&mut self, write: Write, now: Duration) {
        let id = write.record().call;
        if self.writes.len() < UNSAVED_MAX || self.writes.contains_key(&id) {
            let over = |write: &Write| write.record().ended.is_some();
            if !self.writes.get(&id).is_some_and(over) || over(&write) {
                self.writes.insert(id, write);
            }
        }
        if self.retry.is_none() {
            self.retry = Some(now + SAVE_RETRY);
        }
    }

    /// A later write of the call is on disk.
    pub(super) fn forget(&mut self, id: CallId) {
        self.writes.remove(&id);
        if self.writes.is_empty() {
            self.retry = None;
        }
    }

    /// The writes to offer again, if it is time.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Write> {
        if self.retry.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.retry = None;
        std::mem::take(&mut self.writes).into_values().collect()
    }

    /// When [`due`](Self::due) has something.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        self.retry
    }
}
