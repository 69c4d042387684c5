//! The session keys of one leg's uplink, and the nonces of its packets.

use kakehashi_wire::id::{Epoch, RelayId};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{DownlinkSecret, MasterKey, Suite};
use zeroize::Zeroize;

use crate::aead::{self, Aead, Cipher, NONCE_BYTES, Nonce, Provider};
use crate::capacity::PACKET_BYTES_MAX;
use crate::downlink;
use crate::index::{PacketIndex, RtcpIndex};
use crate::kdf::{Derivation, Label, SessionKey};

/// What one master key becomes: keys to seal or open RTP, expanded, and those for RTCP, which are
/// expanded when a packet comes.
///
/// Read-only in use, so every stream of a leg shares it. This is what a terminal and the seal lane
/// of a relay hold; the pass lane needs [`AuthKeys`](crate::AuthKeys) and [`RtcpKeys`] only. No
/// `Debug`: it is secret.
pub struct SessionKeys {
    rtp: RtpKey,
    rtcp: RtcpKeys,
}

impl SessionKeys {
    /// Derives the keys of `master`, to be used by `provider` (RFC 3711 4.3).
    pub fn derive(provider: Provider, master: &MasterKey) -> Self {
        let derived = Derivation::new(master).pair(Label::RtpKey, Label::RtpSalt);
        Self { rtp: RtpKey::new(provider, &derived), rtcp: RtcpKeys::derive(master) }
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
        let rtp = RtpKey { aead: Aead::Null, salt: [0; NONCE_BYTES] };
        Self { rtp, rtcp: RtcpKeys(RtcpCipher::Null) }
    }

    /// The same session key and salt for RTP and RTCP, as the RFC's vectors have it.
    #[cfg(test)]
    pub(crate) fn from_session_key(provider: Provider, rtp: &SessionKey, rtcp: SessionKey) -> Self {
        Self { rtp: RtpKey::new(provider, rtp), rtcp: RtcpKeys(RtcpCipher::AesGcm(rtcp)) }
    }

    pub(crate) fn rtp(&self) -> &RtpKey {
        &self.rtp
    }
}

impl AsRef<RtcpKeys> for SessionKeys {
    fn as_ref(&self) -> &RtcpKeys {
        &self.rtcp
    }
}

/// The RTP session key with its salt.
pub(crate) struct RtpKey {
    aead: Aead,
    salt: [u8; NONCE_BYTES],
}

impl RtpKey {
    fn new(provider: Provider, derived: &SessionKey) -> Self {
        Self { aead: Aead::new(provider, derived.suite, derived.key()), salt: derived.salt }
    }

    pub(crate) fn cipher(&self) -> &dyn Cipher {
        self.aead.cipher()
    }

    pub(crate) fn nonce(&self, ssrc: Ssrc, index: PacketIndex) -> Nonce {
        rtp_nonce(&self.salt, ssrc, index)
    }
}

impl Drop for RtpKey {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// What RTCP packets of one leg are sealed, opened and checked with: a key and a salt.
///
/// RTCP is rare, so its key is kept as it was derived and expanded on the stack for each packet,
/// by `aes-gcm`: that work saves half a kibibyte or more for each leg.
pub struct RtcpKeys(RtcpCipher);

enum RtcpCipher {
    AesGcm(SessionKey),
    #[cfg(feature = "danger-null")]
    Null,
}

impl RtcpKeys {
    /// Derives the keys of `master` (RFC 3711 4.3).
    pub fn derive(master: &MasterKey) -> Self {
        let derived = Derivation::new(master).pair(Label::RtcpKey, Label::RtcpSalt);
        Self(RtcpCipher::AesGcm(derived))
    }

    /// Calls `work` with the cipher and the nonce of one packet.
    pub(crate) fn with<R>(
        &self,
        ssrc: Ssrc,
        index: RtcpIndex,
        work: impl FnOnce(&dyn Cipher, Nonce) -> R,
    ) -> R {
        match &self.0 {
            RtcpCipher::AesGcm(key) => {
                let nonce = rtcp_nonce(&key.salt, ssrc, index);
                aead::expanded(key.suite, key.key(), |cipher| work(cipher, nonce))
            }
            #[cfg(feature = "danger-null")]
            RtcpCipher::Null => work(&aead::Null, rtcp_nonce(&[0; NONCE_BYTES], ssrc, index)),
        }
    }
}

impl AsRef<Self> for RtcpKeys {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// RFC 7714 8.1: zero, SSRC, rollover counter and sequence number, XOR salt.
pub(crate) fn rtp_nonce(salt: &[u8; NONCE_BYTES], ssrc: Ssrc, index: PacketIndex) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[6..].copy_from_slice(&index.value().to_be_bytes()[2..]);
    salted(nonce, salt)
}

/// RFC 7714 9.1: zero, SSRC, zero, and the 31-bit index, XOR salt.
pub(crate) fn rtcp_nonce(salt: &[u8; NONCE_BYTES], ssrc: Ssrc, index: RtcpIndex) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[8..].copy_from_slice(&index.value().to_be_bytes());
    salted(nonce, salt)
}

fn salted(mut nonce: [u8; NONCE_BYTES], salt: &[u8; NONCE_BYTES]) -> Nonce {
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce(nonce)
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
