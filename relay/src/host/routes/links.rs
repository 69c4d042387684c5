//! The links of the machine and their addresses, as the kernel last described them.

use super::{Mac, VlanId};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// The kernel's number of a link: a device, or a VLAN on one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct LinkId(pub(super) u32);

/// A link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    /// Unless it is not Ethernet.
    pub(super) mac: Option<Mac>,
    /// Bytes of the longest IP packet.
    pub(super) mtu: u32,
    /// Switched on, with a carrier.
    pub(super) is_up: bool,
    /// For a VLAN of 802.1Q whose parent is in this network namespace.
    pub(super) tag: Option<Tag>,
}

/// What makes a link a VLAN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) parent: LinkId,
    pub(super) vlan: VlanId,
}

/// An IP address of a link. The same one may stand there twice, with different prefixes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LinkAddress {
    pub(super) link: LinkId,
    pub(super) ip: IpAddr,
    pub(super) prefix_bits: u8,
}

/// How packets leave over a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Port {
    pub(super) from: Mac,
    pub(super) vlan: Option<VlanId>,
    pub(super) mtu: u32,
}

/// Every link and every address, and which of them is the interface.
pub(super) struct Links {
    interface: LinkId,
    links: HashMap<LinkId, Link>,
    addresses: BTreeSet<LinkAddress>,
}

impl Links {
    /// Knows of none yet.
    pub(super) fn new(interface: LinkId) -> Self {
        Self { interface, links: HashMap::new(), addresses: BTreeSet::new() }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.addresses.clear();
    }

    /// The interface itself, if it is there.
    pub(super) fn interface(&self) -> Option<&Link> {
        self.links.get(&self.interface)
    }

    /// A link is like this, or gone. True if that is new.
    pub(super) fn describe(&mut self, id: LinkId, link: Option<Link>) -> bool {
        if let Some(link) = link {
            return self.links.insert(id, link) != Some(link);
        }
        self.addresses.retain(|address| address.link != id);
        self.links.remove(&id).is_some()
    }

    /// An address is there and may be used, or not.
    pub(super) fn address(&mut self, address: LinkAddress, is_there: bool) {
        if is_there {
            self.addresses.insert(address);
        } else {
            self.addresses.remove(&address);
        }
    }

    /// How packets leave over a link, if it is the interface or a VLAN on it, and up.
    pub(super) fn port(&self, id: LinkId) -> Option<Port> {
        let link = self.links.get(&id).filter(|link| link.is_up)?;
        let from = link.mac?;
        if id == self.interface {
            return Some(Port { from, vlan: None, mtu: link.mtu });
        }
        let tag = link.tag.filter(|tag| tag.parent == self.interface)?;
        let parent = self.interface().filter(|parent| parent.is_up)?;
        Some(Port { from, vlan: Some(tag.vlan), mtu: link.mtu.min(parent.mtu) })
    }

    /// The IP addresses of the interface and of the VLANs on it, whether they are up or not.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        let ours = self.addresses.iter().filter(|address| self.is_ours(address.link));
        ours.map(|address| address.ip).collect()
    }

    fn is_ours(&self, id: LinkId) -> bool {
        let tag = self.links.get(&id).and_then(|link| link.tag);
        id == self.interface || tag.is_some_and(|tag| tag.parent == self.interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERFACE: LinkId = LinkId(2);

    fn link(last: u8, parent: Option<u32>) -> Link {
        let tag = parent.map(|parent| Tag { parent: LinkId(parent), vlan: VlanId(7) });
        Link { mac: Some(Mac([2, 0, 0, 0, 0, last])), mtu: 1_500, is_up: true, tag }
    }

    fn links() -> Links {
        let mut links = Links::new(INTERFACE);
        assert!(links.describe(INTERFACE, Some(link(2, None))));
        assert!(links.describe(LinkId(3), Some(link(3, Some(2)))));
        assert!(links.describe(LinkId(4), Some(link(4, Some(3)))));
        assert!(links.describe(LinkId(5), Some(link(5, None))));
        links
    }

    #[test]
    fn only_the_interface_and_vlans_on_it_are_ports() {
        let links = links();
        let ports = [2, 3, 4, 5, 6].map(|id| links.port(LinkId(id)).map(|port| port.vlan));
        assert_eq!(ports, [Some(None), Some(Some(VlanId(7))), None, None, None]);
        assert_eq!(links.port(LinkId(3)).unwrap().from, Mac([2, 0, 0, 0, 0, 3]));
    }

    #[test]
    fn a_vlan_is_no_better_than_what_it_is_on() {
        let mut links = links();
        let small = Link { mtu: 1_300, ..link(2, None) };
        assert!(links.describe(INTERFACE, Some(small)));
        assert!(!links.describe(INTERFACE, Some(small)), "nothing new");
        assert_eq!(links.port(LinkId(3)).unwrap().mtu, 1_300);
        links.describe(INTERFACE, Some(Link { is_up: false, ..small }));
        assert_eq!(links.port(LinkId(3)), None);
    }

    #[test]
    fn an_address_with_two_prefixes_goes_with_the_last() {
        let mut links = links();
        let ip: IpAddr = [192, 0, 2, 1].into();
        let address = |link, prefix_bits| LinkAddress { link: LinkId(link), ip, prefix_bits };
        links.address(address(5, 24), true);
        assert!(links.addresses().is_empty(), "that is another interface");
        links.address(address(3, 24), true);
        links.address(address(3, 32), true);
        links.address(address(3, 24), false);
        assert_eq!(links.addresses(), BTreeSet::from([ip]));
        assert!(links.describe(LinkId(3), None));
        assert!(links.addresses().is_empty());
    }
}
