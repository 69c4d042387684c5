//! The configuration files of the parts, written from the command line.

use super::layout::Layout;
use crate::args::{CallSettingsArgs, IoArgs, LogArgs, UpArgs};
use anyhow::{Context, Result};
use kakehashi_control::pki::Pki;
use kakehashi_wire::id::RelayId;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where everything listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ports {
    address: IpAddr,
    control: u16,
    fleet: u16,
    api: u16,
    metrics: u16,
    console: u16,
    media: u16,
    shards: u16,
    relays: u16,
}

impl Ports {
    /// The ports of a command line.
    pub(super) fn of(args: &UpArgs) -> Result<Self> {
        args.media_port
            .checked_add(args.shards * args.relays - 1)
            .context("the media ports end above 65535: choose a lower --media-port")?;
        args.metrics_port
            .checked_add(args.relays)
            .context("the ports for figures end above 65535: choose a lower --metrics-port")?;
        Ok(Self {
            address: args.address,
            control: args.control_port,
            fleet: args.fleet_port,
            api: args.api_port,
            metrics: args.metrics_port,
            console: args.console_port,
            media: args.media_port,
            shards: args.shards,
            relays: args.relays,
        })
    }

    /// The relays.
    pub(super) fn relays(&self) -> impl Iterator<Item = RelayId> + use<> {
        (1..=self.relays).map(|relay| RelayId(relay.into()))
    }

    /// Where terminals find control.
    pub(crate) fn control(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.control)
    }

    fn fleet(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.fleet)
    }

    /// Where operators find control.
    pub(super) fn api(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.api)
    }

    /// Where control shows its figures; none if they are not shown.
    pub(super) fn control_metrics(&self) -> Option<SocketAddr> {
        let port = Some(self.metrics).filter(|port| *port > 0)?;
        Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
    }

    /// Where a relay shows its figures.
    pub(super) fn relay_metrics(&self, relay: RelayId) -> Option<SocketAddr> {
        let first = self.control_metrics()?;
        let after = u16::try_from(relay.0).ok()?;
        Some(SocketAddr::new(first.ip(), first.port().checked_add(after)?))
    }

    /// Where browsers find the console.
    pub(super) fn console(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.console)
    }

    fn first_media(&self, relay: RelayId) -> u16 {
        let before = u16::try_from(relay.0 - 1).unwrap_or_default();
        self.media + before * self.shards
    }

    /// A relay's addresses, for people.
    pub(super) fn media_range(&self, relay: RelayId) -> String {
        let first = self.first_media(relay);
        let address = SocketAddr::new(self.address, first);
        if self.shards == 1 {
            address.to_string()
        } else {
            format!("{address}-{}", first + self.shards - 1)
        }
    }
}

/// A relay's name: stem of its files.
pub(super) fn relay_name(relay: RelayId) -> String {
    format!("relay-{}", relay.0)
}

/// An address as a setting: empty for none.
fn listen(address: Option<SocketAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// The control node's configuration.
pub(super) fn control(
    layout: &Layout,
    ports: &Ports,
    (calls, log): (&CallSettingsArgs, &LogArgs),
) -> String {
    format!(
        "# Written by `kakehashi up` at every start.\n\
         data = {data:?}\n\
         names = [\"localhost\", \"{address}\"]\n\
         log = {filter:?}\n\
         log_json = {json}\n\
         [terminals]\n\
         listen = \"{terminals}\"\n\
         [relays]\n\
         listen = \"{relays}\"\n\
         [api]\n\
         listen = \"{api}\"\n\
         [console]\n\
         listen = \"{console}\"\n\
         [calls]\n\
         isolation = {isolation:?}\n\
         leg_rate_max_kbps = {leg_rate}\n\
         [metrics]\n\
         listen = \"{metrics}\"\n\
         [traces]\n\
         collector = {traces:?}\n",
        data = layout.control(),
        filter = log.log,
        json = log.log_json,
        terminals = ports.control(),
        relays = ports.fleet(),
        api = ports.api(),
        metrics = listen(ports.control_metrics()),
        traces = log.traces,
        console = ports.console(),
        address = ports.address,
        isolation = calls.isolation,
        leg_rate = calls.leg_rate_max_kbps,
    )
}

/// A relay's configuration; `pki` has issued its certificate.
pub(super) fn relay(
    pki: &Pki,
    ports: &Ports,
    (io, log): (&IoArgs, &LogArgs),
    relay: RelayId,
) -> String {
    // A NIC is one relay's.
    let is_first = relay == RelayId(1);
    let kind = if is_first { io.io.as_str() } else { "uring" };
    let (certificate, key) = pki.relay_paths(relay);
    format!(
        "# Written by `kakehashi up` at every start.\n\
         relay_id = {id}\n\
         listen_ip = \"{address}\"\n\
         advertise_ip = \"{address}\"\n\
         first_port = {first_port}\n\
         shards = {shards}\n\
         io = {kind:?}\n\
         log_level = {filter:?}\n\
         log_format = {format:?}\n\
         ca_file = {ca:?}\n\
         certificate_file = {certificate:?}\n\
         key_file = {key:?}\n\
         [xdp]\n\
         interface = {interface:?}\n\
         signed_in_only = {signed_in_only}\n\
         [firewall]\n\
         table = {firewall:?}\n\
         [control]\n\
         nodes = [\"{control}\"]\n\
         name = \"localhost\"\n\
         [metrics]\n\
         listen = \"{metrics}\"\n\
         [traces]\n\
         collector = {traces:?}\n",
        metrics = listen(ports.relay_metrics(relay)),
        traces = log.traces,
        id = relay.0,
        filter = log.log,
        format = if log.log_json { "json" } else { "text" },
        address = ports.address,
        first_port = ports.first_media(relay),
        shards = ports.shards,
        interface = io.interface,
        signed_in_only = is_first && io.signed_in_only,
        firewall = if is_first { io.firewall.as_str() } else { "" },
        control = ports.fleet(),
        ca = pki.root_path(),
    )
}
