//! Certificates of the operator's own authority, in place of the internal one's.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, client_tls, device_of, frame, trusting, try_dial, within};
use kakehashi_control::pki::relay_uri;
use kakehashi_wire::frame::{ALPN_RELAY, ALPN_TERMINAL};
use kakehashi_wire::id::RelayId;
use kakehashi_wire::relay::ToRelay;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The operator's authority.
struct Operator {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Operator {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { ca }
    }

    fn issue(&self, name: SanType) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.ca).unwrap(), key)
    }

    fn server_files(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let host = SanType::DnsName("localhost".try_into().unwrap());
        let (certificate, key) = self.issue(host);
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&paths.1).unwrap();
        std::io::Write::write_all(&mut file, key.serialize_pem().as_bytes()).unwrap();
        paths
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        roots
    }

    fn relay(&self, relay: u32) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let uri = SanType::URI(relay_uri(RelayId(relay)).as_str().try_into().unwrap());
        let (certificate, key) = self.issue(uri);
        (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

#[tokio::test]
async fn an_operators_own_certificates_are_the_only_ones_that_count() {
    let operator = Operator::new();
    let own = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(tempfile::tempdir().unwrap(), |config| {
        let (terminals, relays) = (&mut config.terminals, &mut config.relays);
        (terminals.certificate, terminals.key) = operator.server_files(own.path(), "outer");
        (relays.certificate, relays.key) = operator.server_files(own.path(), "inner");
        relays.ca = own.path().join("ca.pem");
        std::fs::write(&relays.ca, operator.ca.pem()).unwrap();
    })
    .await;
    let node = (platform.node.terminal_addr, platform.node.relay_addr);
    let local = [127, 0, 0, 1];

    let tls = trusting(operator.roots()).with_no_client_auth();
    let connection = try_dial(local, tls, ALPN_TERMINAL, node.0).await.unwrap();
    let mut terminal = Terminal::open(connection).await;
    terminal.sign_in("shop", "a", PASSWORD, device_of("a")).await.unwrap();
    let internal = client_tls(&platform.pki()).with_no_client_auth();
    let refused = try_dial(local, internal, ALPN_TERMINAL, node.0).await.err().unwrap();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");

    let (chain, key) = operator.relay(1);
    let tls = trusting(operator.roots()).with_client_auth_cert(chain, key).unwrap();
    let (_connection, _send, mut recv) = Relay::greet_with(tls, node.1, 1).await;
    let (kind, body) = within(frame(&mut recv)).await.unwrap();
    assert!(matches!(ToRelay::decode(kind, &body), Ok(ToRelay::Welcome(_))));
    let now = kakehashi_control::clock::UnixMs::now();
    let internal = platform.pki().issue_relay(RelayId(2), now).unwrap();
    let tls = trusting(operator.roots());
    let tls = tls.with_client_auth_cert(internal.chain, internal.key).unwrap();
    // The handshake is over for the client before the node has seen its certificate.
    let end = match try_dial(local, tls, ALPN_RELAY, node.1).await {
        Ok(connection) => within(connection.closed()).await,
        Err(error) => error,
    };
    assert!(matches!(end, quinn::ConnectionError::ConnectionClosed(_)), "{end}");
    let rows = platform.node.live().relays().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1]);
    platform.node.stop().await;
}
