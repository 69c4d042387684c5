//! Listens for terminals, with every limit set.

use super::connection::{Gate, converse};
use super::crowd::{Crowd, Entry, Limits, Place};
use super::lobby::Lobby;
use crate::capacity::{
    CONNECTION_WINDOW_BYTES, HANDSHAKE_TIMEOUT, INCOMING_BUFFER_BYTES, INCOMING_BUFFER_TOTAL_BYTES,
    INCOMING_MAX, SEND_WINDOW_BYTES, SOCKET_QUEUE_BYTES, STRANGERS_LOG_EVERY, STREAM_WINDOW_BYTES,
    STREAMS_MAX,
};
use crate::seldom::Seldom;
use crate::site::Site;
use core::future::ready;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connecting, Endpoint, EndpointConfig, IdleTimeout, Incoming, Runtime, ServerConfig,
    TransportConfig, VarInt,
};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, timeout};

/// The node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else does.
    #[error(
        "port {port} is in use: stop what uses it (`ss -lunp 'sport = :{port}'` shows it) or set \
         `{setting}` to another"
    )]
    InUse {
        /// The port.
        port: u16,
        /// Which setting names it.
        setting: &'static str,
    },
    /// Something else does, by TCP.
    #[error(
        "port {port} is in use: stop what uses it (`ss -ltnp 'sport = :{port}'` shows it) or set \
         `{setting}` to another"
    )]
    InUseTcp {
        /// The port.
        port: u16,
        /// Which setting names it.
        setting: &'static str,
    },
    /// The operating system refuses.
    #[error("cannot listen on {address}: {error}; set `{setting}` to an address of this machine")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Which setting names it.
        setting: &'static str,
        /// Why.
        error: std::io::Error,
    },
}

/// Opens a QUIC endpoint with the node's limits, whose tasks `runtime` takes.
///
/// # Errors
/// [`ListenError`], for the operator.
pub fn listen(
    address: SocketAddr,
    setting: &'static str,
    tls: QuicServerConfig,
    idle: Duration,
    runtime: Arc<dyn Runtime>,
) -> Result<Endpoint, ListenError> {
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport(idle)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL_BYTES)
        .migration(true);
    let endpoint = UdpSocket::bind(address)
        .and_then(|socket| {
            // The kernel gives what `net.core.rmem_max` allows, and no error.
            set_socket_recv_buffer_size(&socket, SOCKET_QUEUE_BYTES)?;
            Ok(socket)
        })
        .and_then(|socket| Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime));
    endpoint.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse { port: address.port(), setting },
        _ => ListenError::Refused { address, setting, error },
    })
}

pub(crate) fn transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(idle).expect("invariant: idle timeouts are below 2^62 ms");
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(idle))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None);
    transport
}

/// A first packet whose handshake has not begun.
struct Waiting {
    incoming: Incoming,
    place: Place,
    since: Instant,
}

/// Serves terminals until the endpoint is closed and the last of them is gone. Handshakes begin
/// here; all that follows is done `inside`.
pub(crate) async fn serve(endpoint: Endpoint, gate: Arc<Gate>, limits: Limits, inside: Handle) {
    let crowd = Crowd::new(limits);
    let refusals = Seldom::new(STRANGERS_LOG_EVERY);
    let mut connections = JoinSet::new();
    let mut lobby = Lobby::new();
    loop {
        let incoming = tokio::select! {
            biased;
            incoming = endpoint.accept() => incoming,
            Some(_ended) = connections.join_next() => continue,
            () = ready(()), if !lobby.is_empty() => {
                if let Some((connecting, place)) = lobby.next().and_then(|it| begin(it, &gate)) {
                    let handshake = handshake(connecting, place, Arc::clone(&gate));
                    connections.spawn_on(handshake, &inside);
                }
                // What has come meanwhile is taken out of the socket.
                yield_now().await;
                continue;
            }
        };
        let Some(incoming) = incoming else { break };
        let address = incoming.remote_address();
        match crowd.enter(address.ip(), incoming.remote_address_validated()) {
            Entry::Admit(place) => {
                let since = Instant::now();
                lobby.enter(Site::of(address.ip()), Waiting { incoming, place, since });
            }
            // Cannot fail: an address that is not validated was not asked yet.
            Entry::Prove => drop(incoming.retry()),
            Entry::Refuse => {
                incoming.refuse();
                if let Some(count) = refusals.note(Instant::now()) {
                    tracing::warn!(event = "connections_refused", count, last = %address,
                        "connections were refused: too many \
                        from one address (`terminals.connections_per_address`) or in all");
                }
            }
        }
    }
    drop(lobby);
    while connections.join_next().await.is_some() {}
}

/// Begins a handshake: its dearest part, a key agreement and a signature.
fn begin(waiting: Waiting, gate: &Gate) -> Option<(Connecting, Place)> {
    let Waiting { incoming, place, since } = waiting;
    let address = incoming.remote_address();
    if since.elapsed() > HANDSHAKE_TIMEOUT {
        // Whoever sent it has given up.
        incoming.ignore();
        gate.no_session(address, &"the handshake waited too long");
        return None;
    }
    match incoming.accept() {
        Ok(connecting) => Some((connecting, place)),
        Err(error) => {
            tracing::debug!(event = "handshake_not_begun", %address, %error,
                "a handshake did not begin");
            gate.no_session(address, &"the handshake failed");
            None
        }
    }
}

async fn handshake(connecting: Connecting, mut place: Place, gate: Arc<Gate>) {
    let address = connecting.remote_address();
    let connected = timeout(HANDSHAKE_TIMEOUT, connecting).await;
    place.connected();
    match connected {
        Ok(Ok(connection)) => converse(connection, gate).await,
        Ok(Err(error)) => {
            // The reason may be the other side's own words.
            tracing::debug!(event = "handshake_failed", %address, %error, "a handshake failed");
            gate.no_session(address, &"the handshake failed");
        }
        Err(_elapsed) => gate.no_session(address, &"the handshake took too long"),
    }
}
