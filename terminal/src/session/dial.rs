//! Makes the QUIC connection: to whichever node of control answers first; TLS 1.3 only, the given
//! authorities only, post-quantum first.

use super::error::TerminalError;
use super::nodes::{Candidate, Nodes};
use super::race::{News, Race, Step};
use super::terminal::Settings;
use crate::capacity::{CONTROL_NODES_MAX, RESOLVE_TIMEOUT, STREAM_WINDOW_BYTES};
use crate::clock::Clock;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use kakehashi_wire::frame::ALPN_TERMINAL;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig, VarInt};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::debug;

/// A node as the settings name it.
#[derive(Clone)]
struct Named {
    /// `host:port`.
    control: String,
    /// What its certificate must be made out to.
    server_name: String,
}

/// A connection that stands.
pub(super) struct Dialled {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    /// Where.
    pub(super) address: SocketAddr,
}

/// Where to dial and whom to trust, and what is remembered of each.
pub(super) struct Dialler {
    named: Vec<Named>,
    nodes: Nodes,
    /// The names are to be looked up before the next race.
    is_stale: bool,
    attempt: Attempt,
    clock: Clock,
}

/// What every try needs.
#[derive(Clone)]
struct Attempt {
    source: Option<IpAddr>,
    timeout: Duration,
    config: ClientConfig,
}

impl Dialler {
    /// Checks the settings that concern dialling.
    pub(super) fn new(settings: &Settings, clock: Clock) -> Result<Self, TerminalError> {
        let unusable = |why: String| TerminalError::Settings { why };
        let mut tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(|error| unusable(format!("TLS 1.3 cannot be set up: {error}")))?
                .with_root_certificates(authorities(&settings.ca_pem)?)
                .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN_TERMINAL.to_vec()];
        // 0-RTT can be replayed (RFC 9001 9.2): nothing is sent before the handshake is done.
        tls.enable_early_data = false;
        let quic = QuicClientConfig::try_from(tls)
            .map_err(|error| unusable(format!("QUIC cannot be set up: {error}")))?;
        let mut config = ClientConfig::new(Arc::new(quic));
        config.transport_config(Arc::new(transport(settings)?));
        let (source, timeout) = (settings.source, settings.timing.dial);
        let attempt = Attempt { source, timeout, config };
        let (named, nodes) = (named(settings)?, Nodes::default());
        Ok(Self { named, nodes, is_stale: true, attempt, clock })
    }

    /// Whether there is another node to go to.
    pub(super) fn has_others(&self) -> bool {
        self.nodes.len() > 1
    }

    /// What stood at this address was lost.
    pub(super) fn lost(&mut self, address: SocketAddr) {
        self.nodes.lost(address, self.clock.now());
    }

    /// Connects to the first address of control that answers.
    pub(super) async fn dial(&mut self) -> Result<Dialled, TerminalError> {
        if self.is_stale {
            self.resolve().await;
            self.is_stale = false;
        }
        let order = self.nodes.order(rand::random);
        let raced = self.race(&order).await;
        // Perhaps the nodes have moved.
        self.is_stale = raced.is_err();
        raced
    }

    async fn race(&mut self, order: &[Candidate]) -> Result<Dialled, TerminalError> {
        let mut race = Race::new(order.len(), self.clock.now());
        let (mut running, mut fault) = (JoinSet::new(), None);
        let mut standing: Option<Dialled> = None;
        let mut news = News::Tick;
        loop {
            let until = match race.on(news, self.clock.now()) {
                Step::Dial(place) => {
                    let Candidate { node, address } = order[place];
                    let (attempt, named) = (self.attempt.clone(), self.named[node].clone());
                    running.spawn(async move { (place, attempt.run(address, &named).await) });
                    news = News::Tick;
                    continue;
                }
                // Whoever is still on the way is dropped, and hears no more of this terminal.
                Step::Won(_) => {
                    let Some(dialled) = standing.take() else { return Err(self.no_host()) };
                    self.nodes.stands(dialled.address);
                    return Ok(dialled);
                }
                Step::Lost => return Err(fault.unwrap_or_else(|| self.no_host())),
                Step::Wait(until) => until,
            };
            let due = until.map_or(Duration::MAX, |at| at.since(self.clock.now()));
            news = match tokio::time::timeout(due, running.join_next()).await {
                Err(_elapsed) => News::Tick,
                Ok(Some(Ok((place, Ok(dialled))))) => {
                    standing.get_or_insert(dialled);
                    News::Connected(place)
                }
                Ok(Some(Ok((place, Err(error))))) => {
                    let address = order[place].address;
                    debug!(event = "dial_failed", %address, %error, "no connection");
                    self.nodes.failed(address, self.clock.now());
                    fault = Some(milder(fault, error));
                    News::Failed
                }
                Ok(Some(Err(_)) | None) => News::Failed,
            };
        }
    }

    /// Looks all names up. One that cannot be found keeps the addresses it had.
    async fn resolve(&mut self) {
        let mut looking = JoinSet::new();
        for (node, named) in self.named.iter().enumerate() {
            let control = named.control.clone();
            looking.spawn(async move {
                let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(control));
                let found = found.await.ok().and_then(Result::ok);
                (node, found.map(Iterator::collect::<Vec<_>>).unwrap_or_default())
            });
        }
        let mut found: Vec<_> = looking.join_all().await;
        found.sort_by_key(|(node, _)| *node);
        let known = self.nodes.addresses();
        let candidates = found.into_iter().flat_map(|(node, addresses)| {
            let kept = known.iter().filter(move |it| it.node == node).map(|it| it.address);
            let addresses = if addresses.is_empty() { kept.collect() } else { addresses };
            addresses.into_iter().map(move |address| Candidate { node, address })
        });
        let candidates: Vec<_> = candidates.collect();
        self.nodes.learn(candidates);
    }

    fn no_host(&self) -> TerminalError {
        let names: Vec<_> = self.named.iter().map(|named| named.control.as_str()).collect();
        TerminalError::NoSuchHost { control: names.join(", ") }
    }
}

/// Of two faults the one that may pass: a node that is not what it should be must not keep a
/// terminal from waiting for the others.
fn milder(before: Option<TerminalError>, error: TerminalError) -> TerminalError {
    let stays = |it: &TerminalError| {
        matches!(
            it,
            TerminalError::NotTrusted { .. }
                | TerminalError::CertificateExpired { .. }
                | TerminalError::Version { .. }
        )
    };
    match before {
        Some(before) if stays(&error) && !stays(&before) => before,
        _ => error,
    }
}

fn named(settings: &Settings) -> Result<Vec<Named>, TerminalError> {
    let unusable = |why: String| TerminalError::Settings { why };
    if !(1..=CONTROL_NODES_MAX).contains(&settings.control.len()) {
        return Err(unusable(format!("name 1 to {CONTROL_NODES_MAX} nodes of control")));
    }
    let name = |control: &String| {
        let host = control.rsplit_once(':').map_or(control.as_str(), |(host, _port)| host);
        let server_name = settings.server_name.as_deref();
        let server_name = server_name.unwrap_or_else(|| host.trim_matches(['[', ']'])).to_owned();
        match ServerName::try_from(server_name.as_str()) {
            Ok(_) => Ok(Named { control: control.clone(), server_name }),
            Err(_) => Err(unusable(format!("the server name `{server_name}` is not a host name"))),
        }
    };
    settings.control.iter().map(name).collect()
}

impl Attempt {
    async fn run(self, address: SocketAddr, named: &Named) -> Result<Dialled, TerminalError> {
        let source = self.source.unwrap_or_else(|| match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let lost = |why: String| TerminalError::Lost { why };
        let endpoint = Endpoint::client((source, 0).into())
            .map_err(|error| lost(format!("no UDP socket can be opened at {source}: {error}")))?;
        let connecting = endpoint
            .connect_with(self.config, address, &named.server_name)
            .map_err(|error| lost(error.to_string()))?;
        match tokio::time::timeout(self.timeout, connecting).await {
            Err(_) | Ok(Err(ConnectionError::TimedOut)) => {
                Err(TerminalError::NoAnswer { control: named.control.clone() })
            }
            Ok(Err(error)) => Err(connection_error(&error)),
            Ok(Ok(connection)) => Ok(Dialled { endpoint, connection, address }),
        }
    }
}

/// The certificates of a CA file.
pub(crate) fn authorities(pem: &[u8]) -> Result<rustls::RootCertStore, TerminalError> {
    let unusable = |why: &str| TerminalError::Settings {
        why: format!("the CA file cannot be used: {why}; give control's `ca.pem`"),
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unusable("it is not valid PEM"))?;
        roots.add(certificate).map_err(|_| unusable("a certificate in it is malformed"))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate"));
    }
    Ok(roots)
}

fn transport(settings: &Settings) -> Result<TransportConfig, TerminalError> {
    let timing = settings.timing;
    let idle = timing.idle.try_into().map_err(|_| TerminalError::Settings {
        why: "the idle time is longer than QUIC can express".into(),
    })?;
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(timing.keep_alive))
        .max_idle_timeout(Some(idle))
        // Control opens no streams and sends no datagrams: the terminal's one stream is all.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES));
    Ok(transport)
}

/// What a broken connection means for the one who has to act.
pub(super) fn connection_error(error: &ConnectionError) -> TerminalError {
    /// QUIC carries TLS alerts from here (RFC 9001 4.8).
    const CRYPTO: u64 = 0x100;
    let version = || TerminalError::Version {
        why: "it does not offer `kakehashi/1`; upgrade the older of the two, and check that this \
              is control's port for terminals"
            .into(),
    };
    let code = match error {
        ConnectionError::VersionMismatch => return version(),
        ConnectionError::TransportError(ours) => u64::from(ours.code),
        ConnectionError::ConnectionClosed(theirs) => u64::from(theirs.error_code),
        _ => 0,
    };
    match code.checked_sub(CRYPTO) {
        // RFC 8446 6.2: protocol_version; RFC 7301 3.2: no_application_protocol.
        Some(70 | 120) => version(),
        // RFC 8446 6.2: certificate_expired, which is one that is not good yet as well.
        Some(45) => TerminalError::CertificateExpired { why: certificate_fault(error) },
        // RFC 8446 6.2: bad_certificate to access_denied, decrypt_error (the signature of an
        // authority of the same name that was made anew), certificate_required.
        Some(42..=49 | 51 | 116) => TerminalError::NotTrusted { why: certificate_fault(error) },
        _ if code == u64::from(quinn::TransportErrorCode::CONNECTION_REFUSED) => {
            TerminalError::Lost { why: "control takes no more connections at the moment".into() }
        }
        _ => TerminalError::Lost { why: error.to_string() },
    }
}

fn certificate_fault(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TransportError(ours) if !ours.reason.is_empty() => ours.reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::{ConnectionClose, TransportErrorCode};

    /// What the peer's closing with a TLS alert (RFC 9001 4.8) is taken for.
    fn fault(alert: u8) -> &'static str {
        let close = ConnectionClose {
            error_code: TransportErrorCode::crypto(alert),
            frame_type: None,
            reason: Default::default(),
        };
        match connection_error(&ConnectionError::ConnectionClosed(close)) {
            TerminalError::NotTrusted { .. } => "certificate",
            TerminalError::CertificateExpired { .. } => "expired",
            TerminalError::Version { .. } => "version",
            TerminalError::Lost { .. } => "network",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_alert_is_laid_at_the_right_door() {
        let of = |wanted| (0..=u8::MAX).filter(move |&alert| fault(alert) == wanted);
        assert!(of("certificate").eq([42, 43, 44, 46, 47, 48, 49, 51, 116]));
        assert!(of("expired").eq([45]));
        assert!(of("version").eq([70, 120]));
        assert_eq!(of("network").count(), 256 - 12);
    }
}
