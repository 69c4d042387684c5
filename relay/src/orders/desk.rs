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
        self.resync.is_some() || !self.end.is_empty()
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
