//! Plain RTP from and to ports of this machine: for pipelines with camera, microphone, screen.
//!
//! Plain media never leaves the machine: only loopback addresses are taken.

use super::MediaError;
use crate::capacity::{DATAGRAM_BYTES_MAX, PLAIN_PACKETS_MAX};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str::FromStr;
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::rtcp::RtcpWriter;
use kakehashi_wire::rtp::Ssrc;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// A local port and what flows over it: `audio=5004`, `video=127.0.0.1:5006`, `screen=[::1]:5008`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlainPort {
    /// What flows.
    pub kind: StreamKindName,
    /// Where, on this machine.
    pub address: SocketAddr,
}

/// The kind of a stream, as it is written on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamKindName(pub StreamKind);

impl FromStr for PlainPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, place) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}`: write KIND=PORT, such as audio=5004"))?;
        let kind = match kind {
            "audio" => StreamKind::Audio,
            "video" | "camera" => StreamKind::Camera,
            "screen" => StreamKind::Screen,
            other => return Err(format!("`{other}`: the kind is audio, video or screen")),
        };
        let address = match place.parse::<u16>() {
            Ok(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            Err(_) => place
                .parse::<SocketAddr>()
                .map_err(|_| format!("`{place}`: write a port, or 127.0.0.1:PORT"))?,
        };
        if !address.ip().to_canonical().is_loopback() {
            return Err(format!(
                "`{place}` is not an address of this machine: plain RTP is not encrypted and \
                 stays on loopback (127.0.0.1 or [::1])"
            ));
        }
        Ok(Self { kind: StreamKindName(kind), address })
    }
}

impl TryFrom<String> for PlainPort {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PlainPort> for String {
    fn from(port: PlainPort) -> Self {
        let kind = match port.kind.0 {
            StreamKind::Audio => "audio",
            StreamKind::Camera => "video",
            StreamKind::Screen => "screen",
        };
        format!("{kind}={}", port.address)
    }
}

/// A packet from a local source.
pub(super) struct PlainPacket {
    pub(super) input: usize,
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// Opens the port of a local source, before the call.
///
/// # Errors
/// [`MediaError::Input`] if the port is taken.
pub fn bind_input(port: PlainPort) -> Result<std::net::UdpSocket, MediaError> {
    let opened = std::net::UdpSocket::bind(port.address)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    opened.map_err(|error| MediaError::Input {
        why: format!("cannot receive plain RTP at {}: {error}; choose another port", port.address),
    })
}

/// Passes on what a local source sends; never ends by itself. Packets the media task has no time
/// for are dropped: they show as a gap, like any loss.
pub(super) async fn read_input(
    socket: Arc<UdpSocket>,
    input: usize,
    packets: mpsc::Sender<PlainPacket>,
) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((bytes, from)) if from.ip().to_canonical().is_loopback() => {
                let bytes = buffer[..bytes].to_vec();
                let _ = packets.try_send(PlainPacket { input, from, bytes });
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(event = "local_input_failed", %error, "plain RTP input"),
        }
    }
}

/// What a local pipeline is told when a receiver of its stream `media` needs a key frame: a report
/// without blocks, since a compound begins with one (RFC 3550 6.1), and a PLI.
pub(super) fn picture_loss(reporter: Ssrc, media: Ssrc) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RtcpWriter::new(&mut out);
    writer.receiver_report(reporter, &[]);
    writer.picture_loss(reporter, media);
    out
}

/// A channel for the packets of all local sources.
pub(super) fn channel() -> (mpsc::Sender<PlainPacket>, mpsc::Receiver<PlainPacket>) {
    mpsc::channel(PLAIN_PACKETS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_taken() {
        let port: PlainPort = "video=5006".parse().unwrap();
        assert_eq!(port.address, "127.0.0.1:5006".parse::<SocketAddr>().unwrap());
        assert_eq!(String::from(port), "video=127.0.0.1:5006");
        assert!("screen=[::1]:9".parse::<PlainPort>().is_ok());
        let refused = "audio=192.0.2.1:9".parse::<PlainPort>().unwrap_err();
        assert!(refused.contains("loopback"), "{refused}");
        for bad in ["5004", "sound=1", "audio=", "audio=0.0.0.0:1", "audio=[::]:1", "audio=70000"] {
            assert!(bad.parse::<PlainPort>().is_err(), "{bad}");
        }
    }
}
