//! What waits to be said to one terminal: bounded, and closed with a reason.

use crate::capacity::OUTBOX_MESSAGES_MAX;
use kakehashi_wire::terminal::{SessionEnd, ToTerminal};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc};

/// One message.
pub enum Said {
    /// For this terminal alone.
    Message(ToTerminal),
    /// The same bytes go to many terminals; nothing in them is secret.
    Encoded(Arc<[u8]>),
}

/// The core's side.
pub struct Outbox {
    messages: mpsc::Sender<Said>,
    end: Arc<End>,
}

/// The connection's side.
pub(super) struct Waiting {
    messages: mpsc::Receiver<Said>,
    end: Arc<End>,
}

#[derive(Default)]
struct End {
    reason: OnceLock<SessionEnd>,
    overflow: Notify,
}

/// The terminal is further behind than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow;

impl Outbox {
    /// A new one, both sides.
    pub(super) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(OUTBOX_MESSAGES_MAX);
        let end = Arc::new(End::default());
        (Self { messages: sender, end: Arc::clone(&end) }, Waiting { messages: receiver, end })
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`Overflow`] if too many wait already; the session is over then.
    pub fn say(&self, message: Said) -> Result<(), Overflow> {
        match self.messages.try_send(message) {
            // A connection that is gone is noticed by its own task.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let _first = self.end.reason.set(SessionEnd::TooSlow);
                self.end.overflow.notify_one();
                Err(Overflow)
            }
        }
    }

    /// Nothing more follows: what waits is said, then the reason.
    pub fn end(self, reason: SessionEnd) {
        let _first = self.end.reason.set(reason);
    }
}

impl Waiting {
    /// The next message; `None` when nothing follows.
    pub(super) async fn next(&mut self) -> Option<Said> {
        self.messages.recv().await
    }

    /// Why nothing follows, if the core said so.
    pub(super) fn reason(&self) -> Option<SessionEnd> {
        self.end.reason.get().copied()
    }

    /// Resolves when the terminal is too far behind.
    pub(super) fn overflow(&self) -> impl Future<Output = ()> + use<> {
        let end = Arc::clone(&self.end);
        async move { end.overflow.notified().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::RequestId;
    use kakehashi_wire::terminal::Done;

    fn done(n: usize) -> Said {
        let done = Done { request: RequestId(u32::try_from(n).unwrap()) };
        Said::Message(done.into())
    }

    #[tokio::test]
    async fn what_waits_is_said_before_the_end() {
        let (outbox, mut waiting) = Outbox::new();
        outbox.say(done(1)).unwrap();
        outbox.end(SessionEnd::Replaced);
        assert!(waiting.next().await.is_some());
        assert!(waiting.next().await.is_none());
        assert_eq!(waiting.reason(), Some(SessionEnd::Replaced));
    }

    #[tokio::test]
    async fn a_terminal_that_is_too_far_behind_is_ended() {
        let (outbox, waiting) = Outbox::new();
        for n in 0..OUTBOX_MESSAGES_MAX {
            outbox.say(done(n)).unwrap();
        }
        assert_eq!(outbox.say(done(0)), Err(Overflow));
        waiting.overflow().await;
        assert_eq!(waiting.reason(), Some(SessionEnd::TooSlow));
    }
}
