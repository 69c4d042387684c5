//! A relay: the real legs, path and terms. Of a relay's process there is one shard here, whose
//! mailbox is its links' own queue.

use super::chance::{Chance, MS};
use super::net::{ConnId, Kind, Place};
use super::planted::Planted;
use super::world::{Event, World};
use kakehashi_relay::capacity::{BACK_OFF_MAX_MS, BACK_OFF_MIN_MS};
use kakehashi_relay::legs::{Identity, LegTable, ResyncCursor, Wanted};
use kakehashi_relay::orders::terms::{LinkNumber, Terms, Verdict};
use kakehashi_relay::path::batch::{Memory, Outgoing, Received, Slot};
use kakehashi_relay::path::forward;
use kakehashi_relay::path::verdict::PathCounters;
use kakehashi_relay::tick::Tick;
use kakehashi_srtp::Provider;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex, Term};
use kakehashi_wire::relay::{
    FromRelay, Hello, LegLane, Order, Orders, OrdersDone, Outcome, RelayHeartbeat, Resync,
    Rollovers, ShardLoad, ShardOffer, ToRelay,
};
use kakehashi_wire::rtp::Ssrc;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Legs that a relay takes.
const LEGS_MAX: usize = 96;

/// A relay.
pub(crate) struct Relay {
    pub(crate) site: usize,
    pub(crate) alive: bool,
    pub(crate) life: u64,
    pub(crate) incarnation: u64,
    pub(crate) stands_until: u64,
    pub(crate) legs: LegTable,
    counters: PathCounters,
    terms: Terms,
    /// The newest term of anything that was carried out, as the simulator sees it.
    obeyed: Term,
    /// By node.
    pub(crate) links: BTreeMap<usize, ConnId>,
    tries: BTreeMap<usize, u32>,
    sealed: BTreeSet<LegId>,
    draws: Box<dyn FnMut() -> u64 + Send>,
    started: u64,
}

/// Where terminals reach a relay.
pub(crate) fn address(relay: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, u8::try_from(relay).unwrap_or_default()], 4_000))
}

/// The number by which control knows a relay.
pub(crate) fn relay_id(relay: usize) -> RelayId {
    RelayId(u32::try_from(relay).unwrap_or_default() + 1)
}

impl Relay {
    /// A process that begins at `now`.
    pub(crate) fn new(relay: usize, site: usize, life: u64, now: u64, chance: &mut Chance) -> Self {
        let incarnation = chance.bits();
        Self::living(relay, site, (life, incarnation), now, chance)
    }

    /// The same, in this life.
    pub(crate) fn living(
        relay: usize,
        site: usize,
        (life, incarnation): (u64, u64),
        now: u64,
        chance: &mut Chance,
    ) -> Self {
        let identity = Identity { relay: relay_id(relay), incarnation: Incarnation(incarnation) };
        Self {
            site,
            alive: true,
            life,
            incarnation,
            stands_until: 0,
            legs: LegTable::new(LEGS_MAX, Provider::AesGcm, identity),
            counters: PathCounters::default(),
            terms: Terms::new(),
            obeyed: Term::NONE,
            links: BTreeMap::new(),
            tries: BTreeMap::new(),
            sealed: BTreeSet::new(),
            draws: chance.source(),
            started: now,
        }
    }
}

impl World {
    /// Begins what a relay does by itself.
    pub(crate) fn start_relay(&mut self, relay: usize) {
        let life = self.relays[relay].life;
        for node in 0..self.nodes.len() {
            let wait = self.chance.time(MS, 100 * MS);
            self.later(wait, Event::Dial(Kind::Relay, relay, node, life));
        }
        self.later(250 * MS, Event::Housekeeping(relay, life));
    }

    fn tick_of(&self, relay: usize) -> Tick {
        Tick((self.now - self.relays[relay].started) / MS + 1)
    }

    /// A relay has dialled a node.
    pub(crate) fn relay_connected(&mut self, relay: usize, node: usize) {
        let ends = [Place::Relay(relay), Place::Node(node)];
        let Some(id) = self.connect(Kind::Relay, ends) else { return };
        let here = &mut self.relays[relay];
        here.links.insert(node, id);
        here.tries.remove(&node);
        let offer = ShardOffer {
            shard: ShardIndex(0),
            address: address(relay).into(),
            legs_max: u32::try_from(LEGS_MAX).unwrap_or(u32::MAX),
        };
        let hello = Hello {
            relay: relay_id(relay),
            incarnation: Incarnation(here.incarnation),
            software: "simulated".into(),
            site: ["x", "y", "z"][here.site].into(),
            shards: vec![offer],
        };
        self.say(id, 0, FromRelay::Hello(hello));
    }

    /// A relay's link is lost: it dials again after a pause that grows.
    pub(crate) fn link_lost(&mut self, relay: usize, id: ConnId) {
        let here = &mut self.relays[relay];
        let node = here.links.iter().find(|(_, link)| **link == id).map(|(node, _)| *node);
        let Some(node) = node else { return };
        here.links.remove(&node);
        self.dial_again(relay, node);
    }

    /// A node that could not be reached is dialled after a pause that grows.
    pub(crate) fn dial_again(&mut self, relay: usize, node: usize) {
        let here = &mut self.relays[relay];
        let life = here.life;
        let tries = here.tries.entry(node).or_default();
        let full = BACK_OFF_MIN_MS.checked_shl(*tries).unwrap_or(BACK_OFF_MAX_MS);
        let full = full.min(BACK_OFF_MAX_MS) * MS;
        *tries = (*tries + 1).min(16);
        let wait = self.chance.time(full / 2, full + 1);
        self.later(wait, Event::Dial(Kind::Relay, relay, node, life));
    }

    /// A relay hears something from a node.
    pub(crate) fn relay_hears(&mut self, relay: usize, link: ConnId, said: ToRelay) {
        let node = self.relays[relay].links.iter().find(|(_, id)| **id == link);
        let Some(node) = node.map(|(node, _)| *node) else { return };
        match said {
            ToRelay::Orders(orders) => self.obey(relay, link, orders),
            ToRelay::Resync(resync) => self.resync(relay, (node, link), resync),
            ToRelay::NodeHeartbeat(_) | ToRelay::Welcome(_) => {}
        }
    }

    /// Whether orders of a term count, as the real table says; what is obeyed is checked here.
    fn admit(&mut self, relay: usize, link: ConnId, term: Term) -> bool {
        let planted = self.planted == Some(Planted::NoTerms);
        let here = &mut self.relays[relay];
        match here.terms.hear(term) {
            Verdict::Refuse(outdated) if !planted => {
                self.stats.outdated += 1;
                self.say(link, 0, FromRelay::Outdated(outdated));
                false
            }
            _ => {
                if term < here.obeyed {
                    let text = format!("relay {relay} obeys {term} after {}", here.obeyed);
                    self.fail("terms", text);
                    return true;
                }
                here.obeyed = here.obeyed.max(term);
                true
            }
        }
    }

    fn obey(&mut self, relay: usize, link: ConnId, orders: Orders) {
        if !self.admit(relay, link, orders.term) {
            return;
        }
        let now = self.tick_of(relay);
        let mut results = Vec::with_capacity(orders.orders.len());
        let one_call = self.planted == Some(Planted::OneCall);
        for mut order in orders.orders {
            if let Order::Install(install) = &mut order
                && one_call
            {
                install.call = CallId(1);
            }
            let installs = match &order {
                Order::Install(it) => Some((it.leg, it.generation, it.clone())),
                _ => None,
            };
            let what = match &order {
                Order::Install(_) => "installation",
                Order::Renew(_) => "renewal",
                Order::Remove(_) => "removal",
                Order::Subscribe(_) => "subscription",
            };
            let result = self.relays[relay].legs.apply(order, now);
            self.tell(|| format!("relay {}: {what}: {result:?}", relay_id(relay)));
            if let Some((leg, generation, install)) = installs
                && result.outcome == Outcome::Applied
            {
                self.installed(relay, (leg, generation), &install, result.life);
            }
            results.push(result);
        }
        self.stats.orders += results.len();
        self.say(link, 0, FromRelay::OrdersDone(OrdersDone { results }));
    }

    /// Notes which life a leg has: no two lives share a key.
    fn installed(
        &mut self,
        relay: usize,
        (leg, generation): (LegId, Generation),
        install: &kakehashi_wire::relay::InstallLeg,
        life: Generation,
    ) {
        let here = &mut self.relays[relay];
        let secret = match &install.lane {
            LegLane::Pass => {
                here.sealed.remove(&leg);
                return;
            }
            LegLane::Seal(lane) => super::ledger::hash(lane.secret.as_bytes()),
        };
        here.sealed.insert(leg);
        let incarnation = here.incarnation;
        let begins = life == generation;
        let process = here.life;
        let epoch = (relay, incarnation, leg, life);
        if let Err(text) = self.ledger.live(epoch, begins.then_some(process), secret) {
            self.fail("lives", text);
        }
    }

    fn resync(&mut self, relay: usize, (node, link): (usize, ConnId), resync: Resync) {
        if !self.admit(relay, link, resync.term) {
            return;
        }
        let here = &mut self.relays[relay];
        here.terms.stated_over(LinkNumber(node));
        let (wanted, mut cursor) = (Wanted::from(resync), ResyncCursor::default());
        while !here.legs.resync(&wanted, &mut cursor) {}
    }

    /// A relay's heartbeat over one link.
    pub(crate) fn relay_beats(&mut self, relay: usize, link: ConnId) {
        let here = &self.relays[relay];
        let load = ShardLoad {
            legs: u32::try_from(here.legs.len()).unwrap_or(u32::MAX),
            packets_received: here.counters.received(),
            packets_sent: here.counters.hops(),
            bytes_sent: 0,
            cpu_us: 0,
        };
        let beat = RelayHeartbeat { beat: 0, term: here.terms.newest(), shards: vec![load] };
        self.say(link, 0, FromRelay::RelayHeartbeat(beat));
    }

    /// Legs whose time is over go, and streams that have wrapped are told of.
    pub(crate) fn keep_house(&mut self, relay: usize, life: u64) {
        let now = self.tick_of(relay);
        let here = &mut self.relays[relay];
        let mut streams = Vec::new();
        here.legs.sweep(now, |stream| {
            streams.push(stream);
            true
        });
        let lead = here.links.iter().find(|(node, _)| here.terms.is_lead(LinkNumber(**node)));
        let lead = lead.map(|(_, link)| *link);
        if let Some(link) = lead.filter(|_| !streams.is_empty()) {
            self.say(link, 0, FromRelay::Rollovers(Rollovers { streams }));
        }
        self.later(250 * MS, Event::Housekeeping(relay, life));
    }

    /// A datagram reaches a relay's port: the real path says what leaves for it.
    pub(crate) fn relay_receives(&mut self, relay: usize, from: SocketAddr, bytes: &[u8]) {
        let now = self.tick_of(relay);
        let mut out = self.outgoing.take().unwrap_or_else(|| Box::new(Outgoing::new(16)));
        let here = &mut self.relays[relay];
        let received = Received { slot: Slot(0), start: 0, source: from, bytes };
        let batch = std::iter::once(received);
        forward(&mut here.legs, batch, now, &mut here.draws, &mut here.counters, &mut out);
        let mut left = Vec::new();
        for hop in out.hops() {
            for place in out.places(out.train(hop.train)) {
                let range = place.start as usize..(place.start + place.bytes) as usize;
                let (packet, own) = match place.memory {
                    Memory::Batch(_) => (&bytes[range], false),
                    Memory::Own => (&out.own()[range], true),
                };
                left.push((hop.destination, packet.to_vec(), own));
            }
        }
        out.clear();
        self.outgoing = Some(out);
        for (to, packet, own) in left {
            self.check_passage(from, to, &packet);
            if own {
                self.note_sealed(relay, to, &packet);
            }
            self.datagram(address(relay), to, packet);
        }
    }

    /// What a relay wrote itself for a leg of the seal lane is entered in the ledger.
    fn note_sealed(&mut self, relay: usize, to: SocketAddr, packet: &[u8]) {
        let (ssrc, kind) = match DatagramKind::of(packet) {
            DatagramKind::Rtp => (8, 0_u8),
            DatagramKind::Rtcp => (4, 1),
            DatagramKind::Stun | DatagramKind::Foreign => return,
        };
        let Some(ssrc) = packet.get(ssrc..).and_then(|rest| rest.first_chunk::<4>()) else {
            return;
        };
        let ssrc = Ssrc(u32::from_be_bytes(*ssrc));
        let here = &self.relays[relay];
        let Some((sender, _)) = here.legs.find_stream(ssrc) else { return };
        let call = here.legs.call_of(sender);
        let receives = |leg: &&LegId| {
            let slot = here.legs.find(**leg);
            slot.is_some_and(|slot| {
                let leg = here.legs.leg(slot);
                here.legs.call_of(slot) == call
                    && leg.is_some_and(|leg| {
                        leg.downlink().is_some() && leg.latch().address() == Some(to)
                    })
            })
        };
        let Some(leg) = here.sealed.iter().find(receives).copied() else { return };
        let life = here.legs.find(leg).and_then(|slot| here.legs.leg(slot)).map(|leg| leg.life());
        let Some(life) = life else { return };
        let key = super::ledger::hash(
            format!("{relay} {} {leg} {}", here.incarnation, life.0).as_bytes(),
        );
        if let Err(text) = self.ledger.sealed(key, (kind, ssrc.0), packet) {
            self.fail("nonce", format!("relay {relay}, leg {leg}: {text}"));
        }
    }
}
