//! A relay with a NIC to itself: one end of a pair of virtual Ethernet devices, in a network of its
//! own behind its site's, and whether its packets go over it.

use crate::network::{GATEWAY_HOST, Network};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use core::fmt;
use kakehashi_control::admin::RelayRow;
use kakehashi_wire::id::RelayId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// The relay's device.
const NIC: &str = "nic0";

/// What a relay must have received before its share says anything: two seconds of one voice.
const PACKETS_LEAST: u64 = 100;

/// Percent that must come past the kernel, and leave so: a relay that has just started sends the
/// first packet to each terminal through it, since it must ask for the way.
const PAST_KERNEL_LEAST: u64 = 90;

/// How relays move packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Io {
    /// Through the kernel.
    Uring,
    /// Past it, over a NIC of their own.
    Xdp,
}

impl Io {
    /// What a relay's settings say about it.
    pub(crate) fn settings(self) -> String {
        match self {
            Self::Uring => "io = \"uring\"\n".to_owned(),
            Self::Xdp => format!("io = \"xdp\"\nxdp.interface = {NIC:?}\n"),
        }
    }
}

/// Makes the network `name` of a relay whose address at `site` ends in `host`. The site forwards
/// for it, and is all that it reaches by itself.
///
/// # Errors
/// If `ip` fails, or the site cannot forward.
pub(crate) fn behind(site: &Network, name: &str, host: u8) -> Result<Network> {
    let relay = Network::make(format!("kakehashi-{name}"), site.number())?;
    let peer = ["type", "veth", "peer", "name", NIC, "netns", relay.name()];
    site.ip(&[&["link", "add", name], peer.as_slice()].concat())?;
    site.ip(&["link", "set", name, "up"])?;
    relay.ip(&["link", "set", NIC, "up"])?;
    let (address, gateway) = (relay.address(host).to_string(), site.address(GATEWAY_HOST));
    relay.ip(&["address", "add", &format!("{address}/32"), "dev", NIC])?;
    site.ip(&["route", "add", &address, "dev", name])?;
    relay.ip(&["route", "add", &gateway.to_string(), "dev", NIC])?;
    relay.ip(&["route", "add", "default", "via", &gateway.to_string()])?;
    let forwards = site.inside(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
    forwards.with_context(|| format!("{} cannot forward", site.name()))?;
    Ok(relay)
}

/// Packets of a relay, or of several, as they counted them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Packets {
    /// Received.
    pub(crate) received: u64,
    /// Of these, past the kernel.
    pub(crate) received_nic: u64,
    /// Sent.
    pub(crate) sent: u64,
    /// Of these, past the kernel.
    pub(crate) sent_nic: u64,
}

impl Packets {
    fn of(row: &RelayRow) -> Self {
        let count = |name: &str| {
            let found = row.counters.iter().find(|(counter, _)| counter == name);
            found.map_or(0, |(_, count)| *count)
        };
        Self {
            received: count("packets_received"),
            received_nic: count("packets_received_nic"),
            sent: count("packets_sent"),
            sent_nic: count("packets_sent_nic"),
        }
    }

    /// What came on top since `before`; all of it if the relay was started in between.
    fn since(self, before: Self) -> Self {
        if self.received < before.received || self.sent < before.sent {
            return self;
        }
        Self {
            received: self.received - before.received,
            received_nic: self.received_nic.saturating_sub(before.received_nic),
            sent: self.sent - before.sent,
            sent_nic: self.sent_nic.saturating_sub(before.sent_nic),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            received_nic: self.received_nic + other.received_nic,
            sent: self.sent + other.sent,
            sent_nic: self.sent_nic + other.sent_nic,
        }
    }

    fn are_past_kernel(self) -> bool {
        let enough = |past: u64, all: u64| past * 100 >= all * PAST_KERNEL_LEAST;
        enough(self.received_nic, self.received) && enough(self.sent_nic, self.sent)
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, received_nic, sent, sent_nic } = self;
        write!(
            out,
            "past the kernel: {received_nic} of {received} packets received, {sent_nic} of {sent} \
             sent"
        )
    }
}

/// What each relay has counted in its life.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counted(BTreeMap<RelayId, Packets>);

impl Counted {
    /// What the relays say.
    pub(crate) fn of(rows: &[RelayRow]) -> Self {
        Self(rows.iter().map(|row| (row.id, Packets::of(row))).collect())
    }

    /// What all relays have moved since `before`, if it went past the kernel.
    ///
    /// # Errors
    /// If it did not, or there is next to nothing.
    pub(crate) fn past_kernel_since(&self, before: &Self) -> Result<Packets> {
        let mut sum = Packets::default();
        for (relay, counted) in &self.0 {
            let moved = counted.since(before.0.get(relay).copied().unwrap_or_default());
            let is_idle = moved.received < PACKETS_LEAST;
            ensure!(
                is_idle || moved.are_past_kernel(),
                "relay {} is to go past the kernel, and does not: {moved:?}",
                relay.0
            );
            sum = sum.and(moved);
        }
        ensure!(sum.received >= PACKETS_LEAST, "no relay has received anything: {sum:?}");
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(received: u64, received_nic: u64) -> Counted {
        let (sent, sent_nic) = (received, received_nic);
        Counted(BTreeMap::from([(RelayId(11), Packets { received, received_nic, sent, sent_nic })]))
    }

    #[test]
    fn a_relay_that_goes_through_the_kernel_is_noticed() {
        let before = counted(1_000, 1_000);
        let moved = counted(2_000, 1_995).past_kernel_since(&before).unwrap();
        assert_eq!((moved.received, moved.received_nic), (1_000, 995));
        assert!(
            counted(2_000, 1_000).past_kernel_since(&before).is_err(),
            "all through the kernel"
        );
        assert!(counted(2_000, 1_800).past_kernel_since(&before).is_err(), "some of it");
        assert!(counted(1_010, 1_010).past_kernel_since(&before).is_err(), "next to nothing");
    }

    #[test]
    fn a_relay_that_was_started_again_counts_from_its_start() {
        let moved = counted(400, 396).past_kernel_since(&counted(1_000, 1_000)).unwrap();
        assert_eq!(moved.received, 400);
        assert!(counted(400, 0).past_kernel_since(&counted(1_000, 1_000)).is_err());
    }
}
