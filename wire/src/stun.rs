//! STUN binding messages (RFC 8489) as ICE uses them (RFC 8445 7): views and writers.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |0 0|     message type          |   length of the attributes    |
//! |                   magic cookie 0x2112A442                     |
//! |                 transaction ID (96 bits)                      |
//! |        attribute type         |  value length                 |
//! |        value, padded to 32 bits, ...                          |
//! ```
//!
//! Only what a relay needs exists: binding requests and success responses with short-term
//! credentials. A view exists only for a well-formed message; whether its integrity holds is a
//! question for the holder of the key: [`StunView::is_keyed_by`].

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Bytes of a STUN header.
pub const HEADER_BYTES: usize = 20;

/// Bytes of the longest message this module writes: a request with both long username fragments.
pub const WRITTEN_BYTES_MAX: usize = 128;

const MAGIC_COOKIE: u32 = 0x2112_a442;
const INTEGRITY_BYTES: usize = 20;
/// RFC 8489 14.7: the CRC is xored with "STUN".
const FINGERPRINT_XOR: u32 = 0x5354_554e;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;

/// Identifies a request and its response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TransactionId(pub [u8; 12]);

/// The messages that are understood.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StunKind {
    /// Binding request.
    Request,
    /// Binding success response.
    Success,
}

/// Why bytes are not a STUN message that is understood.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StunError {
    /// Not a STUN header, or its length is not that of the datagram.
    Malformed,
    /// A class or method other than binding request and success.
    OtherKind,
    /// An attribute runs past the end.
    Truncated,
    /// An attribute that must be understood is not (RFC 8489 14).
    UnknownAttribute,
    /// The fingerprint is not that of the message.
    Fingerprint,
}

impl fmt::Display for StunError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Malformed => "not a STUN message",
            Self::OtherKind => "a STUN message other than binding request or success",
            Self::Truncated => "a STUN attribute runs past the end",
            Self::UnknownAttribute => "a STUN attribute that must be understood is not",
            Self::Fingerprint => "the STUN fingerprint is wrong",
        })
    }
}

impl core::error::Error for StunError {}

/// A well-formed binding message.
#[derive(Clone, Copy, Debug)]
pub struct StunView<'a> {
    bytes: &'a [u8],
    kind: StunKind,
    transaction: TransactionId,
    username: Option<&'a [u8]>,
    mapped: Option<SocketAddr>,
    /// Where MESSAGE-INTEGRITY begins, if there is one of the right length.
    integrity_at: Option<usize>,
    use_candidate: bool,
}

impl<'a> StunView<'a> {
    /// Validates `bytes` as one whole message.
    ///
    /// # Errors
    /// [`StunError`]; nothing is said about integrity yet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (header, attributes) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(StunError::Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if header[0] > 3 || cookie != MAGIC_COOKIE || length != attributes.len() || length % 4 != 0
        {
            return Err(StunError::Malformed);
        }
        let kind = match u16::from_be_bytes([header[0], header[1]]) {
            0x0001 => StunKind::Request,
            0x0101 => StunKind::Success,
            _ => return Err(StunError::OtherKind),
        };
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        let mut view = Self {
            bytes,
            kind,
            transaction: TransactionId(transaction),
            username: None,
            mapped: None,
            integrity_at: None,
            use_candidate: false,
        };
        view.read_attributes()?;
        Ok(view)
    }

    fn read_attributes(&mut self) -> Result<(), StunError> {
        let bytes = self.bytes;
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let (kind, value) = attribute(bytes, at).ok_or(StunError::Truncated)?;
            if kind == FINGERPRINT {
                return self.check_fingerprint(at, value);
            }
            // RFC 8489 14.5: behind MESSAGE-INTEGRITY only FINGERPRINT counts.
            if self.integrity_at.is_none() {
                self.read_attribute(kind, value, at)?;
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        Ok(())
    }

    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), StunError> {
        match kind {
            USERNAME => self.username = Some(value),
            MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => self.integrity_at = Some(at),
            MESSAGE_INTEGRITY => return Err(StunError::Malformed),
            XOR_MAPPED_ADDRESS => {
                let address = unmask(value, self.transaction).ok_or(StunError::Malformed)?;
                self.mapped = Some(address);
            }
            PRIORITY => {}
            USE_CANDIDATE => self.use_candidate = true,
            // RFC 8489 14: types below 0x8000 must be understood.
            0x0000..=0x7fff => return Err(StunError::UnknownAttribute),
            _ => {}
        }
        Ok(())
    }

    fn check_fingerprint(&self, at: usize, value: &[u8]) -> Result<(), StunError> {
        let is_last = at + 8 == self.bytes.len();
        let expected = (crc32fast::hash(&self.bytes[..at]) ^ FINGERPRINT_XOR).to_be_bytes();
        if is_last && value == expected { Ok(()) } else { Err(StunError::Fingerprint) }
    }

    /// Request or response.
    pub fn kind(&self) -> StunKind {
        self.kind
    }

    /// Pairs request and response.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Username fragments of the receiver and the sender of a request (RFC 8445 7.2.2).
    pub fn fragments(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|&byte| byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// The address a response says its request came from.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// Whether a controlling agent nominates this path (RFC 8445 7.1.2).
    pub fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    /// Whether MESSAGE-INTEGRITY is there at all.
    pub fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and made with `key`; compares in constant time.
    pub fn is_keyed_by(&self, key: &[u8]) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let claimed = &self.bytes[at + 4..at + 4 + INTEGRITY_BYTES];
        integrity(&self.bytes[..at], key).verify_slice(claimed).is_ok()
    }

    /// Bytes of the whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Type and value of the attribute at `at`, if it ends, padding included, within `bytes`.
fn attribute(bytes: &[u8], at: usize) -> Option<(u16, &[u8])> {
    let &[k0, k1, l0, l1] = bytes.get(at..at + 4)?.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let value = bytes.get(at + 4..at + 4 + length.next_multiple_of(4))?;
    Some((u16::from_be_bytes([k0, k1]), &value[..length]))
}

/// HMAC-SHA1 over `before`, with the length field counting up to and with the integrity
/// attribute that follows (RFC 8489 14.5).
fn integrity(before: &[u8], key: &[u8]) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    let length = before.len() - HEADER_BYTES + 4 + INTEGRITY_BYTES;
    mac.update(&before[..2]);
    mac.update(&u16::try_from(length).expect("a datagram is shorter than 64 KiB").to_be_bytes());
    mac.update(&before[4..]);
    mac
}

/// What XOR-MAPPED-ADDRESS xors an address with: cookie, then transaction ID (RFC 8489 14.2).
fn mask(transaction: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn unmask(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let mask = mask(transaction);
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0 ^ mask[0], p1 ^ mask[1]]);
    let xored = |i: usize| address[i] ^ mask[i];
    let ip = match (family, address.len()) {
        (1, 4) => IpAddr::from(core::array::from_fn::<u8, 4, _>(xored)),
        (2, 16) => IpAddr::from(core::array::from_fn::<u8, 16, _>(xored)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A message being written into its own fixed room.
#[derive(Clone, Copy, Debug)]
pub struct StunMessage {
    bytes: [u8; WRITTEN_BYTES_MAX],
    length: usize,
}

impl StunMessage {
    /// A connectivity check of a terminal: asks the relay to accept and answer this address.
    ///
    /// `receiver` and `sender` are the two username fragments, 16 bytes each at most.
    pub fn check(
        transaction: TransactionId,
        receiver: &[u8; 16],
        sender: &[u8; 16],
        tie_breaker: u64,
        key: &[u8],
    ) -> Self {
        // RFC 8445 5.1.2.1: type preference 126 (host), local preference 65535, component 1.
        const HOST_PRIORITY: u32 = 126 << 24 | 65_535 << 8 | 255;
        let mut message = Self::begin(StunKind::Request, transaction);
        message.username(receiver, sender);
        message.put(PRIORITY, &HOST_PRIORITY.to_be_bytes());
        message.put(ICE_CONTROLLING, &tie_breaker.to_be_bytes());
        message.put(USE_CANDIDATE, &[]);
        message.put_integrity(key);
        message.put_fingerprint();
        message
    }

    /// A relay's challenge to a new address. Shorter than any [`check`](Self::check), since it
    /// must not be more than what caused it.
    pub fn challenge(
        transaction: TransactionId,
        receiver: &[u8; 16],
        sender: &[u8; 16],
        key: &[u8],
    ) -> Self {
        let mut message = Self::begin(StunKind::Request, transaction);
        message.username(receiver, sender);
        message.put_integrity(key);
        message
    }

    /// The answer to a request that came from `source`.
    pub fn success(transaction: TransactionId, source: SocketAddr, key: &[u8]) -> Self {
        let mut message = Self::begin(StunKind::Success, transaction);
        message.put_mapped(source, transaction);
        message.put_integrity(key);
        message.put_fingerprint();
        message
    }

    /// The message as it travels.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn begin(kind: StunKind, transaction: TransactionId) -> Self {
        let mut bytes = [0; WRITTEN_BYTES_MAX];
        bytes[0] = u8::from(kind == StunKind::Success);
        bytes[1] = 1;
        bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes[8..HEADER_BYTES].copy_from_slice(&transaction.0);
        Self { bytes, length: HEADER_BYTES }
    }

    fn username(&mut self, receiver: &[u8; 16], sender: &[u8; 16]) {
        let mut username = [b':'; 33];
        username[..16].copy_from_slice(receiver);
        username[17..].copy_from_slice(sender);
        self.put(USERNAME, &username);
    }

    /// Appends an attribute. What this module appends fits [`WRITTEN_BYTES_MAX`] by the sums in
    /// its tests.
    fn put(&mut self, kind: u16, value: &[u8]) {
        let at = self.length;
        let length = u16::try_from(value.len()).expect("attributes are short");
        self.bytes[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        self.bytes[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
        self.bytes[at + 4..at + 4 + value.len()].copy_from_slice(value);
        self.length = at + 4 + value.len().next_multiple_of(4);
        self.set_length(self.length);
    }

    /// Writes the header's length field as if the message ended at `end`.
    fn set_length(&mut self, end: usize) {
        let length = u16::try_from(end - HEADER_BYTES).expect("written messages are short");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn put_mapped(&mut self, source: SocketAddr, transaction: TransactionId) {
        let mask = mask(transaction);
        let mut value = [0; 20];
        let port = source.port().to_be_bytes();
        value[2] = port[0] ^ mask[0];
        value[3] = port[1] ^ mask[1];
        let length = match source.ip() {
            IpAddr::V4(ip) => {
                value[1] = 1;
                value[4..8].copy_from_slice(&ip.octets());
                8
            }
            IpAddr::V6(ip) => {
                value[1] = 2;
                value[4..20].copy_from_slice(&ip.octets());
                20
            }
        };
        for (byte, mask) in value[4..length].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        self.put(XOR_MAPPED_ADDRESS, &value[..length]);
    }

    fn put_integrity(&mut self, key: &[u8]) {
        let code = integrity(&self.bytes[..self.length], key).finalize().into_bytes();
        self.put(MESSAGE_INTEGRITY, &code);
    }

    fn put_fingerprint(&mut self) {
        // RFC 8489 14.7: the length field counts the fingerprint while the CRC is taken.
        self.set_length(self.length + 8);
        let crc = crc32fast::hash(&self.bytes[..self.length]) ^ FINGERPRINT_XOR;
        self.put(FINGERPRINT, &crc.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
