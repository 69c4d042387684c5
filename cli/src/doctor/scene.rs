//! What items look at: the machine, the settings of its parts, and what has to be tried.

use super::machine::{Machine, Read, Unread, expand};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::Config as Control;
use kakehashi_relay::config::{Config as Relay, IoChoice};
use kakehashi_relay::host::{Finding, distribute};
use std::net::SocketAddr;
use std::path::Path;

/// What cannot be read from files, but has to be tried.
pub(crate) trait Probes {
    /// Whether a ring can be made; what to do if not.
    fn io_uring(&self) -> Read<Result<(), String>>;

    /// What the NIC can do for `io = "xdp"`.
    fn nic(&self, relay: &Relay) -> Read<Vec<Finding>>;

    /// Bytes that are free below a folder, and all of them.
    fn space(&self, path: &Path) -> Read<(u64, u64)>;

    /// How the store is.
    fn store(&self, control: &Control) -> Read<Store>;

    /// By how much control's clock is ahead of this one, in milliseconds.
    fn skew_ms(&self, control: Option<&Control>) -> Read<i64>;
}

/// How a store was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Store {
    /// There is none yet.
    None,
    /// It can be opened; at this revision.
    Opens(u64),
    /// Somebody has it open.
    Locked,
    /// A cluster, of so many members, so many of which are well and agree on a leader.
    Cluster {
        /// All of them.
        members: usize,
        /// What is wrong with some of them.
        problems: Vec<String>,
        /// The largest file of a member in bytes.
        bytes: u64,
    },
    /// It cannot be used, and what to do.
    Broken(String),
}

/// What items look at.
pub(crate) struct Scene<'a> {
    /// The machine.
    pub(crate) machine: &'a Machine,
    /// What has to be tried.
    pub(crate) probes: &'a dyn Probes,
    /// The relay's settings; the defaults if none were found.
    pub(crate) relay: &'a Relay,
    /// The control node's settings; the defaults if none were found.
    pub(crate) control: &'a Control,
    /// Whether those are of a control node here.
    pub(crate) has_control: bool,
    /// The time.
    pub(crate) now: UnixMs,
}

impl Scene<'_> {
    /// The NIC that terminals are reached through: the one that was named, or the one that the
    /// machine's default route leads to.
    pub(crate) fn nic(&self) -> Read<String> {
        let named = &self.relay.xdp.interface;
        if !named.is_empty() {
            let there = self.machine.has(&format!("/sys/class/net/{named}"));
            let none = || Unread(format!("there is no interface `{named}`"));
            return there.then(|| named.to_owned()).ok_or_else(none);
        }
        let routes = self.machine.text("/proc/net/route")?;
        let default = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let default = default.filter(|words| words.get(1) == Some(&"00000000"));
        let found = default.filter_map(|words| words.first().map(|it| (*it).to_owned())).next();
        found.ok_or_else(|| Unread("no default route says which NIC: give --interface".to_owned()))
    }

    /// The cores that are switched on.
    pub(crate) fn cores(&self) -> Read<Vec<usize>> {
        self.machine.text("/sys/devices/system/cpu/online").map(|list| expand(&list))
    }

    /// The cores that the relay's shards take.
    pub(crate) fn shard_cores(&self) -> Read<Vec<usize>> {
        let Relay { shards, relay_id, cores, .. } = self.relay;
        let found = distribute(*shards, *relay_id, cores, &self.cores()?);
        found.map_err(|error| Unread(error.to_string()))
    }

    /// The media ports.
    pub(crate) fn media_ports(&self) -> Vec<SocketAddr> {
        let Relay { listen_ip, first_port, shards, .. } = self.relay;
        let ports = (0..*shards).map(|number| first_port.saturating_add(number));
        ports.map(|port| SocketAddr::new(*listen_ip, port)).collect()
    }

    /// Whether the relay may take packets from the NIC's own queues.
    pub(crate) fn is_over_nic(&self) -> bool {
        self.relay.io != IoChoice::Uring
    }
}
