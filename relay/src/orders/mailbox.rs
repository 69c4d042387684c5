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
#[expect(clippy::large_enum_variant, reason = "nearly all commands are orders")]
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
#[expect(clippy::large_enum_variant, reason = "a command that does not fit goes back as it is")]
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
    #[expect(clippy::result_large_err, reason = "a command that does not fit goes back as it is")]
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

    /// The next reply, if one has come. A shard that waited for room is woken.
    pub fn take(&mut self) -> Option<ShardReply> {
        let was_full = self.replies.slots() == MAILBOX_RESULTS;
        let reply = self.replies.pop().ok();
        if was_full {
            self.ring();
        }
        reply
    }

    /// Whether the shard has dropped its end: it will never answer again.
    pub fn is_gone(&self) -> bool {
        self.commands.is_abandoned()
    }
}

impl ShardEnd {
    /// The next command, unless there is none or its reply would find no room.
    pub fn take(&mut self) -> Option<ShardCommand> {
        if self.can_take() { self.commands.pop().ok() } else { None }
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

    /// Whether a command waits and its reply has room. When the link makes room, it rings.
    pub fn can_take(&self) -> bool {
        !self.commands.is_empty() && !self.replies.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{Generation, LegId};
    use kakehashi_wire::relay::{Outcome, RemoveLeg};

    fn command(n: u64) -> ShardCommand {
        let order = RemoveLeg { leg: LegId(n), generation: Generation(n) };
        ShardCommand::Order(Ticket(n), Order::Remove(order))
    }

    fn reply(command: ShardCommand) -> ShardReply {
        let ShardCommand::Order(ticket, Order::Remove(order)) = command else { panic!() };
        let (leg, generation) = (order.leg, order.generation);
        ShardReply::Done(
            ticket,
            OrderResult {
                leg,
                generation,
                outcome: Outcome::Applied,
                life: generation,
                silent_ms: None,
            },
        )
    }

    #[test]
    fn a_full_mailbox_gives_the_command_back_and_loses_none() {
        let (mut link, mut shard) = mailbox(&Arc::new(Notify::new())).unwrap();
        for n in 0..MAILBOX_ORDERS as u64 {
            assert!(link.put(command(n)).is_ok());
        }
        let Err(NotPut::Full(back)) = link.put(command(u64::MAX)) else { panic!() };
        assert!(matches!(back, ShardCommand::Order(Ticket(u64::MAX), _)));
        for _ in 0..MAILBOX_RESULTS {
            let next = shard.take().unwrap();
            shard.answer(reply(next));
        }
        assert!(link.put(command(7)).is_ok());
        assert!(shard.take().is_none(), "its reply would find no room");
        assert!(!shard.can_take());
        let tickets = (0..MAILBOX_RESULTS).map(|_| link.take().unwrap());
        for (at, answer) in tickets.enumerate() {
            assert!(matches!(answer, ShardReply::Done(Ticket(n), _) if n == at as u64));
        }
        shard.bell().wait().unwrap();
        assert!(shard.take().is_some());
    }

    #[test]
    fn a_bell_that_rang_before_the_wait_is_heard() {
        let (link, shard) = mailbox(&Arc::new(Notify::new())).unwrap();
        link.ring();
        link.ring();
        shard.bell().wait().unwrap();
        let bell = Arc::clone(shard.bell());
        let waiter = std::thread::spawn(move || bell.wait().unwrap());
        link.ring();
        waiter.join().unwrap();
    }

    #[tokio::test]
    async fn the_link_hears_at_once_that_a_shard_is_gone() {
        let knock = Arc::new(Notify::new());
        let (mut link, shard) = mailbox(&knock).unwrap();
        let shard = std::thread::spawn(move || drop(shard));
        knock.notified().await;
        assert!(link.is_gone() && matches!(link.put(command(1)), Err(NotPut::Gone)));
        shard.join().unwrap();
    }
}
