//! All relays, and what to say to them. Pure.

use super::{Generations, LinkId, Relay, Standing, WantedLeg};
use crate::capacity::{ORDERS_ANSWER_TIMEOUT, RELAYS_MAX};
use crate::placement::{Candidate, Standbys};
use kakehashi_wire::id::{CallId, Epoch, LegId, RelayId, ShardIndex, Term};
use kakehashi_wire::media::{Address, Host};
use kakehashi_wire::relay::{FromRelay, Hello, LegStream, Orders, Subscription, ToRelay};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the fleet wants done with a connection.
pub enum ToLink {
    /// Say this.
    Say(LinkId, ToRelay),
    /// Close it, and log why.
    Close(LinkId, &'static str),
}

/// Calls whose legs changed their standing.
pub type LegNews = BTreeSet<CallId>;

/// The relays by number.
pub struct Fleet {
    term: Term,
    /// The newest that a relay obeys instead, until somebody has asked.
    newer: Option<Term>,
    relays: BTreeMap<RelayId, Relay>,
    by_link: BTreeMap<LinkId, RelayId>,
    generations: Generations,
    leg_lifetime: Duration,
}

impl Fleet {
    /// No relays yet. `generations` were reserved after `term` was claimed: a relay that goes over
    /// to a newer term sees generations go up.
    pub fn new(term: Term, generations: Generations, leg_lifetime: Duration) -> Self {
        Self {
            term,
            newer: None,
            relays: BTreeMap::new(),
            by_link: BTreeMap::new(),
            generations,
            leg_lifetime,
        }
    }

    /// In which relays are ordered.
    pub fn term(&self) -> Term {
        self.term
    }

    /// A relay connected.
    pub fn link_up(&mut self, link: LinkId, hello: Hello, out: &mut Vec<ToLink>) {
        let id = hello.relay;
        if !self.relays.contains_key(&id) && self.relays.len() >= RELAYS_MAX {
            out.push(ToLink::Close(link, "this node has as many relays as it takes"));
            return;
        }
        let lifetime = self.leg_lifetime;
        let relay = self.relays.entry(id).or_insert_with(|| Relay::new(id, lifetime));
        let incarnation = hello.incarnation;
        if let Some(older) = relay.greet(link, hello) {
            self.by_link.remove(&older);
            out.push(ToLink::Close(older, "the relay connected again"));
        }
        self.by_link.insert(link, id);
        let pieces = relay.plan.link_up(incarnation, self.term);
        out.extend(pieces.into_iter().map(|piece| ToLink::Say(link, piece.into())));
    }

    /// A newer term that relays obey, if one was heard of since this was last asked.
    pub fn newer_term(&mut self) -> Option<Term> {
        self.newer.take()
    }

    /// A relay obeys a newer term: it is not ordered any more. Its connection stays, since this
    /// node stays a node.
    fn stop_ordering(&mut self, link: LinkId, newest: Term) -> LegNews {
        self.newer = self.newer.max(Some(newest));
        self.link_down(link)
    }

    /// A connection is gone. Returns the calls that have legs at its relay.
    pub fn link_down(&mut self, link: LinkId) -> LegNews {
        let relay = self.by_link.remove(&link).and_then(|id| self.relays.get_mut(&id));
        relay.map_or_else(LegNews::new, |relay| {
            relay.part();
            relay.plan.calls()
        })
    }

    /// A relay said something. Returns the calls whose legs changed their standing.
    pub fn heard(&mut self, link: LinkId, message: FromRelay, now: Duration) -> LegNews {
        let relay = self.by_link.get(&link).and_then(|id| self.relays.get_mut(id));
        let Some(relay) = relay else { return LegNews::new() };
        match message {
            FromRelay::Outdated(outdated) if outdated.newest > self.term => {
                return self.stop_ordering(link, outdated.newest);
            }
            FromRelay::RelayHeartbeat(beat) if beat.term > self.term => {
                return self.stop_ordering(link, beat.term);
            }
            FromRelay::OrdersDone(done) => {
                return relay.plan.answered(&done.results, now).into_iter().collect();
            }
            FromRelay::RelayHeartbeat(beat) => relay.set_loads(beat.shards, now),
            FromRelay::CounterReport(report) => relay.set_counters(report.counters),
            // What wrapped is about calls, not about their legs' standing. A term that is refused
            // although none is newer is nonsense.
            FromRelay::Hello(_) | FromRelay::Rollovers(_) | FromRelay::Outdated(_) => {}
        }
        LegNews::new()
    }

    /// The relay should hold the leg.
    pub fn want(&mut self, relay: RelayId, leg: WantedLeg) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.plan.want(leg);
        }
    }

    /// The relay should hold the leg, which another node wanted; `epoch` is its life there, if that
    /// is known. A relay that has not connected yet counts as about to until that time.
    pub fn adopt(
        &mut self,
        relay: RelayId,
        (leg, epoch): (WantedLeg, Option<Epoch>),
        until: Duration,
    ) {
        if !self.relays.contains_key(&relay) && self.relays.len() >= RELAYS_MAX {
            return;
        }
        let lifetime = self.leg_lifetime;
        let relay = self.relays.entry(relay).or_insert_with(|| Relay::new(relay, lifetime));
        relay.adopt(leg, epoch, until);
    }

    /// Relays that were awaited for long enough count as lost at `now`.
    pub fn note_time(&mut self, now: Duration) {
        self.relays.values_mut().for_each(|relay| relay.note_time(now));
    }

    /// A leg should receive these streams from now on.
    pub fn resubscribe(&mut self, relay: RelayId, leg: LegId, subscriptions: Vec<Subscription>) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.plan.resubscribe(leg, subscriptions);
        }
    }

    /// The terminal of a leg is seen there now.
    pub fn see(&mut self, relay: RelayId, leg: LegId, seen_at: Host) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.plan.see(leg, seen_at);
        }
    }

    /// A stream of a leg has wrapped so often: later installs say so.
    pub fn raise_rollover(&mut self, relay: RelayId, leg: LegId, said: LegStream) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.plan.raise_rollover(leg, said);
        }
    }

    /// The relay at the other end of a link.
    pub fn at(&self, link: LinkId) -> Option<RelayId> {
        self.by_link.get(&link).copied()
    }

    /// The relay should no longer hold the leg.
    pub fn release(&mut self, relay: RelayId, leg: LegId) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.plan.release(leg);
        }
    }

    /// How legs stand at a relay, taken together. Legs of a relay that is not connected and does
    /// not hold all of them yet are refused: nobody knows when it comes back.
    pub fn standing(&self, relay: RelayId, legs: impl Iterator<Item = LegId>) -> Together {
        let Some(relay) = self.relays.get(&relay) else { return Together::Refused };
        let mut together = Together::InForce;
        for leg in legs {
            match relay.plan.standing(leg) {
                Standing::InForce => {}
                Standing::Waiting if relay.link().is_some() || relay.is_awaited() => {
                    together = Together::Waiting
                }
                _ => return Together::Refused,
            }
        }
        together
    }

    /// The life a leg has at a relay; `None` while the relay is not known to hold it.
    pub fn epoch(&self, relay: RelayId, leg: LegId) -> Option<Epoch> {
        self.relays.get(&relay)?.plan.epoch(leg)
    }

    /// A relay is taken out of use, or put back; one that has not connected yet is out of use when
    /// it does. Returns the calls that have legs there.
    pub fn drain(&mut self, relay: RelayId, on: bool) -> LegNews {
        if on && self.relays.len() < RELAYS_MAX {
            let lifetime = self.leg_lifetime;
            self.relays.entry(relay).or_insert_with(|| Relay::new(relay, lifetime));
        }
        let relay = self.relays.get_mut(&relay);
        relay.map_or_else(LegNews::new, |relay| {
            relay.set_drained(on);
            relay.plan.calls()
        })
    }

    /// Whether calls that a relay has can count on it: it is connected, or about to be, and not to
    /// be left.
    pub fn keeps_calls(&self, relay: RelayId) -> bool {
        let keeps = |relay: &Relay| relay.takes_calls() || relay.is_awaited();
        self.relays.get(&relay).is_some_and(keeps)
    }

    /// Whether any relay takes calls.
    pub fn takes_calls(&self) -> bool {
        self.relays.values().any(Relay::takes_calls)
    }

    /// Whether a relay is connected.
    pub fn is_linked(&self, relay: RelayId) -> bool {
        self.relays.get(&relay).is_some_and(|relay| relay.link().is_some())
    }

    /// Shards that could take a call at `now`, and what they are to take over as the calls stand.
    pub fn candidates(&self, standbys: &Standbys, now: Duration) -> Vec<Candidate> {
        let relays = self.relays.values();
        let shards = relays.flat_map(|relay| relay.candidates(self.site_of(relay), now));
        let mut candidates: Vec<_> = shards.collect();
        let rate = |relay: RelayId| self.relays.get(&relay).map_or(0, |it| it.packets_per_s(now));
        let site = |relay: RelayId| self.relays.get(&relay).map_or(relay, |it| self.site_of(it));
        standbys.reserve(&mut candidates, rate, site);
        candidates
    }

    /// The site of a relay, by the first relay there; none if there is no such relay.
    pub fn site(&self, relay: RelayId) -> Option<RelayId> {
        self.relays.get(&relay).map(|relay| self.site_of(relay))
    }

    /// A site goes by the first relay there.
    fn site_of(&self, relay: &Relay) -> RelayId {
        let first = self.relays.values().find(|other| other.site() == relay.site());
        first.unwrap_or(relay).id()
    }

    /// Where terminals reach a shard.
    pub fn address(&self, relay: RelayId, shard: ShardIndex) -> Option<Address> {
        self.relays.get(&relay)?.address(shard)
    }

    /// What is to be said to the relays at `now`.
    pub fn flush(&mut self, now: Duration, out: &mut Vec<ToLink>) {
        for relay in self.relays.values_mut() {
            let Some(link) = relay.link() else { continue };
            let late = |since| now >= since + ORDERS_ANSWER_TIMEOUT;
            if relay.plan.unanswered_since().is_some_and(late) {
                out.push(ToLink::Close(link, "the relay does not answer orders"));
                continue;
            }
            loop {
                let orders = relay.plan.orders(now, &mut self.generations);
                if orders.is_empty() {
                    break;
                }
                out.push(ToLink::Say(link, Orders { term: self.term, orders }.into()));
            }
        }
    }

    /// When [`flush`](Self::flush) has something to do next.
    pub fn next_deadline(&self) -> Option<Duration> {
        let linked = self.relays.values().filter(|relay| relay.link().is_some());
        linked
            .flat_map(|relay| {
                let answer = relay.plan.unanswered_since().map(|at| at + ORDERS_ANSWER_TIMEOUT);
                [relay.plan.next_renewal(), answer]
            })
            .flatten()
            .min()
    }

    /// All relays.
    pub fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.relays.values()
    }
}

/// How several legs stand at one relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Together {
    /// All are held.
    InForce,
    /// Some are not held yet.
    Waiting,
    /// At least one will not be held.
    Refused,
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
