//! Network interfaces: which one packets come through, and what this process may do with it.

use super::routes::{Interface, interfaces};
use core::net::{IpAddr, Ipv4Addr};
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::thread::{CapabilitySet, capabilities};
use std::net::UdpSocket;
use std::{fs, io};
use thiserror::Error;
use xdp::nic::NicIndex;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Nic {
    /// Its name, as `ip link` shows it.
    pub(crate) name: String,
    /// Its number in the kernel.
    pub(crate) index: u32,
    /// Bytes of the longest IP packet.
    pub(crate) mtu: usize,
    /// Queues it receives into.
    pub(crate) queues: u32,
}

/// Why a NIC's own queues cannot be used.
#[derive(Debug, Error)]
pub enum NicError {
    /// There is no such interface.
    #[error("there is no interface `{0}` (`ip link` shows what there is): set `xdp.interface`")]
    Unknown(String),
    /// None was named, and the address does not tell.
    #[error(
        "`listen_ip` does not say which NIC is meant: set `xdp.interface` to the one that \
         terminals are reached through (`ip address` shows them)"
    )]
    Unnamed,
    /// It carries something else, or is a VLAN on another.
    #[error("`{0}` is no Ethernet device: set `xdp.interface` to the device itself")]
    NotEthernet(String),
    /// The process lacks rights.
    #[error(
        "this process lacks {0}: give them to it (systemd: `AmbientCapabilities=CAP_NET_ADMIN \
         CAP_NET_RAW CAP_BPF`; by hand: `setcap cap_net_admin,cap_net_raw,cap_bpf+ep \
         kakehashi-relay`)"
    )]
    Rights(String),
    /// More shards than queues.
    #[error(
        "NIC `{name}` has {queues} receive queues for {shards} shards: set `shards` to {queues}, \
         or give it more (`ethtool -L {name} combined {shards}`)"
    )]
    Queues {
        /// The interface.
        name: String,
        /// What it has.
        queues: u32,
        /// What is wanted.
        shards: u16,
    },
    /// Packets longer than a frame.
    #[error(
        "NIC `{name}` has an MTU of {mtu}, and a packet must fit into a page: at most {most} \
         (`ip link set {name} mtu {most}`)"
    )]
    Mtu {
        /// The interface.
        name: String,
        /// What it has.
        mtu: usize,
        /// What is possible.
        most: usize,
    },
    /// The system did not say.
    #[error("what NIC `{0}` can do cannot be read: {1}")]
    Unreadable(String, io::Error),
}

/// The interface called `wanted`; if that is empty, the one that has `address`, or if that is
/// unspecified, the only one that is an Ethernet device.
///
/// # Errors
/// There is none, or it cannot be told which.
pub(crate) fn find(wanted: &str, address: IpAddr) -> Result<Nic, NicError> {
    let unreadable = |error| NicError::Unreadable(wanted.to_owned(), error);
    let all = interfaces().map_err(unreadable)?;
    if !wanted.is_empty() {
        let unknown = || NicError::Unknown(wanted.to_owned());
        let index = index(wanted).map_err(|_unknown| unknown())?;
        let found = all.iter().find(|interface| interface.index == index).ok_or_else(unknown)?;
        return describe(wanted.to_owned(), found);
    }
    let fits = |interface: &&Interface| match address.is_unspecified() {
        true => interface.is_device,
        false => interface.addresses.contains(&address),
    };
    let mut fitting = all.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(found), None) => describe(name(found.index).map_err(unreadable)?, found),
        _ => Err(NicError::Unnamed),
    }
}

fn index(name: &str) -> io::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    Ok(name_to_index(&socket, name)?)
}

fn name(index: u32) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    Ok(index_to_name(&socket, index)?)
}

fn describe(name: String, interface: &Interface) -> Result<Nic, NicError> {
    if !interface.is_device {
        return Err(NicError::NotEthernet(name));
    }
    let queues = NicIndex::new(interface.index).queue_counts();
    match queues {
        Ok(queues) => Ok(Nic {
            name,
            index: interface.index,
            mtu: usize::try_from(interface.mtu).unwrap_or(usize::MAX),
            queues: queues.rx_count(),
        }),
        Err(error) => Err(NicError::Unreadable(name, error)),
    }
}

fn switch(file: &str) -> io::Result<String> {
    fs::read_to_string(file).map(|text| text.trim().to_owned())
}

/// Checks that this process may use a NIC's own queues.
///
/// # Errors
/// Which rights it lacks.
pub(crate) fn check_rights() -> Result<(), NicError> {
    let held = capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
    let lacks = |right, name| (!held.contains(right)).then_some(name);
    // Before Linux 5.8 the last was part of CAP_SYS_ADMIN, which still includes it.
    let may_load = CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
    let missing = [
        lacks(CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        lacks(CapabilitySet::NET_RAW, "CAP_NET_RAW"),
        (!held.intersects(may_load)).then_some("CAP_BPF"),
    ];
    let missing: Vec<_> = missing.into_iter().flatten().collect();
    if missing.is_empty() { Ok(()) } else { Err(NicError::Rights(missing.join(" and "))) }
}

/// Whether this machine forwards packets of others: then it has ports without a socket of its own,
/// as those that it translates addresses for.
pub(crate) fn forwards() -> bool {
    let switches = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];
    // What cannot be read is not known to be off.
    switches.iter().any(|file| switch(file).map_or(true, |value| value != "0"))
}

/// Whether the driver adds up checksums of what it sends without a copy.
pub(crate) fn offers_checksums(nic: &Nic) -> bool {
    let can = NicIndex::new(nic.index).query_capabilities();
    can.is_ok_and(|can| can.tx_metadata.checksum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::namespaces::{DEVICE, in_pair};

    #[test]
    fn a_device_is_found_by_its_name_its_address_or_because_it_is_the_only_one() {
        in_pair(|pair| {
            pair.near(&format!("address add 192.0.2.1/24 dev {DEVICE}"));
            let named = find(DEVICE, IpAddr::from([0; 4])).unwrap();
            assert_eq!((named.name.as_str(), named.mtu, named.queues), (DEVICE, 1_500, 1));
            assert_eq!(find("", IpAddr::from([192, 0, 2, 1])).unwrap(), named);
            assert_eq!(find("", IpAddr::from([0; 4])).unwrap(), named);
            let text = find("", IpAddr::from([127, 0, 0, 1])).unwrap_err().to_string();
            assert!(text.starts_with("`lo` is no Ethernet device"), "{text}");
        });
    }

    #[test]
    fn what_is_not_there_says_what_to_set() {
        for (name, address) in [("nowhere", [127, 0, 0, 1]), ("", [192, 0, 2, 1])] {
            let text = find(name, IpAddr::from(address)).unwrap_err().to_string();
            assert!(text.contains("`xdp.interface`"), "{text}");
        }
    }
}
