//! What is measured: the floor, the relay and its peers, each started as a process of its own and
//! set up for one workload.

mod coturn;
mod floor;
mod relay;
mod rtpengine;

use crate::cpu::CpuProbe;
use crate::ends::Ends;
use crate::medium::{Link, Pair};
use crate::traffic::{Sender, Sink, Traffic};
use crate::turn::Channel;
use crate::workload::Workload;
use anyhow::{Context, Result};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use kakehashi_loadgen::clock::Clock;
use kakehashi_srtp::{Provider, SessionKeys, StreamOpener, StreamSealer};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MasterKey, Suite};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// AES-GCM of generator and sink.
const PROVIDER: Provider = Provider::AwsLcRs;

/// The suite of every key.
const SUITE: Suite = Suite::AeadAes128Gcm;

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The floor with one message a packet.
    FloorSingles,
    /// The floor with one message a train and receiver.
    FloorTrains,
    /// Kakehashi's relay.
    Relay,
    /// The same past the kernel, over a device of its own.
    RelayXdp,
    /// The same, with its first gate shut to addresses without a leg.
    RelayXdpShut,
    /// rtpengine, which opens and seals anew.
    Rtpengine,
    /// coturn, which looks into nothing.
    Coturn,
}

impl Kind {
    /// The devices it is reached over.
    const fn pair(self) -> Pair {
        match self {
            Self::RelayXdp | Self::RelayXdpShut => Pair::PastKernel,
            Self::Rtpengine => Pair::Rtpengine,
            _ => Pair::First,
        }
    }

    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FloorSingles => "floor",
            Self::FloorTrains => "GRO/GSO floor",
            Self::Relay => "relay",
            Self::RelayXdp => "relay (xdp)",
            Self::RelayXdpShut => "relay (xdp, gate shut)",
            Self::Rtpengine => "rtpengine",
            Self::Coturn => "coturn",
        }
    }
}

/// Programs and where they may write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Programs {
    /// The floor, compiled.
    pub floor: PathBuf,
    /// The relay, built for release.
    pub relay: PathBuf,
    /// A folder for configurations and logs.
    pub folder: PathBuf,
}

/// A running subject and the traffic through it.
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// What goes through it.
    pub traffic: Traffic,
    /// What it costs.
    pub cpu: CpuProbe,
    process: Process,
}

/// A child that is ended with its owner.
struct Process(Child);

impl Process {
    fn end(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// How subjects are started.
#[derive(Clone, Copy)]
pub struct Starter<'a> {
    /// What they are reached over.
    pub link: &'a Link,
    /// What is started.
    pub programs: &'a Programs,
    /// The clock of all stamps.
    pub clock: Clock,
}

/// How the packets of one flow travel through a subject.
struct Route {
    to: SocketAddr,
    channel: Option<Channel>,
    ssrc: Ssrc,
    sealed_with: MasterKey,
    /// What opens them, for each receiver.
    opened_with: Vec<SessionKeys>,
}

/// What a subject's set-up needs.
struct SetUp<'a> {
    /// The subject's address, and the load's.
    ip: Ipv4Addr,
    load_ip: Ipv4Addr,
    workload: &'a Workload,
    link: &'a Link,
    programs: &'a Programs,
    ends: &'a mut Ends,
}

impl Subject {
    /// Starts a subject on its core, sets it up for `workload`, and proves every flow. To be called
    /// on the load's side.
    ///
    /// # Errors
    /// If it does not start, or does not forward.
    pub fn start(kind: Kind, workload: Workload, with: Starter<'_>) -> Result<Self> {
        let Starter { link, programs, clock } = with;
        let pair = kind.pair();
        let (load_ip, ip) = link.addresses(pair);
        let mut ends = match link.frame_way(pair) {
            Some(way) => Ends::frames(&workload, way)?,
            None => Ends::sockets(&workload, load_ip)?,
        };
        let set_up = SetUp { ip, load_ip, workload: &workload, link, programs, ends: &mut ends };
        let (process, routes) = match kind {
            Kind::FloorSingles => floor::start(set_up, floor::Mode::Singles),
            Kind::FloorTrains => floor::start(set_up, floor::Mode::Trains),
            Kind::Relay => relay::start(set_up, relay::Io::Kernel),
            Kind::RelayXdp => relay::start(set_up, relay::Io::Xdp { signed_in_only: false }),
            Kind::RelayXdpShut => relay::start(set_up, relay::Io::Xdp { signed_in_only: true }),
            Kind::Rtpengine => rtpengine::start(set_up),
            Kind::Coturn => coturn::start(set_up),
        }
        .with_context(|| format!("{} does not start", kind.name()))?;
        let cpu = CpuProbe::new(process.0.id(), link.subject.core, link.interrupts(pair));
        let mut traffic = join(workload, clock, ends, routes);
        traffic.warm_up().with_context(|| format!("{} does not forward", kind.name()))?;
        Ok(Self { kind, traffic, cpu, process })
    }

    /// The same in a new process: one that was overloaded may never recover, as calls of rtpengine
    /// do not once their queue has overflowed.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn restart(&mut self, with: Starter<'_>) -> Result<()> {
        self.process.end();
        *self = Self::start(self.kind, *self.traffic.workload(), with)?;
        Ok(())
    }
}

/// A relay on threads of this process, set up for `workload` over the loopback device, every flow
/// proven. It reads what it needs from `folder`, and runs until the process ends.
///
/// # Errors
/// If it does not start, or does not forward.
pub fn relay_here(workload: Workload, folder: &Path, clock: Clock) -> Result<Traffic> {
    let mut ends = Ends::sockets(&workload, Ipv4Addr::LOCALHOST)?;
    let routes = relay::start_here(&workload, &mut ends, folder)?;
    let mut traffic = join(workload, clock, ends, routes);
    traffic.warm_up()?;
    Ok(traffic)
}

/// Puts ends, routes and streams together.
fn join(workload: Workload, clock: Clock, ends: Ends, routes: Vec<Route>) -> Traffic {
    let (mut senders, mut sinks) = (Vec::new(), Vec::new());
    for Route { to, channel, ssrc, sealed_with, opened_with } in routes {
        let keys = SessionKeys::derive(PROVIDER, &sealed_with);
        let sealer = StreamSealer::new(ssrc, 0);
        senders.push(Sender { to, channel, keys, sealer });
        let sink = |keys| Sink { keys, opener: StreamOpener::new(ssrc), delivered: 0 };
        sinks.extend(opened_with.into_iter().map(sink));
    }
    Traffic::new(workload, clock, ends, senders, sinks)
}

fn random_key() -> MasterKey {
    MasterKey::new(SUITE, &rand::random(), &rand::random())
}

/// A route whose packets arrive as they were sent.
fn unchanged(to: SocketAddr, channel: Option<Channel>, receivers: u16) -> Route {
    let key = random_key();
    let opened_with = (0..receivers).map(|_| SessionKeys::derive(PROVIDER, &key)).collect();
    Route { to, channel, ssrc: Ssrc(rand::random()), sealed_with: key, opened_with }
}

/// Starts `command` on the subject's side, its output in a log of that name.
fn spawn(link: &Link, folder: &Path, name: &str, mut command: Command) -> Result<Process> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    link.subject.run(|| {
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()));
        Ok(Process(child?))
    })
}

/// The address of a socket here, which are all of IPv4.
fn v4(address: SocketAddr) -> Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(address) => anyhow::bail!("{address} is not of IPv4"),
    }
}
