//! The world of one run: everything that is simulated, and the queue of what happens next. One
//! seed decides all of it.

use super::carrier::{CoreId, Job};
use super::chance::{Chance, MS, SECOND};
use super::checks::Checks;
use super::lead::{Lead, Writer};
use super::ledger::Ledger;
use super::message::{FromNode, Message, ToNode, Token};
use super::net::{Conn, ConnId, Kind, Net, Place, SITES, Side};
use super::node::Node;
use super::people::{Person, Template};
use super::planted::Planted;
use super::relay::Relay;
use super::store::SimStore;
use super::switch::Held;
use super::terminal::Terminal;
use kakehashi_control::accounts::Accounts;
use kakehashi_control::coordinator::Input;
use kakehashi_control::nodes::election::Heard;
use kakehashi_control::store::StoreError;
use kakehashi_relay::path::batch::Outgoing;
use kakehashi_wire::id::{CallId, DeviceId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What clocks on walls show when a run begins, in milliseconds since 1970.
pub(crate) const WALL_AT_START: u64 = 1_700_000_000_000;

/// How long relays keep legs that nobody renews.
pub(crate) const LEG_LIFETIME: Duration = Duration::from_secs(120);

/// Silence after which a link between nodes, or with a relay, is given up.
const LINK_SILENCE: u64 = 600 * MS;

/// The same for a terminal's connection, whose transport alone keeps it.
pub(crate) const IDLE_SILENCE: u64 = 15 * SECOND;

const BEAT: u64 = 200 * MS;

/// What happens.
pub(crate) enum Event {
    Pump(ConnId, Side),
    Beat(ConnId, Side),
    /// Somebody, in this life, dials a node.
    Dial(Kind, usize, usize, u64),
    Connected(Kind, usize, usize, u64),
    Datagram(SocketAddr, SocketAddr, Vec<u8>),
    NodeTick(usize, u64),
    Watch(usize, u64),
    Look(usize, u64),
    Claim(usize, u64, Option<Term>),
    Heard(usize, u64, Box<Heard>),
    Begin(CoreId),
    Begun(CoreId, Box<Lead>),
    CoreTick(CoreId),
    Input(CoreId, Box<Input>),
    ToCore(CoreId, Box<FromNode>),
    ToSwitch(CoreId, Box<ToNode>),
    Write(CoreId, CallId, Box<Job>),
    Saved(CoreId, CallId, Box<(Job, Result<(), StoreError>)>),
    StoreWait(CoreId, u64),
    Gate(usize, u64, ConnId, usize, DeviceId, Option<Token>),
    Arrived(usize, u64, Box<Held>),
    Patience(usize, u64, u64),
    Stale(usize, u64),
    DeedOver(usize, u64, u64),
    Housekeeping(usize, u64),
    Alive(usize, u64),
    Media(usize, CallId, u64),
    Frame(usize, CallId, u64),
    /// A call rings at a terminal, and somebody decides what to do.
    Rings(usize, u64, CallId),
    Act,
    Operate,
    AskAgain(u64),
    Fault,
    Mend(u64),
    /// What a line to the store held up arrives there.
    Arrive,
}

/// What was counted.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stats {
    pub(crate) events: usize,
    pub(crate) terms: usize,
    pub(crate) fenced: usize,
    pub(crate) outdated: usize,
    pub(crate) orders: usize,
    pub(crate) sign_ins: usize,
    pub(crate) rounds: usize,
    pub(crate) renewed: usize,
    pub(crate) moved: usize,
    pub(crate) ended: usize,
    pub(crate) datagrams: usize,
    pub(crate) heard: usize,
    pub(crate) suspended: usize,
    pub(crate) faults: usize,
    pub(crate) sealed: usize,
    pub(crate) alive_at_end: usize,
}

impl Stats {
    /// With what another run counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.terms += other.terms;
        self.fenced += other.fenced;
        self.outdated += other.outdated;
        self.orders += other.orders;
        self.sign_ins += other.sign_ins;
        self.rounds += other.rounds;
        self.renewed += other.renewed;
        self.moved += other.moved;
        self.ended += other.ended;
        self.datagrams += other.datagrams;
        self.heard += other.heard;
        self.suspended += other.suspended;
        self.faults += other.faults;
        self.sealed += other.sealed;
        self.alive_at_end += other.alive_at_end;
    }
}

/// What a run found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    /// Which promise is broken.
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    /// When, in microseconds.
    pub(crate) at: u64,
}

/// One run.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    pub(crate) net: Net,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) store: Arc<SimStore>,
    /// Of how many answers of the store the node hears nothing.
    pub(crate) store_loss: f64,
    pub(crate) members_down: BTreeSet<usize>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) people: Vec<Person>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) terminals: Vec<Terminal>,
    /// Who led in each term.
    pub(crate) led: BTreeMap<Term, usize>,
    pub(crate) writers: BTreeMap<Term, Writer>,
    pub(crate) ledger: Ledger,
    pub(crate) checks: Checks,
    pub(crate) outgoing: Option<Box<Outgoing>>,
    pub(crate) ports: u16,
    pub(crate) stats: Stats,
    pub(crate) planted: Option<Planted>,
    pub(crate) failure: Option<Violation>,
    /// A print of all that happened, and when.
    pub(crate) print: u64,
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(seed: u64, template: &Template, planted: Option<Planted>) -> Self {
        let mut chance = Chance::new(seed);
        template.store.reset(&template.contents);
        let nodes = (0..SITES).map(|at| Node::new((at, SITES), at, 1 + at as u64, 0)).collect();
        let relays: Vec<_> =
            (0..4).map(|at| Relay::new(at, at % SITES, 10 + at as u64, 0, &mut chance)).collect();
        let devices = template.people.len() + 1;
        let terminals = (0..devices)
            .map(|nth| Terminal::new(nth % template.people.len(), nth, 20 + nth as u64))
            .collect();
        Self {
            chance,
            now: 0,
            queue: BTreeMap::new(),
            count: 100,
            net: Net { slowest: 30 * MS, ..Net::default() },
            conns: BTreeMap::new(),
            store: Arc::clone(&template.store),
            store_loss: 0.0,
            members_down: BTreeSet::new(),
            accounts: Arc::clone(&template.accounts),
            people: template.people.clone(),
            nodes,
            relays,
            terminals,
            led: BTreeMap::new(),
            writers: BTreeMap::new(),
            ledger: Ledger::default(),
            checks: Checks::new(template.people.len()),
            outgoing: None,
            ports: 1_024,
            stats: Stats::default(),
            planted,
            failure: None,
            print: seed,
        }
    }

    /// Everybody begins.
    pub(crate) fn begin_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.start_node(node));
        (0..self.relays.len()).for_each(|relay| self.start_relay(relay));
        (0..self.terminals.len()).for_each(|terminal| self.start_terminal(terminal));
    }

    /// A number that was never given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Something is to happen then.
    pub(crate) fn at(&mut self, at: u64, event: Event) {
        let number = self.number();
        self.queue.insert((at.max(self.now), number), event);
    }

    /// Something is to happen after that time.
    pub(crate) fn later(&mut self, wait: u64, event: Event) {
        self.at(self.now.saturating_add(wait), event);
    }

    /// Tells whoever looks for what a seed has found.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.checks.is_told {
            println!("{:>10} {}", self.now, what());
        }
    }

    /// A promise is broken.
    pub(crate) fn fail(&mut self, kind: &'static str, what: String) {
        let at = self.now;
        self.failure.get_or_insert(Violation { kind, what, at });
    }

    /// Lets everything happen up to a time, or until a promise is broken.
    pub(crate) fn run_until(&mut self, until: u64) {
        while self.failure.is_none()
            && let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= until
        {
            let (at, event) = (entry.key().0, entry.remove());
            self.now = at;
            self.stats.events += 1;
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        if let Some((place, life)) = self.target(&event) {
            if life.is_some_and(|life| self.life(place) != Some(life)) {
                return;
            }
            let stands_until = self.stands_until(place);
            if stands_until > self.now {
                return self.at(stands_until, event);
            }
        }
        let mut print = DefaultHasher::new();
        (self.print, self.now).hash(&mut print);
        note(&event, &mut print);
        self.print = print.finish();
        match event {
            Event::Pump(id, side) => self.pump(id, side),
            Event::Beat(id, side) => self.beat(id, side),
            Event::Dial(kind, from, to, life) => self.try_dial(kind, (from, to), life),
            Event::Connected(kind, from, to, _) => self.stands(kind, from, to),
            Event::Datagram(from, to, mut bytes) => self.datagram_arrives(from, to, &mut bytes),
            Event::Housekeeping(relay, life) => self.keep_house(relay, life),
            Event::Alive(terminal, life) => self.look_alive(terminal, life),
            Event::Media(terminal, call, number) => self.media_due(terminal, call, number),
            Event::Frame(terminal, call, number) => self.frame(terminal, call, number),
            Event::Rings(terminal, _, call) => self.answer(terminal, call),
            Event::Act => self.act_of_somebody(),
            Event::Operate => self.operator(),
            Event::AskAgain(ask) => self.ask_again(ask),
            Event::Fault => self.fault(),
            Event::Mend(fault) => self.mend(fault),
            Event::Arrive => self.store.arrive(),
            event => self.happen_at_node(event),
        }
    }

    fn happen_at_node(&mut self, event: Event) {
        match event {
            Event::NodeTick(node, _) => self.node_tick(node),
            Event::Watch(node, life) => self.watch(node, life),
            Event::Look(node, life) => self.look(node, life),
            Event::Claim(node, life, before) => self.claim(node, life, before),
            Event::Heard(node, _, heard) => self.hear_election(node, *heard),
            Event::Begin(core) => self.begin(core),
            Event::Begun(core, lead) => self.begun(core, *lead),
            Event::CoreTick(core) => self.core_tick(core),
            Event::Input(core, input) => self.input(core, *input, None),
            Event::ToCore(core, said) => self.own_asks(core, *said),
            Event::ToSwitch((node, _, term), said)
                if self.nodes[node].switch.route == Some(super::switch::Route::Own(term)) =>
            {
                self.switch_hears(node, *said);
            }
            Event::Write(core, call, job) => self.write(core, call, *job),
            Event::Saved(core, call, answer) => {
                let (job, done) = *answer;
                self.saved(core, call, job, done);
            }
            Event::StoreWait(core, waited) => self.store_waited(core, waited),
            Event::Gate(node, _, conn, account, device, token) => {
                self.gate(node, conn, account, (device, token));
            }
            Event::Arrived(node, _, held) => self.arrived(node, *held),
            Event::Patience(node, _, which) => self.patience_over(node, which),
            Event::Stale(node, _) => self.look_for_stale(node),
            Event::DeedOver(node, _, ask) => drop(self.nodes[node].switch.deeds.remove(&ask)),
            _ => {}
        }
    }

    /// Whom something happens to, and in which life it counts.
    fn target(&self, event: &Event) -> Option<(Place, Option<u64>)> {
        let of = |place, life: &u64| Some((place, Some(*life)));
        match event {
            Event::Pump(id, side) => Some((self.conns.get(id)?.ends[1 - side], None)),
            Event::Beat(id, side) => Some((self.conns.get(id)?.ends[*side], None)),
            Event::Dial(kind, from, _, life) | Event::Connected(kind, from, _, life) => {
                of(dialler(*kind, *from), life)
            }
            Event::Datagram(_, to, _) => Some((super::media::place(*to)?, None)),
            Event::NodeTick(node, life)
            | Event::Watch(node, life)
            | Event::Heard(node, life, _)
            | Event::Gate(node, life, ..)
            | Event::Arrived(node, life, _)
            | Event::Patience(node, life, _)
            | Event::Stale(node, life)
            | Event::DeedOver(node, life, _)
            | Event::Begin((node, life, _))
            | Event::Begun((node, life, _), _)
            | Event::CoreTick((node, life, _))
            | Event::Input((node, life, _), _)
            | Event::ToCore((node, life, _), _)
            | Event::ToSwitch((node, life, _), _)
            | Event::Saved((node, life, _), ..)
            | Event::StoreWait((node, life, _), _) => of(Place::Node(*node), life),
            Event::Housekeeping(relay, life) => of(Place::Relay(*relay), life),
            Event::Alive(terminal, life) | Event::Rings(terminal, life, _) => {
                of(Place::Terminal(*terminal), life)
            }
            Event::Media(terminal, ..) | Event::Frame(terminal, ..) => {
                Some((Place::Terminal(*terminal), None))
            }
            Event::Look(..)
            | Event::Claim(..)
            | Event::Write(..)
            | Event::Act
            | Event::Operate
            | Event::AskAgain(_)
            | Event::Fault
            | Event::Mend(_)
            | Event::Arrive => None,
        }
    }

    /// Somebody dials: it takes a round trip, or the time after which one gives up.
    fn try_dial(&mut self, kind: Kind, (from, to): (usize, usize), life: u64) {
        let (place, node) = (dialler(kind, from), Place::Node(to));
        let answers = self.life(node).is_some() && self.stands_until(node) <= self.now;
        let wait = if answers && self.is_whole(place, node) {
            2 * self.delay(place, node)
        } else {
            SECOND
        };
        self.later(wait, Event::Connected(kind, from, to, life));
    }

    fn stands(&mut self, kind: Kind, from: usize, to: usize) {
        let (place, node) = (dialler(kind, from), Place::Node(to));
        let answers = self.life(node).is_some() && self.stands_until(node) <= self.now;
        if answers && self.is_whole(place, node) {
            return self.connected(kind, from, to);
        }
        match kind {
            Kind::Relay => self.dial_again(from, to),
            Kind::Session => self.dial_next(from),
            Kind::Peer => {
                let life = self.nodes[from].life;
                self.later(BEAT, Event::Dial(kind, from, to, life));
            }
        }
    }

    /// Both sides of a link say that they are there, and give it up when the other does not.
    fn beat(&mut self, id: ConnId, side: Side) {
        if !self.has_side(id, side) {
            return;
        }
        let Some(conn) = self.conns.get(&id) else { return };
        let silence = if conn.kind == Kind::Session { IDLE_SILENCE } else { LINK_SILENCE };
        if self.now - conn.heard[side] > silence {
            return self.lose(id, side, true);
        }
        match (conn.kind, side, conn.ends[side]) {
            (Kind::Relay, 0, Place::Relay(relay)) => self.relay_beats(relay, id),
            (Kind::Relay, _, _) => {
                let beat = kakehashi_wire::relay::NodeHeartbeat { beat: 1 };
                self.say(id, side, kakehashi_wire::relay::ToRelay::from(beat));
            }
            (Kind::Peer, 0, Place::Node(node)) => {
                let leads = self.leads_in(node);
                self.say(id, 0, FromNode::Beat(leads));
            }
            (Kind::Peer, 1, Place::Node(node)) => self.beat_at_door(node, id),
            _ => {}
        }
        let again = if silence == LINK_SILENCE { BEAT } else { SECOND };
        self.later(again, Event::Beat(id, side));
    }

    /// A side of a connection hears something.
    pub(crate) fn hear(&mut self, id: ConnId, side: Side, message: Message) {
        let Some(place) = self.conns.get(&id).map(|conn| conn.ends[side]) else { return };
        match (place, message) {
            (Place::Relay(relay), Message::ToRelay(said)) => self.relay_hears(relay, id, said),
            (Place::Node(node), Message::FromRelay(said)) => self.relay_says(node, id, said),
            (Place::Node(node), Message::FromNode(said)) => self.door_hears(node, id, said),
            (Place::Node(node), Message::ToNode(said)) => self.peer_hears(node, id, said),
            (Place::Node(node), Message::FromTerminal(said)) => self.gate_hears(node, id, said),
            (Place::Terminal(terminal), Message::ToTerminal(told)) => {
                self.terminal_hears(terminal, id, told);
            }
            _ => {}
        }
    }

    /// A side has lost a connection.
    pub(crate) fn lost(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get(&id) else { return };
        match (conn.kind, side, conn.ends[side]) {
            (Kind::Relay, 0, Place::Relay(relay)) => self.link_lost(relay, id),
            (Kind::Relay, 1, Place::Node(node)) => self.relay_parts(node, id),
            (Kind::Peer, 0, Place::Node(node)) => self.peer_lost(node, id),
            (Kind::Peer, 1, Place::Node(node)) => self.door_lost(node, id),
            (Kind::Session, 0, Place::Terminal(terminal)) => self.session_lost(terminal, id),
            (Kind::Session, 1, Place::Node(node)) => self.gate_lost(node, id),
            _ => {}
        }
    }
}

/// Who dials for a kind of connection.
fn dialler(kind: Kind, from: usize) -> Place {
    match kind {
        Kind::Relay => Place::Relay(from),
        Kind::Peer => Place::Node(from),
        Kind::Session => Place::Terminal(from),
    }
}

/// What names an event in the print of a run.
fn note(event: &Event, print: &mut DefaultHasher) {
    std::mem::discriminant(event).hash(print);
    match event {
        Event::Pump(id, side) => (id, side).hash(print),
        Event::Datagram(from, to, bytes) => (from, to, bytes).hash(print),
        Event::Input(core, _) => core.hash(print),
        Event::Media(terminal, call, _) => (terminal, call).hash(print),
        Event::Write(core, call, _) => (core, call).hash(print),
        _ => {}
    }
}
