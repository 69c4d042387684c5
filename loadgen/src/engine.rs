//! All calls of a run, and the two threads that drive them: the generator and the sink.

use crate::batch_socket::BatchSocket;
use crate::clock::Clock;
use crate::flows::{KeysOf, SendFlow, connect};
use crate::measure::{Intervals, Received, Sent};
use crate::member::Member;
use crate::mix::Mix;
use crate::pacer::{Generator, binding, generate};
use crate::sink::{Seat, Sink, readiness, ready, sink};
use anyhow::{Context, Result, anyhow, ensure};
use core::num::NonZeroU64;
use core::time::Duration;
use kakehashi_srtp::SessionKeys;
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;
use kakehashi_wire::stun::{StunKind, StunView};
use rustix::event::Timespec;
use rustix::fd::OwnedFd;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Sockets all legs share unless asked otherwise: enough that a relay sees many addresses, few
/// enough that one receive finds more than one packet.
pub const SOCKETS: usize = LEGS_PER_CALL_MAX;

/// Bindings asked for before the first is answered: a relay's turn takes more.
const BINDINGS_AT_ONCE: usize = 64;

/// How often a binding is asked for before the relay counts as silent, 50 ms apart.
const BINDING_ATTEMPTS: u32 = 60;
const BINDING_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What one run puts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Members that send, counted from the first; the others are bound and listen.
    pub members: usize,
    /// What they send.
    pub mix: Mix,
    /// What the mix is drawn from.
    pub seed: u64,
    /// Number of the run, another one for each of an engine.
    pub run: u32,
    /// How long.
    pub duration: Duration,
    /// How it is divided for the report.
    pub intervals: Intervals,
}

/// How far a run is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// The generator has sent all there was.
    pub sent_all: AtomicBool,
    /// When the packet sent last was due, in nanoseconds from the beginning.
    pub due_ns: AtomicU64,
    /// Packets that are to arrive.
    pub expected: AtomicU64,
    /// Packets that have.
    pub received: AtomicU64,
}

/// Cores the threads are pinned to, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cores {
    /// For the generator.
    pub generator: Option<usize>,
    /// For the sink.
    pub sink: Option<usize>,
}

/// The keys of all members.
#[derive(Default)]
pub(crate) struct Keys {
    uplink: Vec<SessionKeys>,
    downlink: Vec<Option<SessionKeys>>,
}

impl Keys {
    /// The keys a packet is opened with.
    pub(crate) fn of(&self, sealer: KeysOf) -> Option<&SessionKeys> {
        match sealer {
            KeysOf::Sender(member) => self.uplink.get(member),
            KeysOf::Receiver(member) => self.downlink.get(member)?.as_ref(),
        }
    }
}

/// Calls that are bound at their relay, ready to be driven.
pub struct Engine {
    members: Vec<Member>,
    keys: Keys,
    flows: Vec<SendFlow>,
    outlets: Vec<BatchSocket>,
    seats: Vec<Seat>,
    readiness: OwnedFd,
    cores: Cores,
}

impl Engine {
    /// An engine without calls, with `sockets` sockets at `ip`.
    ///
    /// # Errors
    /// If the sockets are not to be had, or are fewer than a call may have legs.
    pub fn new(ip: IpAddr, sockets: usize, cores: Cores) -> Result<Self> {
        ensure!(
            sockets >= LEGS_PER_CALL_MAX,
            "the legs of one call need sockets of their own: at least {LEGS_PER_CALL_MAX}"
        );
        let no_socket = "no UDP socket to be had: check the limit of open files (ulimit -n)";
        let (mut seats, mut outlets) = (Vec::new(), Vec::new());
        for _ in 0..sockets {
            let socket = BatchSocket::bind(ip).context(no_socket)?;
            outlets.push(socket.try_clone().context(no_socket)?);
            seats.push(Seat { socket, flows: HashMap::new() });
        }
        let readiness = readiness(&seats)?;
        let (members, keys, flows) = (Vec::new(), Keys::default(), Vec::new());
        Ok(Self { members, keys, flows, outlets, seats, readiness, cores })
    }

    /// Legs it has.
    pub fn legs(&self) -> usize {
        self.members.len()
    }

    /// Ports of its sockets.
    pub fn ports(&self) -> Vec<u16> {
        self.seats.iter().map(|seat| seat.socket.local().port()).collect()
    }

    /// Ports of the relays its legs speak to.
    pub fn relay_ports(&self) -> Vec<u16> {
        let ports: HashSet<u16> = self.members.iter().map(|member| member.relay.port()).collect();
        ports.into_iter().collect()
    }

    /// Takes whole calls in and binds their legs.
    ///
    /// # Errors
    /// If the relay does not answer.
    pub fn add(&mut self, members: Vec<Member>) -> Result<()> {
        let first = self.members.len();
        let seats = &mut self.seats;
        let count = seats.len();
        let flows = connect(&members, first, |receiver, ssrc, flow| {
            seats[receiver % count].flows.insert(ssrc, flow);
        });
        self.flows.extend(flows);
        self.keys.uplink.extend(members.iter().map(Member::uplink_keys));
        self.keys.downlink.extend(members.iter().map(Member::downlink_keys));
        self.members.extend(members);
        for begin in (first..self.members.len()).step_by(BINDINGS_AT_ONCE) {
            self.bind(begin..(begin + BINDINGS_AT_ONCE).min(self.members.len()))?;
        }
        Ok(())
    }

    /// Tells the relay where these members are, until it has answered each.
    fn bind(&mut self, members: core::ops::Range<usize>) -> Result<()> {
        let mut silent: HashSet<usize> = members.collect();
        let mut events = Vec::with_capacity(self.seats.len());
        for attempt in 0..BINDING_ATTEMPTS {
            for &number in &silent {
                let member = &self.members[number];
                let request = binding(member, attempt);
                let outlet = &self.outlets[number % self.outlets.len()];
                // A queue that is full, or a relay that is not there yet: the next attempt tells.
                let _ = outlet.send_train(member.relay, request.bytes(), request.bytes().len());
            }
            loop {
                ready(&self.readiness, &mut events, &BINDING_WAIT)?;
                for event in &events {
                    let seat = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                    let Some(seat) = self.seats.get_mut(seat) else { continue };
                    let members = &self.members;
                    seat.socket.receive(|_, bytes| {
                        silent.retain(|&number| !answers(&members[number], bytes));
                    })?;
                }
                if silent.is_empty() {
                    return Ok(());
                }
                if events.is_empty() {
                    break;
                }
            }
        }
        let relay = silent.iter().next().map(|&number| self.members[number].relay);
        let relay = relay.context("someone is silent")?;
        Err(anyhow!(
            "the relay at {relay} does not answer bindings of {} legs: check that it runs, and \
             that it has the orders of the same seed, legs, calls and shards",
            silent.len()
        ))
    }

    /// Puts `load` on. `watch` is called on this thread once in each interval.
    ///
    /// # Errors
    /// If a socket fails or a key is used up.
    pub fn drive(
        &mut self,
        load: &Load,
        mut watch: impl FnMut(&Progress, Duration),
    ) -> Result<(Sent, Received)> {
        let (progress, clock, cores) = (Progress::default(), Clock::start(), self.cores);
        let generator = Generator {
            members: &self.members,
            keys: &self.keys.uplink,
            flows: &mut self.flows,
            outlets: &self.outlets,
        };
        let receiving =
            Sink { keys: &self.keys, seats: &mut self.seats, readiness: &self.readiness };
        std::thread::scope(|threads| {
            let sinking = threads.spawn(|| {
                settle(cores.sink)?;
                sink(receiving, load, clock, &progress)
            });
            let sending = threads.spawn(|| {
                let sent = settle(cores.generator)
                    .and_then(|()| generate(generator, load, clock, &progress));
                progress.sent_all.store(true, Ordering::Release);
                sent
            });
            let mut next = load.intervals.length();
            while next < load.duration && !sending.is_finished() {
                clock.wait_until(next);
                watch(&progress, clock.now());
                next += load.intervals.length();
            }
            let sent = sending.join().map_err(|_| anyhow!("the generator's thread panicked"))?;
            watch(&progress, clock.now());
            let received = sinking.join().map_err(|_| anyhow!("the sink's thread panicked"))?;
            Ok((sent?, received?))
        })
    }
}

/// Whether `bytes` is the relay's answer to this member's binding.
fn answers(member: &Member, bytes: &[u8]) -> bool {
    StunView::parse(bytes).is_ok_and(|answer| {
        answer.transaction().0[..8] == member.leg.0.to_be_bytes()
            && answer.kind() == StunKind::Success
            && answer.is_keyed_by(member.relay_password.as_bytes())
    })
}

/// Makes the waits of this thread end when they should, and keeps it on a core, if one is given.
fn settle(core: Option<usize>) -> Result<()> {
    // The usual 50 us of slack would be most of what a relay takes. A system that refuses makes
    // the generator later, which the report tells.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let Some(core) = core else { return Ok(()) };
    ensure!(core < CpuSet::MAX_CPU, "there is no core {core}");
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin a thread to core {core}"))
}
