//! One desk at work: who waits there, whose turn it is, and how long it will take.

use super::{Desk, RingOrder};
use crate::capacity::DESK_TALK_SHARE;
use kakehashi_wire::id::{AccountId, CallId};
use kakehashi_wire::node::Turn;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Whether a desk's callers are to be told of their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// They were never told.
    Never,
    /// They were told then, and nothing has changed since.
    ToldAt(Duration),
    /// They are to be told at that time.
    Wanted(Duration),
}

/// A desk with its callers.
pub(super) struct Lane {
    pub(super) desk: Desk,
    /// Whoever has waited longest first, ringing or not.
    queue: BTreeMap<u64, CallId>,
    /// When each agent was offered a call last.
    offered: HashMap<AccountId, Turn>,
    /// How long a call keeps an agent, smoothed; `None` before the first.
    occupied: Option<Duration>,
    pub(super) news: News,
}

impl Lane {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk,
            queue: BTreeMap::new(),
            offered: HashMap::new(),
            occupied: None,
            news: News::Never,
        }
    }

    /// The same callers at a desk with other settings.
    pub(super) fn reset(&mut self, desk: Desk) {
        self.desk = desk;
        let agents = &self.desk.agents;
        self.offered.retain(|account, _| agents.iter().any(|agent| agent.account == *account));
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.desk.queue_max as usize
    }

    pub(super) fn push(&mut self, since: u64, call: CallId) {
        self.queue.insert(since, call);
    }

    pub(super) fn remove(&mut self, since: u64) {
        self.queue.remove(&since);
    }

    /// All callers in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = CallId> {
        self.queue.values().copied()
    }

    /// How many callers stand before and with the one that came at `since`.
    pub(super) fn position(&self, since: u64) -> usize {
        self.queue.range(..=since).count()
    }

    /// The agents whose turn it is: of those that are free, one, or all if all ring. `idle_since`
    /// is when an agent became free.
    pub(super) fn pick(
        &self,
        is_free: impl Fn(AccountId) -> bool,
        idle_since: impl Fn(AccountId) -> Turn,
    ) -> Vec<AccountId> {
        let free = self.desk.agents.iter().map(|agent| agent.account);
        let free = free.filter(|account| is_free(*account));
        match self.desk.order {
            RingOrder::RingAll => free.collect(),
            RingOrder::LongestIdle => {
                free.min_by_key(|account| idle_since(*account)).into_iter().collect()
            }
            RingOrder::RoundRobin => {
                let offered =
                    |account: &AccountId| self.offered.get(account).copied().unwrap_or(Turn::NEVER);
                free.min_by_key(offered).into_iter().collect()
            }
        }
    }

    /// These are offered a call.
    pub(super) fn note_offered(&mut self, agents: &[AccountId], turn: Turn) {
        self.offered.extend(agents.iter().map(|account| (*account, turn)));
    }

    /// An agent was offered a call then, or later.
    pub(super) fn restore_offered(&mut self, account: AccountId, turn: Turn) {
        if self.desk.agents.iter().any(|agent| agent.account == account) {
            let known = self.offered.entry(account).or_insert(turn);
            *known = turn.max(*known);
        }
    }

    /// When an agent was offered a call last, if agents take turns here.
    pub(super) fn offered(&self, account: AccountId) -> Option<Turn> {
        let offered = self.offered.get(&account).copied();
        offered.filter(|_| self.desk.order == RingOrder::RoundRobin)
    }

    /// A call kept an agent for so long, wrap-up included.
    pub(super) fn note_occupied(&mut self, time: Duration) {
        self.occupied = Some(match self.occupied {
            Some(mean) => mean - mean / DESK_TALK_SHARE + time / DESK_TALK_SHARE,
            None => time,
        });
    }

    /// How long somebody at `position` will wait with so many agents there; zero if unknown.
    pub(super) fn expected(&self, position: usize, agents: usize) -> Duration {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let agents = u32::try_from(agents).unwrap_or(u32::MAX);
        let turns = self.occupied.unwrap_or_default().saturating_mul(position);
        turns.checked_div(agents).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Agent;
    use super::*;

    fn turn(nth: u64) -> Turn {
        Turn { nth, ..Turn::NEVER }
    }

    fn lane(order: RingOrder) -> Lane {
        let agent = |account| Agent { account: AccountId(account), login: String::new() };
        Lane::new(Desk { order, agents: (1..=3).map(agent).collect(), ..Desk::new("a".into()) })
    }

    #[test]
    fn turns_go_by_idleness_in_a_round_or_to_all() {
        let free = |account: AccountId| account != AccountId(1);
        let idle = |account: AccountId| turn(10 - account.0);
        let pick = |lane: &Lane| lane.pick(free, idle).iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(pick(&lane(RingOrder::LongestIdle)), [3]);
        assert_eq!(pick(&lane(RingOrder::RingAll)), [2, 3]);
        let mut round = lane(RingOrder::RoundRobin);
        assert_eq!(pick(&round), [2]);
        round.note_offered(&[AccountId(2)], turn(1));
        assert_eq!(pick(&round), [3]);
        round.note_offered(&[AccountId(3)], turn(2));
        assert_eq!(pick(&round), [2]);
        assert!(round.pick(|_| false, idle).is_empty());
    }

    #[test]
    fn the_expected_wait_follows_what_calls_take() {
        let seconds = Duration::from_secs;
        let mut lane = lane(RingOrder::LongestIdle);
        assert_eq!(lane.expected(3, 2), Duration::ZERO, "before the first call nothing is known");
        lane.note_occupied(seconds(60));
        assert_eq!(lane.expected(1, 1), seconds(60));
        assert_eq!(lane.expected(3, 2), seconds(90));
        assert_eq!(lane.expected(3, 0), Duration::ZERO);
        for _ in 0..100 {
            lane.note_occupied(seconds(120));
        }
        let error = lane.expected(1, 1).abs_diff(seconds(120));
        assert!(error < seconds(1), "{error:?}");
    }
}
