//! A shard's side of its mailbox: carries out what the link asks, a bounded piece each turn.

use super::mailbox::{ShardCommand, ShardEnd, ShardReply, Ticket};
use crate::capacity::COMMANDS_PER_TURN;
use crate::legs::{LegTable, ResyncCursor, Wanted};
use crate::tick::Tick;
use std::sync::Arc;

/// Applies commands to a leg table in the order they were given.
pub struct Desk {
    end: ShardEnd,
    /// A resync in progress; what was asked after it waits.
    resync: Option<(Ticket, Arc<Wanted>, ResyncCursor)>,
}

impl Desk {
    /// A desk for this end of a mailbox.
    pub fn new(end: ShardEnd) -> Self {
        Self { end, resync: None }
    }

    /// The mailbox: its bell is what a sleeping shard waits on.
    pub fn end(&self) -> &ShardEnd {
        &self.end
    }

    /// Whether [`turn`](Self::turn) would find something to do.
    pub fn has_work(&self) -> bool {
        self.resync.is_some() || self.end.can_take()
    }

    /// Carries out at most [`COMMANDS_PER_TURN`] commands or one piece of a resync; returns how
    /// many pieces of work it did.
    pub fn turn(&mut self, legs: &mut LegTable, now: Tick) -> usize {
        let mut done = 0;
        while done < COMMANDS_PER_TURN {
            if !self.step(legs, now) {
                break;
            }
            done += 1;
            if self.resync.is_some() {
                break;
            }
        }
        if done > 0 {
            self.end.notify();
        }
        done
    }

    fn step(&mut self, legs: &mut LegTable, now: Tick) -> bool {
        if let Some((ticket, wanted, mut cursor)) = self.resync.take() {
            if legs.resync(&wanted, &mut cursor) {
                self.end.answer(ShardReply::Resynced(ticket));
            } else {
                self.resync = Some((ticket, wanted, cursor));
            }
            return true;
        }
        match self.end.take() {
            Some(ShardCommand::Order(ticket, order)) => {
                self.end.answer(ShardReply::Done(ticket, legs.apply(order, now)));
            }
            Some(ShardCommand::Resync(ticket, wanted)) => {
                self.resync = Some((ticket, wanted, ResyncCursor::default()));
            }
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::SWEEP_LEGS;
    use crate::orders::mailbox::{LinkEnd, mailbox};
    use crate::testing::{Phone, World, stream};
    use kakehashi_wire::id::{LegId, Term};
    use kakehashi_wire::relay::{Order, Outcome, Resync};
    use kakehashi_wire::rtp::Ssrc;
    use tokio::sync::Notify;

    fn put(link: &mut LinkEnd, command: ShardCommand) {
        assert!(link.put(command).is_ok());
    }

    #[test]
    fn a_turn_is_bounded_and_an_order_behind_a_resync_waits_for_it() {
        let count = u64::from(SWEEP_LEGS) + 100;
        let mut world = World::new(count as usize + 1);
        let (mut link, end) = mailbox(&Arc::new(Notify::new())).unwrap();
        let mut desk = Desk::new(end);
        for n in 0..count {
            let mut order = Phone::new(n, 1).install(1);
            (order.leg, order.streams) = (LegId(n), vec![stream(Ssrc(n as u32))]);
            put(&mut link, ShardCommand::Order(Ticket(n), Order::Install(order)));
        }
        assert_eq!(desk.turn(&mut world.legs, world.now), COMMANDS_PER_TURN);
        while desk.turn(&mut world.legs, world.now) > 0 {}
        assert_eq!((world.legs.len() as u64, desk.has_work()), (count, false));

        let nothing =
            Resync { term: Term::ALONE, first: LegId(0), last: LegId(u64::MAX), keep: Vec::new() };
        put(&mut link, ShardCommand::Resync(Ticket(count), Arc::new(nothing.into())));
        let late = Phone::new(1, 7).install(1);
        put(&mut link, ShardCommand::Order(Ticket(count + 1), Order::Install(late)));
        assert_eq!(desk.turn(&mut world.legs, world.now), 1, "only taken up");
        desk.turn(&mut world.legs, world.now);
        assert!(desk.has_work() && !world.legs.is_empty(), "one piece of two");
        while desk.turn(&mut world.legs, world.now) > 0 {}
        assert_eq!(world.legs.len(), 1, "the order behind the resync stands");
        let replies: Vec<_> = std::iter::from_fn(|| link.take()).collect();
        assert_eq!(replies.len() as u64, count + 2);
        assert_eq!(replies[count as usize], ShardReply::Resynced(Ticket(count)));
        let last = replies.last().unwrap();
        assert!(matches!(last, ShardReply::Done(_, result) if result.outcome == Outcome::Applied));
    }
}
