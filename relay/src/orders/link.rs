//! Keeps a link to each node of control: dials, talks, and dials again when it breaks, until told
//! to stop. One node that is away holds up no other.
//!
//! Runs on a thread of its own with a single-threaded event loop, so that nothing control does, and
//! no handshake, costs a shard a microsecond.

use super::conversation::{converse, introduce};
use super::figures::LinkFigures;
use super::lost::{LinkLost, SetupError};
use super::mailbox::LinkEnd;
use super::office::Office;
use super::report::Published;
use super::terms::LinkNumber;
use super::tls;
use crate::capacity::{
    BACK_OFF_MAX_MS, BACK_OFF_MIN_MS, DIAL_MS, FIRST_ROUND_TRIP_MS, LINK_IDLE_MS, LINK_WINDOW_BYTES,
};
use kakehashi_wire::id::{Incarnation, RelayId, ShardIndex};
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use rustls_pki_types::ServerName;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;

/// Where control is, and who this relay is.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// This relay's number; the one its certificate names.
    pub relay: RelayId,
    /// The data centre it is in; empty if nobody says.
    pub site: String,
    /// This life of the process.
    pub incarnation: Incarnation,
    /// Control's nodes as `host:port`; there is a link to each.
    pub nodes: Vec<String>,
    /// The name their certificates must carry; `None`: the host each is named by.
    pub server_name: Option<String>,
    /// PEM file with this relay's certificate chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the CA that certifies control.
    pub ca: PathBuf,
    /// Where the links count.
    pub figures: Arc<LinkFigures>,
}

impl LinkConfig {
    /// The name that the certificate of `node` must carry.
    fn name_of(&self, node: &str) -> Result<ServerName<'static>, SetupError> {
        let host = node.rsplit_once(':').map_or(node, |(host, _port)| host);
        let name = self.server_name.as_deref();
        let name = name.unwrap_or_else(|| host.trim_matches(['[', ']']));
        ServerName::try_from(name.to_owned()).map_err(|_| SetupError::ServerName(name.into()))
    }
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

/// Runs the links on this thread until `stop` turns true or its sender is gone.
///
/// `knock` is what all `shards`' mailboxes were made with. A node that cannot be reached is no
/// error: it is logged, and tried again.
///
/// # Errors
/// [`SetupError`] if the links could never work: unusable files or settings.
pub fn run(
    config: LinkConfig,
    shards: Vec<ShardHandle>,
    knock: Arc<Notify>,
    stop: watch::Receiver<bool>,
) -> Result<(), SetupError> {
    if config.nodes.is_empty() {
        return Err(SetupError::NoControl);
    }
    for node in &config.nodes {
        config.name_of(node)?;
    }
    tls::client(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let endpoint = endpoint()?;
        let office = Rc::new(Office::new(shards, knock, Arc::clone(&config.figures)));
        let config = Rc::new(config);
        let links = LocalSet::new();
        for number in 0..config.nodes.len() {
            let (config, office) = (Rc::clone(&config), Rc::clone(&office));
            let link = Link { config, office, endpoint: endpoint.clone(), number };
            links.spawn_local(async move { link.keep().await });
        }
        let mut stop = stop;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = links => {}
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

/// The link to one node.
struct Link {
    config: Rc<LinkConfig>,
    office: Rc<Office>,
    endpoint: Endpoint,
    /// Which of the nodes.
    number: usize,
}

impl Link {
    /// Dials and talks forever.
    async fn keep(&self) {
        let mut back_off = BackOff::default();
        loop {
            let lost = self.talk_once(&mut back_off).await;
            self.config.figures.lost(self.number);
            let pause = back_off.next(rand::random());
            let (node, pause_ms) = (self.node(), pause.as_millis());
            tracing::warn!(event = "control_link_lost", %node, pause_ms,
                "no link to control: {lost}");
            tokio::time::sleep(pause).await;
        }
    }

    fn node(&self) -> &str {
        &self.config.nodes[self.number]
    }

    async fn talk_once(&self, back_off: &mut BackOff) -> LinkLost {
        match self.dial(back_off.tries).await {
            Ok(connection) => {
                let lost = self.talk(&connection, back_off).await;
                connection.close(VarInt::from_u32(1), b"the link broke");
                lost
            }
            Err(lost) => lost,
        }
    }

    async fn talk(&self, connection: &Connection, back_off: &mut BackOff) -> LinkLost {
        match introduce(connection, &self.config, &self.office).await {
            Ok((send, receive, welcome)) => {
                let address = connection.remote_address();
                tracing::info!(event = "control_linked", node = self.node(), %address,
                    "linked to control");
                *back_off = BackOff::default();
                self.config.figures.linked(self.number);
                let link = LinkNumber(self.number);
                converse(send, receive, &welcome, (&self.office, link)).await
            }
            Err(lost) => lost,
        }
    }

    /// Connects to one of the node's addresses, another one each time.
    async fn dial(&self, tries: u32) -> Result<Connection, LinkLost> {
        let mut client = ClientConfig::new(Arc::new(tls::client(&self.config)?));
        client.transport_config(Arc::new(transport()?));
        let name = self.config.name_of(self.node())?;
        let attempt = async {
            let found = tokio::net::lookup_host(self.node()).await.map_err(unreachable)?;
            let found: Vec<_> = found.collect();
            let nth = (tries as usize).checked_rem(found.len());
            let nth = nth.ok_or_else(|| unreachable("its name has no address"))?;
            let connecting = self.endpoint.connect_with(client, found[nth], &name.to_str());
            Ok(connecting.map_err(unreachable)?.await?)
        };
        let patience = Duration::from_millis(DIAL_MS);
        let silent = |_| unreachable(format!("no answer within {DIAL_MS} ms"));
        tokio::time::timeout(patience, attempt).await.map_err(silent)?
    }
}

fn unreachable(reason: impl std::fmt::Display) -> LinkLost {
    LinkLost::Network(reason.to_string())
}

/// One try: why it did not become a link.
#[cfg(test)]
pub(super) async fn dial_once(config: &LinkConfig) -> LinkLost {
    let link = Link {
        config: Rc::new(config.clone()),
        office: Rc::new(Office::new(
            Vec::new(),
            Arc::new(Notify::new()),
            Arc::clone(&config.figures),
        )),
        endpoint: endpoint().expect("tests have sockets"),
        number: 0,
    };
    link.talk_once(&mut BackOff::default()).await
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
