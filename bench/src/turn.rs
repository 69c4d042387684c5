//! The part of TURN (RFC 8656) a client needs to have data relayed: Allocate, `ChannelBind` and
//! `ChannelData`, without credentials.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |        channel number         |   length of the data          |
//! |        data ...
//! ```

use core::net::{Ipv4Addr, SocketAddrV4};

/// Bytes before the data of a `ChannelData` message (RFC 8656 12.4).
pub const CHANNEL_HEADER_BYTES: usize = 4;

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_BYTES: usize = 20;

const XOR_PEER_ADDRESS: u16 = 0x0012;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const CHANNEL_NUMBER: u16 = 0x000c;
const REQUESTED_TRANSPORT: u16 = 0x0019;

/// The protocol number of UDP, as `REQUESTED-TRANSPORT` names it.
const UDP: u8 = 17;

/// What is asked of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// A relayed address.
    Allocate,
    /// A channel to one peer, and the permission to hear from it.
    ChannelBind,
}

impl Method {
    const fn number(self) -> u16 {
        match self {
            Self::Allocate => 0x003,
            Self::ChannelBind => 0x009,
        }
    }

    /// The type of a success response: the class bits are 0x100 (RFC 8489 5).
    const fn success(self) -> u16 {
        self.number() | 0x100
    }
}

/// A channel's number, 0x4000 to 0x4fff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel(u16);

impl Channel {
    /// The one channel of each allocation here.
    pub const FIRST: Self = Self(0x4000);

    /// The header of a message with `bytes` of data.
    ///
    /// # Panics
    /// If the data is longer than a datagram.
    pub fn header(self, bytes: usize) -> [u8; CHANNEL_HEADER_BYTES] {
        let bytes = u16::try_from(bytes).expect("invariant: packets are shorter than a datagram");
        let [channel, length] = [self.0, bytes].map(u16::to_be_bytes);
        [channel[0], channel[1], length[0], length[1]]
    }
}

/// Asks for an address to relay UDP from.
pub fn allocate(transaction: [u8; 12]) -> Vec<u8> {
    request(Method::Allocate, transaction, &[(REQUESTED_TRANSPORT, vec![UDP, 0, 0, 0])])
}

/// Asks for `channel` to lead to `peer`.
pub fn channel_bind(transaction: [u8; 12], channel: Channel, peer: SocketAddrV4) -> Vec<u8> {
    let [high, low] = channel.0.to_be_bytes();
    let attributes =
        [(CHANNEL_NUMBER, vec![high, low, 0, 0]), (XOR_PEER_ADDRESS, xor_address(peer).to_vec())];
    request(Method::ChannelBind, transaction, &attributes)
}

/// Whether `bytes` say that the request with this transaction was granted.
pub fn is_success(bytes: &[u8], method: Method, transaction: [u8; 12]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes[..2] == method.success().to_be_bytes()
        && bytes[8..HEADER_BYTES] == transaction
}

/// The relayed address in an Allocate response.
pub fn relayed_address(bytes: &[u8]) -> Option<SocketAddrV4> {
    let mut rest = bytes.get(HEADER_BYTES..)?;
    loop {
        let (&[a, b, c, d], after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([c, d]));
        if u16::from_be_bytes([a, b]) == XOR_RELAYED_ADDRESS {
            let value: &[u8; 8] = after.get(..length)?.try_into().ok()?;
            return Some(plain_address(*value));
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
}

fn request(method: Method, transaction: [u8; 12], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        let length = u16::try_from(value.len()).expect("invariant: attributes are short");
        body.extend(kind.to_be_bytes());
        body.extend(length.to_be_bytes());
        body.extend(value);
    }
    let length = u16::try_from(body.len()).expect("invariant: requests are short");
    let mut out = method.number().to_be_bytes().to_vec();
    out.extend(length.to_be_bytes());
    out.extend(MAGIC_COOKIE.to_be_bytes());
    out.extend(transaction);
    out.extend(body);
    out
}

/// RFC 8489 14.2: port and address are hidden from meddling middle boxes.
fn xor_address(address: SocketAddrV4) -> [u8; 8] {
    let [cookie0, cookie1, ..] = MAGIC_COOKIE.to_be_bytes();
    let port = (address.port() ^ u16::from_be_bytes([cookie0, cookie1])).to_be_bytes();
    let ip = (address.ip().to_bits() ^ MAGIC_COOKIE).to_be_bytes();
    [0, 1, port[0], port[1], ip[0], ip[1], ip[2], ip[3]]
}

fn plain_address([_, _, p0, p1, a, b, c, d]: [u8; 8]) -> SocketAddrV4 {
    let [cookie0, cookie1, ..] = MAGIC_COOKIE.to_be_bytes();
    let port = u16::from_be_bytes([p0 ^ cookie0, p1 ^ cookie1]);
    SocketAddrV4::new(Ipv4Addr::from_bits(u32::from_be_bytes([a, b, c, d]) ^ MAGIC_COOKIE), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: [u8; 12] = *b"transaction.";

    #[test]
    fn channel_data_names_channel_and_length() {
        assert_eq!(Channel::FIRST.header(1_200), [0x40, 0x00, 0x04, 0xb0]);
    }

    #[test]
    fn requests_have_the_layout_of_the_rfc() {
        let bytes = allocate(TRANSACTION);
        assert_eq!(bytes[..8], [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(bytes[20..], [0, 0x19, 0, 4, 17, 0, 0, 0]);
        let peer = "192.0.2.1:32853".parse().unwrap();
        let bytes = channel_bind(TRANSACTION, Channel::FIRST, peer);
        assert_eq!(bytes[..4], [0, 9, 0, 20]);
        assert_eq!(bytes[20..28], [0, 0x0c, 0, 4, 0x40, 0, 0, 0]);
        // The address of RFC 5769 2.2.
        assert_eq!(bytes[32..], [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
    }

    #[test]
    fn a_response_is_recognised_and_its_address_read() {
        let relayed: SocketAddrV4 = "192.0.2.1:32853".parse().unwrap();
        let attributes =
            [(0x8022, vec![0; 5]), (XOR_RELAYED_ADDRESS, xor_address(relayed).to_vec())];
        let mut bytes = request(Method::Allocate, TRANSACTION, &attributes);
        assert!(!is_success(&bytes, Method::Allocate, TRANSACTION));
        bytes[0] = 1;
        assert!(is_success(&bytes, Method::Allocate, TRANSACTION));
        assert!(!is_success(&bytes, Method::ChannelBind, TRANSACTION));
        assert!(!is_success(&bytes, Method::Allocate, [0; 12]));
        // `request` does not pad: neither do these five bytes look padded.
        assert_eq!(relayed_address(&bytes), None);
        let bytes = request(Method::Allocate, TRANSACTION, &attributes[1..]);
        assert_eq!(relayed_address(&bytes), Some(relayed));
        assert_eq!(relayed_address(&bytes[..24]), None);
    }
}
