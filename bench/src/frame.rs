//! Ethernet, IPv4 and UDP around a datagram: written in front of it, and read off what arrives.
//!
//! UDP checksums are left out (RFC 768: zero), which costs no receiver anything: a NIC verifies
//! them in hardware.

use anyhow::Result;
use core::net::{Ipv4Addr, SocketAddrV4};

pub(crate) const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const HEADER_BYTES: usize = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// A MAC address.
pub type Mac = [u8; 6];

/// Ethernet, IPv4 and UDP in front of `bytes` bytes.
pub(crate) fn header(
    (from_mac, to_mac): (Mac, Mac),
    (from, to): (SocketAddrV4, SocketAddrV4),
    bytes: usize,
) -> Result<[u8; HEADER_BYTES]> {
    let udp_bytes = u16::try_from(UDP_BYTES + bytes)?;
    let ip_bytes = u16::try_from(IPV4_BYTES + UDP_BYTES + bytes)?;
    let mut out = [0; HEADER_BYTES];
    out[..6].copy_from_slice(&to_mac);
    out[6..12].copy_from_slice(&from_mac);
    out[12..14].copy_from_slice(&ETHERTYPE_IPV4);
    let ip = &mut out[ETHERNET_BYTES..ETHERNET_BYTES + IPV4_BYTES];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&ip_bytes.to_be_bytes());
    // Not to be cut into fragments.
    ip[6] = 0x40;
    ip[8] = HOP_LIMIT;
    ip[9] = PROTOCOL_UDP;
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = &mut out[ETHERNET_BYTES + IPV4_BYTES..];
    udp[..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&udp_bytes.to_be_bytes());
    Ok(out)
}

/// The checksum of an IPv4 header (RFC 1071) whose own field is zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

/// Port and content of a UDP packet for `ip`.
pub(crate) fn read(frame: &mut [u8], ip: Ipv4Addr) -> Option<(u16, &mut [u8])> {
    let header = frame.first_chunk::<HEADER_BYTES>()?;
    let (ethernet, rest) = header.split_at(ETHERNET_BYTES);
    let (packet, udp) = rest.split_at(IPV4_BYTES);
    let is_ours = ethernet.ends_with(&ETHERTYPE_IPV4)
        && packet[0] == 0x45
        && packet[9] == PROTOCOL_UDP
        && packet.ends_with(&ip.octets());
    let port = u16::from_be_bytes([udp[2], udp[3]]);
    let bytes = usize::from(u16::from_be_bytes([udp[4], udp[5]])).checked_sub(UDP_BYTES)?;
    let content = frame.get_mut(HEADER_BYTES..HEADER_BYTES + bytes)?;
    is_ours.then_some((port, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 3), 20_001);
    const THEIRS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 40_000);

    #[test]
    fn a_frame_that_was_written_is_read() {
        let mut frame = header(([1; 6], [2; 6]), (THEIRS, OURS), 3).unwrap().to_vec();
        frame.extend([7, 8, 9]);
        assert_eq!(read(&mut frame, *OURS.ip()), Some((20_001, &mut [7, 8, 9][..])));
        assert_eq!(read(&mut frame, *THEIRS.ip()), None);
        for short in 0..frame.len() {
            assert_eq!(read(&mut frame[..short], *OURS.ip()), None);
        }
    }

    #[test]
    fn a_checksum_closes_its_header() {
        let frame = header(([1; 6], [2; 6]), (OURS, THEIRS), 160).unwrap();
        // With its own field, the sum is all ones and its complement zero.
        assert_eq!(checksum(&frame[ETHERNET_BYTES..ETHERNET_BYTES + IPV4_BYTES]), 0);
        assert_eq!(u16::from_be_bytes([frame[16], frame[17]]), 188);
        assert!(header(([1; 6], [2; 6]), (OURS, THEIRS), 65_536).is_err());
    }
}
