//! The network: ways that are cut in one direction or both, connections that keep what is said in
//! order until they are lost, and datagrams that are lost, late, twice and out of order.

use super::chance::MS;
use super::message::Message;
use super::world::{Event, World};
use std::collections::{BTreeSet, VecDeque};

/// Data centres.
pub(crate) const SITES: usize = 3;

/// Somebody at the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Place {
    Node(usize),
    Relay(usize),
    Terminal(usize),
}

/// One of the two ends of a connection: 0 is who dialled.
pub(crate) type Side = usize;

/// Number of a connection; never the same twice in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnId(pub(crate) u64);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A relay's link to a node.
    Relay,
    /// A node's link to another.
    Peer,
    /// A terminal's to a node.
    Session,
}

/// A connection: what is under way in each direction, and what each side makes of it.
pub(crate) struct Conn {
    pub(crate) kind: Kind,
    pub(crate) ends: [Place; 2],
    pub(crate) open: [bool; 2],
    pub(crate) heard: [u64; 2],
    lives: [u64; 2],
    /// By who says it: when it arrives at the earliest.
    queues: [VecDeque<(u64, Message)>; 2],
    pumping: [bool; 2],
}

/// The ways between places.
#[derive(Default)]
pub(crate) struct Net {
    /// From where to where nothing goes: sites by their number, terminals' networks above.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    /// Of a thousand datagrams, so many are lost.
    pub(crate) loss: u32,
    /// Of a thousand, so many come twice.
    pub(crate) doubled: u32,
    /// The longest that anything takes.
    pub(crate) slowest: u64,
}

impl World {
    /// In which network somebody is.
    pub(crate) fn network(&self, place: Place) -> usize {
        match place {
            Place::Node(node) => self.nodes[node].site,
            Place::Relay(relay) => self.relays[relay].site,
            Place::Terminal(terminal) => SITES + terminal,
        }
    }

    /// Whether anything goes that way.
    pub(crate) fn is_open(&self, from: Place, to: Place) -> bool {
        let way = (self.network(from), self.network(to));
        way.0 == way.1 || !self.net.cuts.contains(&way)
    }

    /// Whether things go both ways.
    pub(crate) fn is_whole(&self, one: Place, other: Place) -> bool {
        self.is_open(one, other) && self.is_open(other, one)
    }

    /// Which life of its process somebody is in; `None` while there is none.
    pub(crate) fn life(&self, place: Place) -> Option<u64> {
        let (alive, life) = match place {
            Place::Node(at) => (self.nodes[at].alive, self.nodes[at].life),
            Place::Relay(at) => (self.relays[at].alive, self.relays[at].life),
            Place::Terminal(at) => (self.terminals[at].alive, self.terminals[at].life),
        };
        alive.then_some(life)
    }

    /// Until when somebody stands still.
    pub(crate) fn stands_until(&self, place: Place) -> u64 {
        match place {
            Place::Node(at) => self.nodes[at].stands_until,
            Place::Relay(at) => self.relays[at].stands_until,
            Place::Terminal(at) => self.terminals[at].stands_until,
        }
    }

    /// How long the next thing takes on its way.
    pub(crate) fn delay(&mut self, from: Place, to: Place) -> u64 {
        let near = self.network(from) == self.network(to);
        let least = if near { MS / 10 } else { MS };
        let most = if near { 2 * MS } else { self.net.slowest };
        self.chance.time(least, most.max(least + 1))
    }

    /// A connection that both sides know of.
    pub(crate) fn connect(&mut self, kind: Kind, ends: [Place; 2]) -> Option<ConnId> {
        let lives = [self.life(ends[0])?, self.life(ends[1])?];
        let id = ConnId(self.number());
        let conn = Conn {
            kind,
            ends,
            lives,
            open: [true; 2],
            heard: [self.now; 2],
            queues: [VecDeque::new(), VecDeque::new()],
            pumping: [false; 2],
        };
        self.conns.insert(id, conn);
        let dials = (kind != Kind::Session).then_some(0);
        for side in dials.into_iter().chain([1]) {
            self.later(0, Event::Beat(id, side));
        }
        Some(id)
    }

    /// Whether a side still has it, in the life in which it was made.
    pub(crate) fn has_side(&self, id: ConnId, side: Side) -> bool {
        let lives = |conn: &Conn| self.life(conn.ends[side]) == Some(conn.lives[side]);
        self.conns.get(&id).is_some_and(|conn| conn.open[side] && lives(conn))
    }

    /// Says something over a connection; nothing if this side has lost it.
    pub(crate) fn say(&mut self, id: ConnId, side: Side, message: impl Into<Message>) {
        if self.has_side(id, side) {
            self.put(id, side, message.into());
        }
    }

    fn put(&mut self, id: ConnId, side: Side, message: Message) {
        let Some(ends) = self.conns.get(&id).map(|conn| conn.ends) else { return };
        let due = self.now + self.delay(ends[side], ends[1 - side]);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let due = conn.queues[side].back().map_or(due, |(last, _)| due.max(*last));
        conn.queues[side].push_back((due, message));
        if !std::mem::replace(&mut conn.pumping[side], true) {
            self.at(due, Event::Pump(id, side));
        }
    }

    /// What is due of what `side` said arrives, in order. What waits for a way to open again is
    /// repeated by the transport until then.
    pub(crate) fn pump(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.pumping[side] = false;
        let ends = conn.ends;
        let Some(due) = conn.queues[side].front().map(|(due, _)| *due) else { return };
        let open = self.is_open(ends[side], ends[1 - side]);
        let again = match (open, due <= self.now) {
            (false, _) => Some(self.now + 40 * MS),
            (true, false) => Some(due),
            (true, true) => None,
        };
        if let Some(again) = again {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.pumping[side] = true;
            }
            return self.at(again, Event::Pump(id, side));
        }
        let there = self.has_side(id, 1 - side);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some((_, message)) = conn.queues[side].pop_front() else { return };
        if let Some((next, _)) = conn.queues[side].front() {
            conn.pumping[side] = true;
            let next = *next;
            self.at(next.max(self.now), Event::Pump(id, side));
        }
        if !there {
            return;
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.heard[1 - side] = self.now;
        }
        match message {
            Message::Close => self.lose(id, 1 - side, false),
            message => self.hear(id, 1 - side, message),
        }
    }

    /// A side gives a connection up. The other hears of it if it `tells`, behind what was said
    /// before, or behind some of it: what a closed connection has not sent yet is gone.
    pub(crate) fn lose(&mut self, id: ConnId, side: Side, tells: bool) {
        if !self.has_side(id, side) {
            return;
        }
        let cut_short = self.chance.one_in(2);
        let keeps = self.chance.below(4);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.open[side] = false;
        if cut_short {
            conn.queues[side].truncate(keeps);
        }
        if tells {
            self.put(id, side, Message::Close);
        }
        self.lost(id, side);
    }

    /// Drops connections that neither side has any more.
    pub(crate) fn forget_conns(&mut self) {
        let gone: Vec<_> = self.conns.keys().copied().collect();
        for id in gone {
            if !self.has_side(id, 0) && !self.has_side(id, 1) {
                self.conns.remove(&id);
            }
        }
    }
}
