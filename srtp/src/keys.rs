//! The session keys of one leg's uplink, and the nonces of its packets.

use kakehashi_wire::id::{Epoch, RelayId};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{DownlinkSecret, MASTER_KEY_BYTES_MAX, MasterKey, Suite};
use zeroize::{Zeroize, Zeroizing};

use crate::aead::{Aead, NONCE_BYTES, Nonce, Provider};
use crate::capacity::PACKET_BYTES_MAX;
use crate::downlink;
use crate::index::{PacketIndex, RtcpIndex};
use crate::kdf::{Derivation, Label};

/// What one master key becomes: a key and a salt for RTP, and another pair for RTCP.
///
/// Read-only in use, so every stream of a leg shares it. No `Debug`: it is secret.
pub struct SessionKeys {
    rtp: PacketKey,
    rtcp: PacketKey,
}

impl SessionKeys {
    /// Derives the keys of `master`, to be used by `provider` (RFC 3711 4.3).
    pub fn derive(provider: Provider, master: &MasterKey) -> Self {
        let derivation = Derivation::new(master);
        let derive = |key_label, salt_label| {
            let mut key = Zeroizing::new([0; MASTER_KEY_BYTES_MAX]);
            let key = &mut key[..master.suite().key_bytes()];
            let mut salt = Zeroizing::new([0; NONCE_BYTES]);
            derivation.fill(key_label, key);
            derivation.fill(salt_label, salt.as_mut());
            PacketKey::new(Aead::new(provider, master.suite(), key), *salt)
        };
        Self {
            rtp: derive(Label::RtpKey, Label::RtpSalt),
            rtcp: derive(Label::RtcpKey, Label::RtcpSalt),
        }
    }

    /// The keys of what `relay` seals for one terminal, in the seal lane; both ends derive them
    /// from the leg's `secret` (`wire/FORMAT.md`, section 2.1).
    ///
    /// A sealing relay counts its packets from zero, so an index may be sealed again by another
    /// relay of the same leg, or by the same relay after a restart or a new order. Under one key
    /// that would spend a nonce twice and give away both packets. Relay, incarnation of its
    /// process and generation of the order are therefore part of what the key is derived from: two
    /// relays, or two lives of one, never share a key as long as no `epoch` is given out twice.
    pub fn downlink(
        provider: Provider,
        suite: Suite,
        secret: &DownlinkSecret,
        relay: RelayId,
        epoch: Epoch,
    ) -> Self {
        Self::derive(provider, &downlink::master_key(suite, secret, relay, epoch))
    }

    /// Keys that neither encrypt nor authenticate, to measure everything but the cipher. Packets
    /// have the same sizes as with a real suite.
    #[cfg(feature = "danger-null")]
    pub fn null() -> Self {
        let none = || PacketKey { aead: Aead::Null, salt: [0; NONCE_BYTES] };
        Self { rtp: none(), rtcp: none() }
    }

    /// The same session key and salt for RTP and RTCP, as the RFC's vectors have it.
    #[cfg(test)]
    pub(crate) fn from_session_key(
        provider: Provider,
        suite: Suite,
        key: &[u8],
        salt: [u8; NONCE_BYTES],
    ) -> Self {
        let new = || PacketKey::new(Aead::new(provider, suite, key), salt);
        Self { rtp: new(), rtcp: new() }
    }

    pub(crate) fn rtp(&self) -> &PacketKey {
        &self.rtp
    }

    pub(crate) fn rtcp(&self) -> &PacketKey {
        &self.rtcp
    }
}

/// One session key with its salt.
pub(crate) struct PacketKey {
    aead: Aead,
    salt: [u8; NONCE_BYTES],
}

impl PacketKey {
    fn new(aead: Aead, salt: [u8; NONCE_BYTES]) -> Self {
        Self { aead, salt }
    }

    pub(crate) fn aead(&self) -> &Aead {
        &self.aead
    }

    /// RFC 7714 8.1: zero, SSRC, rollover counter and sequence number, XOR salt.
    pub(crate) fn rtp_nonce(&self, ssrc: Ssrc, index: PacketIndex) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
        nonce[6..].copy_from_slice(&index.value().to_be_bytes()[2..]);
        self.salted(nonce)
    }

    /// RFC 7714 9.1: zero, SSRC, zero, and the 31-bit index, XOR salt.
    pub(crate) fn rtcp_nonce(&self, ssrc: Ssrc, index: RtcpIndex) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
        nonce[8..].copy_from_slice(&index.value().to_be_bytes());
        self.salted(nonce)
    }

    fn salted(&self, mut nonce: [u8; NONCE_BYTES]) -> Nonce {
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce(nonce)
    }
}

impl Drop for PacketKey {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// Space to open one packet beside its buffer, made once and lent to every call.
///
/// One for each thread is enough. It may hold the plain text of the last packet, so it is wiped
/// when dropped.
pub struct Scratch(Box<[u8; PACKET_BYTES_MAX]>);

impl Scratch {
    /// Allocates the space.
    pub fn new() -> Self {
        Self(Box::new([0; PACKET_BYTES_MAX]))
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8; PACKET_BYTES_MAX] {
        &mut self.0
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
