//! What operators at this node ask the lead. All of it may be asked twice.

use crate::capacity::nodes::{OPERATOR_ASKS_MAX, ROWS_TOTAL_BYTES_MAX};
use crate::nodes::Queue;
use crate::sessions::Revocation;
use kakehashi_wire::id::{CallId, RelayId, TenantId};
use kakehashi_wire::node::{Did, Drain, EndCall, FromNode, Look, LookAt, Reread, Revoke, Rows};
use std::collections::BTreeMap;
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
    Act(Deed, oneshot::Sender<bool>),
}

/// What was asked and not answered.
#[derive(Default)]
pub(super) struct Ops {
    asks: BTreeMap<u64, Ask>,
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
        answer: oneshot::Sender<bool>,
        route: Option<&Queue<FromNode>>,
    ) {
        self.ask(Ask::Act(deed, answer), route);
    }

    fn ask(&mut self, ask: Ask, route: Option<&Queue<FromNode>>) {
        // Who has waited enough is gone.
        self.asks.retain(|_, ask| !ask.is_given_up());
        if self.asks.len() >= OPERATOR_ASKS_MAX {
            return;
        }
        self.next += 1;
        if let Some(route) = route {
            route.push(ask.message(self.next));
        }
        self.asks.insert(self.next, ask);
    }

    /// Another lead is asked everything.
    pub(super) fn ask_again(&mut self, route: &Queue<FromNode>) {
        for (number, ask) in &mut self.asks {
            if let Ask::Look(_, rows, _) = ask {
                rows.clear();
            }
            route.push(ask.message(*number));
        }
    }

    pub(super) fn did(&mut self, Did { ask, done }: Did) {
        if let Some(Ask::Act(_, answer)) = self.asks.remove(&ask) {
            let _gone = answer.send(done);
        }
    }

    pub(super) fn rows(&mut self, Rows { ask, part, more }: Rows) {
        let Some(Ask::Look(_, rows, _)) = self.asks.get_mut(&ask) else { return };
        rows.extend_from_slice(&part);
        if more && rows.len() <= ROWS_TOTAL_BYTES_MAX {
            return;
        }
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
