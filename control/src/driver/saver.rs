//! Writes to the store what changed of calls, as fast as it takes it: the newest of each call, one
//! at a time of each call.
//!
//! ```text
//!  submit --> waits, one job a call --> under way, one a call --> answered to the core
//!               ^ | newer takes the place          |
//!               +-+                                +--> the next of that call
//! ```
//!
//! There is never more than one job that waits and one under way of each call, and no call begins
//! while the store hangs, so calls bound them.

use crate::calls::Kept;
use crate::coordinator::{Input, Write};
use crate::lives::Lives;
use crate::records::Records;
use crate::store::{StoreError, Transaction};
use kakehashi_wire::id::CallId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What is to be written of one call.
#[derive(Clone, Default)]
pub(super) struct Job {
    pub(super) write: Option<Write>,
    pub(super) kept: Option<Kept>,
}

impl Job {
    /// With what was decided later.
    pub(super) fn then(self, later: Self) -> Self {
        let over = match &later.write {
            Some(Write::Put(record)) => record.ended.is_some(),
            Some(Write::Forget(_)) => true,
            None => false,
        };
        let kept = later.kept.or(self.kept).filter(|_| !over);
        Self { write: later.write.or(self.write), kept }
    }
}

/// The jobs, and the store.
pub(super) struct Saver {
    records: Arc<Records>,
    lives: Arc<Lives>,
    feedback: mpsc::UnboundedSender<Input>,
    waiting: BTreeMap<CallId, Job>,
    busy: BTreeSet<CallId>,
    under_way: JoinSet<(CallId, Job, Result<(), StoreError>)>,
    hangs: bool,
}

impl Saver {
    pub(super) fn new(
        records: Arc<Records>,
        lives: Arc<Lives>,
        feedback: mpsc::UnboundedSender<Input>,
    ) -> Self {
        Self {
            records,
            lives,
            feedback,
            waiting: BTreeMap::new(),
            busy: BTreeSet::new(),
            under_way: JoinSet::new(),
            hangs: false,
        }
    }

    /// Writes this as soon as what is under way of the same call is answered.
    pub(super) fn submit(&mut self, call: CallId, job: Job) {
        let before = self.waiting.remove(&call).unwrap_or_default();
        self.waiting.insert(call, before.then(job));
        self.begin(call);
    }

    fn begin(&mut self, call: CallId) {
        if self.busy.contains(&call) {
            return;
        }
        let Some(job) = self.waiting.remove(&call) else { return };
        self.busy.insert(call);
        let (records, lives) = (Arc::clone(&self.records), Arc::clone(&self.lives));
        self.under_way.spawn(async move {
            let done = write(&records, &lives, &job).await;
            (call, job, done)
        });
    }

    /// Waits for the next answer of the store and hands it on; waits for ever if nothing is under
    /// way.
    pub(super) async fn step(&mut self) {
        let Some(joined) = self.under_way.join_next().await else {
            return std::future::pending().await;
        };
        // A task of ours that panicked: its call stays busy, and what is kept of it old.
        let Ok((call, job, done)) = joined else { return };
        self.busy.remove(&call);
        self.set_hangs(false);
        self.answer(call, job, done);
        self.begin(call);
    }

    fn answer(&self, call: CallId, Job { write, kept }: Job, done: Result<(), StoreError>) {
        let answers = match done {
            Ok(()) => {
                let told = kept.and_then(|kept| kept.tells).map(|since| Input::Kept(call, since));
                [write.map(|_| Input::Written(call)), told]
            }
            Err(error) => {
                tracing::error!(event = "call_not_stored", %call, %error,
                    "a call could not be written");
                [write.map(Input::WriteFailed), kept.map(|_| Input::KeepFailed(call))]
            }
        };
        for answer in answers.into_iter().flatten() {
            let _stopping = self.feedback.send(answer);
        }
    }

    /// Whether anything is not answered yet.
    pub(super) fn owes_anything(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Whether the store has not answered for so long that nobody waits for it any more.
    pub(super) fn hangs(&self) -> bool {
        self.hangs
    }

    /// The store does not answer: these writes count as failed until it does.
    pub(super) fn give_up(&mut self, writes: BTreeMap<CallId, Write>) {
        self.set_hangs(true);
        for (call, write) in writes {
            if self.busy.contains(&call) {
                let _stopping = self.feedback.send(Input::WriteFailed(write));
            }
        }
    }

    fn set_hangs(&mut self, hangs: bool) {
        if self.hangs == hangs {
            return;
        }
        self.hangs = hangs;
        if hangs {
            tracing::error!(
                event = "store_lost",
                "the store does not answer: calls go on, and no new one begins"
            );
        } else {
            tracing::info!(event = "store_regained", "the store answers again");
        }
        let _stopping = self.feedback.send(Input::StoreHangs(hangs));
    }
}

async fn write(records: &Records, lives: &Lives, job: &Job) -> Result<(), StoreError> {
    let change = |kept: &Option<Kept>| match kept {
        Some(kept) => lives.with(Transaction::new(), kept),
        None => Ok(Transaction::new()),
    };
    match (&job.write, &job.kept) {
        (Some(Write::Put(record)), kept) => records.put_with(record, change(kept)?).await.map(drop),
        (Some(Write::Forget(record)), _) => records.forget(record).await.map(drop),
        (None, Some(kept)) => lives.keep(kept).await,
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::lives::Sealer;
    use crate::pki::CellSecret;
    use crate::store::SharedStore;

    pub(in super::super) fn saver(
        store: SharedStore,
        feedback: mpsc::UnboundedSender<Input>,
    ) -> Saver {
        let records = Arc::new(Records::new(Arc::clone(&store)));
        let sealer = Sealer::new(&CellSecret::new([7; 32]), Entropy::system());
        Saver::new(records, Arc::new(Lives::new(store, sealer)), feedback)
    }
}
