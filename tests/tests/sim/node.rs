//! A node: its part in the election, its links to the others, and its sessions, which it hands to
//! whoever leads.

use super::carrier::CoreId;
use super::chance::MS;
use super::lead::{Tenure, Way};
use super::message::{FromNode, ToNode};
use super::net::{ConnId, Kind, Place};
use super::store::at_once;
use super::switch::{Route, Switch};
use super::world::{Event, WALL_AT_START, World};
use kakehashi_control::capacity::nodes::NODE_DIAL_EVERY;
use kakehashi_control::clock::{CLOCK_STARTS, Now, UnixMs};
use kakehashi_control::nodes::NodeName;
use kakehashi_control::nodes::election::{Act, Election, Heard};
use kakehashi_control::nodes::record;
use kakehashi_control::store::SharedStore;
use kakehashi_wire::id::Term;
use kakehashi_wire::relay::Hello;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A control node.
pub(crate) struct Node {
    pub(crate) site: usize,
    pub(crate) alive: bool,
    pub(crate) life: u64,
    pub(crate) stands_until: u64,
    /// By how much its clock on the wall is wrong, in milliseconds.
    pub(crate) wall_off: i64,
    pub(crate) started: u64,
    pub(crate) election: Election,
    /// Links it dialled that stand, and in which term the node there leads.
    pub(crate) peers: BTreeMap<usize, (ConnId, Term)>,
    /// Links of others to it: who, with which term of this node its sessions are, what it was told.
    pub(crate) doors: BTreeMap<ConnId, Door>,
    pub(crate) relays: BTreeMap<ConnId, Hello>,
    pub(crate) tenure: Option<Tenure>,
    pub(crate) switch: Switch,
    /// The term of the record when it was last seen.
    pub(crate) seen: Option<Option<Term>>,
    pub(crate) claims: u64,
    pub(crate) tick: Option<u64>,
}

/// A link that another node dialled.
pub(crate) struct Door {
    pub(crate) peer: usize,
    pub(crate) term: Option<Term>,
    pub(crate) told: Term,
}

/// The name of a node.
pub(crate) fn name(node: usize) -> NodeName {
    NodeName::parse(["a", "b", "c"][node]).expect("a letter is a name")
}

fn number(name: &NodeName) -> usize {
    ["a", "b", "c"].iter().position(|it| *it == name.as_str()).unwrap_or_default()
}

impl Node {
    /// A process that begins at `now`, of one of so many nodes.
    pub(crate) fn new((node, nodes): (usize, usize), site: usize, life: u64, now: u64) -> Self {
        Self {
            site,
            alive: true,
            life,
            stands_until: 0,
            wall_off: 0,
            started: now,
            election: Election::new(name(node), life, (node, nodes), CLOCK_STARTS),
            peers: BTreeMap::new(),
            doors: BTreeMap::new(),
            relays: BTreeMap::new(),
            tenure: None,
            switch: Switch::default(),
            seen: None,
            claims: 0,
            tick: None,
        }
    }
}

impl World {
    /// What the clocks of a node show.
    pub(crate) fn clock_of(&self, node: usize) -> Now {
        let node = &self.nodes[node];
        let since = Duration::from_micros(self.now.saturating_sub(node.started));
        let wall = WALL_AT_START + self.now / MS;
        Now {
            since_start: CLOCK_STARTS + since,
            wall: UnixMs(wall.saturating_add_signed(node.wall_off)),
        }
    }

    /// Begins what a node does by itself.
    pub(crate) fn start_node(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            let wait = self.chance.time(MS, 200 * MS);
            self.later(wait, Event::Dial(Kind::Peer, node, peer, life));
        }
        self.later(MS, Event::Watch(node, life));
        self.later(0, Event::Patience(node, life, 0));
        self.look_at_election(node);
    }

    /// The election hears something.
    pub(crate) fn hear_election(&mut self, node: usize, heard: Heard) {
        let now = self.clock_of(node).since_start;
        let act = self.nodes[node].election.hear(heard, now);
        if let Some(act) = act {
            self.tell(|| format!("node {node}: {act:?}"));
        }
        self.act(node, act);
        self.look_at_election(node);
        self.say_where(node);
    }

    fn look_at_election(&mut self, node: usize) {
        let now = self.clock_of(node).since_start;
        let life = self.nodes[node].life;
        let Some(due) = self.nodes[node].election.next_deadline() else { return };
        let due = u64::try_from(due.saturating_sub(now).as_micros()).unwrap_or(u64::MAX);
        let at = self.now.saturating_add(due.max(MS));
        if self.nodes[node].tick.is_none_or(|tick| tick > at) {
            self.nodes[node].tick = Some(at);
            self.at(at, Event::NodeTick(node, life));
        }
    }

    /// Time has passed for the election.
    pub(crate) fn node_tick(&mut self, node: usize) {
        if self.nodes[node].tick.is_some_and(|tick| tick <= self.now) {
            self.nodes[node].tick = None;
            self.hear_election(node, Heard::Tick);
        }
    }

    fn act(&mut self, node: usize, act: Option<Act>) {
        let life = self.nodes[node].life;
        match act {
            None => {}
            Some(Act::Look) => {
                let wait = self.store_delay();
                self.later(wait, Event::Look(node, life));
            }
            Some(Act::Claim(before)) => {
                self.nodes[node].claims += 1;
                let wait = self.store_delay();
                self.later(wait, Event::Claim(node, life, before));
            }
            Some(Act::Lead(term)) => {
                if let Some(other) = self.led.insert(term, node)
                    && other != node
                {
                    self.fail("election", format!("{other} and {node} lead in term {term}"));
                }
                self.step_down(node);
                self.nodes[node].tenure = Some(Tenure { term, lead: None, since: self.now });
                let wait = self.chance.time(MS, 40 * MS);
                self.later(wait, Event::Begin((node, life, term)));
            }
            Some(Act::StepDown(_)) => self.step_down(node),
            Some(Act::Resign(term)) => {
                self.step_down(node);
                let reached = self.reaches_store(node);
                self.store.set_reached(reached);
                let store: SharedStore = self.store.clone();
                // If it is not done, others will notice.
                let _resigned = at_once(record::resign(&store, term));
            }
        }
    }

    /// Leads no longer: the core ends where it stands.
    fn step_down(&mut self, node: usize) {
        if self.nodes[node].tenure.take().is_none() {
            return;
        }
        self.beat_now(node);
        self.say_where(node);
    }

    /// A write was refused because another has claimed the lead.
    pub(crate) fn fenced(&mut self, (node, life, term): CoreId) {
        if self.nodes[node].alive && self.nodes[node].life == life {
            self.stats.fenced += 1;
            self.hear_election(node, Heard::Fenced(term));
        }
    }

    /// A look at the record reaches the store.
    pub(crate) fn look(&mut self, node: usize, life: u64) {
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let store: SharedStore = self.store.clone();
        let (wait, heard) = match at_once(record::read(&store)) {
            Ok(record) => (self.store_delay(), Heard::Found(record)),
            Err(_) => (self.chance.time(1_000 * MS, 4_000 * MS), Heard::Beaten),
        };
        self.later(wait, Event::Heard(node, life, Box::new(heard)));
    }

    /// A claim reaches the store.
    pub(crate) fn claim(&mut self, node: usize, life: u64, before: Option<Term>) {
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let store: SharedStore = self.store.clone();
        let claimed = at_once(record::claim(&store, (name(node), life), before));
        let answered = reached && !self.chance.happens(self.store_loss);
        let (wait, heard) = match (claimed, answered) {
            (Ok(term), true) => (self.store_delay(), Heard::Won(term)),
            (Err(_), true) => (self.store_delay(), Heard::Beaten),
            (_, false) => (self.chance.time(700 * MS, 4_000 * MS), Heard::Beaten),
        };
        self.later(wait, Event::Heard(node, life, Box::new(heard)));
    }

    /// A node looks who leads, by the store's record.
    pub(crate) fn watch(&mut self, node: usize, life: u64) {
        let again = self.chance.time(20 * MS, 150 * MS);
        self.later(again, Event::Watch(node, life));
        if !self.reaches_store(node) {
            return;
        }
        let stands = self.store.revision_of("x/lead").map(Term);
        if self.nodes[node].seen == Some(stands) {
            return;
        }
        self.nodes[node].seen = Some(stands);
        self.store.set_reached(true);
        let store: SharedStore = Arc::clone(&self.store) as SharedStore;
        if let Ok(record) = at_once(record::read(&store)) {
            self.hear_election(node, Heard::Record(record));
        }
    }

    /// The term that a node says it leads in.
    pub(crate) fn leads_in(&self, node: usize) -> Term {
        self.core_at(node).map_or(Term::NONE, |(_, _, term)| term)
    }

    /// Tells all nodes at once whether it leads, as when that has changed.
    pub(crate) fn beat_now(&mut self, node: usize) {
        let doors: Vec<_> = self.nodes[node].doors.keys().copied().collect();
        for id in doors {
            self.beat_at_door(node, id);
        }
    }

    /// One beat to a node that dialled; a link over which this node led is closed when it no longer
    /// does.
    pub(crate) fn beat_at_door(&mut self, node: usize, id: ConnId) {
        let leads = self.leads_in(node);
        let Some(door) = self.nodes[node].doors.get_mut(&id) else { return };
        if door.told != Term::NONE && door.told != leads {
            return self.lose(id, 1, true);
        }
        door.told = leads;
        self.say(id, 1, ToNode::Beat(leads));
    }

    /// A node that was dialled hears something.
    pub(crate) fn door_hears(&mut self, node: usize, id: ConnId, said: FromNode) {
        let Some(peer) = self.nodes[node].doors.get(&id).map(|door| door.peer) else { return };
        if let FromNode::Beat(leads) = said {
            return self.hear_election(node, Heard::Beat(name(peer), leads));
        }
        let core = self.core_at(node);
        let Some(door) = self.nodes[node].doors.get_mut(&id) else { return };
        let fits = core.is_some_and(|(_, _, term)| *door.term.get_or_insert(term) == term);
        match core.filter(|_| fits) {
            Some(core) => self.guest_says(core, Way::Door(id), said),
            None => self.lose(id, 1, true),
        }
    }

    /// A node hears something over a link that it dialled.
    pub(crate) fn peer_hears(&mut self, node: usize, id: ConnId, said: ToNode) {
        let peer = self.nodes[node].peers.iter().find(|(_, (link, _))| *link == id);
        let Some(peer) = peer.map(|(peer, _)| *peer) else { return };
        if let ToNode::Beat(leads) = said {
            if let Some((_, term)) = self.nodes[node].peers.get_mut(&peer) {
                *term = leads;
            }
            return self.hear_election(node, Heard::Beat(name(peer), leads));
        }
        if self.nodes[node].switch.route == Some(Route::Peer(id)) {
            self.switch_hears(node, said);
        }
    }

    /// A link to another node is lost: it is dialled again.
    pub(crate) fn peer_lost(&mut self, node: usize, id: ConnId) {
        let life = self.nodes[node].life;
        let peer = self.nodes[node].peers.iter().find(|(_, (link, _))| *link == id);
        if let Some(peer) = peer.map(|(peer, _)| *peer) {
            self.nodes[node].peers.remove(&peer);
            let wait = u64::try_from(NODE_DIAL_EVERY.as_micros()).unwrap_or_default();
            self.later(wait, Event::Dial(Kind::Peer, node, peer, life));
            self.say_where(node);
        }
    }

    /// A node that had dialled is gone.
    pub(crate) fn door_lost(&mut self, node: usize, id: ConnId) {
        let Some(door) = self.nodes[node].doors.remove(&id) else { return };
        let core = self.core_at(node).filter(|(_, _, term)| door.term == Some(*term));
        if let Some(core) = core {
            self.guest_leaves(core, Way::Door(id));
        }
    }

    /// Tells the switch of another way to the lead.
    pub(crate) fn say_where(&mut self, node: usize) {
        let own = self.core_at(node).map(|(_, _, term)| Route::Own(term));
        let here = &self.nodes[node];
        let peer = here.election.follows().and_then(|(lead, term)| {
            let (link, leads) = here.peers.get(&number(lead))?;
            (*leads == term).then_some(Route::Peer(*link))
        });
        let route = own.or(peer);
        if route != here.switch.route {
            self.set_route(node, route);
        }
    }

    /// Whether a node reaches a majority of the store's members, one at each site.
    pub(crate) fn reaches_store(&self, node: usize) -> bool {
        let at = self.nodes[node].site;
        let alive = |site: &usize| !self.members_down.contains(site);
        let whole = |site: &usize| {
            *site == at
                || !(self.net.cuts.contains(&(at, *site)) || self.net.cuts.contains(&(*site, at)))
        };
        let sites = 0..super::net::SITES;
        alive(&at) && sites.filter(|site| alive(site) && whole(site)).count() >= 2
    }

    /// How long the store takes.
    pub(crate) fn store_delay(&mut self) -> u64 {
        if self.chance.one_in(40) {
            return self.chance.time(50 * MS, 2_500 * MS);
        }
        self.chance.time(MS, 15 * MS)
    }

    /// Who dialled is connected.
    pub(crate) fn connected(&mut self, kind: Kind, from: usize, to: usize) {
        match kind {
            Kind::Peer => {
                let Some(id) = self.connect(kind, [Place::Node(from), Place::Node(to)]) else {
                    return;
                };
                self.nodes[from].peers.insert(to, (id, Term::NONE));
                let door = Door { peer: from, term: None, told: Term::NONE };
                self.nodes[to].doors.insert(id, door);
                self.beat_at_door(to, id);
            }
            Kind::Relay => self.relay_connected(from, to),
            Kind::Session => self.terminal_connected(from, to),
        }
    }
}
