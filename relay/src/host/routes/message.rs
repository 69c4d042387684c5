//! Between netlink's messages and `facts`: what is read out of the ones, and how the others are
//! asked for.

use super::facts::{Event, Hop, Route, Seen};
use super::links::{Link, LinkAddress, LinkId, Tag};
use super::{Mac, VlanId};
use netlink_packet_core::{DecodeError, NetlinkBuffer, NetlinkMessage};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    VlanProtocol,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;

/// States of a neighbour in which packets may be sent to its address: `NUD_REACHABLE`, `STALE`,
/// `DELAY`, `PROBE`, `NOARP`, `PERMANENT`.
const STATES_USABLE: u16 = 0x02 | 0x04 | 0x08 | 0x10 | STATES_FIXED;

/// States in which the kernel does not look after a neighbour: `NUD_NOARP`, `PERMANENT`.
const STATES_FIXED: u16 = 0x40 | 0x80;

/// Netlink begins each message at a multiple of this.
const ALIGNMENT: usize = 4;

/// The messages of one datagram. One that cannot be read is an error, and the next follows.
pub(super) fn messages(
    datagram: &[u8],
) -> impl Iterator<Item = Result<NetlinkMessage<RouteNetlinkMessage>, DecodeError>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(rest).ok()?.length();
        let (message, _) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = rest.get(message.len().next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(NetlinkMessage::deserialize(message))
    })
}

/// What a message says, if it is of use here.
pub(super) fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    match message {
        RouteNetlinkMessage::NewLink(message) => link(message),
        RouteNetlinkMessage::DelLink(message) => {
            is_whole(message).then_some(Event::Link(LinkId(message.header.index), None))
        }
        RouteNetlinkMessage::NewAddress(message) => address(message, true),
        RouteNetlinkMessage::DelAddress(message) => address(message, false),
        RouteNetlinkMessage::NewNeighbour(message) => neighbour(message, true),
        RouteNetlinkMessage::DelNeighbour(message) => neighbour(message, false),
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Event::Routes),
        _ => None,
    }
}

/// Where packets to `destination` go, as the kernel answered. `None` if not to a next hop.
pub(super) fn route(message: &RouteMessage, destination: IpAddr) -> Option<Route> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut link, mut ip, mut source, mut mtu) = (None, destination, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(LinkId(*index)),
            RouteAttribute::Gateway(address) => ip = route_address(address)?,
            RouteAttribute::Via(RouteVia::Inet(address)) => ip = IpAddr::V4(*address),
            RouteAttribute::Via(RouteVia::Inet6(address)) => ip = IpAddr::V6(*address),
            RouteAttribute::PrefSource(address) => source = route_address(address),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_metric),
            // Another kind of next hop, an envelope around each packet, or a choice.
            RouteAttribute::Via(_)
            | RouteAttribute::Encap(_)
            | RouteAttribute::NewDestination(_)
            | RouteAttribute::MultiPath(_) => return None,
            _ => {}
        }
    }
    let source: IpAddr = source?;
    let is_same_family = source.is_ipv4() == destination.is_ipv4();
    let hop = Hop { link: link?, ip };
    is_same_family.then_some(Route { hop, source, mtu })
}

/// Asks which route packets to `destination` take.
pub(super) fn route_request(destination: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
    message.attributes.push(RouteAttribute::Destination(destination.into()));
    RouteNetlinkMessage::GetRoute(message)
}

/// Says that a neighbour is in use (`ip neighbour add ADDRESS dev DEVICE use`): without an
/// address and a state, the kernel keeps what it knows, and finds out what it does not.
pub(super) fn use_request(hop: Hop) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(hop.ip);
    message.header.ifindex = hop.link.0;
    message.header.flags = NeighbourFlags::Use;
    message.attributes.push(NeighbourAttribute::Destination(hop.ip.into()));
    RouteNetlinkMessage::NewNeighbour(message)
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

fn mtu_metric(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(bytes) if *bytes > 0 => Some(*bytes),
        _ => None,
    }
}

fn link(message: &LinkMessage) -> Option<Event> {
    let (mut address, mut mtu) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => address = mac(bytes),
            LinkAttribute::Mtu(bytes) => mtu = Some(*bytes),
            _ => {}
        }
    }
    // News of a wireless link come as a message with next to nothing in it.
    let mtu = mtu.filter(|_| is_whole(message))?;
    let is_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let link = Link {
        mac: address.filter(|_| is_ethernet),
        mtu,
        is_up: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        tag: tag(message),
    };
    Some(Event::Link(LinkId(message.header.index), Some(link)))
}

/// Whether a message is about a link itself. A bridge speaks of its ports with the same messages,
/// and removes a port with the one that otherwise says the link is gone.
fn is_whole(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

fn tag(message: &LinkMessage) -> Option<Tag> {
    let mut parent = None;
    let mut info: &[LinkInfo] = &[];
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(index) => parent = Some(LinkId(*index)),
            LinkAttribute::LinkInfo(found) => info = found,
            // The parent is in another network namespace, where its number means another link.
            LinkAttribute::LinkNetNsId(_) => return None,
            _ => {}
        }
    }
    if !info.contains(&LinkInfo::Kind(InfoKind::Vlan)) {
        return None;
    }
    let (mut vlan, mut protocol) = (None, VlanProtocol::Ieee8021Q);
    for entry in info {
        let LinkInfo::Data(InfoData::Vlan(entries)) = entry else { continue };
        for entry in entries {
            match entry {
                InfoVlan::Id(id) => vlan = Some(*id),
                InfoVlan::Protocol(found) => protocol = *found,
                _ => {}
            }
        }
    }
    let vlan = vlan.filter(|id| (1..=4_094).contains(id) && protocol == VlanProtocol::Ieee8021Q)?;
    Some(Tag { parent: parent?, vlan: VlanId(vlan) })
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn address(message: &AddressMessage, is_there: bool) -> Option<Event> {
    let (mut address, mut local, mut flags) = (None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(found) => flags = *found,
            _ => {}
        }
    }
    // Between two points, `Address` is the other one.
    let ip = local.or(address)?;
    let is_in_doubt =
        flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    let may_be_used = !is_in_doubt && !flags.contains(AddressFlags::Dadfailed);
    let link = LinkId(message.header.index);
    let address = LinkAddress { link, ip, prefix_bits: message.header.prefix_len };
    Some(Event::Address(address, is_there && may_be_used))
}

fn neighbour(message: &NeighbourMessage, is_there: bool) -> Option<Event> {
    let header = &message.header;
    let (mut ip, mut at, mut is_fixed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                ip = Some(IpAddr::V4(*address));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                ip = Some(IpAddr::V6(*address));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => at = mac(bytes),
            NeighbourAttribute::ExtFlags(flags) => {
                is_fixed |= flags.contains(NeighbourExtFlags::Managed);
            }
            _ => {}
        }
    }
    // A proxied neighbour is one this machine answers for. A bridge's learned addresses come with
    // the same messages, but without an IP address.
    let ip = ip.filter(|_| !header.flags.contains(NeighbourFlags::Proxy))?;
    let state = u16::from(header.state);
    is_fixed |= state & STATES_FIXED != 0 || header.flags.contains(NeighbourFlags::ExtLearned);
    let seen = match at.filter(|_| state & STATES_USABLE != 0) {
        _ if !is_there => Seen::Gone,
        Some(mac) if is_fixed => Seen::Fixed(mac),
        Some(mac) => Seen::At(mac),
        None => Seen::Unresolved,
    };
    Some(Event::Neighbour(Hop { link: LinkId(header.ifindex), ip }, seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NetlinkHeader, NetlinkPayload};
    use netlink_packet_route::neighbour::NeighbourState;

    const PARENT: LinkId = LinkId(2);

    /// What comes out if the kernel sends these messages in one datagram.
    fn heard(sent: &[RouteNetlinkMessage]) -> Vec<Option<Event>> {
        let bytes = datagram(sent);
        let read = messages(&bytes).map(|message| match message.unwrap().payload {
            NetlinkPayload::InnerMessage(message) => event(&message),
            other => panic!("{other:?}"),
        });
        read.collect()
    }

    fn datagram(sent: &[RouteNetlinkMessage]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in sent {
            let payload = NetlinkPayload::InnerMessage(message.clone());
            let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
            message.finalize();
            let begin = bytes.len();
            bytes.resize(begin + message.buffer_len(), 0);
            message.serialize(&mut bytes[begin..]);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        }
        bytes
    }

    fn link_message(attributes: &[LinkAttribute]) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        // The name's odd length shifts what follows, unless it is aligned.
        message.attributes.push(LinkAttribute::IfName("kk0.7".into()));
        message.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
        message.attributes.push(LinkAttribute::Mtu(1_500));
        message.attributes.push(LinkAttribute::Link(PARENT.0));
        message.attributes.extend_from_slice(attributes);
        message
    }

    fn vlan(id: u16, protocol: VlanProtocol) -> LinkAttribute {
        let data = vec![InfoVlan::Protocol(protocol), InfoVlan::Id(id)];
        let kind = LinkInfo::Kind(InfoKind::Vlan);
        LinkAttribute::LinkInfo(vec![kind, LinkInfo::Data(InfoData::Vlan(data))])
    }

    #[test]
    fn only_vlans_of_the_usual_kind_are_told_apart_by_a_tag() {
        let macvlan = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan)]);
        let cases = [
            (vec![vlan(7, VlanProtocol::Ieee8021Q)], Some(VlanId(7))),
            (vec![vlan(4_094, VlanProtocol::Ieee8021Q)], Some(VlanId(4_094))),
            (vec![vlan(0, VlanProtocol::Ieee8021Q)], None),
            (vec![vlan(4_095, VlanProtocol::Ieee8021Q)], None),
            (vec![vlan(7, VlanProtocol::Ieee8021Ad)], None),
            (vec![vlan(7, VlanProtocol::Ieee8021Q), LinkAttribute::LinkNetNsId(0)], None),
            (vec![macvlan], None),
            (vec![], None),
        ];
        let sent: Vec<_> = cases.iter().map(|case| link_message(&case.0)).collect();
        let sent: Vec<_> = sent.into_iter().map(RouteNetlinkMessage::NewLink).collect();
        for (heard, (attributes, expected)) in heard(&sent).into_iter().zip(cases) {
            let tag = expected.map(|vlan| Tag { parent: PARENT, vlan });
            let link = Link { mac: Some(Mac([2, 0, 0, 0, 0, 1])), mtu: 1_500, is_up: true, tag };
            assert_eq!(heard, Some(Event::Link(LinkId(3), Some(link))), "{attributes:?}");
        }
    }

    #[test]
    fn what_a_bridge_says_of_its_port_is_not_about_the_link() {
        let mut message = link_message(&[]);
        let gone = RouteNetlinkMessage::DelLink(message.clone());
        assert_eq!(heard(&[gone]), [Some(Event::Link(LinkId(3), None))]);
        message.header.interface_family = AddressFamily::Bridge;
        let news = RouteNetlinkMessage::NewLink(message.clone());
        let gone = RouteNetlinkMessage::DelLink(message);
        assert_eq!(heard(&[news, gone]), [None, None]);
    }

    #[test]
    fn a_link_that_is_off_or_not_ethernet_says_so() {
        let of = |flags, layer| {
            let mut message = link_message(&[]);
            (message.header.flags, message.header.link_layer_type) = (flags, layer);
            match heard(&[RouteNetlinkMessage::NewLink(message)])[..] {
                [Some(Event::Link(_, Some(link)))] => (link.is_up, link.mac.is_some()),
                ref other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(LinkFlags::Up, LinkLayerType::Ether), (false, true));
        assert_eq!(of(LinkFlags::LowerUp, LinkLayerType::Ether), (false, true));
        assert_eq!(
            of(LinkFlags::Up | LinkFlags::LowerUp, LinkLayerType::Infiniband),
            (true, false)
        );
    }

    fn neighbour_message(state: NeighbourState, flags: NeighbourFlags) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = 3;
        (message.header.state, message.header.flags) = (state, flags);
        let ip = IpAddr::from([192, 0, 2, 9]);
        message.attributes.push(NeighbourAttribute::Destination(ip.into()));
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]));
        message
    }

    #[test]
    fn each_state_of_a_neighbour_means_what_it_means_to_the_kernel() {
        use NeighbourState as State;
        let none = NeighbourFlags::empty();
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let cases = [
            (State::Incomplete, none, Some(Seen::Unresolved)),
            (State::Reachable, none, Some(Seen::At(mac))),
            (State::Stale, NeighbourFlags::Router, Some(Seen::At(mac))),
            (State::Delay, none, Some(Seen::At(mac))),
            (State::Probe, none, Some(Seen::At(mac))),
            (State::Failed, none, Some(Seen::Unresolved)),
            (State::Noarp, none, Some(Seen::Fixed(mac))),
            (State::Permanent, none, Some(Seen::Fixed(mac))),
            (State::None, none, Some(Seen::Unresolved)),
            (State::Reachable, NeighbourFlags::ExtLearned, Some(Seen::Fixed(mac))),
            (State::Permanent, NeighbourFlags::Proxy, None),
        ];
        for (state, flags, expected) in cases {
            let message = RouteNetlinkMessage::NewNeighbour(neighbour_message(state, flags));
            let hop = Hop { link: LinkId(3), ip: [192, 0, 2, 9].into() };
            let expected = expected.map(|seen| Event::Neighbour(hop, seen));
            assert_eq!(heard(&[message]), [expected], "{state:?} {flags:?}");
        }
        let managed = NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed);
        let mut message = neighbour_message(State::Reachable, none);
        message.attributes.push(managed);
        let mut bare = neighbour_message(State::Reachable, none);
        bare.attributes.truncate(1);
        let gone = neighbour_message(State::Stale, none);
        let sent = [
            RouteNetlinkMessage::NewNeighbour(message),
            RouteNetlinkMessage::NewNeighbour(bare),
            RouteNetlinkMessage::DelNeighbour(gone),
        ];
        let seen = heard(&sent).into_iter().map(|event| match event {
            Some(Event::Neighbour(_, seen)) => seen,
            other => panic!("{other:?}"),
        });
        assert_eq!(seen.collect::<Vec<_>>(), [Seen::Fixed(mac), Seen::Unresolved, Seen::Gone]);
    }

    #[test]
    fn a_route_without_a_plain_next_hop_is_none() {
        let destination = IpAddr::from([198, 51, 100, 1]);
        let plain = || {
            let mut message = RouteMessage::default();
            message.header.address_family = AddressFamily::Inet;
            message.header.kind = RouteType::Unicast;
            message.attributes.push(RouteAttribute::Oif(3));
            let source = IpAddr::from([192, 0, 2, 1]);
            message.attributes.push(RouteAttribute::PrefSource(source.into()));
            message
        };
        let hop = Hop { link: LinkId(3), ip: destination };
        let expected = Route { hop, source: [192, 0, 2, 1].into(), mtu: None };
        assert_eq!(route(&plain(), destination), Some(expected));
        for attribute in [
            RouteAttribute::Encap(Vec::new()),
            RouteAttribute::MultiPath(Vec::new()),
            RouteAttribute::Via(RouteVia::Packet(vec![2, 0, 0, 0, 0, 9])),
        ] {
            let mut message = plain();
            message.attributes.push(attribute);
            assert_eq!(route(&message, destination), None);
        }
        for lost in 0..2 {
            let mut message = plain();
            message.attributes.remove(lost);
            assert_eq!(route(&message, destination), None);
        }
        let mut message = plain();
        message.header.kind = RouteType::Local;
        assert_eq!(route(&message, destination), None);
    }

    #[test]
    fn a_datagram_that_ends_early_ends_there() {
        let one = RouteNetlinkMessage::NewLink(link_message(&[vlan(7, VlanProtocol::Ieee8021Q)]));
        let (whole, single) = (datagram(&[one.clone(), one.clone()]), datagram(&[one]).len());
        for length in 0..=whole.len() {
            let read = messages(&whole[..length]).filter(Result::is_ok).count();
            assert_eq!(read, length / single, "{length} of {} bytes", whole.len());
        }
    }
}
