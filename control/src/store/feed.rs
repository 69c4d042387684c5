//! What happened lately, for watchers: a bounded history and who is told of the next change.

use super::{Event, Prefix, Revision, Watch, WatchSender};
use crate::capacity::{STORE_HISTORY_BYTES_MAX, STORE_HISTORY_EVENTS_MAX};
use std::collections::VecDeque;
use std::sync::Arc;

/// The history since `oldest`, and the watchers.
pub(super) struct Feed {
    history: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Every change after this revision is in `history`.
    oldest: Revision,
    watchers: Vec<WatchSender>,
}

impl Feed {
    /// A feed that knows nothing up to and including `now`.
    pub(super) fn new(now: Revision) -> Self {
        Self { history: VecDeque::new(), bytes: 0, oldest: now, watchers: Vec::new() }
    }

    /// Tells the watchers of `event`, the latest.
    pub(super) fn publish(&mut self, event: Event) {
        let event = Arc::new(event);
        self.watchers.retain_mut(|watcher| {
            watcher.tell(&event);
            watcher.is_open()
        });
        self.bytes += size(&event);
        self.history.push_back(event);
        while self.history.len() > STORE_HISTORY_EVENTS_MAX || self.bytes > STORE_HISTORY_BYTES_MAX
        {
            let Some(gone) = self.history.pop_front() else { break };
            self.bytes -= size(&gone);
            self.oldest = gone.revision;
        }
    }

    /// Ends all watches, since changes up to `now` may have happened untold.
    pub(super) fn forget(&mut self, now: Revision) {
        self.watchers.iter_mut().for_each(WatchSender::lose);
        *self = Self::new(now);
    }

    /// A new watcher of `prefix` from `after`.
    pub(super) fn watch(&mut self, prefix: Prefix, after: Revision) -> Watch {
        let backlog = (after >= self.oldest).then(|| self.history.clone());
        let (sender, watch) = Watch::channel(prefix, after, backlog);
        if sender.is_open() {
            self.watchers.push(sender);
        }
        watch
    }
}

fn size(event: &Event) -> usize {
    event.key.as_str().len() + event.value.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, WatchEnd};

    fn event(revision: u64, key: &str) -> Event {
        let key = Key::parse(key.into()).unwrap();
        Event { revision: Revision(revision), key, value: Some(vec![0]) }
    }

    #[tokio::test]
    async fn a_late_watcher_gets_the_history_or_is_told_to_list() {
        let mut feed = Feed::new(Revision(10));
        let all = Prefix::parse("k".into()).unwrap();
        for revision in 11..=20 {
            feed.publish(event(revision, "k"));
        }
        let mut watch = feed.watch(all.clone(), Revision(15));
        assert_eq!(watch.next().await.ok().unwrap().revision, Revision(16));
        assert_eq!(feed.watch(all.clone(), Revision(9)).next().await.err(), Some(WatchEnd::Lagged));
        for revision in 21..=u64::try_from(STORE_HISTORY_EVENTS_MAX).unwrap() + 20 {
            feed.publish(event(revision, "k"));
        }
        assert_eq!(feed.history.len(), STORE_HISTORY_EVENTS_MAX);
        assert_eq!(feed.oldest, Revision(20));
        assert_eq!(feed.watch(all, Revision(19)).next().await.err(), Some(WatchEnd::Lagged));
    }

    #[tokio::test]
    async fn a_watcher_that_went_away_is_forgotten() {
        let mut feed = Feed::new(Revision(0));
        drop(feed.watch(Prefix::parse("k".into()).unwrap(), Revision(0)));
        feed.publish(event(1, "k"));
        assert!(feed.watchers.is_empty());
    }
}
