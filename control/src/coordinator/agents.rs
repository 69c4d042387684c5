//! What is known of the agents of desks outlives this core: the nodes of their sessions are told
//! what changed in each turn, and say it when they hand the sessions over to another.
//!
//! Who comes back by a token instead, since its node died with the lead, is behind all others and
//! is left alone no more.

use super::{Coordinator, Output};
use crate::capacity::DESK_WRAP_UP_MAX_S;
use crate::clock::Now;
use crate::sessions::AccountKey;
use kakehashi_wire::node::AgentOrder;
use std::time::Duration;

impl Coordinator {
    /// Takes what an earlier lead knew of whoever is about to arrive, or has its node told what is
    /// known here.
    pub(super) fn remembered(&mut self, account: AccountKey, order: Option<&AgentOrder>, now: Now) {
        let order = order.filter(|order| self.desks.restore_agent(account, order));
        let Some(order) = order else { return self.desks.tell_of(account) };
        let most = Duration::from_secs(DESK_WRAP_UP_MAX_S.into());
        let left = Duration::from_millis(order.wrap_up_ms.into()).min(most);
        if left > self.wraps.left(account, now.since_start) {
            self.wraps.begin(account, now.since_start + left);
        }
    }

    /// Has the nodes of agents told what changed.
    pub(super) fn tell_of_agents(&mut self, now: Now) {
        let mut changed = self.desks.take_changed();
        changed.append(&mut self.wraps.take_changed());
        for account in changed {
            let Some(agent) = self.desks.agent(account) else { continue };
            let left = self.wraps.left(account, now.since_start).as_millis();
            let agent = AgentOrder { wrap_up_ms: u32::try_from(left).unwrap_or(u32::MAX), ..agent };
            let there = self.sessions.of(account).filter(|it| !self.detached.has(it.id));
            self.out.extend(there.map(|session| Output::Remember(session.id, agent.clone())));
        }
    }
}
