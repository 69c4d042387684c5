//! What counts as one address when strangers are counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address; of IPv6, what one customer gets (RFC 6177).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Site {
    V4(Ipv4Addr),
    V6(u64),
}

impl Site {
    pub(crate) fn of(address: IpAddr) -> Self {
        // A socket for both families shows IPv4 as ::ffff:a.b.c.d.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(network(address)),
        }
    }
}

fn network(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
