//! Words both message families share: streams, codecs, addresses, relay paths.

use crate::id::{Epoch, LegId, MemberId, RelayId};
use crate::rtp::Ssrc;
use crate::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use rkyv::{Archive, Deserialize, Serialize};

/// What a stream shows or sounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum StreamKind {
    /// A microphone.
    Audio = 1,
    /// A camera.
    Camera = 2,
    /// A shared screen.
    Screen = 3,
}

/// How a stream is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Codec {
    /// Opus (RFC 7587): 48 kHz RTP clock.
    Opus = 1,
    /// VP8 (RFC 7741): 90 kHz RTP clock.
    Vp8 = 2,
    /// VP9 (RFC 9628): 90 kHz RTP clock.
    Vp9 = 3,
}

impl Codec {
    /// RTP clock rate in Hz.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::Vp9 => 90_000,
        }
    }

    /// The payload type this platform gives the codec, from the dynamic range of RFC 3551.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Opus => 111,
            Self::Vp8 => 96,
            Self::Vp9 => 98,
        }
    }
}

/// A stream a terminal wants to send in a call, before it has an SSRC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct StreamOffer {
    /// What it shows or sounds.
    pub kind: StreamKind,
    /// How it is encoded.
    pub codec: Codec,
}

/// A stream of a leg as control allotted it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct StreamPlan {
    /// What it shows or sounds.
    pub kind: StreamKind,
    /// How it is encoded.
    pub codec: Codec,
    /// Its synchronisation source, unique on the shard.
    pub ssrc: Ssrc,
    /// Its first sequence number, at most
    /// [`FIRST_SEQUENCE_MAX`](crate::limits::FIRST_SEQUENCE_MAX).
    pub first_sequence: u16,
    /// How often its sequence number has wrapped at least: 0 for a stream that begins. Whoever
    /// joins late looks for the rollover counter from here upwards.
    pub rollover: u32,
}

/// An IP address without a port; IPv4 is carried as an IPv4-mapped IPv6 address.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Archive, Serialize, Deserialize,
)]
pub struct Host([u8; 16]);

impl Host {
    /// Nobody knows which.
    pub const UNKNOWN: Self = Self([0; 16]);

    /// Its bytes, in network order.
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }
}

impl From<IpAddr> for Host {
    fn from(from: IpAddr) -> Self {
        match from {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Host> for IpAddr {
    /// IPv4-mapped addresses come back as IPv4.
    fn from(from: Host) -> Self {
        let v6 = Ipv6Addr::from(from.0);
        v6.to_ipv4_mapped().map_or(Self::V6(v6), Self::V4)
    }
}

/// A UDP address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct Address {
    host: Host,
    port: u16,
}

impl From<SocketAddr> for Address {
    fn from(from: SocketAddr) -> Self {
        Self { host: from.ip().into(), port: from.port() }
    }
}

impl From<Address> for SocketAddr {
    /// IPv4-mapped addresses come back as IPv4.
    fn from(from: Address) -> Self {
        Self::new(from.host.into(), from.port)
    }
}

/// Part a relay plays in a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum RelayRole {
    /// Media flows over it.
    Primary = 1,
    /// Holds all legs, ready to take over.
    Standby = 2,
}

/// One way to reach the others of a call: a leg at a relay.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RelayPath {
    /// Which relay.
    pub relay: RelayId,
    /// What it is for.
    pub role: RelayRole,
    /// Where its shard listens.
    pub address: Address,
    /// This terminal's leg there; its [`fragment`](LegId::fragment) is the relay's ICE username
    /// fragment *and* the terminal's.
    pub leg: LegId,
    /// Keys the terminal's binding requests and the relay's answers.
    pub relay_password: IcePassword,
    /// Keys the relay's path challenges and the terminal's answers.
    pub terminal_password: IcePassword,
    /// Set in the seal lane: what the relay seals for this terminal is opened with a key derived
    /// from this.
    pub downlink: Option<SealedDownlink>,
}

/// From what a terminal derives the key of what one relay seals for it.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SealedDownlink {
    /// Protection profile of the downlink.
    pub suite: Suite,
    /// The leg's secret.
    pub secret: DownlinkSecret,
    /// The leg's life at the relay. [`Epoch::NONE`] if the relay had not confirmed the leg yet:
    /// nothing can be opened before [`PathRenewed`](crate::terminal::PathRenewed) names its life.
    pub epoch: Epoch,
}

/// What a terminal needs to receive another member's media.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Sender {
    /// Its number in the call.
    pub member: MemberId,
    /// Login ID of the sending account.
    pub login: String,
    /// Opens its packets in the pass lane. `None` in the seal lane: its packets come sealed with
    /// the downlink key of the path they come over.
    pub key: Option<MasterKey>,
    /// What it sends, as this terminal receives it.
    pub streams: Vec<StreamPlan>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_wire_form() {
        for text in ["127.0.0.1:5000", "[2001:db8::1]:65535", "[::]:0", "255.255.255.255:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(Address::from(address)), address);
        }
    }
}
