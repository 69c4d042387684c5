//! The thread between the shards' rings, the kernel's sockets and the table.

use super::links::LinkId;
use super::netlink::{Events, Heard, Requests};
use super::table::{Cause, Table, Touched, Want};
use super::{Ask, Told};
use crate::capacity::{
    NEXT_HOPS_MAX, ROUTE_REQUESTS_PER_TURN, ROUTES_AGAIN_MS, ROUTES_ASKED_MS, ROUTES_BUSY_MS,
    ROUTES_GATHER_MS, ROUTES_IDLE_MS, ROUTES_RETRY_MS,
};
use crate::shard::Clock;
use crate::tick::Tick;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use rtrb::{Consumer, Producer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The thread's end of a shard's rings.
pub(super) struct WorkerEnd {
    pub(super) asked: Consumer<Ask>,
    pub(super) tell: Producer<Told>,
}

/// Who is told of the interface's addresses.
pub(super) struct Addresses<F> {
    known: Arc<Mutex<BTreeSet<IpAddr>>>,
    on_change: F,
}

impl<F: FnMut(&BTreeSet<IpAddr>)> Addresses<F> {
    pub(super) fn new(on_change: F) -> Self {
        Self { known: Arc::default(), on_change }
    }

    /// The newest, for others to look at.
    pub(super) fn known(&self) -> Arc<Mutex<BTreeSet<IpAddr>>> {
        Arc::clone(&self.known)
    }

    fn are(&mut self, addresses: BTreeSet<IpAddr>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&addresses);
        (self.on_change)(&addresses);
    }

    fn may_be(&mut self, addresses: BTreeSet<IpAddr>) {
        if *self.known.lock().unwrap_or_else(PoisonError::into_inner) != addresses {
            self.are(addresses);
        }
    }
}

/// What is to be done later; `None` if there is no need.
#[derive(Default)]
struct Later {
    /// Look all destinations up anew.
    sweep: Option<Tick>,
    /// The same once more. The kernel tells of a link before it takes its routes away, and does
    /// not tell of those: the first look may have come between the two.
    sweep_again: Option<Tick>,
    /// Read all tables anew.
    dump: Option<Tick>,
}

impl Later {
    fn note(&mut self, touched: Touched, now: Tick) {
        if touched != Touched::Nothing {
            self.sweep.get_or_insert_with(|| now.after_ms(ROUTES_GATHER_MS));
        }
        if touched == Touched::Links {
            self.sweep_again = Some(now.after_ms(ROUTES_AGAIN_MS));
        }
    }

    fn first(&self) -> Option<Tick> {
        [self.sweep, self.sweep_again, self.dump].into_iter().flatten().min()
    }
}

fn take_due(later: &mut Option<Tick>, now: Tick) -> bool {
    later.take_if(|due| *due <= now).is_some()
}

/// All the thread has.
pub(super) struct Worker<F> {
    table: Table,
    events: Events,
    requests: Requests,
    /// `None` where the shard is gone.
    ends: Vec<Option<WorkerEnd>>,
    addresses: Addresses<F>,
    clock: Clock,
    later: Later,
    asked_last: Option<Tick>,
    has_warned: bool,
}

impl<F: FnMut(&BTreeSet<IpAddr>)> Worker<F> {
    /// Opens the sockets, reads all tables and says which addresses there are.
    pub(super) fn open(
        interface: LinkId,
        ends: Vec<WorkerEnd>,
        addresses: Addresses<F>,
    ) -> io::Result<Self> {
        // Listening first: what changes while the tables are read is heard afterwards.
        let events = Events::open_roomy()?;
        let mut worker = Self {
            table: Table::new(interface, ends.len(), NEXT_HOPS_MAX),
            events,
            requests: Requests::open()?,
            ends: ends.into_iter().map(Some).collect(),
            addresses,
            clock: Clock::start(),
            later: Later::default(),
            asked_last: None,
            has_warned: false,
        };
        worker.table.replace(worker.requests.dump()?, Tick(0));
        match worker.table.links().interface() {
            None => {
                let what = format!("there is no network interface number {}", interface.0);
                return Err(io::Error::new(io::ErrorKind::NotFound, what));
            }
            Some(link) if link.mac.is_none() => {
                let what = format!("network interface number {} is not Ethernet", interface.0);
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            Some(_) => {}
        }
        worker.addresses.are(worker.table.links().addresses());
        Ok(worker)
    }

    /// Follows the tables until it is to stop.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.hear();
            self.catch_up();
            self.take_asks();
            self.look_up(Cause::Asked);
            self.look_up(Cause::Stirred);
            self.use_neighbours();
            self.tell();
            self.wait();
        }
    }

    fn now(&self) -> Tick {
        self.clock.now().tick()
    }

    /// Takes in what the kernel has to tell, up to a limit: shards wait meanwhile.
    fn hear(&mut self) {
        let now = self.now();
        let mut all = Touched::Nothing;
        for _ in 0..ROUTE_REQUESTS_PER_TURN {
            let (table, later) = (&mut self.table, &mut self.later);
            let heard = self.events.read(|event| {
                let touched = table.apply(event, now);
                later.note(touched, now);
                if touched == Touched::Links {
                    all = touched;
                }
            });
            match heard {
                Ok(Heard::Some) => {}
                Ok(Heard::Nothing) => break,
                Ok(Heard::Lost) => {
                    tracing::warn!(
                        event = "route_events_lost",
                        "events of the network were lost; all tables are read anew"
                    );
                    self.later.dump.get_or_insert(now);
                    break;
                }
                Err(error) => {
                    tracing::error!(
                        event = "route_events_ended",
                        "the kernel tells no more of the network: {error}"
                    );
                    self.later.dump.get_or_insert_with(|| now.after_ms(ROUTES_RETRY_MS));
                    break;
                }
            }
        }
        if all == Touched::Links {
            self.addresses.may_be(self.table.links().addresses());
        }
    }

    /// Does what was left for later.
    fn catch_up(&mut self) {
        let now = self.now();
        if take_due(&mut self.later.dump, now) {
            if !self.events.drain() {
                self.later.dump = Some(now.after_ms(ROUTES_RETRY_MS));
            }
            let dump = self.requests.dump().unwrap_or_else(|error| {
                // Nothing known is the kernel's way for everything, which is never wrong.
                tracing::error!(
                    event = "route_tables_unreadable",
                    "the tables of the network cannot be read: {error}"
                );
                self.later.dump = Some(now.after_ms(ROUTES_RETRY_MS));
                Vec::new()
            });
            self.table.replace(dump, now);
            self.later.sweep_again = Some(now.after_ms(ROUTES_AGAIN_MS));
            self.addresses.may_be(self.table.links().addresses());
        }
        let is_due = take_due(&mut self.later.sweep, now);
        if take_due(&mut self.later.sweep_again, now) || is_due {
            self.table.look_all();
        }
    }

    /// Takes a share of asks from each shard, so that none waits for the burst of another.
    fn take_asks(&mut self) {
        let now = self.now();
        let share = (ROUTE_REQUESTS_PER_TURN / self.ends.len().max(1)).max(1);
        for (shard, place) in self.ends.iter_mut().enumerate() {
            let Some(end) = place else { continue };
            if end.asked.is_abandoned() {
                self.table.forget_shard(shard);
                *place = None;
                continue;
            }
            for _ in 0..share {
                let may_ask = self.table.may_ask(shard);
                let Some(ask) = may_ask.then(|| end.asked.pop().ok()).flatten() else { break };
                self.asked_last = Some(now);
                match ask {
                    Ask::Follow(destination) => self.table.ask(Want { shard, destination }),
                    Ask::Forget(destination) => self.table.forget(Want { shard, destination }),
                }
            }
        }
    }

    fn look_up(&mut self, cause: Cause) {
        let now = self.now();
        for _ in 0..ROUTE_REQUESTS_PER_TURN {
            let Some(want) = self.table.next_lookup(cause) else { break };
            let route = self.requests.route(want.destination).unwrap_or_else(|error| {
                tracing::error!(event = "route_lookup_failed", destination = %want.destination,
                    "no answer to a lookup: {error}");
                self.later.sweep.get_or_insert_with(|| now.after_ms(ROUTES_RETRY_MS));
                None
            });
            self.table.routed(want, route, now);
        }
    }

    fn use_neighbours(&mut self) {
        let now = self.now();
        for _ in 0..ROUTE_REQUESTS_PER_TURN {
            let Some(hop) = self.table.next_use(now) else { break };
            let Err(error) = self.requests.use_neighbour(hop) else { continue };
            let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
            if is_forbidden && !core::mem::replace(&mut self.has_warned, true) {
                // Packets that go through the kernel resolve a neighbour too, and the kernel does
                // forget one that is gone; but that takes it much longer.
                tracing::warn!(
                    event = "neighbour_probe_forbidden",
                    "this process needs CAP_NET_ADMIN to have neighbours probed"
                );
            }
            tracing::debug!(event = "neighbour_probe_failed", neighbour = %hop.ip,
                "the kernel does not probe: {error}");
        }
    }

    fn tell(&mut self) {
        for (shard, end) in self.ends.iter_mut().enumerate() {
            let Some(end) = end else { continue };
            while !end.tell.is_full()
                && let Some(told) = self.table.next_told(shard)
            {
                let is_told = end.tell.push(told).is_ok();
                debug_assert!(is_told, "only this thread fills the ring, and it had room");
            }
        }
    }

    /// Waits for the kernel, but not longer than a shard may wait for its asks to be seen.
    fn wait(&self) {
        let now = self.now();
        let is_behind = self.has_lookups() || self.has_asks();
        let is_owing = (0..self.ends.len()).any(|shard| self.table.owes(shard));
        let is_asked = self.asked_last.is_some_and(|asked| now.ms_since(asked) < ROUTES_ASKED_MS);
        let pace_ms = match () {
            () if is_behind => 0,
            () if is_owing || is_asked => ROUTES_BUSY_MS,
            () => ROUTES_IDLE_MS,
        };
        let later_ms = self.later.first().map_or(u64::MAX, |due| due.ms_since(now));
        let timeout = Timespec::try_from(Duration::from_millis(pace_ms.min(later_ms)));
        let mut sockets = [PollFd::new(&self.events, PollFlags::IN)];
        // However the wait ends, the turn that follows looks at everything.
        let _ = poll(&mut sockets, timeout.ok().as_ref());
    }

    fn has_lookups(&self) -> bool {
        [Cause::Asked, Cause::Stirred].iter().any(|cause| self.table.lookups(*cause) > 0)
    }

    fn has_asks(&self) -> bool {
        self.ends.iter().enumerate().any(|(shard, end)| {
            end.as_ref().is_some_and(|end| !end.asked.is_empty()) && self.table.may_ask(shard)
        })
    }
}
