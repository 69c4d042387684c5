//! Keeps a link to control: dials, talks, and dials again when it breaks, until told to stop.
//!
//! Runs on a thread of its own with a single-threaded event loop, so that nothing control does, and
//! no handshake, costs a shard a microsecond.

use super::conversation::{converse, introduce};
use super::dispatch::Dispatcher;
use super::lost::{LinkLost, SetupError};
use super::mailbox::LinkEnd;
use super::report::Published;
use super::tls;
use crate::capacity::{
    BACK_OFF_MAX_MS, BACK_OFF_MIN_MS, DIAL_MS, FIRST_ROUND_TRIP_MS, LINK_IDLE_MS, LINK_WINDOW_BYTES,
};
use kakehashi_wire::id::{Incarnation, RelayId, ShardIndex};
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use rustls_pki_types::ServerName;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Where control is, and who this relay is.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// This relay's number; the one its certificate names.
    pub relay: RelayId,
    /// This life of the process.
    pub incarnation: Incarnation,
    /// Addresses of control's nodes as `host:port`; tried in turn.
    pub control: Vec<String>,
    /// The name control's certificate must carry.
    pub server_name: String,
    /// PEM file with this relay's certificate chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the CA that certifies control.
    pub ca: PathBuf,
}

/// A shard as the link needs it.
pub struct ShardHandle {
    /// Which shard.
    pub index: ShardIndex,
    /// Where terminals reach it.
    pub address: SocketAddr,
    /// How many legs it holds at most.
    pub legs_max: u32,
    /// The way to it.
    pub mailbox: LinkEnd,
    /// What it publishes.
    pub published: Arc<Published>,
}

/// Runs the link on this thread until `stop` turns true or its sender is gone.
///
/// `knock` is what all `shards`' mailboxes were made with. A control that cannot be reached is no
/// error: it is logged, and tried again.
///
/// # Errors
/// [`SetupError`] if the link could never work: unusable files or settings.
pub fn run(
    config: LinkConfig,
    shards: Vec<ShardHandle>,
    knock: Arc<Notify>,
    stop: watch::Receiver<bool>,
) -> Result<(), SetupError> {
    if config.control.is_empty() {
        return Err(SetupError::NoControl);
    }
    if ServerName::try_from(config.server_name.as_str()).is_err() {
        return Err(SetupError::ServerName(config.server_name));
    }
    tls::client(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let endpoint = endpoint()?;
        let mut dispatcher = Dispatcher::new(shards, knock);
        let mut stop = stop;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = keep(&config, &endpoint, &mut dispatcher) => {}
        }
        endpoint.close(VarInt::from_u32(0), b"the relay stops");
        // Control learns it now instead of missing heartbeats; not worth waiting long for.
        let _ = tokio::time::timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
        Ok(())
    });
    // A name that is being looked up must not hold up the end of the process.
    runtime.shutdown_background();
    ended
}

/// A socket that reaches IPv4 and IPv6, or IPv4 alone where the host has no IPv6.
fn endpoint() -> std::io::Result<Endpoint> {
    Endpoint::client(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
        .or_else(|_| Endpoint::client(SocketAddr::from(([0, 0, 0, 0], 0))))
}

/// Dials and talks forever.
async fn keep(config: &LinkConfig, endpoint: &Endpoint, dispatcher: &mut Dispatcher) {
    let mut back_off = BackOff::default();
    for control in config.control.iter().cycle() {
        let lost = match dial(config, endpoint, control).await {
            Ok(connection) => {
                let lost = talk(&connection, config, dispatcher, &mut back_off).await;
                connection.close(VarInt::from_u32(1), b"the link broke");
                lost
            }
            Err(lost) => lost,
        };
        let pause = back_off.next(rand::random());
        tracing::warn!(%control, pause_ms = pause.as_millis(), "no link to control: {lost}");
        tokio::time::sleep(pause).await;
    }
}

async fn talk(
    connection: &Connection,
    config: &LinkConfig,
    dispatcher: &mut Dispatcher,
    back_off: &mut BackOff,
) -> LinkLost {
    match introduce(connection, config, dispatcher).await {
        Ok((send, receive, welcome)) => {
            tracing::info!(control = %connection.remote_address(), "linked to control");
            *back_off = BackOff::default();
            converse(send, receive, &welcome, dispatcher).await
        }
        Err(lost) => lost,
    }
}

async fn dial(
    config: &LinkConfig,
    endpoint: &Endpoint,
    control: &str,
) -> Result<Connection, LinkLost> {
    let mut client = ClientConfig::new(Arc::new(tls::client(config)?));
    client.transport_config(Arc::new(transport()?));
    let attempt = async {
        let mut found = tokio::net::lookup_host(control).await.map_err(unreachable)?;
        let address = found.next().ok_or_else(|| unreachable("its name has no address"))?;
        let connecting = endpoint.connect_with(client, address, &config.server_name);
        Ok(connecting.map_err(unreachable)?.await?)
    };
    let patience = Duration::from_millis(DIAL_MS);
    let silent = |_| unreachable(format!("no answer within {DIAL_MS} ms"));
    tokio::time::timeout(patience, attempt).await.map_err(silent)?
}

fn unreachable(reason: impl std::fmt::Display) -> LinkLost {
    LinkLost::Network(reason.to_string())
}

/// One try: why it did not become a link.
#[cfg(test)]
pub(super) async fn dial_once(config: &LinkConfig) -> LinkLost {
    let endpoint = endpoint().expect("tests have sockets");
    match dial(config, &endpoint, &config.control[0]).await {
        Ok(connection) => {
            let mut dispatcher = Dispatcher::new(Vec::new(), Arc::new(Notify::new()));
            talk(&connection, config, &mut dispatcher, &mut BackOff::default()).await
        }
        Err(lost) => lost,
    }
}

/// Control opens no streams towards a relay and sends no datagrams.
fn transport() -> Result<TransportConfig, SetupError> {
    let mut transport = TransportConfig::default();
    let idle = Duration::from_millis(LINK_IDLE_MS);
    let idle = idle.try_into().map_err(|_| SetupError::Tls("idle timeout too long".into()))?;
    transport
        .max_idle_timeout(Some(idle))
        .initial_rtt(Duration::from_millis(FIRST_ROUND_TRIP_MS))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(LINK_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(LINK_WINDOW_BYTES));
    Ok(transport)
}

/// Pauses between tries: doubling, with a random half, so that the relays of a site do not all
/// knock at once when control returns.
#[derive(Default)]
struct BackOff {
    tries: u32,
}

impl BackOff {
    fn next(&mut self, random: u64) -> Duration {
        let full = BACK_OFF_MIN_MS.checked_shl(self.tries).unwrap_or(BACK_OFF_MAX_MS);
        let full = full.min(BACK_OFF_MAX_MS);
        // 2^5 x 100 ms is the maximum already; more would only overflow the shift.
        self.tries = (self.tries + 1).min(16);
        Duration::from_millis(full / 2 + random % (full / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_stay_random() {
        let mut back_off = BackOff::default();
        for full in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            let mut other = BackOff { tries: back_off.tries };
            let (low, high) = (back_off.next(0), other.next(full / 2));
            assert_eq!((low.as_millis(), high.as_millis()), (full as u128 / 2, full as u128));
        }
    }
}
