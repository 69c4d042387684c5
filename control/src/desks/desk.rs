//! A desk as operators describe it.

use crate::capacity::{
    AGENTS_PER_DESK_MAX, DESK_QUEUE_DEFAULT, DESK_QUEUE_MAX, DESK_RING_DEFAULT_S, DESK_RING_MAX_S,
    DESK_RING_MIN_S, DESK_WAIT_DEFAULT_S, DESK_WAIT_MAX_S, DESK_WRAP_UP_DEFAULT_S,
    DESK_WRAP_UP_MAX_S,
};
use crate::store::{Record, hex_id};
use kakehashi_wire::id::AccountId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingOrder {
    /// The agent who has been free for longest.
    #[default]
    LongestIdle,
    /// The agent who was offered a call of this desk least recently.
    RoundRobin,
    /// All free agents at once; the first to answer has the call.
    RingAll,
}

/// Somebody who answers for a desk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Agent {
    /// The account.
    #[serde(with = "hex_id")]
    pub account: AccountId,
    /// Its login ID, for people.
    pub login: String,
}

/// Where calls go that wait for long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overflow {
    /// The other desk's name.
    pub desk: String,
    /// After how many seconds at this one.
    pub after_s: u32,
}

/// A desk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Desk {
    /// Its name, unique in the tenant, lower-case.
    pub name: String,
    /// Who answers, none twice.
    pub agents: Vec<Agent>,
    /// In which order they ring.
    pub order: RingOrder,
    /// Calls that may wait at once.
    pub queue_max: u32,
    /// How long an agent rings before the next one does, in seconds.
    pub ring_s: u32,
    /// How long an agent is left alone after a call, in seconds.
    pub wrap_up_s: u32,
    /// How long a call waits before it ends unanswered, in seconds.
    pub wait_max_s: u32,
    /// Where calls go before that.
    pub overflow: Option<Overflow>,
    /// Callers are asked to play an announcement while they wait.
    pub announce: bool,
}

impl Record for Desk {
    const VERSION: u32 = 1;
}

/// What is to be different about a desk; what is not named stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeskChange {
    /// Login IDs of all who answer.
    pub agents: Option<Vec<String>>,
    /// In which order they ring.
    pub order: Option<RingOrder>,
    /// Calls that may wait at once.
    pub queue_max: Option<u32>,
    /// How long an agent rings, in seconds.
    pub ring_s: Option<u32>,
    /// How long an agent is left alone after a call, in seconds.
    pub wrap_up_s: Option<u32>,
    /// How long a call waits, in seconds.
    pub wait_max_s: Option<u32>,
    /// Where calls go before that.
    pub overflow: Option<OverflowChange>,
    /// Whether callers are asked to play an announcement.
    pub announce: Option<bool>,
}

/// Whether calls overflow from now on, and where to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OverflowChange {
    /// They stay.
    Nowhere {},
    /// They go there.
    To(Overflow),
}

/// What a desk cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadDesk {
    /// A number is out of its range.
    #[error("{what} is {least} to {most}")]
    Number {
        /// Which.
        what: &'static str,
        /// Its least value.
        least: u32,
        /// Its greatest.
        most: u32,
    },
    /// It has too many agents.
    #[error("a desk has at most {AGENTS_PER_DESK_MAX} agents: make a second one to overflow to")]
    Agents,
    /// An agent is named twice.
    #[error("an agent is named twice")]
    Twice,
    /// It overflows to itself.
    #[error("a desk cannot overflow to itself")]
    ItsOwnOverflow,
}

impl Desk {
    /// A desk of that name with the usual settings and nobody at it.
    pub fn new(name: String) -> Self {
        Self {
            name,
            agents: Vec::new(),
            order: RingOrder::default(),
            queue_max: DESK_QUEUE_DEFAULT,
            ring_s: DESK_RING_DEFAULT_S,
            wrap_up_s: DESK_WRAP_UP_DEFAULT_S,
            wait_max_s: DESK_WAIT_DEFAULT_S,
            overflow: None,
            announce: false,
        }
    }

    /// Makes it as `change` says; `agents` are those that it names.
    pub fn change(&mut self, change: DeskChange, agents: Option<Vec<Agent>>) {
        fn set<T>(field: &mut T, to: Option<T>) {
            if let Some(to) = to {
                *field = to;
            }
        }
        set(&mut self.agents, agents);
        set(&mut self.order, change.order);
        set(&mut self.queue_max, change.queue_max);
        set(&mut self.ring_s, change.ring_s);
        set(&mut self.wrap_up_s, change.wrap_up_s);
        set(&mut self.wait_max_s, change.wait_max_s);
        set(&mut self.announce, change.announce);
        match change.overflow {
            None => {}
            Some(OverflowChange::Nowhere {}) => self.overflow = None,
            Some(OverflowChange::To(overflow)) => self.overflow = Some(overflow),
        }
    }

    /// Refuses what a desk cannot be.
    ///
    /// # Errors
    /// [`BadDesk`].
    pub fn check(&self) -> Result<(), BadDesk> {
        let within = |what, number, least, most| {
            let good = (least..=most).contains(&number);
            if good { Ok(()) } else { Err(BadDesk::Number { what, least, most }) }
        };
        within("the length of a desk's queue", self.queue_max, 1, DESK_QUEUE_MAX)?;
        within(
            "the time an agent rings, in seconds,",
            self.ring_s,
            DESK_RING_MIN_S,
            DESK_RING_MAX_S,
        )?;
        within("the wrap-up time, in seconds,", self.wrap_up_s, 0, DESK_WRAP_UP_MAX_S)?;
        within("the longest wait, in seconds,", self.wait_max_s, self.ring_s, DESK_WAIT_MAX_S)?;
        if let Some(overflow) = &self.overflow {
            within("the time to overflow, in seconds,", overflow.after_s, 1, DESK_WAIT_MAX_S)?;
            if overflow.desk == self.name {
                return Err(BadDesk::ItsOwnOverflow);
            }
        }
        if self.agents.len() > AGENTS_PER_DESK_MAX {
            return Err(BadDesk::Agents);
        }
        let mut agents: Vec<_> = self.agents.iter().map(|agent| agent.account).collect();
        agents.sort_unstable();
        let twice = agents.windows(2).any(|pair| pair[0] == pair[1]);
        if twice { Err(BadDesk::Twice) } else { Ok(()) }
    }

    /// How long an agent rings.
    pub fn ring(&self) -> Duration {
        Duration::from_secs(self.ring_s.into())
    }

    /// How long an agent is left alone after a call.
    pub fn wrap_up(&self) -> Duration {
        Duration::from_secs(self.wrap_up_s.into())
    }

    /// How long a call waits.
    pub fn wait_max(&self) -> Duration {
        Duration::from_secs(self.wait_max_s.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Desk {
        let agent = |account| Agent { account: AccountId(account), login: format!("a-{account}") };
        Desk { agents: vec![agent(2), agent(1)], ..Desk::new("reception".into()) }
    }

    #[test]
    fn what_a_change_does_not_name_stays() {
        let mut changed = desk();
        changed.change(DeskChange::default(), None);
        assert_eq!(changed, desk());
        let overflow = Overflow { desk: "second".into(), after_s: 60 };
        let change = DeskChange {
            order: Some(RingOrder::RingAll),
            queue_max: Some(7),
            overflow: Some(OverflowChange::To(overflow.clone())),
            ..DeskChange::default()
        };
        changed.change(change, Some(Vec::new()));
        let agents = Vec::new();
        let (order, queue_max, overflow) = (RingOrder::RingAll, 7, Some(overflow));
        assert_eq!(changed, Desk { order, queue_max, overflow, agents, ..desk() });
        let nowhere = Some(OverflowChange::Nowhere {});
        changed.change(DeskChange { overflow: nowhere, ..DeskChange::default() }, None);
        assert_eq!(changed.overflow, None);
    }

    #[test]
    fn what_a_desk_cannot_be_is_refused() {
        assert_eq!(desk().check(), Ok(()));
        let itself = Some(Overflow { desk: "reception".into(), after_s: 60 });
        let at_once = Some(Overflow { desk: "second".into(), after_s: 0 });
        let twice = vec![desk().agents[0].clone(), desk().agents[0].clone()];
        let many = |account| Agent { account: AccountId(account), login: String::new() };
        let many = (0..=AGENTS_PER_DESK_MAX as u64).map(many).collect();
        assert_eq!(Desk { agents: twice, ..desk() }.check(), Err(BadDesk::Twice));
        assert_eq!(Desk { agents: many, ..desk() }.check(), Err(BadDesk::Agents));
        assert_eq!(Desk { overflow: itself, ..desk() }.check(), Err(BadDesk::ItsOwnOverflow));
        for bad in [
            Desk { overflow: at_once, ..desk() },
            Desk { queue_max: 0, ..desk() },
            Desk { queue_max: DESK_QUEUE_MAX + 1, ..desk() },
            Desk { ring_s: DESK_RING_MIN_S - 1, ..desk() },
            Desk { wrap_up_s: DESK_WRAP_UP_MAX_S + 1, ..desk() },
            Desk { wait_max_s: desk().ring_s - 1, ..desk() },
        ] {
            assert!(matches!(bad.check(), Err(BadDesk::Number { .. })), "{bad:?}");
        }
    }
}
