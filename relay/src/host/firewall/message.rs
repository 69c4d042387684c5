//! The messages to nftables (`linux/netfilter/nf_tables.h`), byte by byte.
//!
//! ```text
//! | length 4 | type 2 | flags 2 | sequence 4 | port 4 |
//! | family 1 | version 1 | resource 2 | attributes ... |
//! ```
//! Numbers of netlink are in the machine's order, those of nftables in network order.

use core::net::IpAddr;
use core::time::Duration;
use kakehashi_wire::media::Host;

/// Bytes before a message's attributes: `nlmsghdr`, and `nfgenmsg`.
const HEADER_BYTES: usize = 20;

/// Netlink begins each message and each attribute at a multiple of this.
pub(super) const ALIGNMENT: usize = 4;

/// An attribute that holds attributes (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;

/// Attributes of a list of elements (`NFTA_SET_ELEM_LIST_*`), and of a set (`NFTA_SET_*`), whose
/// first two are the same.
const TABLE: u16 = 1;
const SET: u16 = 2;
const ELEMENTS: u16 = 3;

/// `NFTA_LIST_ELEM`, `NFTA_SET_ELEM_KEY`, `NFTA_DATA_VALUE`, `NFTA_SET_ELEM_TIMEOUT`.
const ELEMENT: u16 = 1;
const KEY: u16 = 1;
const VALUE: u16 = 1;
const TIMEOUT: u16 = 4;

/// Which of the two sets: nftables has one for each family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The set's name.
    pub(super) const fn set(self) -> &'static str {
        match self {
            Self::V4 => "terminals_v4",
            Self::V6 => "terminals_v6",
        }
    }

    /// Of an address.
    pub(super) fn of(host: Host) -> Self {
        match IpAddr::from(host) {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Asks whether a set is there. Answered with the set, or an error; and with an acknowledgement.
pub(super) fn ask_for_set(table: &str, family: Family, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    message(&mut bytes, (libc::NFT_MSG_GETSET, flags), sequence, |bytes| {
        text(bytes, TABLE, table);
        text(bytes, SET, family.set());
    });
    bytes
}

/// Asks whether an address is in its set. Answered in the same way.
pub(super) fn ask_for_element(table: &str, host: Host, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    message(&mut bytes, (libc::NFT_MSG_GETSETELEM, flags), sequence, |bytes| {
        text(bytes, TABLE, table);
        text(bytes, SET, Family::of(host).set());
        nested(bytes, ELEMENTS, |bytes| element(bytes, host, None));
    });
    bytes
}

/// Puts `add` into a set and takes `delete` out, in one transaction. What is there already lives
/// for another `timeout` as well. Each of its messages is acknowledged; gives how many there are.
///
/// Nothing may be deleted that is not there, or nothing at all happens: so it is added first.
pub(super) fn change(
    table: &str,
    family: Family,
    (add, delete): (&[Host], &[Host]),
    (timeout, sequence): (Duration, u32),
) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    batch(&mut bytes, libc::NFNL_MSG_BATCH_BEGIN, sequence);
    let (lives, goes) = (Some(timeout), None);
    let steps = [(lives, delete), (lives, add), (goes, delete), (goes, add), (lives, add)];
    let steps = steps.into_iter().filter(|(_, hosts)| !hosts.is_empty());
    let mut messages = 0;
    for (timeout, hosts) in steps {
        messages += 1;
        let (kind, flags) = match timeout {
            Some(_) => (libc::NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE),
            None => (libc::NFT_MSG_DELSETELEM, 0),
        };
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        message(&mut bytes, (kind, flags), sequence, |bytes| {
            text(bytes, TABLE, table);
            text(bytes, SET, family.set());
            nested(bytes, ELEMENTS, |bytes| {
                hosts.iter().for_each(|host| element(bytes, *host, timeout));
            });
        });
    }
    batch(&mut bytes, libc::NFNL_MSG_BATCH_END, sequence);
    (bytes, messages)
}

fn element(bytes: &mut Vec<u8>, host: Host, timeout: Option<Duration>) {
    nested(bytes, ELEMENT, |bytes| {
        nested(bytes, KEY, |bytes| match IpAddr::from(host) {
            IpAddr::V4(ip) => attribute(bytes, VALUE, &ip.octets()),
            IpAddr::V6(ip) => attribute(bytes, VALUE, &ip.octets()),
        });
        if let Some(timeout) = timeout {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            attribute(bytes, TIMEOUT, &ms.to_be_bytes());
        }
    });
}

/// A message of nftables.
fn message(
    bytes: &mut Vec<u8>,
    (kind, flags): (i32, i32),
    sequence: u32,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let kind = libc::NFNL_SUBSYS_NFTABLES << 8 | kind;
    let family = u8::try_from(libc::NFPROTO_INET).unwrap_or(0);
    whole(bytes, (kind, flags), sequence, (family, 0), attributes);
}

/// The beginning or the end of a transaction.
fn batch(bytes: &mut Vec<u8>, kind: i32, sequence: u32) {
    let resource = u16::try_from(libc::NFNL_SUBSYS_NFTABLES).unwrap_or(0);
    whole(bytes, (kind, libc::NLM_F_REQUEST), sequence, (0, resource), |_| {});
}

fn whole(
    bytes: &mut Vec<u8>,
    (kind, flags): (i32, i32),
    sequence: u32,
    (family, resource): (u8, u16),
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    let narrow = |number: i32| u16::try_from(number).unwrap_or(0).to_ne_bytes();
    bytes.extend([0; 4]);
    bytes.extend(narrow(kind));
    bytes.extend(narrow(flags));
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    debug_assert_eq!(bytes.len() - start, HEADER_BYTES, "the header is as long as it says");
    attributes(bytes);
    let length = u32::try_from(bytes.len() - start).unwrap_or(0);
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(bytes, kind, &[text.as_bytes(), &[0]].concat());
}

fn nested(bytes: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    attribute(bytes, kind | NESTED, &[]);
    inside(bytes);
    let length = u16::try_from(bytes.len() - start).unwrap_or(0);
    bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(0);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}
