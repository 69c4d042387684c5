//! Hands commands to the shards that they concern and gathers what became of them, in order.

use super::link::ShardHandle;
use super::mailbox::{NotPut, ShardCommand, ShardReply, Ticket};
use crate::capacity::SHARD_ANSWER_MS;
use crate::legs::{Wanted, subject};
use kakehashi_log::millis;
use kakehashi_wire::id::{CallId, Generation, LegId, TraceId};
use kakehashi_wire::relay::{Order, OrderResult, Outcome, Resync};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// All shards, as the link sees them.
pub(super) struct Dispatcher {
    shards: Vec<ShardHandle>,
    /// Where each leg was installed. Only a hint: what it does not know goes to all shards, and it
    /// never holds more than they do.
    directory: HashMap<LegId, Installed>,
    directory_max: usize,
    next: Ticket,
    knock: Arc<Notify>,
}

/// What is known of a leg that was to be installed.
#[derive(Clone, Copy)]
struct Installed {
    /// The place of its shard among all.
    shard: usize,
    /// Where it belongs, for the log.
    story: Story,
    since: Instant,
}

/// What a leg's records in the log are found by: its call, and the round of it.
#[derive(Clone, Copy)]
struct Story {
    call: TraceId,
    round: CallId,
}

/// A batch on its way: what is known of each order, and how many replies are outstanding.
struct Batch {
    first: Ticket,
    results: Vec<OrderResult>,
    outstanding: usize,
    deadline: Instant,
}

impl Batch {
    /// Takes in a reply; one to an earlier batch came too late and is dropped.
    fn note(&mut self, reply: ShardReply) {
        let (Ticket(ticket), result) = match reply {
            ShardReply::Done(ticket, result) => (ticket, Some(result)),
            ShardReply::Resynced(ticket) => (ticket, None),
        };
        let Some(at) = ticket.checked_sub(self.first.0) else { return };
        self.outstanding = self.outstanding.saturating_sub(1);
        let known = usize::try_from(at).ok().and_then(|at| self.results.get_mut(at));
        if let Some((known, result)) = known.zip(result)
            && says_more(result.outcome, known.outcome)
        {
            *known = result;
        }
    }
}

/// Whether of what two shards answered to the same order, the first says more about the leg.
fn says_more(one: Outcome, other: Outcome) -> bool {
    let rank = |outcome| match outcome {
        Outcome::NoSuchShard => 0,
        Outcome::NoSuchLeg => 1,
        Outcome::Unchanged => 2,
        Outcome::Stale => 3,
        Outcome::NoRoom | Outcome::SsrcTaken | Outcome::BadOrder => 4,
        Outcome::Applied => 5,
    };
    rank(one) > rank(other)
}

impl Dispatcher {
    pub(super) fn new(shards: Vec<ShardHandle>, knock: Arc<Notify>) -> Self {
        let directory_max = shards.iter().map(|shard| shard.legs_max as usize).sum();
        Self { shards, directory: HashMap::new(), directory_max, next: Ticket(0), knock }
    }

    /// Applies `orders` in sequence; one result each. What a shard does not answer in time counts
    /// as [`Outcome::NoSuchShard`].
    pub(super) async fn orders(&mut self, orders: Vec<Order>) -> Vec<OrderResult> {
        let unheard = |order: &Order| {
            let (leg, generation) = subject(order);
            let outcome = Outcome::NoSuchShard;
            OrderResult { leg, generation, outcome, life: Generation(0), silent_ms: None }
        };
        let mut batch = self.begin(orders.iter().map(unheard).collect());
        let removals: Vec<bool> =
            orders.iter().map(|order| matches!(order, Order::Remove(_))).collect();
        let installs: Vec<_> = orders.iter().map(story_of).collect();
        for (at, order) in orders.into_iter().enumerate() {
            let ticket = self.take_ticket();
            match self.place(&order) {
                Place::Shard(shard) => {
                    self.put(shard, ShardCommand::Order(ticket, order), &mut batch).await;
                }
                Place::Unknown => {
                    for shard in 0..self.shards.len() {
                        let order = order.clone();
                        self.put(shard, ShardCommand::Order(ticket, order), &mut batch).await;
                    }
                }
                Place::Nowhere(outcome) => batch.results[at].outcome = outcome,
            }
        }
        self.finish(&mut batch).await;
        for ((result, removal), install) in batch.results.iter().zip(removals).zip(installs) {
            let known = self.directory.get(&result.leg).copied();
            self.learn(result, removal);
            let (leg, outcome) = (result.leg, result.outcome);
            match install {
                Some(Story { call, round }) => tracing::debug!(event = "leg_installed", %call,
                    %round, %leg, ?outcome, "a leg was to be installed"),
                None if removal => log_removal(result, known),
                None => {}
            }
        }
        batch.results
    }

    /// Drops what is not wanted, on all shards; returns when it is gone.
    pub(super) async fn resync(&mut self, resync: Resync) {
        let wanted = Arc::new(Wanted::from(resync));
        let mut batch = self.begin(Vec::new());
        let ticket = self.take_ticket();
        for shard in 0..self.shards.len() {
            let command = ShardCommand::Resync(ticket, Arc::clone(&wanted));
            self.put(shard, command, &mut batch).await;
        }
        self.finish(&mut batch).await;
        self.directory.retain(|leg, _| !wanted.drops(*leg));
    }

    /// Where an order goes. An installation is entered at once, so that later orders of the same
    /// batch find it.
    fn place(&mut self, order: &Order) -> Place {
        let known = self.directory.get(&subject(order).0).map(|leg| leg.shard);
        let (Order::Install(install), Some(story)) = (order, story_of(order)) else {
            return known.map_or(Place::Unknown, Place::Shard);
        };
        let shard = self.shards.iter().position(|shard| shard.index == install.shard);
        match (shard, known) {
            (None, _) => Place::Nowhere(Outcome::NoSuchShard),
            // A call, and with it each of its legs, stays on one shard for its life.
            (Some(shard), Some(known)) if shard != known => Place::Nowhere(Outcome::BadOrder),
            (Some(shard), _) => {
                if self.directory.len() < self.directory_max {
                    let installed = Installed { shard, story, since: Instant::now() };
                    self.directory.entry(install.leg).or_insert(installed);
                }
                Place::Shard(shard)
            }
        }
    }

    fn learn(&mut self, result: &OrderResult, removal: bool) {
        let gone = match result.outcome {
            Outcome::Applied | Outcome::Unchanged => removal,
            Outcome::NoSuchLeg | Outcome::NoRoom | Outcome::SsrcTaken => true,
            Outcome::Stale | Outcome::NoSuchShard | Outcome::BadOrder => false,
        };
        if gone {
            self.directory.remove(&result.leg);
        }
    }

    fn begin(&self, results: Vec<OrderResult>) -> Batch {
        let deadline = Instant::now() + Duration::from_millis(SHARD_ANSWER_MS);
        Batch { first: self.next, results, outstanding: 0, deadline }
    }

    fn take_ticket(&mut self) -> Ticket {
        let ticket = self.next;
        self.next = Ticket(ticket.0 + 1);
        ticket
    }

    /// Puts a command into a shard's mailbox, waiting for room until the batch's deadline.
    async fn put(&mut self, shard: usize, mut command: ShardCommand, batch: &mut Batch) {
        loop {
            match self.shards[shard].mailbox.put(command) {
                Ok(()) => {
                    batch.outstanding += 1;
                    return;
                }
                Err(NotPut::Gone) => return,
                Err(NotPut::Full(back)) => command = back,
            }
            // The shard stops taking commands while its replies have no room: make both.
            self.shards[shard].mailbox.ring();
            self.collect(batch);
            if timeout_at(batch.deadline, self.knock.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Wakes the shards and awaits their replies until the batch's deadline.
    async fn finish(&mut self, batch: &mut Batch) {
        self.shards.iter().for_each(|shard| shard.mailbox.ring());
        loop {
            self.collect(batch);
            let all_gone = self.shards.iter().all(|shard| shard.mailbox.is_gone());
            if batch.outstanding == 0 || all_gone {
                return;
            }
            if timeout_at(batch.deadline, self.knock.notified()).await.is_err() {
                tracing::error!(
                    event = "shards_not_answering",
                    unanswered = batch.outstanding,
                    "shards did not answer orders within {SHARD_ANSWER_MS} ms"
                );
                return;
            }
        }
    }

    fn collect(&mut self, batch: &mut Batch) {
        for shard in &mut self.shards {
            while let Some(reply) = shard.mailbox.take() {
                batch.note(reply);
            }
        }
    }
}

/// Where a leg that is to be installed belongs.
fn story_of(order: &Order) -> Option<Story> {
    match order {
        Order::Install(install) => Some(Story { call: install.trace, round: install.call }),
        Order::Renew(_) | Order::Remove(_) | Order::Subscribe(_) => None,
    }
}

/// With what was known of the leg, and how long it was there.
fn log_removal(result: &OrderResult, known: Option<Installed>) {
    let story = known.map(|leg| leg.story);
    tracing::debug!(
        event = "leg_removed",
        call = story.map(|story| display(story.call)),
        round = story.map(|story| display(story.round)),
        leg = %result.leg,
        outcome = ?result.outcome,
        silent_ms = result.silent_ms,
        took_ms = known.map(|leg| millis(leg.since.elapsed())),
        "a leg was to be removed"
    );
}

/// Where an order goes.
enum Place {
    /// To this shard.
    Shard(usize),
    /// To all: only the shard that holds the leg will know it.
    Unknown,
    /// It is answered at once.
    Nowhere(Outcome),
}
