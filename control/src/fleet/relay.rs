//! One relay as control sees it. Pure.

use super::load::ShardRates;
use super::{LinkId, Plan, WantedLeg};
use crate::capacity::LEG_PACKETS_PER_S;
use crate::placement::Candidate;
use kakehashi_wire::id::{Epoch, Incarnation, RelayId, ShardIndex};
use kakehashi_wire::media::Address;
use kakehashi_wire::relay::{Counter, Hello, ShardLoad, ShardOffer};
use std::time::Duration;

/// What is known of a relay, and its plan.
pub struct Relay {
    id: RelayId,
    link: Option<LinkId>,
    /// Taken out of use, whichever life it is in.
    drained: bool,
    /// It held legs for another node and has not connected to this one yet: until when it counts
    /// as about to.
    awaited: Option<Duration>,
    software: String,
    site: String,
    incarnation: Option<Incarnation>,
    shards: Vec<ShardOffer>,
    loads: Vec<ShardLoad>,
    /// In the same order.
    rates: Vec<ShardRates>,
    counters: Vec<Counter>,
    pub(super) plan: Plan,
}

impl Relay {
    /// A relay that was never heard of.
    pub(super) fn new(id: RelayId, leg_lifetime: Duration) -> Self {
        Self {
            id,
            link: None,
            drained: false,
            awaited: None,
            software: String::new(),
            site: String::new(),
            incarnation: None,
            shards: Vec::new(),
            loads: Vec::new(),
            rates: Vec::new(),
            counters: Vec::new(),
            plan: Plan::new(leg_lifetime),
        }
    }

    /// Takes over what the relay says of itself. Returns the link this one replaces.
    pub(super) fn greet(&mut self, link: LinkId, hello: Hello) -> Option<LinkId> {
        self.awaited = None;
        self.software = hello.software;
        self.site = hello.site;
        self.incarnation = Some(hello.incarnation);
        self.shards = hello.shards;
        self.loads.clear();
        self.rates.clear();
        self.counters.clear();
        self.link.replace(link)
    }

    /// A leg that it holds for another node, or was to; it is awaited until that time.
    pub(super) fn adopt(&mut self, leg: WantedLeg, epoch: Option<Epoch>, until: Duration) {
        self.awaited = self.link.is_none().then_some(until);
        self.plan.adopt(leg, epoch);
    }

    /// Awaits it no longer if its time is over at `now`.
    pub(super) fn note_time(&mut self, now: Duration) {
        self.awaited = self.awaited.filter(|until| now < *until);
    }

    /// Whether it counts as about to connect.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.is_some()
    }

    /// The link is gone.
    pub(super) fn part(&mut self) {
        self.link = None;
        self.plan.link_down();
    }

    pub(super) fn set_loads(&mut self, loads: Vec<ShardLoad>, now: Duration) {
        self.rates.resize_with(loads.len(), ShardRates::default);
        for (rate, load) in self.rates.iter_mut().zip(&loads) {
            rate.note(load, now);
        }
        self.loads = loads;
    }

    pub(super) fn set_counters(&mut self, counters: Vec<Counter>) {
        self.counters = counters;
    }

    /// Its number.
    pub fn id(&self) -> RelayId {
        self.id
    }

    /// Its connection, if it has one.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Whether it is connected and is given calls.
    pub fn takes_calls(&self) -> bool {
        self.link.is_some() && !self.drained
    }

    /// Whether it is taken out of use.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    pub(super) fn set_drained(&mut self, drained: bool) {
        self.drained = drained;
    }

    /// Name and version of its software.
    pub fn software(&self) -> &str {
        &self.software
    }

    /// The data centre it is in; empty if it does not say.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Its shards.
    pub fn shards(&self) -> &[ShardOffer] {
        &self.shards
    }

    /// What each shard last said of its load.
    pub fn loads(&self) -> &[ShardLoad] {
        &self.loads
    }

    /// What its counters stood at when it last said so.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// Where terminals reach a shard.
    pub fn address(&self, shard: ShardIndex) -> Option<Address> {
        self.shards.iter().find(|offer| offer.shard == shard).map(|offer| offer.address)
    }

    /// Packets a second over all its shards, as far as is known at `now`.
    pub(super) fn packets_per_s(&self, now: Duration) -> u32 {
        let rates = self.rates.iter().map(|rate| rate.packets_per_s(now));
        rates.fold(0, u32::saturating_add)
    }

    /// Its shards as places for a call at `now`; none while it takes no calls. Its site goes by the
    /// first relay there.
    pub(super) fn candidates(
        &self,
        site: RelayId,
        now: Duration,
    ) -> impl Iterator<Item = Candidate> + '_ {
        let shards = if self.takes_calls() { self.shards.as_slice() } else { &[] };
        shards.iter().enumerate().map(move |(nth, offer)| {
            let wanted = self.plan.legs_on(offer.shard);
            let reported = self.loads.get(nth).map_or(0, |load| load.legs);
            let rates = self.rates.get(nth).copied().unwrap_or_default();
            let expected = wanted.saturating_sub(reported).saturating_mul(LEG_PACKETS_PER_S);
            Candidate {
                relay: self.id,
                site,
                shard: offer.shard,
                legs: wanted.max(reported),
                legs_max: offer.legs_max,
                packets_per_s: rates.packets_per_s(now).saturating_add(expected),
                cpu_permille: rates.cpu_permille(now),
                reserve_per_s: 0,
                detour: 0,
            }
        })
    }
}
