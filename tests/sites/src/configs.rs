//! What is where at a site, and the configuration files of the parts.

use crate::network::Network;
use crate::nic::Io;
use core::time::Duration;
use kakehashi_control::pki::Pki;
use kakehashi_wire::id::RelayId;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Last byte of a node's address.
pub(crate) const NODE_HOST: u8 = 10;

/// Last byte of the address of a site's member of the store.
pub(crate) const STORE_HOST: u8 = 15;

/// Last byte of the addresses of a site's relays, less their number at the site.
pub(crate) const RELAY_HOST: u8 = 20;

/// How long a relay keeps legs that it no longer hears about: the least that may be set.
pub(crate) const LEG_LIFETIME: Duration = Duration::from_secs(60);

/// The name in the certificates of all nodes.
pub(crate) const NODES_NAME: &str = "nodes.test";

/// Site and number at the site of the relay that listens there.
pub(crate) fn relay_at(address: SocketAddr) -> Option<(u8, u8)> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let [_, _, site, host] = ip.octets();
    host.checked_sub(RELAY_HOST).map(|nth| (site, nth))
}

/// The sites, and how many of them, from the first, have a node.
pub(crate) struct Sites<'a> {
    /// Their networks.
    pub(crate) networks: &'a [Network],
    /// How many have a node.
    pub(crate) nodes: usize,
    /// How long a packet is under way between them.
    pub(crate) delay: Duration,
    /// How their relays move packets.
    pub(crate) io: Io,
}

impl Sites<'_> {
    fn at_all(&self, host: u8, port: u16) -> Vec<String> {
        self.networks.iter().map(|site| format!("{}:{port}", site.address(host))).collect()
    }

    fn at_nodes(&self, port: u16) -> Vec<String> {
        self.at_all(NODE_HOST, port).into_iter().take(self.nodes).collect()
    }

    /// Where terminals find the nodes.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.at_nodes(4433)
    }

    /// The settings of the node of site `nth`, from 0.
    pub(crate) fn node(&self, nth: usize, folder: &Path) -> String {
        let address = self.networks[nth].address(NODE_HOST);
        let peers = self.at_nodes(4436).into_iter().zip(1..);
        let peers = peers.filter(|(_, number)| *number != nth + 1);
        let peers: Vec<String> = peers.map(|(at, number)| format!("node-{number}@{at}")).collect();
        let mut endpoints = self.at_all(STORE_HOST, 2379);
        endpoints.rotate_left(nth);
        let endpoints = endpoints.into_iter().map(|at| format!("http://{at}"));
        format!(
            "data = {data:?}\n\
             names = [\"localhost\", \"{NODES_NAME}\"]\n\
             [terminals]\n\
             listen = \"{address}:4433\"\n\
             # All terminals of a network share one address.\n\
             connections_per_address = 4096\n\
             [relays]\n\
             listen = \"{address}:4434\"\n\
             lost_after_ms = 600\n\
             leg_lifetime_s = {lifetime}\n\
             [api]\n\
             listen = \"127.0.0.1:4435\"\n\
             [node]\n\
             listen = \"{address}:4436\"\n\
             name = \"node-{number}\"\n\
             peers = {peers:?}\n\
             [store]\n\
             engine = \"etcd\"\n\
             [store.etcd]\n\
             endpoints = {endpoints:?}\n\
             [archive]\n\
             folder = {archive:?}\n",
            data = folder.join("control"),
            lifetime = LEG_LIFETIME.as_secs(),
            // Beside the sites: what all of them reach.
            archive = folder.with_file_name("archive"),
            number = nth + 1,
            endpoints = endpoints.collect::<Vec<_>>(),
        )
    }

    /// The arguments of the member of the store at site `nth`, from 0.
    pub(crate) fn store(&self, nth: usize, folder: &Path) -> Vec<String> {
        let address = self.networks[nth].address(STORE_HOST);
        let members = self.at_all(STORE_HOST, 2380).into_iter().zip(1..);
        let members: Vec<String> =
            members.map(|(at, number)| format!("store-{number}=http://{at}")).collect();
        let name = format!("store-{}", nth + 1);
        // As operators are told.
        let is_near = self.delay <= Duration::from_millis(25);
        let (heartbeat, election) = if is_near { ("50", "500") } else { ("100", "1000") };
        let (clients, peers) = (format!("http://{address}:2379"), format!("http://{address}:2380"));
        [
            ("--name", name.as_str()),
            ("--data-dir", &folder.join("store").to_string_lossy()),
            ("--listen-client-urls", &clients),
            ("--advertise-client-urls", &clients),
            ("--listen-peer-urls", &peers),
            ("--initial-advertise-peer-urls", &peers),
            ("--initial-cluster", &members.join(",")),
            ("--heartbeat-interval", heartbeat),
            ("--election-timeout", election),
            ("--auto-compaction-mode", "periodic"),
            ("--auto-compaction-retention", "1h"),
            ("--log-level", "warn"),
        ]
        .iter()
        .flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()])
        // Only together with its value is it one.
        .chain(["--pre-vote=true".to_owned()])
        .collect()
    }

    /// A relay's settings; `pki` has issued its certificate.
    pub(crate) fn relay(&self, pki: &Pki, (id, site): (RelayId, u8), address: Ipv4Addr) -> String {
        let (certificate, key) = pki.relay_paths(id);
        format!(
            "relay_id = {id}\n\
             site = \"site-{site}\"\n\
             listen_ip = \"{address}\"\n\
             advertise_ip = \"{address}\"\n\
             first_port = 5000\n\
             shards = 1\n\
             {io}\
             ca_file = {ca:?}\n\
             certificate_file = {certificate:?}\n\
             key_file = {key:?}\n\
             [control]\n\
             nodes = {nodes:?}\n\
             name = \"{NODES_NAME}\"\n",
            id = id.0,
            io = self.io.settings(),
            ca = pki.root_path(),
            nodes = self.at_nodes(4434),
        )
    }
}
