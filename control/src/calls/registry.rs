//! The live calls of the node, by number and by account, and when each wants attention.

use super::{Call, Round};
use crate::capacity::CALLS_MAX;
use crate::sessions::{AccountKey, Tally};
use kakehashi_wire::id::{CallId, TenantId};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// All live calls.
#[derive(Default)]
pub struct Calls {
    by_id: HashMap<CallId, Call>,
    by_account: HashMap<AccountKey, BTreeSet<CallId>>,
    /// By what relays know a round of the call by.
    by_round: HashMap<CallId, CallId>,
    counts: Tally,
    timers: BTreeSet<(Duration, CallId)>,
    timer_of: HashMap<CallId, Duration>,
    /// Those that may have changed since somebody looked.
    touched: BTreeSet<CallId>,
}

impl Calls {
    /// Whether the node takes another call.
    pub fn has_room(&self) -> bool {
        self.by_id.len() < CALLS_MAX
    }

    /// Whether a number is taken.
    pub fn contains(&self, id: CallId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Adds a call.
    pub fn insert(&mut self, call: Call) {
        for member in call.everybody().filter(|member| !member.has_left()) {
            self.join(member.account, call.id());
        }
        self.touch(call.id());
        self.counts.add(call.tenant());
        self.by_id.insert(call.id(), call);
    }

    /// Forgets a call.
    pub fn remove(&mut self, id: CallId) -> Option<Call> {
        let call = self.by_id.remove(&id)?;
        self.touch(id);
        for member in call.everybody() {
            self.part(member.account, id);
        }
        self.counts.take(call.tenant());
        self.set_timer(id, None);
        Some(call)
    }

    /// An account is part of a call that goes on.
    pub fn join(&mut self, account: AccountKey, id: CallId) {
        self.by_account.entry(account).or_default().insert(id);
    }

    /// An account is no longer part of a call.
    pub fn part(&mut self, account: AccountKey, id: CallId) {
        if let Some(calls) = self.by_account.get_mut(&account) {
            calls.remove(&id);
            if calls.is_empty() {
                self.by_account.remove(&account);
            }
        }
    }

    /// A call by its number.
    pub fn get(&self, id: CallId) -> Option<&Call> {
        self.by_id.get(&id)
    }

    /// A call by its number, to change it.
    pub fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.touched.insert(id);
        self.by_id.get_mut(&id)
    }

    /// The same, to change what no other core needs to know.
    pub fn get_aside(&mut self, id: CallId) -> Option<&mut Call> {
        self.by_id.get_mut(&id)
    }

    /// Something that belongs to a call may have changed.
    pub fn touch(&mut self, id: CallId) {
        self.touched.insert(id);
    }

    /// The calls that may have changed, or are gone, since this was asked.
    pub fn take_touched(&mut self) -> BTreeSet<CallId> {
        std::mem::take(&mut self.touched)
    }

    /// The calls an account is part of, in the order of their numbers.
    pub fn all_of(&self, account: AccountKey) -> impl Iterator<Item = &Call> {
        let calls = self.by_account.get(&account).into_iter().flatten();
        calls.filter_map(|id| self.by_id.get(id))
    }

    /// The one call that an account is part of and does not hold.
    pub fn active_of(&self, account: AccountKey) -> Option<&Call> {
        self.all_of(account).find(|call| !call.is_held_by(account))
    }

    /// A round of a call has begun or is to begin.
    pub fn note_round(&mut self, round: Round) {
        self.by_round.insert(round.at_relays, round.call);
    }

    /// Relays no longer know of a round.
    pub fn forget_round(&mut self, round: Round) {
        self.by_round.remove(&round.at_relays);
    }

    /// Whether relays know a round by that number.
    pub fn knows_round(&self, at_relays: CallId) -> bool {
        self.by_round.contains_key(&at_relays)
    }

    /// The call of which a round is known to relays by that number.
    pub fn of_round(&self, at_relays: CallId) -> Option<CallId> {
        self.by_round.get(&at_relays).copied()
    }

    /// How many calls a tenant has.
    pub fn count_of(&self, tenant: TenantId) -> usize {
        self.counts.of(tenant)
    }

    /// All calls, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.by_id.values()
    }

    /// The call wants attention at that time, and no longer at the one said before.
    pub fn set_timer(&mut self, id: CallId, at: Option<Duration>) {
        if let Some(before) = self.timer_of.remove(&id) {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
            self.timer_of.insert(id, at);
        }
    }

    /// The next call whose time has come; its timer is spent.
    pub fn due(&mut self, now: Duration) -> Option<CallId> {
        let (_, id) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.set_timer(id, None);
        Some(id)
    }

    /// When the next call wants attention.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }
}
