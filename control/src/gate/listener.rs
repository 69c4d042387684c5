//! Listens for terminals, with every limit set.

use super::connection::{Gate, converse};
use crate::capacity::{
    CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, HALF_OPEN_MAX, HANDSHAKE_TIMEOUT,
    INCOMING_BUFFER_BYTES, INCOMING_BUFFER_TOTAL_BYTES, INCOMING_MAX, SEND_WINDOW_BYTES,
    STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, IdleTimeout, Incoming, ServerConfig, TransportConfig, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

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

/// Opens a QUIC endpoint with the node's limits.
///
/// # Errors
/// [`ListenError`], for the operator.
pub fn listen(
    address: SocketAddr,
    setting: &'static str,
    tls: QuicServerConfig,
    idle: Duration,
) -> Result<Endpoint, ListenError> {
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport(idle)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL_BYTES)
        .migration(true);
    Endpoint::server(server, address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse { port: address.port(), setting },
        _ => ListenError::Refused { address, setting, error },
    })
}

fn transport(idle: Duration) -> TransportConfig {
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

/// Serves terminals until the endpoint is closed and the last of them is gone.
pub(crate) async fn serve(endpoint: Endpoint, gate: Arc<Gate>) {
    let half_open = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_ended) = connections.join_next() => continue,
        };
        let Some(incoming) = incoming else { break };
        if endpoint.open_connections() >= CONNECTIONS_MAX {
            incoming.refuse();
            continue;
        }
        let is_crowded = half_open.load(Ordering::Relaxed) >= HALF_OPEN_MAX;
        if is_crowded && !incoming.remote_address_validated() && incoming.may_retry() {
            // Cannot fail: `may_retry` was asked.
            let _sent = incoming.retry();
            continue;
        }
        let guard = HalfOpen::enter(&half_open);
        connections.spawn(handshake(incoming, guard, Arc::clone(&gate)));
    }
    while connections.join_next().await.is_some() {}
}

async fn handshake(incoming: Incoming, guard: HalfOpen, gate: Arc<Gate>) {
    let address = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return tracing::debug!(%address, %error, "a handshake could not begin"),
    };
    let connected = timeout(HANDSHAKE_TIMEOUT, connecting).await;
    drop(guard);
    match connected {
        Ok(Ok(connection)) => converse(connection, gate).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
        Err(_elapsed) => tracing::debug!(%address, "a handshake took too long"),
    }
}

/// Counts a handshake while it lives.
struct HalfOpen(Arc<AtomicUsize>);

impl HalfOpen {
    fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
