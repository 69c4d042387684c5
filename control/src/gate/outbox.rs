//! What waits to be said to one terminal: bounded, and closed with a reason.

use crate::capacity::OUTBOX_MESSAGES_MAX;
use crate::nodes::Queue;
use kakehashi_wire::id::SessionId;
use kakehashi_wire::node::{AgentOrder, End as SessionOver, Rejection, Remember, Say};
use kakehashi_wire::node::{ToNode, Verdict};
use kakehashi_wire::secret::SaidBytes;
use kakehashi_wire::terminal::{SessionEnd, ToTerminal};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc};

/// One message.
pub enum Said {
    /// For this terminal alone.
    Message(ToTerminal),
    /// The same bytes go to many terminals; nothing in them is secret.
    Encoded(Arc<[u8]>),
    /// For this terminal alone, as another node encoded it.
    PassedOn(SaidBytes),
}

/// The core's side.
pub struct Outbox(Way);

/// Where the terminal is.
enum Way {
    /// Here.
    Terminal { messages: mpsc::Sender<Said>, end: Arc<End> },
    /// At a node that takes its messages to it.
    Node(SessionId, Queue<ToNode>),
}

/// The connection's side.
pub(crate) struct Waiting {
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
    pub(crate) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(OUTBOX_MESSAGES_MAX);
        let end = Arc::new(End::default());
        let way = Way::Terminal { messages: sender, end: Arc::clone(&end) };
        (Self(way), Waiting { messages: receiver, end })
    }

    /// Of a session whose terminal is at another node.
    pub(crate) fn at_node(session: SessionId, queue: Queue<ToNode>) -> Self {
        Self(Way::Node(session, queue))
    }

    /// The node that the terminal is at, if it is not this one.
    pub(crate) fn node(&self) -> Option<&Queue<ToNode>> {
        match &self.0 {
            Way::Terminal { .. } => None,
            Way::Node(_, queue) => Some(queue),
        }
    }

    /// Tells the terminal's node whether the session is let in.
    pub(crate) fn decided(&self, refused: Option<Rejection>) {
        if let Way::Node(session, queue) = &self.0 {
            queue.push(Verdict { session: *session, refused });
        }
    }

    /// Has the terminal's node keep what is known of its agent.
    pub(crate) fn remember(&self, agent: AgentOrder) {
        if let Way::Node(session, queue) = &self.0 {
            queue.push(Remember { session: *session, agent });
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`Overflow`] if too many wait already; the session is over then. A node that is too far
    /// behind loses its link instead, and hands its sessions over anew.
    pub fn say(&self, message: Said) -> Result<(), Overflow> {
        let (messages, end) = match &self.0 {
            Way::Terminal { messages, end } => (messages, end),
            Way::Node(session, queue) => {
                pass_on(*session, message, queue);
                return Ok(());
            }
        };
        match messages.try_send(message) {
            // A connection that is gone is noticed by its own task.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let _first = end.reason.set(SessionEnd::TooSlow);
                end.overflow.notify_one();
                Err(Overflow)
            }
        }
    }

    /// Nothing more follows: what waits is said, then the reason.
    pub fn end(self, reason: SessionEnd) {
        match self.0 {
            Way::Terminal { end, .. } => {
                let _first = end.reason.set(reason);
            }
            Way::Node(session, queue) => queue.push(SessionOver { session, reason }),
        }
    }
}

fn pass_on(session: SessionId, message: Said, queue: &Queue<ToNode>) {
    let (answers, said) = match message {
        Said::Message(message) => match message.encode() {
            Ok(said) => (message.answers(), SaidBytes::new(said)),
            Err(error) => {
                return tracing::error!(event = "message_not_said", %session, %error,
                    "a message was not said: report this");
            }
        },
        Said::Encoded(bytes) => (None, SaidBytes::new(bytes.to_vec())),
        Said::PassedOn(said) => (None, said),
    };
    queue.push(Say { session, answers, said });
}

impl Waiting {
    /// The next message; `None` when nothing follows.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        self.messages.recv().await
    }

    /// Why nothing follows, if the core said so.
    pub(crate) fn reason(&self) -> Option<SessionEnd> {
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
