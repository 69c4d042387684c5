//! The sockets of a call's media: one to the relays, one for each stream that leaves as plain RTP.

use super::engine::Engine;
use super::plain::PlainPort;
use super::{MediaError, StreamId};
use crate::capacity::SOCKET_BUFFER_BYTES;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use tokio::net::UdpSocket;

/// A local socket for each received stream of a kind that is wanted as plain RTP.
pub(super) fn plain_outputs(
    ports: &[PlainPort],
    engine: &Engine,
) -> Result<Vec<(StreamId, UdpSocket)>, MediaError> {
    let mut outputs = Vec::new();
    for port in ports {
        for (stream, _, plan) in engine.received_plans() {
            if plan.kind == port.kind.0 {
                let socket = plain_output(port.address).map_err(socket_error)?;
                outputs.push((stream, socket));
            }
        }
    }
    Ok(outputs)
}

/// A socket for a player of this machine.
pub(crate) fn plain_output(to: SocketAddr) -> io::Result<UdpSocket> {
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(from)?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// The media socket: IPv4 if all relays have IPv4 addresses, else dual-stack.
pub(super) fn open_socket(relays: &[SocketAddr]) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let only_v4 = relays.iter().all(SocketAddr::is_ipv4);
    let domain = if only_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let any: SocketAddr =
        if only_v4 { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if !only_v4 {
        socket.set_only_v6(false)?;
    }
    // The kernel gives less if its limit is lower; the call works with less.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&any.into())?;
    UdpSocket::from_std(socket.into())
}

pub(super) fn socket_error(error: io::Error) -> MediaError {
    MediaError::Socket { why: error.to_string() }
}
