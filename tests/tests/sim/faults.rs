//! What goes wrong: processes die and stand still, ways are cut, datagrams are lost, the store
//! loses its majority, clocks on walls jump. Everything ends before the end of a run.

use super::chance::{MS, SECOND};
use super::net::SITES;
use super::node::Node;
use super::planted::Planted;
use super::relay::Relay;
use super::world::{Event, World};

/// What may go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    KillNode,
    KillRelay,
    StandStill,
    CutSite,
    CutWay,
    Weather,
    LoseMember,
    StoreLoss,
    ClockJumps,
    TerminalRestarts,
    Roam,
}

use Kind::{
    ClockJumps, CutSite, CutWay, KillNode, KillRelay, LoseMember, Roam, StandStill, StoreLoss,
    TerminalRestarts, Weather,
};

/// What goes wrong in ordinary runs, each as often as it stands here.
#[rustfmt::skip]
pub(crate) const ALL: [Kind; 20] = [
    KillNode, KillNode, KillRelay, KillRelay, KillRelay, StandStill, StandStill, CutSite, CutSite,
    CutWay, CutWay, CutWay, Weather, Weather, LoseMember, StoreLoss, ClockJumps, TerminalRestarts,
    Roam, Roam,
];

/// A fault that goes on.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    NodeDead(usize),
    RelayDead(usize),
    Cut(Vec<(usize, usize)>),
    Weather,
    Member(usize),
    StoreLoss,
    /// Of no lasting effect: when it is over is known.
    Passing,
}

impl World {
    /// Something goes wrong, and something else will.
    pub(crate) fn fault(&mut self) {
        if self.now >= self.checks.faults_until {
            return;
        }
        let wait = self.chance.time(200 * MS, self.checks.pace);
        self.later(wait, Event::Fault);
        let left = self.checks.faults_until - self.now;
        let lasts = self.chance.time(50 * MS, 8 * SECOND).min(left);
        let kinds = self.planted.map_or(&ALL[..], Planted::faults);
        let fault = match kinds[self.chance.below(kinds.len())] {
            KillNode => self.kill_node(),
            KillRelay => self.kill_relay(),
            StandStill => self.stand_still(lasts),
            CutSite => self.cut_site(),
            CutWay => self.cut_way(),
            Weather => self.weather(),
            LoseMember => self.lose_member(),
            StoreLoss => {
                self.store_loss = 0.3;
                Some(Fault::StoreLoss)
            }
            ClockJumps => self.clock_jumps(),
            TerminalRestarts => self.terminal_restarts(),
            Roam => self.roam(),
        };
        let Some(fault) = fault else { return };
        self.stats.faults += 1;
        let number = self.number();
        self.tell(|| format!("fault {number} for {lasts} us: {fault:?}"));
        self.checks.active.insert(number, fault);
        self.later(lasts, Event::Mend(number));
    }

    fn kill_node(&mut self) -> Option<Fault> {
        let node = self.chance.below(self.nodes.len());
        let there = &mut self.nodes[node];
        if !there.alive {
            return None;
        }
        there.alive = false;
        there.tenure = None;
        self.forget_conns();
        Some(Fault::NodeDead(node))
    }

    fn kill_relay(&mut self) -> Option<Fault> {
        let relay = self.chance.below(self.relays.len());
        if !std::mem::replace(&mut self.relays[relay].alive, false) {
            return None;
        }
        self.forget_conns();
        Some(Fault::RelayDead(relay))
    }

    fn stand_still(&mut self, lasts: u64) -> Option<Fault> {
        let until = self.now + lasts;
        match self.chance.below(3) {
            0 => {
                let at = self.chance.below(self.nodes.len());
                self.nodes[at].stands_until = until;
            }
            1 => {
                let at = self.chance.below(self.relays.len());
                self.relays[at].stands_until = until;
            }
            _ => {
                let at = self.chance.below(self.terminals.len());
                self.terminals[at].stands_until = until;
            }
        }
        Some(Fault::Passing)
    }

    fn cut(&mut self, ways: Vec<(usize, usize)>) -> Option<Fault> {
        let ways: Vec<_> = ways.into_iter().filter(|way| !self.net.cuts.contains(way)).collect();
        self.net.cuts.extend(ways.iter().copied());
        (!ways.is_empty()).then_some(Fault::Cut(ways))
    }

    fn networks(&self) -> usize {
        SITES + self.terminals.len()
    }

    /// A site is cut off from the others, or from everything, one way or both.
    fn cut_site(&mut self) -> Option<Fault> {
        let site = self.chance.below(SITES);
        let others = if self.chance.one_in(2) { SITES } else { self.networks() };
        let (out, into) = [(true, true), (true, false), (false, true)][self.chance.below(3)];
        let mut ways = Vec::new();
        for other in (0..others).filter(|other| *other != site) {
            ways.extend(out.then_some((site, other)));
            ways.extend(into.then_some((other, site)));
        }
        self.cut(ways)
    }

    /// One way between two networks.
    fn cut_way(&mut self) -> Option<Fault> {
        let site = self.chance.below(SITES);
        let other = self.chance.below(self.networks());
        if site == other {
            return None;
        }
        let both = vec![(site, other), (other, site)];
        let ways = match self.chance.below(3) {
            0 => both,
            which => vec![both[which - 1]],
        };
        self.cut(ways)
    }

    fn weather(&mut self) -> Option<Fault> {
        self.net.loss = u32::try_from(self.chance.below(60)).unwrap_or_default();
        self.net.doubled = u32::try_from(self.chance.below(60)).unwrap_or_default();
        self.net.slowest = self.chance.time(5 * MS, 150 * MS);
        Some(Fault::Weather)
    }

    fn lose_member(&mut self) -> Option<Fault> {
        let member = self.chance.below(SITES);
        self.members_down.insert(member).then_some(Fault::Member(member))
    }

    /// A clock on a wall jumps by up to an hour; nothing may come of it.
    fn clock_jumps(&mut self) -> Option<Fault> {
        let node = self.chance.below(self.nodes.len());
        let hour = 3_600_000_u64;
        let jump = i64::try_from(self.chance.time(0, 2 * hour)).unwrap_or_default();
        self.nodes[node].wall_off = jump - i64::try_from(hour).unwrap_or_default();
        None
    }

    fn terminal_restarts(&mut self) -> Option<Fault> {
        let terminal = self.chance.below(self.terminals.len());
        self.restart_terminal(terminal);
        Some(Fault::Passing)
    }

    /// A network gives a terminal's media another port.
    fn roam(&mut self) -> Option<Fault> {
        let terminal = self.chance.below(self.terminals.len());
        self.ports = self.ports.checked_add(1).unwrap_or(1_024);
        let port = self.ports;
        let media = self.terminals[terminal].media.values_mut().next()?;
        media.port = port;
        Some(Fault::Passing)
    }

    /// A fault is over.
    pub(crate) fn mend(&mut self, number: u64) {
        let Some(fault) = self.checks.active.remove(&number) else { return };
        self.checks.quiet_since = self.now;
        // Another line may be open again long before.
        let wait = self.chance.time(0, 6 * SECOND);
        self.later(wait, Event::Arrive);
        match fault {
            Fault::NodeDead(node) => {
                let (life, site, now) = (self.number(), self.nodes[node].site, self.now);
                let wall_off = self.nodes[node].wall_off;
                let place = (node, self.nodes.len());
                self.nodes[node] = Node { wall_off, ..Node::new(place, site, life, now) };
                self.start_node(node);
            }
            Fault::RelayDead(relay) => self.restart_relay(relay),
            Fault::Cut(ways) => {
                for way in ways {
                    self.net.cuts.remove(&way);
                }
            }
            Fault::Weather => {
                (self.net.loss, self.net.doubled, self.net.slowest) = (0, 0, 30 * MS);
            }
            Fault::Member(member) => drop(self.members_down.remove(&member)),
            Fault::StoreLoss => self.store_loss = 0.0,
            Fault::Passing => {}
        }
    }

    fn restart_relay(&mut self, relay: usize) {
        let (life, site, now) = (self.number(), self.relays[relay].site, self.now);
        let incarnation = self.chance.bits();
        let alive = Relay::living(relay, site, (life, incarnation), now, &mut self.chance);
        self.relays[relay] = alive;
        self.start_relay(relay);
    }
}
