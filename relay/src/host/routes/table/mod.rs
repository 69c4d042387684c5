//! Decides how each destination is reached. No socket, clock or thread: events and answers are
//! handed in, and what follows from them is taken out.
//!
//! **After any sequence of events, once every wanted lookup is answered and everything owed is
//! taken, each shard was told last what the tables say now.** What is owed is the name of a
//! destination, not its way, so what is told late is the newest all the same.

#[cfg(test)]
mod tests;

use super::agenda::Agenda;
use super::facts::{Event, Hop, Route, Seen};
use super::links::{LinkId, Links};
use super::{Mac, NextHop, Told, Way};
use crate::tick::Tick;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

/// What an event may have changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Touched {
    /// Nothing that has not been seen to.
    Nothing,
    /// Any route: all destinations are to be looked up anew.
    Routes,
    /// The same, and the addresses of the interface.
    Links,
}

/// A destination one shard wants to reach.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Want {
    pub(super) shard: usize,
    pub(super) destination: IpAddr,
}

/// Why a destination is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// A shard asked for it and knows nothing yet.
    Asked,
    /// Routes may have changed.
    Stirred,
}

/// Everything known and everything wanted.
pub(super) struct Table {
    destinations_max: usize,
    links: Links,
    /// Neighbours that can be reached, of every link.
    neighbours: HashMap<Hop, Neighbour>,
    /// What shards asked for. The peers choose these addresses, so the hasher is the safe one.
    destinations: HashMap<Want, Destination>,
    /// Which destinations packets reach through a neighbour.
    behind: HashMap<Hop, HashSet<Want>>,
    agenda: Agenda,
    asked: VecDeque<Want>,
    stirred: VecDeque<Want>,
    shards: Vec<Shard>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Neighbour {
    mac: Mac,
    is_fixed: bool,
}

#[derive(Default)]
struct Destination {
    route: Option<Route>,
    /// `None` until it was looked up.
    way: Option<Way>,
    is_queued: bool,
    is_owed: bool,
}

#[derive(Default)]
struct Shard {
    destinations: usize,
    owed: VecDeque<Owed>,
}

enum Owed {
    /// Whatever is known of it when it is told.
    Newest(IpAddr),
    /// Through the kernel: it is not followed.
    Refused(IpAddr),
}

impl Table {
    /// Knows nothing yet; each shard may follow so many destinations.
    pub(super) fn new(interface: LinkId, shards: usize, destinations_max: usize) -> Self {
        Self {
            destinations_max,
            links: Links::new(interface),
            neighbours: HashMap::new(),
            destinations: HashMap::new(),
            behind: HashMap::new(),
            agenda: Agenda::default(),
            asked: VecDeque::new(),
            stirred: VecDeque::new(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
        }
    }

    /// The interface and its addresses.
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// Takes an event in.
    pub(super) fn apply(&mut self, event: Event, now: Tick) -> Touched {
        match event {
            Event::Link(id, link) => {
                if !self.links.describe(id, link) {
                    return Touched::Nothing;
                }
                self.renew_all(now);
                Touched::Links
            }
            Event::Address(address, is_there) => {
                self.links.address(address, is_there);
                Touched::Links
            }
            Event::Neighbour(hop, seen) => {
                if self.see(hop, seen) {
                    self.renew_behind(hop);
                }
                if seen == Seen::Gone {
                    self.agenda.hasten(hop, now);
                }
                Touched::Nothing
            }
            Event::Routes => Touched::Routes,
        }
    }

    /// Replaces all that is known by what a complete dump says, and looks everything up anew.
    pub(super) fn replace(&mut self, dump: impl IntoIterator<Item = Event>, now: Tick) {
        self.links.clear();
        self.neighbours.clear();
        for event in dump {
            match event {
                Event::Link(id, link) => drop(self.links.describe(id, link)),
                Event::Address(address, is_there) => self.links.address(address, is_there),
                Event::Neighbour(hop, seen) => drop(self.see(hop, seen)),
                Event::Routes => {}
            }
        }
        self.renew_all(now);
        self.look_all();
    }

    /// Wants every destination looked up anew.
    pub(super) fn look_all(&mut self) {
        for (want, destination) in &mut self.destinations {
            if !destination.is_queued {
                destination.is_queued = true;
                self.stirred.push_back(*want);
            }
        }
    }

    /// A shard asks.
    pub(super) fn ask(&mut self, want: Want) {
        let Some(shard) = self.shards.get_mut(want.shard) else { return };
        if let Some(destination) = self.destinations.get_mut(&want) {
            if destination.way.is_some() {
                destination.owe(want, shard);
            }
            return;
        }
        if !may_be_direct(want.destination) || shard.destinations >= self.destinations_max {
            shard.owed.push_back(Owed::Refused(want.destination));
            return;
        }
        shard.destinations += 1;
        self.destinations.insert(want, Destination { is_queued: true, ..Destination::default() });
        self.asked.push_back(want);
    }

    /// A shard no longer needs a destination.
    pub(super) fn forget(&mut self, want: Want) {
        let Some(destination) = self.destinations.remove(&want) else { return };
        if let Some(shard) = self.shards.get_mut(want.shard) {
            shard.destinations -= 1;
        }
        if let Some(route) = destination.route {
            self.leave(want, route.hop);
        }
    }

    /// A shard is gone and needs nothing.
    pub(super) fn forget_shard(&mut self, shard: usize) {
        let wants = self.destinations.keys().filter(|want| want.shard == shard);
        for want in wants.copied().collect::<Vec<_>>() {
            self.forget(want);
        }
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.owed.clear();
        }
    }

    /// The next destination to look up for this cause, if there is one.
    pub(super) fn next_lookup(&mut self, cause: Cause) -> Option<Want> {
        loop {
            let want = match cause {
                Cause::Asked => self.asked.pop_front()?,
                Cause::Stirred => self.stirred.pop_front()?,
            };
            // It may have been forgotten, and even looked up since.
            if let Some(destination) = self.destinations.get_mut(&want)
                && core::mem::take(&mut destination.is_queued)
            {
                return Some(want);
            }
        }
    }

    /// How many wait to be looked up for this cause; a few may have been forgotten.
    pub(super) fn lookups(&self, cause: Cause) -> usize {
        match cause {
            Cause::Asked => self.asked.len(),
            Cause::Stirred => self.stirred.len(),
        }
    }

    /// What the kernel answered to a lookup; `None` if packets cannot leave by a next hop.
    pub(super) fn routed(&mut self, want: Want, route: Option<Route>, now: Tick) {
        let Some(destination) = self.destinations.get_mut(&want) else { return };
        let before = core::mem::replace(&mut destination.route, route).map(|route| route.hop);
        let way = way(&self.links, &self.neighbours, route);
        if destination.way.replace(way) != Some(way)
            && let Some(shard) = self.shards.get_mut(want.shard)
        {
            destination.owe(want, shard);
        }
        let after = route.map(|route| route.hop);
        if before == after {
            return;
        }
        if let Some(hop) = before {
            self.leave(want, hop);
        }
        if let Some(hop) = after {
            self.behind.entry(hop).or_default().insert(want);
            self.agenda.add(hop, now);
        }
    }

    /// A neighbour the kernel is to be told of, because it is in use. One that somebody else sees
    /// to is left alone: being told of it, the kernel would no longer take it as fixed.
    pub(super) fn next_use(&mut self, now: Tick) -> Option<Hop> {
        loop {
            let hop = self.agenda.next(now)?;
            let is_fixed = self.neighbours.get(&hop).is_some_and(|neighbour| neighbour.is_fixed);
            if !is_fixed && self.links.port(hop.link).is_some() {
                return Some(hop);
            }
        }
    }

    /// Whether a shard is owed something.
    pub(super) fn owes(&self, shard: usize) -> bool {
        self.shards.get(shard).is_some_and(|shard| !shard.owed.is_empty())
    }

    /// Whether a shard's asks are to be taken: not while it is owed as much as it may follow, or
    /// what is owed would have no bound.
    pub(super) fn may_ask(&self, shard: usize) -> bool {
        self.shards.get(shard).is_some_and(|shard| shard.owed.len() < self.destinations_max)
    }

    /// The next thing a shard is to be told; it must reach it.
    pub(super) fn next_told(&mut self, shard: usize) -> Option<Told> {
        let owed = &mut self.shards.get_mut(shard)?.owed;
        while let Some(next) = owed.pop_front() {
            let (Owed::Newest(destination) | Owed::Refused(destination)) = next;
            match (next, self.destinations.get_mut(&Want { shard, destination })) {
                (Owed::Refused(_), None) => return Some(Told { destination, way: Way::Kernel }),
                (Owed::Newest(_), Some(known)) => {
                    if core::mem::take(&mut known.is_owed) {
                        return known.way.map(|way| Told { destination, way });
                    }
                }
                // Forgotten, or asked for again: if it is owed anything, that is further back.
                (Owed::Refused(_), Some(_)) | (Owed::Newest(_), None) => {}
            }
        }
        None
    }

    /// Notes what is said of a neighbour. True if it is reached otherwise than before.
    fn see(&mut self, hop: Hop, seen: Seen) -> bool {
        let neighbour = match seen {
            Seen::At(mac) => Some(Neighbour { mac, is_fixed: false }),
            Seen::Fixed(mac) => Some(Neighbour { mac, is_fixed: true }),
            Seen::Unresolved | Seen::Gone => None,
        };
        let before = match neighbour {
            Some(neighbour) => self.neighbours.insert(hop, neighbour),
            None => self.neighbours.remove(&hop),
        };
        before.map(|before| before.mac) != neighbour.map(|neighbour| neighbour.mac)
    }

    fn renew_behind(&mut self, hop: Hop) {
        for want in self.behind.get(&hop).into_iter().flatten() {
            if let Some(destination) = self.destinations.get_mut(want)
                && let Some(shard) = self.shards.get_mut(want.shard)
            {
                destination.renew(*want, &self.links, &self.neighbours, shard);
            }
        }
    }

    /// Decides on every destination anew, and seeks the neighbours that are missing at once.
    fn renew_all(&mut self, now: Tick) {
        for (want, destination) in &mut self.destinations {
            if let Some(shard) = self.shards.get_mut(want.shard) {
                destination.renew(*want, &self.links, &self.neighbours, shard);
            }
        }
        for hop in self.behind.keys().filter(|hop| !self.neighbours.contains_key(*hop)) {
            self.agenda.hasten(*hop, now);
        }
    }

    fn leave(&mut self, want: Want, hop: Hop) {
        if let Some(wants) = self.behind.get_mut(&hop) {
            wants.remove(&want);
            if wants.is_empty() {
                self.behind.remove(&hop);
                self.agenda.remove(hop);
            }
        }
    }
}

impl Destination {
    /// Decides anew by the same route, unless it was never looked up.
    fn renew(
        &mut self,
        want: Want,
        links: &Links,
        neighbours: &HashMap<Hop, Neighbour>,
        shard: &mut Shard,
    ) {
        let way = way(links, neighbours, self.route);
        if self.way.is_some_and(|known| known != way) {
            self.way = Some(way);
            self.owe(want, shard);
        }
    }

    fn owe(&mut self, want: Want, shard: &mut Shard) {
        if !core::mem::replace(&mut self.is_owed, true) {
            shard.owed.push_back(Owed::Newest(want.destination));
        }
    }
}

fn way(links: &Links, neighbours: &HashMap<Hop, Neighbour>, route: Option<Route>) -> Way {
    let direct = route.and_then(|route| {
        let port = links.port(route.hop.link)?;
        let to = neighbours.get(&route.hop)?.mac;
        let mtu = route.mtu.map_or(port.mtu, |mtu| mtu.min(port.mtu));
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        let hop = NextHop { to, from: port.from, vlan: port.vlan, mtu };
        Some(Way::Direct { hop, source: route.source })
    });
    direct.unwrap_or(Way::Kernel)
}

/// Whether packets to an address may leave without the kernel at all. An address that is valid on
/// its link only does not say on which.
fn may_be_direct(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none(),
    }
}
