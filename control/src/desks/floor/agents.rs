//! The agents of all desks: since when each is free, when it was offered a call last, and what the
//! next lead is to know of that.
//!
//! A turn of an earlier term is before every turn of this one, so an agent that this lead has seen
//! become free is behind all that have been free since before it began, in whichever order their
//! nodes hand them over.

use super::{DeskId, Desks, Offer};
use crate::sessions::AccountKey;
use kakehashi_wire::node::{AgentOrder, OfferedAt, Turn};
use kakehashi_wire::terminal::PresenceState;
use std::collections::BTreeSet;

impl Desks {
    /// What an account does has changed: an agent may be free.
    pub fn noticed(&mut self, account: AccountKey, before: PresenceState, after: PresenceState) {
        if !matches!(after, PresenceState::Waiting | PresenceState::Offline) {
            return;
        }
        let turn = self.agents_turn();
        let Some((desks, idle)) = self.staff.get_mut(&account) else { return };
        if after == PresenceState::Offline {
            *idle = Turn::NEVER;
            return;
        }
        // Who only rang has been idle all the time, and so has who comes from an earlier lead.
        let is_known = *idle != Turn::NEVER && before == PresenceState::Offline;
        if before != PresenceState::Ringing && !is_known {
            *idle = turn;
            self.changed.insert(account);
        }
        let key = |name: &String| DeskId { tenant: account.tenant, name: name.clone() };
        self.ready.extend(desks.iter().map(key));
    }

    /// The desks that an account is an agent of, by their names.
    pub fn of_agent(&self, account: AccountKey) -> impl Iterator<Item = &String> {
        self.staff.get(&account).into_iter().flat_map(|(desks, _)| desks)
    }

    /// What is known of an agent, but for how long it is left alone; none if it is no agent.
    pub fn agent(&self, account: AccountKey) -> Option<AgentOrder> {
        let (desks, idle) = self.staff.get(&account)?;
        let offered = |name: &String| {
            let key = DeskId { tenant: account.tenant, name: name.clone() };
            let turn = self.lanes.get(&key)?.offered(account.account)?;
            Some(OfferedAt { desk: key.name, turn })
        };
        let offered = desks.iter().filter_map(offered).collect();
        Some(AgentOrder { idle: *idle, wrap_up_ms: 0, offered })
    }

    /// What an earlier lead knew of an agent. `false` if more is known here.
    pub fn restore_agent(&mut self, account: AccountKey, order: &AgentOrder) -> bool {
        let ours = self.term;
        let Some((_, idle)) = self.staff.get_mut(&account) else { return false };
        if order.idle < *idle || order.idle.term >= ours {
            return false;
        }
        *idle = order.idle;
        for offered in order.offered.iter().filter(|offered| offered.turn.term < ours) {
            let key = DeskId { tenant: account.tenant, name: offered.desk.clone() };
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.restore_offered(account.account, offered.turn);
            }
        }
        true
    }

    /// Whoever keeps what is known of an agent is to be told again.
    pub fn tell_of(&mut self, account: AccountKey) {
        if self.staff.contains_key(&account) {
            self.changed.insert(account);
        }
    }

    /// The agents of whom something else is known than when this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<AccountKey> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn note_offered(&mut self, offer: &Offer) {
        let turn = self.agents_turn();
        let Some(lane) = self.lanes.get_mut(&offer.key) else { return };
        lane.note_offered(&offer.agents, turn);
        let takes_turns = |agent: &&_| lane.offered(**agent).is_some();
        let tenant = offer.key.tenant;
        let told = offer.agents.iter().filter(takes_turns);
        self.changed.extend(told.map(|account| AccountKey { tenant, account: *account }));
    }

    pub(super) fn idle_since(&self, account: AccountKey) -> Turn {
        self.staff.get(&account).map_or(Turn::NEVER, |(_, idle)| *idle)
    }

    fn agents_turn(&mut self) -> Turn {
        Turn { term: self.term, nth: self.turn() }
    }
}
