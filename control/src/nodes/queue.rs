//! What waits for a link between nodes: bounded. A link that is too far behind is cut: after it is
//! made anew, sessions are handed over again, and everybody is told how things stand.

use crate::capacity::nodes::NODE_QUEUE_MAX;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// One end of a link, for whoever has something to say. Cheap to clone.
pub(crate) struct Queue<M> {
    number: u64,
    messages: mpsc::Sender<M>,
    cut: Arc<Notify>,
}

impl<M> Clone for Queue<M> {
    fn clone(&self) -> Self {
        let (messages, cut) = (self.messages.clone(), Arc::clone(&self.cut));
        Self { number: self.number, messages, cut }
    }
}

/// The link's side.
pub(super) struct QueueEnd<M> {
    pub(super) messages: mpsc::Receiver<M>,
    /// Told when the link is to be cut.
    pub(super) cut: Arc<Notify>,
}

impl<M> Queue<M> {
    /// Both sides of the queue with that number.
    pub(super) fn new(number: u64) -> (Self, QueueEnd<M>) {
        let (sender, messages) = mpsc::channel(NODE_QUEUE_MAX);
        let cut = Arc::new(Notify::new());
        (Self { number, messages: sender, cut: Arc::clone(&cut) }, QueueEnd { messages, cut })
    }

    /// Tells this link from others.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Queues a message, or has the link cut.
    pub(crate) fn push(&self, message: impl Into<M>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.messages.try_send(message.into()) {
            self.cut.notify_one();
        }
    }

    /// Queues a message when there is room; `false` if the link is gone.
    pub(super) async fn send(&self, message: impl Into<M>) -> bool {
        self.messages.send(message.into()).await.is_ok()
    }

    /// Room for `count` messages; none if the link is gone.
    pub(super) async fn room(&self, count: usize) -> Option<mpsc::PermitIterator<'_, M>> {
        self.messages.reserve_many(count).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_is_behind_is_cut() {
        let (queue, end) = Queue::<u64>::new(1);
        for message in 0..NODE_QUEUE_MAX as u64 {
            queue.push(message);
        }
        let cut = end.cut.notified();
        queue.push(0_u64);
        cut.await;
        assert_eq!(end.messages.len(), NODE_QUEUE_MAX, "no memory is taken for it");
    }
}
