//! A node in this process, and hand-written terminals and relays that speak to it over real QUIC.

pub mod relay;
pub mod terminal;

use kakehashi_control::accounts::NewAccount;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::Config;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::node::Node;
use kakehashi_control::pki::Pki;
use kakehashi_wire::frame::Reader;
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::Role;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, VarInt};
use rustls::RootCertStore;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use terminal::Terminal;

pub const PASSWORD: &str = "correct horse battery";

/// A node with its folder: tenants `shop` (a, b, c) and `bank` (a, z).
pub struct Platform {
    pub node: Node,
    pub folder: TempDir,
}

pub fn settings(folder: &TempDir) -> Config {
    let mut config = Config { data: folder.path().to_owned(), ..Config::default() };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    config.terminals.listen = any;
    config.relays.listen = any;
    config.api.listen = any;
    config.console.listen = any;
    config.calls.no_answer_s = 3;
    config.sign_in.hash_jobs = 2;
    config.sign_in.grace_s = 2;
    config
}

impl Platform {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// Starts in a folder that may have been used before.
    pub async fn start_in(folder: TempDir) -> Self {
        Self::start_with(folder, |_usual| {}).await
    }

    /// Starts with other settings.
    pub async fn start_with(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = settings(&folder);
        change(&mut config);
        let node = Node::start(config).await.unwrap();
        if node.accounts.tenants().await.unwrap().is_empty() {
            add(&node, "shop", &["a", "b", "c"]).await;
            add(&node, "bank", &["a", "z"]).await;
        }
        Self { node, folder }
    }

    pub fn pki(&self) -> Pki {
        let folder = self.folder.path().join("pki");
        Pki::open_or_create(&folder, UnixMs::now(), Entropy::system()).unwrap()
    }

    /// A connection without a word said.
    pub async fn connect(&self) -> Connection {
        let tls = client_tls(&self.pki()).with_no_client_auth();
        dial(tls, kakehashi_wire::frame::ALPN_TERMINAL, self.node.terminal_addr).await
    }

    /// A terminal that has signed in, and what it can resume with.
    pub async fn terminal_with_token(&self, tenant: &str, login: &str) -> (Terminal, ResumeToken) {
        let mut terminal = Terminal::open(self.connect().await).await;
        let signed_in = terminal.sign_in(tenant, login, PASSWORD, device_of(login)).await.unwrap();
        (terminal, signed_in.token)
    }

    /// A terminal that has signed in and heard so.
    pub async fn terminal(&self, tenant: &str, login: &str) -> Terminal {
        let mut terminal = Terminal::open(self.connect().await).await;
        terminal.sign_in(tenant, login, PASSWORD, device_of(login)).await.unwrap();
        terminal
    }
}

pub fn device_of(login: &str) -> u64 {
    u64::from(login.as_bytes()[0])
}

pub async fn add(node: &Node, tenant: &str, logins: &[&str]) {
    let limits = Default::default();
    let tenant = node.accounts.add_tenant(tenant, limits, UnixMs::now()).await.unwrap();
    for login in logins {
        let new = NewAccount {
            login: (*login).to_owned(),
            display: Some(format!("Display {login}")),
            password: Some(Password::new(PASSWORD.into())),
            one_time: false,
            role: Role::Store,
        };
        node.accounts.add_account(tenant.id, new, UnixMs::now()).await.unwrap();
    }
}

pub fn client_tls(
    pki: &Pki,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    trusting(pki.roots().unwrap())
}

pub fn trusting(
    roots: RootCertStore,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

pub async fn dial(tls: rustls::ClientConfig, alpn: &[u8], to: SocketAddr) -> Connection {
    try_dial([127, 0, 0, 1], tls, alpn, to).await.unwrap()
}

/// Dials from an address of this machine.
pub async fn try_dial(
    from: [u8; 4],
    tls: rustls::ClientConfig,
    alpn: &[u8],
    to: SocketAddr,
) -> Result<Connection, ConnectionError> {
    let endpoint = Endpoint::client(SocketAddr::from((from, 0))).unwrap();
    let config = quic(tls, alpn);
    within(endpoint.connect_with(config, to, "localhost").unwrap()).await
}

pub fn quic(mut tls: rustls::ClientConfig, alpn: &[u8]) -> ClientConfig {
    tls.alpn_protocols = vec![alpn.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// Reads one frame: its type and body.
pub async fn frame(recv: &mut RecvStream) -> Option<(u16, Vec<u8>)> {
    let mut reader = Reader::new();
    loop {
        let bytes = recv.read(reader.space()).await.ok()??;
        if let Some(frame) = reader.filled(bytes).unwrap() {
            return Some((frame.kind(), frame.body().to_vec()));
        }
    }
}

/// Nothing in these tests takes longer, however busy the machine is.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("took too long")
}

/// The application code a connection was closed with.
pub async fn close_code(connection: &Connection) -> u64 {
    match within(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => VarInt::into_inner(close.error_code),
        other => panic!("not closed by the node: {other}"),
    }
}
