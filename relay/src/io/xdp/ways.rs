//! What a shard knows of the ways to its terminals: asked for once, and kept up to date by the
//! thread that reads the kernel's tables.
//!
//! Until a way is known, and where none leads over the NIC, packets leave through the socket: the
//! kernel then finds the way by itself, and its neighbours with it.

use crate::capacity::xdp::WAYS_MAX;
use crate::host::routes::{NextHop, RoutesEnd, Told, Way};
use core::net::IpAddr;
use std::collections::HashMap;

/// What is known of one destination.
struct Known {
    /// None while the answer is outstanding.
    way: Option<Way>,
    /// The last round in which a packet went there.
    round: u32,
}

/// Rounds after which a way that nothing went by is forgotten.
const ROUNDS_UNUSED: u32 = 2;

/// All that is known.
pub(super) struct Ways {
    routes: RoutesEnd,
    known: HashMap<IpAddr, Known>,
    round: u32,
    /// The last destination that was looked up: packets come in trains.
    last: Option<(IpAddr, Option<(NextHop, IpAddr)>)>,
}

impl Ways {
    /// Nothing is known yet.
    pub(super) fn new(routes: RoutesEnd) -> Self {
        Self { routes, known: HashMap::new(), round: 0, last: None }
    }

    /// The next hop to `destination` over the NIC, and the source address its packets carry; none
    /// if they go through the kernel.
    pub(super) fn to(&mut self, destination: IpAddr) -> Option<(NextHop, IpAddr)> {
        if let Some((last, way)) = self.last
            && last == destination
        {
            return way;
        }
        let way = self.look_up(destination);
        self.last = Some((destination, way));
        way
    }

    fn look_up(&mut self, destination: IpAddr) -> Option<(NextHop, IpAddr)> {
        match self.known.get_mut(&destination) {
            Some(known) => {
                known.round = self.round;
                match known.way {
                    Some(Way::Direct { hop, source }) => Some((hop, source)),
                    Some(Way::Kernel) | None => None,
                }
            }
            None => {
                if self.known.len() < WAYS_MAX && self.routes.ask(destination) {
                    let known = Known { way: None, round: self.round };
                    self.known.insert(destination, known);
                }
                None
            }
        }
    }

    /// Takes in what has become known. Called once a turn; costs a load if there is nothing.
    pub(super) fn turn(&mut self) {
        while let Some(Told { destination, way }) = self.routes.told() {
            self.last = None;
            // What was forgotten meanwhile is asked for anew if it is needed.
            if let Some(known) = self.known.get_mut(&destination) {
                known.way = Some(way);
            }
        }
    }

    /// Begins another round, and forgets ways that were not used for some.
    pub(super) fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.last = None;
        let (round, routes) = (self.round, &mut self.routes);
        self.known.retain(|destination, known| {
            let is_used = round.wrapping_sub(known.round) <= ROUNDS_UNUSED;
            is_used || !routes.forget(*destination)
        });
    }
}
