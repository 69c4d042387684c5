//! Ethernet, IP and UDP around a datagram: read off a received frame, and written in front of one
//! that is to be sent. Pure.
//!
//! ```text
//! | destination 6 | source 6 | tag 4, or none | kind 2 | IPv4 20 or IPv6 40 | UDP 8 | datagram |
//! ```
//! Only what the first gate lets through is understood: at most one VLAN tag, no options, no
//! extension headers, no fragments. Everything else has gone to the kernel.

use super::checksum::Sum;
use crate::host::routes::{Mac, NextHop, VlanId};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;

const ETHERNET_BYTES: usize = 14;
const TAG_BYTES: usize = 4;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
pub(super) const UDP_BYTES: usize = 8;

/// Where in a UDP header its checksum stands.
pub(super) const UDP_CHECKSUM_AT: usize = 6;

/// The longest header that is written: with a tag, and IPv6.
pub(super) const HEADER_BYTES_MAX: usize = ETHERNET_BYTES + TAG_BYTES + IPV6_BYTES + UDP_BYTES;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];

const PROTOCOL_UDP: u8 = 17;

/// Routers a packet may pass (RFC 1700's default, and Linux's).
const HOP_LIMIT: u8 = 64;

/// DSCP and ECN of a packet (RFC 2474, RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct TrafficClass(pub(super) u8);

/// A datagram in its frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Framed {
    /// Who sent it.
    pub(super) source: SocketAddr,
    /// Where in the frame it lies.
    pub(super) datagram: Range<usize>,
    pub(super) class: TrafficClass,
}

/// Reads a frame; `None` if it is not what the gate lets through.
pub(super) fn read(frame: &[u8]) -> Option<Framed> {
    let (mut kind, mut at) = (be16(frame, 12)?, ETHERNET_BYTES);
    if ETHERTYPE_VLAN.contains(&kind) {
        (kind, at) = (be16(frame, 16)?, ETHERNET_BYTES + TAG_BYTES);
    }
    let (ip, class, start, room) = match kind {
        ETHERTYPE_IPV4 => read_ipv4(frame.get(at..)?)?,
        ETHERTYPE_IPV6 => read_ipv6(frame.get(at..)?)?,
        _ => return None,
    };
    let at = at + start;
    let (port, bytes) = (be16(frame, at)?, usize::from(be16(frame, at + 4)?));
    if port == 0 || bytes <= UDP_BYTES || bytes > room || at + bytes > frame.len() {
        return None;
    }
    let source = SocketAddr::new(ip, port);
    Some(Framed { source, datagram: at + UDP_BYTES..at + bytes, class })
}

type Ip = (IpAddr, TrafficClass, usize, usize);

fn read_ipv4(ip: &[u8]) -> Option<Ip> {
    let room = usize::from(be16(ip, 2)?).checked_sub(IPV4_BYTES)?;
    let fragment = be16(ip, 6)? & 0x3fff;
    if *ip.first()? != 0x45 || fragment != 0 || *ip.get(9)? != PROTOCOL_UDP {
        return None;
    }
    let source: [u8; 4] = *ip.get(12..)?.first_chunk()?;
    Some((IpAddr::from(source), TrafficClass(*ip.get(1)?), IPV4_BYTES, room))
}

fn read_ipv6(ip: &[u8]) -> Option<Ip> {
    let first = be16(ip, 0)?;
    if first >> 12 != 6 || *ip.get(6)? != PROTOCOL_UDP {
        return None;
    }
    let source = Ipv6Addr::from(*ip.get(8..)?.first_chunk::<16>()?);
    // Nobody sends from an IPv4-mapped address, and the rest of the relay knows none.
    if source.to_ipv4_mapped().is_some() {
        return None;
    }
    let class = TrafficClass(u8::try_from(first >> 4 & 0xff).ok()?);
    Some((IpAddr::V6(source), class, IPV6_BYTES, usize::from(be16(ip, 4)?)))
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Who adds up a datagram's checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Summed {
    /// We have: its bytes sum up to this.
    Here(Sum),
    /// The NIC, or the kernel for it, will: from the UDP header on, in which the sum of the
    /// pseudo-header stands.
    OnTheWay,
}

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) hop: NextHop,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) class: TrafficClass,
}

impl Header {
    /// Bytes it takes; `None` if its addresses are of two families.
    pub(super) fn bytes(&self) -> Option<usize> {
        let ip = match (self.from, self.to) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => IPV4_BYTES,
            (SocketAddr::V6(_), SocketAddr::V6(_)) => IPV6_BYTES,
            _ => return None,
        };
        let tag = if self.hop.vlan.is_some() { TAG_BYTES } else { 0 };
        Some(ETHERNET_BYTES + tag + ip + UDP_BYTES)
    }

    /// Whether a datagram of `bytes` bytes leaves in one packet.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let ip = if self.to.is_ipv4() { IPV4_BYTES } else { IPV6_BYTES };
        ip + UDP_BYTES + bytes <= usize::from(self.hop.mtu)
    }

    /// Writes it in front of a datagram of `bytes` bytes: into the last bytes of `room`. Gives how
    /// many; `None` if the room is too small or its addresses do not fit together.
    pub(super) fn write(&self, room: &mut [u8], bytes: usize, summed: Summed) -> Option<usize> {
        let length = self.bytes()?;
        let start = room.len().checked_sub(length)?;
        let udp_bytes = u16::try_from(UDP_BYTES + bytes).ok()?;
        let header = room.get_mut(start..)?;
        let ip = self.write_ethernet(header)?;
        let udp = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                write_ipv4(ip, (from, to), self.class, udp_bytes)?;
                ip.get_mut(IPV4_BYTES..)?
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                write_ipv6(ip, (from, to), self.class, udp_bytes)?;
                ip.get_mut(IPV6_BYTES..)?
            }
            _ => return None,
        };
        let udp: &mut [u8; UDP_BYTES] = udp.first_chunk_mut()?;
        udp[..2].copy_from_slice(&self.from.port().to_be_bytes());
        udp[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        udp[4..6].copy_from_slice(&udp_bytes.to_be_bytes());
        udp[UDP_CHECKSUM_AT..].fill(0);
        let pseudo = Sum::of_u16(u16::from(PROTOCOL_UDP)).and(Sum::of_u16(udp_bytes));
        let pseudo = pseudo.and(addresses(self.from.ip(), self.to.ip()));
        let sum = match summed {
            Summed::OnTheWay => pseudo.unfinished(),
            Summed::Here(sum) => match sum.and(pseudo).and(Sum::of(udp)).finish() {
                // Zero would say that there is no checksum (RFC 768).
                [0, 0] => [0xff, 0xff],
                sum => sum,
            },
        };
        udp[UDP_CHECKSUM_AT..].copy_from_slice(&sum);
        Some(length)
    }

    /// Writes the frame's own header, and gives the rest.
    fn write_ethernet<'a>(&self, header: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (Mac(to), Mac(from)) = (self.hop.to, self.hop.from);
        let (addresses, mut rest) = header.split_at_mut_checked(12)?;
        addresses[..6].copy_from_slice(&to);
        addresses[6..].copy_from_slice(&from);
        if let Some(VlanId(vlan)) = self.hop.vlan {
            let (tag, behind) = rest.split_at_mut_checked(TAG_BYTES)?;
            tag[..2].copy_from_slice(&ETHERTYPE_VLAN[0].to_be_bytes());
            tag[2..].copy_from_slice(&(vlan & 0x0fff).to_be_bytes());
            rest = behind;
        }
        let kind = if self.to.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        let (place, rest) = rest.split_at_mut_checked(2)?;
        place.copy_from_slice(&kind.to_be_bytes());
        Some(rest)
    }
}

fn addresses(from: IpAddr, to: IpAddr) -> Sum {
    let sum = |ip| match ip {
        IpAddr::V4(ip) => Sum::of(&ip.octets()),
        IpAddr::V6(ip) => Sum::of(&ip.octets()),
    };
    sum(from).and(sum(to))
}

/// An atomic datagram (RFC 6864): not to be fragmented, so that its identification says nothing.
fn write_ipv4(
    ip: &mut [u8],
    (from, to): (Ipv4Addr, Ipv4Addr),
    class: TrafficClass,
    udp_bytes: u16,
) -> Option<()> {
    let ip: &mut [u8; IPV4_BYTES] = ip.first_chunk_mut()?;
    let total = udp_bytes.checked_add(u16::try_from(IPV4_BYTES).ok()?)?.to_be_bytes();
    ip[..8].copy_from_slice(&[0x45, class.0, total[0], total[1], 0, 0, 0x40, 0]);
    ip[8..12].copy_from_slice(&[HOP_LIMIT, PROTOCOL_UDP, 0, 0]);
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..].copy_from_slice(&to.octets());
    let sum = Sum::of(ip).finish();
    ip[10..12].copy_from_slice(&sum);
    Some(())
}

fn write_ipv6(
    ip: &mut [u8],
    (from, to): (Ipv6Addr, Ipv6Addr),
    class: TrafficClass,
    udp_bytes: u16,
) -> Option<()> {
    let ip: &mut [u8; IPV6_BYTES] = ip.first_chunk_mut()?;
    let first = 6 << 28 | u32::from(class.0) << 20;
    ip[..4].copy_from_slice(&first.to_be_bytes());
    ip[4..6].copy_from_slice(&udp_bytes.to_be_bytes());
    ip[6..8].copy_from_slice(&[PROTOCOL_UDP, HOP_LIMIT]);
    ip[8..24].copy_from_slice(&from.octets());
    ip[24..].copy_from_slice(&to.octets());
    Some(())
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
