//! One watch: followed at one member, taken up at another, and compared with the store.
//!
//! After a break it goes on behind the last revision that was told, so nothing is told twice. It
//! ends as one that lost changes if etcd has compacted them away, if its watcher is slow, or if
//! the comparison shows that an event never came (releases of etcd have lost some). Such a watcher
//! lists anew, which is the one cure for all three.

use super::fault::Failure;
use super::gaps::{Did, Gaps, Seen};
use super::{Shared, behind, revision, unsigned};
use crate::capacity::{
    STORE_RETRY, STORE_WATCH_CHECK, STORE_WATCH_GRACE, STORE_WATCH_PROGRESS,
    STORE_WATCH_UNCHECKED_MAX,
};
use crate::store::{Event, Prefix, Revision, WatchSender};
use etcd_client::{EventType, GetOptions, WatchOptions, WatchResponse, WatchStream};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep};

/// Why the watch does not go on where it is.
enum End {
    /// Changes are lost.
    Lost,
    /// The connection is gone, or the member; the changes are not.
    Broken,
}

/// What is told and what is not, in etcd's own revisions.
struct Following {
    shared: Arc<Shared>,
    /// What the watched keys begin with, in etcd.
    below: String,
    sender: WatchSender,
    /// The last revision that was told.
    last: u64,
    gaps: Gaps,
    /// What the store held, and until when the watch must have told it.
    pending: Option<(Seen, Instant)>,
    checks: Interval,
}

/// Follows the changes under `prefix` after revision `after` until nobody listens or `open` ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    prefix: Prefix,
    after: Revision,
    mut sender: WatchSender,
    mut open: watch::Receiver<()>,
) {
    let start = async {
        let below = shared.below(&prefix);
        let last = unsigned(shared.native(after)?);
        let gaps = Gaps::new(last, count(&shared, &below, last).await?);
        Some((below, last, gaps))
    };
    let started = tokio::select! {
        started = start => started,
        _closed = open.changed() => return,
    };
    let Some((below, last, gaps)) = started else { return sender.lose() };
    let mut checks = interval_at(Instant::now() + STORE_WATCH_CHECK, STORE_WATCH_CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut following = Following { shared, below, sender, last, gaps, pending: None, checks };
    loop {
        let end = tokio::select! {
            _closed = open.changed() => return,
            end = following.follow() => end,
        };
        match end {
            Some(End::Broken) => {
                tokio::select! {
                    _closed = open.changed() => return,
                    () = sleep(STORE_RETRY) => {}
                }
            }
            Some(End::Lost) => return following.sender.lose(),
            None => return,
        }
    }
}

/// How many keys there were at `revision`; none if that is no longer known.
async fn count(shared: &Shared, below: &str, revision: u64) -> Option<u64> {
    let at = i64::try_from(revision).ok().filter(|at| *at > 0);
    let Some(at) = at else { return Some(0) };
    let options = GetOptions::new().with_range(behind(below)).with_count_only().with_revision(at);
    loop {
        match shared.read(below.to_owned(), options.clone()).await {
            Ok(found) => return Some(unsigned(found.count())),
            Err(Failure::Compacted) => return None,
            Err(failure) => {
                tracing::warn!(
                    event = "watch_waiting",
                    ?failure,
                    "a watch of the store has to wait"
                );
                sleep(STORE_RETRY).await;
            }
        }
    }
}

impl Following {
    /// Follows at one member; none if nobody listens any more.
    async fn follow(&mut self) -> Option<End> {
        let from = i64::try_from(self.last + 1).ok()?;
        let options = WatchOptions::new().with_range(behind(&self.below)).with_start_revision(from);
        let (mut stream, member) = match self.shared.members.watch(&self.below, &options).await {
            Ok(opened) => opened,
            Err(failure) => {
                tracing::debug!(
                    event = "watch_not_resumed",
                    ?failure,
                    "a watch of the store is not taken up yet"
                );
                return self.sender.is_open().then_some(End::Broken);
            }
        };
        let end = self.follow_at(&mut stream).await;
        if matches!(end, Some(End::Broken)) {
            self.shared.members.pass_over(member);
        }
        end
    }

    async fn follow_at(&mut self, stream: &mut WatchStream) -> Option<End> {
        let mut asked = 0;
        let mut progress = interval(STORE_WATCH_PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.sender.closed() => return None,
                heard = stream.message() => match heard {
                    Ok(Some(heard)) => {
                        asked = 0;
                        if let Some(end) = self.hear(&heard) {
                            return Some(end);
                        }
                    }
                    Ok(None) => return Some(End::Broken),
                    Err(error) => {
                        tracing::debug!(event = "watch_moved", %error,
                            "a watch of the store goes on at another member");
                        return Some(End::Broken);
                    }
                },
                _ = progress.tick() => {
                    asked += 1;
                    if asked > 2 || stream.request_progress().await.is_err() {
                        return Some(End::Broken);
                    }
                }
                _ = self.checks.tick() => self.look().await,
            }
            if self.gaps.unchecked() > STORE_WATCH_UNCHECKED_MAX {
                self.look().await;
            }
            if let Some(end) = self.compare() {
                return Some(end);
            }
            if !self.sender.is_open() {
                return None;
            }
        }
    }

    fn hear(&mut self, heard: &WatchResponse) -> Option<End> {
        if heard.compact_revision() > 0 {
            return Some(End::Lost);
        }
        if heard.canceled() {
            tracing::warn!(
                event = "watch_ended",
                reason = heard.cancel_reason(),
                "etcd ended a watch"
            );
            return Some(End::Broken);
        }
        let before = self.last;
        for event in heard.events() {
            let Some(kv) = event.kv() else { return Some(End::Lost) };
            let at = unsigned(kv.mod_revision());
            // A member that repeats itself tells nothing new.
            if at <= before {
                continue;
            }
            let Ok(key) = self.shared.parse(kv.key()) else { return Some(End::Lost) };
            let is_put = event.event_type() == EventType::Put;
            let did = match (is_put, kv.version()) {
                (false, _) => Did::Remove,
                (true, 1) => Did::Create,
                (true, _) => Did::Change,
            };
            self.gaps.tell(at, key.as_str().to_owned(), did);
            let value = is_put.then(|| kv.value().to_vec());
            let revision = Revision(self.shared.base + at);
            self.sender.tell(&Arc::new(Event { revision, key, value }));
            self.last = self.last.max(at);
        }
        None
    }

    /// Asks the store what it holds, unless the last answer is still to be compared.
    async fn look(&mut self) {
        if self.pending.is_some() {
            return;
        }
        let after = i64::try_from(self.gaps.checked() + 1).unwrap_or(i64::MAX);
        let options = GetOptions::new()
            .with_range(behind(&self.below))
            .with_keys_only()
            .with_min_mod_revision(after);
        match self.shared.read(self.below.clone(), options).await {
            Ok(found) => {
                let mut changed = Vec::with_capacity(found.kvs().len());
                for kv in found.kvs() {
                    if let Ok(key) = self.shared.parse(kv.key()) {
                        changed.push((key.as_str().to_owned(), unsigned(kv.mod_revision())));
                    }
                }
                let count = unsigned(found.count());
                let seen = Seen { revision: revision(found.header()), count, changed };
                self.pending = Some((seen, Instant::now() + STORE_WATCH_GRACE));
            }
            Err(failure) => tracing::debug!(
                event = "watch_not_checked",
                ?failure,
                "a watch of the store is not checked"
            ),
        }
    }

    /// Compares, if the watch has come as far as the store or had the time to.
    fn compare(&mut self) -> Option<End> {
        let (seen, until) = self.pending.take()?;
        if self.gaps.check(&seen) {
            self.last = self.last.max(seen.revision);
            return None;
        }
        if self.last < seen.revision && Instant::now() < until {
            self.pending = Some((seen, until));
            return None;
        }
        tracing::warn!(
            event = "watch_changes_lost",
            prefix = self.below,
            "etcd lost changes of a watch: it is listed anew"
        );
        Some(End::Lost)
    }
}
