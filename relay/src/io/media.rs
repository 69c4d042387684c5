//! What each shard gets its packets through: a socket always, and a queue of the NIC if the
//! settings ask for it and the machine can.

use super::socket::BindError;
use super::xdp::{Copies, Gate, GateError, Hook, NicQueue, Rules, Sums, XdpPort};
use crate::capacity::xdp::{FRAME_BYTES, KERNEL_HEADROOM_BYTES};
use crate::config::{Config, IoChoice, XdpMode};
use crate::host::routes::{Routes, RoutesEnd};
use crate::host::{Door, Nic, NicError, check_rights, find, forwards, offers_checksums};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use thiserror::Error;

/// Bytes in front of an IP packet in its frame: Ethernet, and a VLAN tag.
const ETHERNET_BYTES: usize = 18;

/// Why packets cannot come and go as the settings say.
#[derive(Debug, Error)]
pub enum MediaError {
    /// A port cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The NIC cannot be used.
    #[error("`io = \"xdp\"` is not possible here: {0}")]
    Nic(#[from] NicQueueError),
}

/// Why a NIC's own queues cannot be used.
#[derive(Debug, Error)]
pub enum NicQueueError {
    /// The NIC, or the rights to it.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The program that feeds them.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A socket on a queue.
    #[error(
        "queue {queue} of the NIC cannot be opened: {error}; if it names memory, raise \
         `ulimit -l` or LimitMEMLOCK="
    )]
    Queue {
        /// The queue's number.
        queue: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel's tables.
    #[error("the kernel's routes cannot be read: {0}")]
    Routes(io::Error),
}

/// Queues of a NIC, one for each shard; what stays with the relay as long as they are used.
pub(crate) struct Queues {
    /// For each shard, in their order.
    pub(crate) shards: Vec<(NicQueue, RoutesEnd)>,
    /// Follows the kernel's tables until it is dropped.
    pub(crate) routes: Routes,
    /// The first gate, if it does not let everybody in.
    pub(crate) door: Option<Arc<dyn Door>>,
}

/// Queues of the NIC, if the settings ask for them; none if they only ask whether it is possible,
/// and it is not: then the log says why.
pub(crate) fn open_queues(config: &Config) -> Result<Option<Queues>, NicQueueError> {
    match config.io {
        IoChoice::Uring => Ok(None),
        IoChoice::Xdp => queues(config).map(Some),
        IoChoice::Auto => match queues(config) {
            Ok(queues) => Ok(Some(queues)),
            Err(why) => {
                tracing::info!(event = "packet_io_kernel", %why,
                    "packets go through the kernel (io_uring)");
                if config.xdp.signed_in_only {
                    tracing::warn!(
                        event = "media_filter_missing",
                        "media of strangers is not kept out (xdp.signed_in_only)"
                    );
                }
                Ok(None)
            }
        },
    }
}

fn queues(config: &Config) -> Result<Queues, NicQueueError> {
    check_rights()?;
    let nic = find(&config.xdp.interface, config.listen_ip)?;
    if nic.queues < u32::from(config.shards) {
        let (name, queues, shards) = (nic.name, nic.queues, config.shards);
        return Err(NicError::Queues { name, queues, shards }.into());
    }
    let frame_bytes = frame_bytes_for(&nic)?;
    let ports = (config.first_port, config.shards);
    let rules = Rules { ports, drop_unknown: !forwards(), sources_max: sources_max(config) };
    let (gate, place) = put_on(&nic, config.xdp.mode, rules)?;
    let sums = if offers_checksums(&nic) { Sums::Theirs } else { Sums::Ours };
    let ports =
        (0..u32::from(config.shards)).map(|queue| open((&nic, sums), queue, frame_bytes, config));
    let ports = ports.collect::<Result<Vec<_>, _>>()?;
    let copies = ports.iter().all(|port| port.copies() == Copies::None);
    let copies = if copies { Copies::None } else { Copies::Kernel };
    let checksums = ports.first().map(XdpPort::sums);
    let only = Some(config.listen_ip).filter(|ip| !ip.is_unspecified());
    let fed = Arc::clone(&gate);
    let on_addresses = move |addresses: &BTreeSet<IpAddr>| {
        let media = addresses.iter().copied().filter(|ip| only.is_none_or(|only| only == *ip));
        fed.set_addresses(&media.collect());
    };
    let (routes, ends) =
        Routes::start(nic.index, ports.len(), on_addresses).map_err(NicQueueError::Routes)?;
    let addresses = routes.addresses();
    tracing::info!(
        event = "packet_io_xdp",
        nic = nic.name,
        ?place,
        ?copies,
        ?checksums,
        ?rules,
        ?addresses,
        "packets go past the kernel (AF_XDP)"
    );
    let shards = (0_u16..).zip(ports).zip(ends).map(|((number, port), end)| {
        let local = (only, config.first_port + number);
        (NicQueue { queue: u32::from(number), port, gate: Arc::clone(&gate), local }, end)
    });
    let shards = shards.collect();
    let door = config.xdp.signed_in_only.then_some(gate as Arc<dyn Door>);
    Ok(Queues { shards, routes, door })
}

/// How many addresses are let in at most, if not all are: each has a leg here.
fn sources_max(config: &Config) -> Option<u32> {
    let legs = config.legs_per_shard_max.saturating_mul(u32::from(config.shards));
    config.xdp.signed_in_only.then_some(legs.max(1))
}

/// Bytes of the frames that the NIC's packets fit into.
pub(crate) fn frame_bytes_for(nic: &Nic) -> Result<usize, NicError> {
    let packet = |frame: usize| frame - KERNEL_HEADROOM_BYTES - ETHERNET_BYTES;
    let most = packet(FRAME_BYTES[1]);
    let fits = FRAME_BYTES.into_iter().find(|bytes| nic.mtu <= packet(*bytes));
    fits.ok_or_else(|| NicError::Mtu { name: nic.name.clone(), mtu: nic.mtu, most })
}

/// Puts the first gate where the settings say; in the driver if it can, and behind it otherwise, if
/// they leave it open.
fn put_on(nic: &Nic, mode: XdpMode, rules: Rules) -> Result<(Arc<Gate>, Hook), GateError> {
    let put = |place| Gate::put_on(nic.index, place, rules).map(|gate| (gate, place));
    match mode {
        XdpMode::Driver => put(Hook::Driver),
        XdpMode::Generic => put(Hook::Generic),
        XdpMode::Auto => put(Hook::Driver).or_else(|error| match error {
            GateError::Attach(why) => {
                tracing::info!(
                    event = "driver_program_refused",
                    nic = nic.name,
                    why,
                    "the driver takes no program: behind it then"
                );
                put(Hook::Generic)
            }
            other => Err(other),
        }),
    }
}

/// A socket on a queue, without copies if the driver can; who adds up checksums then is said.
fn open(
    (nic, without_copies): (&Nic, Sums),
    queue: u32,
    frame_bytes: usize,
    config: &Config,
) -> Result<XdpPort, NicQueueError> {
    let open = |copies| {
        let place = (nic.index, queue);
        // Where the kernel copies, it adds up for a NIC that does not.
        let sums = match copies {
            Copies::None => without_copies,
            Copies::Kernel => Sums::Theirs,
        };
        XdpPort::open(place, (copies, sums), frame_bytes, config.xdp.busy_poll_us)
    };
    let opened = open(Copies::None).or_else(|error| match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EINVAL) => open(Copies::Kernel),
        _ => Err(error),
    });
    opened.map_err(|error| NicQueueError::Queue { queue, error })
}
