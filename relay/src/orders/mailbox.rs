//! Between the link's thread and each shard: one bounded ring each way, and a bell for each side.
//!
//! Nothing is lost: the link waits while a shard's ring is full, and a shard takes no command
//! whose reply would not fit.

use super::bell::Bell;
use crate::capacity::{MAILBOX_ORDERS, MAILBOX_RESULTS};
use crate::legs::Wanted;
use kakehashi_wire::relay::{Order, OrderResult};
use rtrb::{Consumer, Producer, RingBuffer};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// Pairs a reply with its command. Counts up over the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What the link asks of a shard.
pub enum ShardCommand {
    /// Apply this order.
    Order(Ticket, Order),
    /// Drop the legs of a range that are not wanted.
    Resync(Ticket, Arc<Wanted>),
}

/// What a shard answers, once for each command, in their sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardReply {
    /// What became of an order.
    Done(Ticket, OrderResult),
    /// The range holds only wanted legs.
    Resynced(Ticket),
}

/// The link's end of one shard's mailbox.
pub struct LinkEnd {
    commands: Producer<ShardCommand>,
    replies: Consumer<ShardReply>,
    bell: Arc<Bell>,
}

/// A shard's end of its mailbox.
pub struct ShardEnd {
    commands: Consumer<ShardCommand>,
    replies: Producer<ShardReply>,
    bell: Arc<Bell>,
    /// Last, so that the rings are gone when the link hears of it.
    link: Knock,
}

/// Tells the link that something moved, and once more when the shard is gone.
struct Knock(Arc<Notify>);

impl Drop for Knock {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// One mailbox; `link` is told whenever the shard has moved something.
///
/// # Errors
/// The kernel's, if there is no file descriptor left for the bell.
pub fn mailbox(link: &Arc<Notify>) -> io::Result<(LinkEnd, ShardEnd)> {
    let (to_shard, commands) = RingBuffer::new(MAILBOX_ORDERS);
    let (replies, to_link) = RingBuffer::new(MAILBOX_RESULTS);
    let bell = Arc::new(Bell::new()?);
    Ok((
        LinkEnd { commands: to_shard, replies: to_link, bell: Arc::clone(&bell) },
        ShardEnd { commands, replies, bell, link: Knock(Arc::clone(link)) },
    ))
}

/// Why a command did not go into a mailbox; the command comes back.
pub enum NotPut {
    /// The ring is full: wait until the shard has taken something.
    Full(ShardCommand),
    /// The shard is gone.
    Gone,
}

impl LinkEnd {
    /// Puts a command in. The shard is not woken: see [`ring`](Self::ring).
    ///
    /// # Errors
    /// [`NotPut`] if there is no room, or nobody to read it.
    pub fn put(&mut self, command: ShardCommand) -> Result<(), NotPut> {
        if self.is_gone() {
            return Err(NotPut::Gone);
        }
        self.commands.push(command).map_err(|rtrb::PushError::Full(command)| NotPut::Full(command))
    }

    /// Wakes the shard.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// The next reply, if one has come.
    pub fn take(&mut self) -> Option<ShardReply> {
        self.replies.pop().ok()
    }

    /// Whether the shard has dropped its end: it will never answer again.
    pub fn is_gone(&self) -> bool {
        self.commands.is_abandoned()
    }
}

impl ShardEnd {
    /// The next command, unless there is none or its reply would find no room.
    pub fn take(&mut self) -> Option<ShardCommand> {
        if self.replies.is_full() {
            return None;
        }
        self.commands.pop().ok()
    }

    /// Answers the command taken last. The link is not woken: see [`notify`](Self::notify).
    pub fn answer(&mut self, reply: ShardReply) {
        let room = self.replies.push(reply).is_ok();
        debug_assert!(room, "take() hands out a command only while its reply has room");
    }

    /// Tells the link that commands were taken or replies given.
    pub fn notify(&self) {
        self.link.0.notify_one();
    }

    /// What the link rings when commands wait.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether no command waits.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}
