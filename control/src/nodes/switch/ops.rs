//! What operators at this node ask the lead. All of it may be asked twice.
//!
//! Rights that end are written before the lead is told. So it is told whatever becomes of whoever
//! asked: a node that was cut off from the lead tells it, or the next one, as soon as it can.

use crate::capacity::nodes::{OPERATOR_ASKS_MAX, REVOCATIONS_OWED_MAX, ROWS_TOTAL_BYTES_MAX};
use crate::nodes::Queue;
use crate::sessions::Revocation;
use kakehashi_wire::id::{CallId, RelayId, TenantId};
use kakehashi_wire::node::{Did, Drain, EndCall, FromNode, Look, LookAt, Reread, Revoke, Rows};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;

/// Something to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::nodes) enum Deed {
    /// A tenant's policy or desks are others by now.
    Reread(TenantId),
    /// A call is to end.
    EndCall(Option<TenantId>, CallId),
    /// Somebody's rights end.
    Revoke(Revocation),
    /// A relay is taken out of use, or put back.
    Drain(RelayId, bool),
}

enum Ask {
    Look(LookAt, Vec<u8>, oneshot::Sender<Vec<u8>>),
    Act(Deed, oneshot::Sender<Did>),
}

/// What was asked and not answered.
#[derive(Default)]
pub(super) struct Ops {
    asks: BTreeMap<u64, Ask>,
    /// Those of which a lead was asked; and another one after it, which may find done what was
    /// asked, and knows nothing of how.
    asked: BTreeSet<u64>,
    repeated: BTreeSet<u64>,
    next: u64,
}

impl Ops {
    pub(super) fn look(
        &mut self,
        at: LookAt,
        answer: oneshot::Sender<Vec<u8>>,
        route: Option<&Queue<FromNode>>,
    ) {
        self.ask(Ask::Look(at, Vec::new(), answer), route);
    }

    pub(super) fn act(
        &mut self,
        deed: Deed,
        answer: oneshot::Sender<Did>,
        route: Option<&Queue<FromNode>>,
    ) {
        self.ask(Ask::Act(deed, answer), route);
    }

    fn ask(&mut self, ask: Ask, route: Option<&Queue<FromNode>>) {
        // Who has waited enough is gone.
        self.asks.retain(|_, ask| ask.is_revocation() || !ask.is_given_up());
        if self.asks.values().filter(|ask| !ask.is_given_up()).count() >= OPERATOR_ASKS_MAX {
            return;
        }
        self.forget_oldest_owed();
        self.next += 1;
        if let Some(route) = route {
            self.asked.insert(self.next);
            route.push(ask.message(self.next));
        }
        self.asks.insert(self.next, ask);
    }

    /// Makes room among the revocations that nobody waits for: a lead that begins reads the store.
    fn forget_oldest_owed(&mut self) {
        let owed = || self.asks.iter().filter(|(_, ask)| ask.is_given_up());
        if owed().count() >= REVOCATIONS_OWED_MAX
            && let Some(oldest) = owed().next().map(|(number, _)| *number)
        {
            self.asks.remove(&oldest);
        }
    }

    /// Another lead is asked everything.
    pub(super) fn ask_again(&mut self, route: &Queue<FromNode>) {
        let asks = &self.asks;
        self.asked.retain(|number| asks.contains_key(number));
        self.repeated.clone_from(&self.asked);
        for (number, ask) in &mut self.asks {
            if let Ask::Look(_, rows, _) = ask {
                rows.clear();
            }
            self.asked.insert(*number);
            route.push(ask.message(*number));
        }
    }

    pub(super) fn did(&mut self, mut did: Did) {
        self.asked.remove(&did.ask);
        if self.repeated.remove(&did.ask) {
            did.told.clear();
        }
        if let Some(Ask::Act(_, answer)) = self.asks.remove(&did.ask) {
            let _gone = answer.send(did);
        }
    }

    pub(super) fn rows(&mut self, Rows { ask, part, more }: Rows) {
        let Some(Ask::Look(_, rows, _)) = self.asks.get_mut(&ask) else { return };
        rows.extend_from_slice(&part);
        if more && rows.len() <= ROWS_TOTAL_BYTES_MAX {
            return;
        }
        self.asked.remove(&ask);
        if let Some(Ask::Look(_, rows, answer)) = self.asks.remove(&ask)
            && !more
        {
            let _gone = answer.send(rows);
        }
    }
}

impl Ask {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Look(_, _, answer) => answer.is_closed(),
            Self::Act(_, answer) => answer.is_closed(),
        }
    }

    fn is_revocation(&self) -> bool {
        matches!(self, Self::Act(Deed::Revoke(_), _))
    }

    fn message(&self, ask: u64) -> FromNode {
        match self {
            Self::Look(at, ..) => Look { ask, at: *at }.into(),
            Self::Act(Deed::Reread(tenant), _) => Reread { ask, tenant: *tenant }.into(),
            Self::Act(Deed::EndCall(tenant, call), _) => {
                EndCall { ask, tenant: *tenant, call: *call }.into()
            }
            Self::Act(Deed::Drain(relay, on), _) => Drain { ask, relay: *relay, on: *on }.into(),
            Self::Act(Deed::Revoke(revocation), _) => {
                Revoke { ask, revocation: *revocation }.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::queue::QueueEnd;
    use crate::sessions::Whom;
    use kakehashi_wire::terminal::SessionEnd;

    fn revoke(tenant: u64) -> Deed {
        let (whom, why) = (Whom::Tenant(TenantId(tenant)), SessionEnd::Suspended);
        Deed::Revoke(Revocation { whom, epoch: 1, why })
    }

    fn did(ask: u64) -> Did {
        Did { ask, done: true, told: b"{}".to_vec() }
    }

    /// The number and the kind of everything that was asked.
    fn asked(end: &mut QueueEnd<FromNode>) -> Vec<u64> {
        let mut asked = Vec::new();
        while let Ok(message) = end.messages.try_recv() {
            match message {
                FromNode::Revoke(it) => asked.push(it.ask),
                FromNode::Drain(it) => asked.push(it.ask),
                _ => panic!("something else is asked"),
            }
        }
        asked
    }

    #[test]
    fn a_lead_hears_of_rights_that_ended_although_nobody_waits_for_it_any_more() {
        let mut ops = Ops::default();
        let mut wait = |deed: Deed| {
            let (answer, answered) = oneshot::channel();
            ops.act(deed, answer, None);
            answered
        };
        let (gone, also_gone) = (wait(revoke(1)), wait(Deed::Drain(RelayId(1), true)));
        let stays = wait(revoke(2));
        drop((gone, also_gone));
        let stays_too = wait(Deed::Drain(RelayId(2), true));
        let (route, mut end) = Queue::new(1);
        ops.ask_again(&route);
        assert_eq!(asked(&mut end), [1, 3, 4], "what nobody waits for is not drained");
        ops.did(did(1));
        let (route, mut end) = Queue::new(2);
        ops.ask_again(&route);
        assert_eq!(asked(&mut end), [3, 4], "what was done is not asked again");
        drop((stays, stays_too));
    }

    #[test]
    fn a_lead_that_is_asked_after_another_does_not_say_how_it_was_done() {
        let mut ops = Ops::default();
        let (first, _end) = Queue::new(1);
        let mut wait = |route: Option<&Queue<FromNode>>| {
            let (answer, answered) = oneshot::channel();
            ops.act(revoke(1), answer, route);
            answered
        };
        let (mut before, mut without) = (wait(Some(&first)), wait(None));
        let (second, _end) = Queue::new(2);
        ops.ask_again(&second);
        ops.did(did(1));
        ops.did(did(2));
        assert!(before.try_recv().unwrap().told.is_empty(), "the first lead may have done it");
        assert_eq!(without.try_recv().unwrap().told, b"{}");
    }

    #[test]
    fn what_is_owed_has_a_limit_and_takes_nobodys_place() {
        let mut ops = Ops::default();
        for tenant in 0..2 * REVOCATIONS_OWED_MAX as u64 {
            let (answer, _gone) = oneshot::channel();
            ops.act(revoke(tenant), answer, None);
        }
        assert_eq!(ops.asks.len(), REVOCATIONS_OWED_MAX);
        let (answer, _answered) = oneshot::channel();
        let (route, mut end) = Queue::new(1);
        ops.act(Deed::Drain(RelayId(1), true), answer, Some(&route));
        assert_eq!(asked(&mut end), [2 * REVOCATIONS_OWED_MAX as u64 + 1]);
    }
}
