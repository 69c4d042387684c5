//! Socket addresses as the kernel writes and reads them.
//!
//! A dual-stack socket shows an IPv4 peer as an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2). The
//! rest of the relay sees IPv4 only as IPv4.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Room for an address: `struct sockaddr_in6`.
pub(crate) const NAME_BYTES: usize = 28;

/// Which addresses a socket can reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    /// IPv6, and IPv4 as IPv4-mapped IPv6.
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// A `sockaddr_in` or `sockaddr_in6`, and how long it is.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Name {
    pub(crate) bytes: [u8; NAME_BYTES],
    pub(crate) length: u32,
}

impl Name {
    /// No address.
    pub(crate) const EMPTY: Self = Self { bytes: [0; NAME_BYTES], length: 0 };

    /// How a socket of `family` names `address`; `None` if it cannot reach it.
    pub(crate) fn of(address: SocketAddr, family: Family) -> Option<Self> {
        match (address, family) {
            (SocketAddr::V4(v4), Family::V4) => Some(Self::v4(*v4.ip(), v4.port())),
            (SocketAddr::V4(v4), Family::Both) => {
                Some(Self::v6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)))
            }
            (SocketAddr::V6(v6), Family::Both | Family::V6) => Some(Self::v6(v6)),
            (SocketAddr::V4(_), Family::V6) | (SocketAddr::V6(_), Family::V4) => None,
        }
    }

    fn v4(ip: Ipv4Addr, port: u16) -> Self {
        let mut name = Self { length: 16, ..Self::EMPTY };
        name.bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
        name.bytes[2..4].copy_from_slice(&port.to_be_bytes());
        name.bytes[4..8].copy_from_slice(&ip.octets());
        name
    }

    fn v6(address: SocketAddrV6) -> Self {
        let mut name = Self { length: 28, ..Self::EMPTY };
        name.bytes[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
        name.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        name.bytes[4..8].copy_from_slice(&address.flowinfo().to_be_bytes());
        name.bytes[8..24].copy_from_slice(&address.ip().octets());
        name.bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
        name
    }
}

/// Values of `sa_family` on Linux.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The address in a `sockaddr`; `None` if it is neither IPv4 nor IPv6 or is cut short.
pub(crate) fn decode(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*name.first_chunk()?);
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    match family {
        AF_INET => {
            let ip: [u8; 4] = *name.get(4..)?.first_chunk()?;
            Some(SocketAddr::new(IpAddr::from(ip), port))
        }
        AF_INET6 => {
            let ip = Ipv6Addr::from(*name.get(8..)?.first_chunk::<16>()?);
            let scope = u32::from_ne_bytes(*name.get(24..)?.first_chunk()?);
            // The flow label is the peer's business and may change from packet to packet: two
            // addresses that differ in nothing else are one address.
            Some(match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddr::new(IpAddr::V4(v4), port),
                None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(address: &str, family: Family) -> Option<String> {
        let name = Name::of(address.parse().unwrap(), family)?;
        Some(decode(&name.bytes[..name.length as usize]).unwrap().to_string())
    }

    #[test]
    fn every_reachable_address_survives() {
        for (address, family) in [
            ("192.0.2.7:9", Family::V4),
            ("192.0.2.7:65535", Family::Both),
            ("[2001:db8::7]:1", Family::Both),
            ("[2001:db8::7]:1", Family::V6),
            ("[fe80::1%3]:5004", Family::V6),
        ] {
            assert_eq!(there_and_back(address, family).as_deref(), Some(address));
        }
        assert_eq!(there_and_back("192.0.2.7:9", Family::V6), None);
        assert_eq!(there_and_back("[2001:db8::7]:9", Family::V4), None);
    }

    #[test]
    fn a_mapped_peer_is_ipv4() {
        let mapped = there_and_back("[::ffff:192.0.2.7]:9", Family::V6);
        assert_eq!(mapped.as_deref(), Some("192.0.2.7:9"));
    }

    #[test]
    fn bytes_that_are_no_address_are_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Some(address) = decode(bytes) {
                assert!(!matches!(address.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()));
            }
        });
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[1, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
