//! The first gate, as the relay holds it: the program of `program/gate.c` on a NIC, what it is told
//! and what it has counted.
//!
//! The program hangs on a descriptor of this process. However the process ends, the kernel closes
//! it and takes the program off the NIC.

#![expect(unsafe_code, reason = "what crosses to the program crosses as bytes")]

use crate::host::Door;
use aya::maps::{Array, HashMap, MapData, MapError, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader, Pod};
use core::net::IpAddr;
use kakehashi_wire::media::Host;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// The program, as `program/build` has built it out of `program/gate.c`.
static PROGRAM: &[u8] = aya::include_bytes_aligned!("program/gate.o");

/// Where on the way of a packet the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    /// In the driver, before the kernel makes a packet of its own of it.
    Driver,
    /// Behind it, on any device: dearer.
    Generic,
}

/// What has become of UDP packets for our addresses that no shard was given, in the order of the
/// program's `counter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gated {
    /// Media that came on another queue than its shard's: given to the kernel, whose socket the
    /// shard reads as well.
    ToKernel,
    /// Dropped: its lengths contradict each other, or its source port is 0.
    Malformed,
    /// Dropped: nobody listens to its port.
    UnknownPort,
    /// Media dropped: no terminal is seen where it comes from.
    UnknownSource,
}

impl Gated {
    const COUNT: u32 = 4;
}

/// `struct settings` of the program.
#[derive(Clone, Copy)]
#[repr(C)]
struct Settings {
    first_port: u16,
    ports: u16,
    drop_unknown: u8,
    signed_in_only: u8,
    _padding: [u8; 2],
}

// SAFETY: integers without gaps between them; any bytes are a value.
unsafe impl Pod for Settings {}

const _: () = assert!(size_of::<Settings>() == 8);

/// `struct address` of the program: IPv4 as IPv4-mapped IPv6.
type Address = [u8; 16];

/// What the program is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rules {
    /// Ports of the shards, the first and how many.
    pub(crate) ports: (u16, u16),
    /// Whether UDP for our addresses that nobody listens to is dropped. Not on a machine that
    /// forwards for others: it has ports without sockets.
    pub(crate) drop_unknown: bool,
    /// The number of addresses of terminals that are let in, at most, if media of others is
    /// dropped.
    pub(crate) sources_max: Option<u32>,
}

/// Why there is no gate.
#[derive(Debug, Error)]
pub enum GateError {
    /// The committed program does not fit the code around it: a bug.
    #[error("the program for the NIC is not what this relay expects; please report this: {0}")]
    Program(String),
    /// The kernel does not load it.
    #[error("the kernel does not take the program for the NIC: {0}")]
    Load(String),
    /// The NIC has one already.
    #[error(
        "another program runs on this NIC already, perhaps another relay's: one relay has a NIC \
         to itself (`ip link show` shows `prog/xdp`; give this relay another `xdp.interface`)"
    )]
    Taken,
    /// The driver cannot, or not as the NIC is set up.
    #[error("the NIC does not take the program: {0}")]
    Attach(String),
}

/// What the program is told through.
struct Told {
    settings: Array<MapData, Settings>,
    addresses: HashMap<MapData, Address, u8>,
    sources: HashMap<MapData, Address, u8>,
    sockets: XskMap<MapData>,
}

/// The program on a NIC; it is taken off when this is dropped.
pub(crate) struct Gate {
    told: Mutex<Told>,
    counts: Array<MapData, u64>,
    _link: FdLink,
    /// Only kept: without it the maps would go.
    #[cfg_attr(not(test), expect(dead_code, reason = "kept for what it holds"))]
    program: Ebpf,
}

impl Gate {
    /// Puts the program on the interface with number `interface`. It lets everything pass to the
    /// kernel until it is told of addresses.
    pub(crate) fn put_on(
        interface: u32,
        place: Hook,
        rules: Rules,
    ) -> Result<Arc<Self>, GateError> {
        let mut loader = EbpfLoader::new();
        let loader = loader.map_max_entries("SOURCES", rules.sources_max.unwrap_or(1));
        let mut program = loader.load(PROGRAM).map_err(load_error)?;
        let odd = |error: &dyn core::fmt::Display| GateError::Program(error.to_string());
        let mut take = |name| program.take_map(name).ok_or_else(|| odd(&name));
        let counts = Array::try_from(take("COUNTS")?).map_err(|error| odd(&error))?;
        let told = Told {
            settings: Array::try_from(take("SETTINGS")?).map_err(|error| odd(&error))?,
            addresses: HashMap::try_from(take("ADDRESSES")?).map_err(|error| odd(&error))?,
            sources: HashMap::try_from(take("SOURCES")?).map_err(|error| odd(&error))?,
            sockets: XskMap::try_from(take("SOCKETS")?).map_err(|error| odd(&error))?,
        };
        let xdp = program.program_mut("gate").ok_or_else(|| odd(&"gate"))?;
        let xdp: &mut Xdp = xdp.try_into().map_err(|error| odd(&error))?;
        xdp.load().map_err(|error| GateError::Load(chain(&error)))?;
        let mode = match place {
            Hook::Driver => XdpMode::Driver,
            Hook::Generic => XdpMode::Skb,
        };
        let id = xdp.attach_to_if_index(interface, mode).map_err(|error| attach_error(&error))?;
        let link = xdp.take_link(id).map_err(|error| odd(&error))?;
        // The other kind of link outlives a process that is killed.
        let link = FdLink::try_from(link)
            .map_err(|_older| GateError::Attach("it needs Linux 6.1 or newer".to_owned()))?;
        let gate = Self { told: Mutex::new(told), counts, _link: link, program };
        gate.set(rules).map_err(|error| odd(&error))?;
        Ok(Arc::new(gate))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Each map is changed by single calls: whoever panicked in between left nothing half done.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, rules: Rules) -> Result<(), MapError> {
        let settings = Settings {
            first_port: rules.ports.0,
            ports: rules.ports.1,
            drop_unknown: rules.drop_unknown.into(),
            signed_in_only: rules.sources_max.is_some().into(),
            _padding: [0; 2],
        };
        self.told().settings.set(0, settings, 0)
    }

    /// Media is received at these addresses, and at no others any more.
    pub(crate) fn set_addresses(&self, addresses: &BTreeSet<IpAddr>) {
        let wanted: BTreeSet<_> =
            addresses.iter().map(|address| Host::from(*address).octets()).collect();
        let mut told = self.told();
        let known: Vec<_> = told.addresses.keys().filter_map(Result::ok).collect();
        for gone in known.iter().filter(|known| !wanted.contains(*known)) {
            let _gone_already = told.addresses.remove(gone);
        }
        for new in wanted.iter().filter(|wanted| !known.contains(wanted)) {
            if let Err(error) = told.addresses.insert(new, 1, 0) {
                tracing::error!(event = "gate_address_failed", %error,
                    "an address of this machine is left to the kernel");
            }
        }
    }

    /// What comes on `queue` for its shard goes to `socket`.
    pub(crate) fn set_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), GateError> {
        let set = self.told().sockets.set(queue, socket.as_raw_fd(), 0);
        set.map_err(|error| GateError::Attach(chain(&error)))
    }

    /// What comes on `queue` goes to the kernel.
    #[cfg(test)]
    pub(crate) fn unset_socket(&self, queue: u32) {
        self.told().sockets.unset(queue).unwrap();
    }

    /// How often this has happened on a queue; one system call.
    pub(crate) fn count(&self, queue: u32, what: Gated) -> Option<u64> {
        self.counts.get(&(queue * Gated::COUNT + what as u32), 0).ok()
    }
}

impl Door for Gate {
    fn let_in(&self, host: Host) {
        if let Err(error) = self.told().sources.insert(host.octets(), 1, 0) {
            tracing::error!(event = "gate_opening_failed", %error,
                "media of a terminal is kept off the NIC");
        }
    }

    fn shut_out(&self, host: Host) {
        if let Err(error) = self.told().sources.remove(&host.octets()) {
            tracing::error!(event = "gate_closing_failed", %error,
                "media of a terminal that is gone is still let in by the NIC");
        }
    }
}

/// An error with what is behind it: the library's own texts stop at the first step.
fn chain(error: &(dyn core::error::Error + 'static)) -> String {
    let causes = core::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn errno(error: &(dyn core::error::Error + 'static)) -> Option<i32> {
    let mut causes = core::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

fn load_error(error: EbpfError) -> GateError {
    GateError::Load(chain(&error))
}

fn attach_error(error: &ProgramError) -> GateError {
    match errno(error) {
        Some(libc::EBUSY | libc::EEXIST) => GateError::Taken,
        _ => GateError::Attach(chain(error)),
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
