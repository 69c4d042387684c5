//! Who leads: what one node makes of beats, of the store's record of the lead, and of time. Pure.
//!
//! ```text
//!                  Silent              PatienceOver             Reached             Won
//!  Following ----------------> Waiting -------------> Looking ---------> Claiming ------> Leading
//!      ^  ^                     |   ^                  |   |                |               |
//!      |  +----- Other ---------+   +----- Beaten -----+---|----------------+               |
//!      |  +----- Other ------------------------------------+                               |
//!      |                        ^---------------- Unfit ------------------------------------+
//!      +-------------------------- Other ---------------------------------------------------+
//! ```
//!
//! A false claim harms nobody: whoever leads writes only while the record is as it was when it was
//! claimed, and relays obey the newest term they have heard of. So a node that hears nothing of the
//! lead may try at once; patience by rank only keeps two from trying together, and a node that
//! claims in vain, or whose terms are short, waits longer before the next time.
//!
//! But it costs all sessions a hand-over. So a node looks before it claims: if the store does not
//! answer at once and few others are heard meanwhile, then this node is what was cut off, and the
//! lead is well. When it reaches the store again it first gives the lead time to be heard.
//!
//! A lead that cannot begin, since it cannot read what the store has, gives the lead up and lets
//! others try; if it cannot even do that, they claim the next term although it beats.

use super::NodeName;
use crate::capacity::nodes::{
    CLAIM_WAIT_LEAST, CLAIM_WAIT_MOST, LEAD_BEGIN_MOST, LEAD_SETTLED, LOOK_PROMPT, LOOK_WAIT,
    NEW_LEAD_PATIENCE, NODE_DEAD_AFTER, RANK_PATIENCE, REJOIN_PATIENCE, UNFIT_WAIT,
};
use kakehashi_wire::id::Term;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    /// Another leads, and is heard.
    Following,
    /// Nobody leads who is heard; others may be quicker.
    Waiting,
    /// It has asked the store who leads.
    Looking,
    /// It has asked the store to lead.
    Claiming,
    /// It leads.
    Leading,
}

/// What may happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Cause {
    /// The lead was not heard for too long, or there is none.
    Silent,
    /// It has waited for the others.
    PatienceOver,
    /// The store answers, and nobody else leads by its record.
    Reached,
    /// The store has its claim.
    Won,
    /// The store has not: somebody was quicker, or it does not answer.
    Beaten,
    /// Another leads by now, or is heard again.
    Other,
    /// It cannot begin what it was to lead.
    Unfit,
}

impl State {
    /// What it is next. A claim that is under way is waited for: it may be won.
    pub(super) fn after(self, cause: Cause) -> Self {
        match (self, cause) {
            (Self::Following, Cause::Silent) => Self::Waiting,
            (Self::Waiting, Cause::PatienceOver) => Self::Looking,
            (Self::Looking, Cause::Reached) => Self::Claiming,
            // A claim whose answer was lost shows in the record.
            (_, Cause::Won) => Self::Leading,
            (Self::Looking | Self::Claiming, Cause::Beaten) => Self::Waiting,
            (Self::Waiting | Self::Looking | Self::Leading, Cause::Other) => Self::Following,
            (Self::Leading, Cause::Unfit) => Self::Waiting,
            (same, _) => same,
        }
    }
}

/// The record of the lead, as the store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lead {
    /// Which node.
    pub node: NodeName,
    /// This life of its process: after a restart it leads no longer.
    pub life: u64,
    /// The revision at which it was claimed.
    pub term: Term,
}

/// What a node hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The store's record, or that there is none.
    Record(Option<Lead>),
    /// The same, as it was looked for.
    Found(Option<Lead>),
    /// A beat of another node, with the term in which it leads.
    Beat(NodeName, Term),
    /// The store took the claim.
    Won(Term),
    /// It did not, or nothing was found since it does not answer.
    Beaten,
    /// A write in this term was refused: another has claimed since.
    Fenced(Term),
    /// What this node was to lead in this term cannot begin.
    Unfit(Term),
    /// Time has passed.
    Tick,
}

/// What a node is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Ask the store who leads.
    Look,
    /// Ask the store to lead, if its record is still the one of that term, or if there is none.
    Claim(Option<Term>),
    /// Begin to lead.
    Lead(Term),
    /// Lead no longer.
    StepDown(Term),
    /// Lead no longer, and have the record removed so that others may.
    Resign(Term),
}

/// One node's part in it.
pub struct Election {
    me: NodeName,
    life: u64,
    /// How long it lets others try first.
    patience: Duration,
    /// How many nodes there are, and when each other one was heard last.
    nodes: usize,
    heard: BTreeMap<NodeName, Duration>,
    state: State,
    term: Term,
    record: Option<Lead>,
    /// Until when it is content with hearing nothing.
    until: Duration,
    /// Until when a lead that is alive may take to begin.
    begun_by: Duration,
    claim_after: Duration,
    claim_wait: Duration,
    looked_at: Duration,
    /// It heard few others when it looked. What it hears since may be a way that has just come
    /// back.
    looked_alone: bool,
    /// The store did not answer at once when it was last asked.
    is_cut_off: bool,
}

impl Election {
    /// A node that has heard of nobody at `now`. Of all `nodes`, `rank` come before it.
    pub fn new(me: NodeName, life: u64, (rank, nodes): (usize, usize), now: Duration) -> Self {
        Self {
            me,
            life,
            patience: RANK_PATIENCE * u32::try_from(rank).unwrap_or(u32::MAX),
            nodes,
            heard: BTreeMap::new(),
            state: State::Following,
            term: Term::NONE,
            record: None,
            until: now + NEW_LEAD_PATIENCE,
            begun_by: now + LEAD_BEGIN_MOST,
            claim_after: now,
            claim_wait: CLAIM_WAIT_LEAST,
            looked_at: now,
            looked_alone: false,
            is_cut_off: false,
        }
    }

    /// Lets `heard` happen at `now`.
    pub fn hear(&mut self, heard: Heard, now: Duration) -> Option<Act> {
        match heard {
            Heard::Record(record) => self.read(record, now),
            Heard::Found(record) => self.found(record, now),
            Heard::Beat(node, leads) => self.beat(&node, leads, now),
            Heard::Won(term) => self.won(term),
            Heard::Beaten if self.state == State::Claiming => {
                self.go(Cause::Beaten);
                self.until = self.claim_after.max(now + self.patience);
                None
            }
            Heard::Beaten if self.state == State::Looking => {
                self.is_cut_off = true;
                self.wait(now + LOOK_WAIT);
                None
            }
            Heard::Beaten => None,
            Heard::Fenced(term) if self.leads() == Some(term) => self.other(now),
            Heard::Unfit(term) if self.leads() == Some(term) => {
                self.go(Cause::Unfit);
                self.claim_after = now + UNFIT_WAIT;
                self.until = self.claim_after;
                Some(Act::Resign(term))
            }
            Heard::Fenced(_) | Heard::Unfit(_) | Heard::Tick => self.tick(now),
        }
    }

    /// When a [`Heard::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        matches!(self.state, State::Following | State::Waiting).then_some(self.until)
    }

    /// What it is now.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// In which term it leads, if it does.
    pub fn leads(&self) -> Option<Term> {
        (self.state == State::Leading).then_some(self.term)
    }

    /// Whom it follows, in which term.
    pub fn follows(&self) -> Option<(&NodeName, Term)> {
        let lead = self.record.as_ref().filter(|_| self.state == State::Following)?;
        (lead.node != self.me).then_some((&lead.node, lead.term))
    }

    fn go(&mut self, cause: Cause) {
        self.state = self.state.after(cause);
    }

    fn read(&mut self, record: Option<Lead>, now: Duration) -> Option<Act> {
        let known = self.record.as_ref().map_or(Term::NONE, |lead| lead.term);
        let term = record.as_ref().map_or(known, |lead| lead.term);
        if term < known {
            return None;
        }
        let is_news = record != self.record;
        self.record = record;
        match &self.record {
            Some(lead) if lead.node == self.me && lead.life == self.life => {
                let term = lead.term;
                self.won(term)
            }
            // Its own earlier life leads no more than nobody does.
            Some(lead) if lead.node != self.me => {
                let act = is_news.then(|| self.other(now));
                act.flatten()
            }
            _ if self.state == State::Leading => self.other(now),
            _ => {
                self.go(Cause::Silent);
                self.until = self.until.min(now + self.patience).max(self.claim_after);
                None
            }
        }
    }

    /// The record was looked for, and this is what it says.
    fn found(&mut self, record: Option<Lead>, now: Duration) -> Option<Act> {
        let act = self.read(record, now);
        if act.is_some() || self.state != State::Looking {
            return act;
        }
        self.is_cut_off |= now > self.looked_at + LOOK_PROMPT;
        if self.is_cut_off && (self.looked_alone || !self.hears_most(now)) {
            self.is_cut_off = false;
            self.wait(now + REJOIN_PATIENCE);
            return None;
        }
        self.is_cut_off = false;
        self.go(Cause::Reached);
        self.claim_after = now + self.claim_wait;
        self.claim_wait = (self.claim_wait * 2).min(CLAIM_WAIT_MOST);
        Some(Act::Claim(self.record.as_ref().map(|lead| lead.term)))
    }

    /// Looks again later.
    fn wait(&mut self, until: Duration) {
        self.go(Cause::Beaten);
        self.until = until;
    }

    /// Whether it and those it hears are more than half of all.
    fn hears_most(&self, now: Duration) -> bool {
        let heard = self.heard.values().filter(|at| now < **at + NODE_DEAD_AFTER).count();
        2 * (heard + 1) > self.nodes
    }

    fn beat(&mut self, node: &NodeName, leads: Term, now: Duration) -> Option<Act> {
        self.heard.insert(node.clone(), now);
        let known = self.record.as_ref().map_or(Term::NONE, |lead| lead.term).max(self.term);
        if leads > known {
            let (node, life) = (node.clone(), 0);
            self.record = Some(Lead { node, life, term: leads });
            return self.other(now);
        }
        let lead = self.record.as_ref().filter(|lead| lead.node == *node);
        let begins = now < self.begun_by;
        let is_lead = lead.is_some_and(|lead| begins || leads == lead.term);
        let is_open = matches!(self.state, State::Following | State::Waiting | State::Looking);
        if is_lead && is_open {
            let dead = now + NODE_DEAD_AFTER;
            let follows = self.state == State::Following;
            self.until = if follows { self.until.max(dead) } else { dead };
            self.go(Cause::Other);
            if now > self.claim_after + LEAD_SETTLED {
                self.claim_wait = CLAIM_WAIT_LEAST;
            }
        }
        None
    }

    /// Another leads.
    fn other(&mut self, now: Duration) -> Option<Act> {
        let led = self.leads();
        self.go(Cause::Other);
        self.until = now + NEW_LEAD_PATIENCE;
        self.begun_by = now + LEAD_BEGIN_MOST;
        led.map(Act::StepDown)
    }

    fn won(&mut self, term: Term) -> Option<Act> {
        let known = self.record.as_ref().map_or(Term::NONE, |lead| lead.term);
        if term < known || self.leads() == Some(term) {
            // Somebody else has claimed since. Or it is no news.
            if self.state == State::Claiming {
                self.go(Cause::Beaten);
            }
            return None;
        }
        self.go(Cause::Won);
        self.term = term;
        self.record = Some(Lead { node: self.me.clone(), life: self.life, term });
        Some(Act::Lead(term))
    }

    fn tick(&mut self, now: Duration) -> Option<Act> {
        if now < self.until {
            return None;
        }
        match self.state {
            State::Following => {
                self.go(Cause::Silent);
                self.until = self.claim_after.max(now + self.patience);
                None
            }
            State::Waiting => {
                self.go(Cause::PatienceOver);
                (self.looked_at, self.looked_alone) = (now, !self.hears_most(now));
                Some(Act::Look)
            }
            State::Looking | State::Claiming | State::Leading => None,
        }
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
