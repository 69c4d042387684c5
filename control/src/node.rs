//! A whole control node: everything composed, started and stopped.

use crate::accounts::{Accounts, AccountsConfig, SecondSealer};
use crate::admin::{Live, Service};
use crate::api::{Api, OperatorToken};
use crate::archive::{self, Claimed, KeptError};
use crate::audit::{Audit, AuditError, Copying};
use crate::capacity::nodes::NODE_IDLE;
use crate::capacity::{FAREWELL_TIMEOUT, HASH_QUEUE_PER_WORKER, IDLE_TIMEOUT, STRANGERS_LOG_EVERY};
use crate::clock::{Clock, UnixMs};
use crate::config::{Config, ConfigError};
use crate::console::Console;
use crate::coordinator::Input;
use crate::driver::{Core, Tasks};
use crate::entropy::Entropy;
use crate::fleet::link::{self, Links};
use crate::gate::identity::{IdentityError, for_nodes, for_operators, for_relays, for_terminals};
use crate::gate::listener::{self, ListenError};
use crate::gate::{CloseCode, Gate, Limits, Porter, Split, Tokens};
use crate::https;
use crate::metrics::{Metrics, State, Timed};
use crate::nodes::{Cell, Helm, Seated, Start};
use crate::pki::{
    CellSecret, Ends, Identity, Pki, PkiError, load_identity, load_roots,
    open_or_create_cell_secret, relay_id_of,
};
use crate::records::Records;
use crate::retention;
use crate::schema;
use crate::seldom::Seldom;
use crate::service;
use crate::sessions::TokenKey;
use crate::startup;
use crate::store::{self, Embedded, Engine, SharedStore, StoreError};
use crate::surroundings::Surroundings;
use kakehashi_wire::id::Term;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, TokioRuntime, VarInt};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::field;

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}: {error}; set `data` to one you own", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] KeptError),
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The node has another secret than those it is to share a store with.
    #[error(
        "{} is of another cell: its fingerprint is {ours}, that of the nodes which share this \
         store is {theirs}; copy the file from one of them (`kakehashi pki show` there names \
         it), or make this node's files with `kakehashi pki node`",
        path.display()
    )]
    OtherCell {
        /// The file.
        path: PathBuf,
        /// Its fingerprint.
        ours: String,
        /// That of the others.
        theirs: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A port cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The figures cannot be shown where they should.
    #[error(transparent)]
    Metrics(#[from] kakehashi_metrics::ListenError),
    /// The operating system gives no more threads.
    #[error("cannot start the password threads: {0}; lower `sign_in.hash_jobs`")]
    Threads(std::io::Error),
    /// The operating system gives no more threads.
    #[error("cannot start the thread that listens for terminals: {0}; let the node have more")]
    Porter(std::io::Error),
}

/// A running node.
pub struct Node {
    /// Where terminals reach it.
    pub terminal_addr: SocketAddr,
    /// Where relays reach it.
    pub relay_addr: SocketAddr,
    /// Where operators reach it.
    pub api_addr: SocketAddr,
    /// Where browsers reach its console.
    pub console_addr: SocketAddr,
    /// Where its figures are shown, if they are.
    pub metrics_addr: Option<SocketAddr>,
    /// Tenants and accounts.
    pub accounts: Arc<Accounts>,
    /// Call records.
    pub records: Arc<Records>,
    /// The audit log.
    pub audit: Arc<Audit>,
    /// What it sees of the programs around it.
    pub surroundings: Arc<Surroundings>,
    /// Where other nodes reach it, if it has any.
    pub node_addr: Option<SocketAddr>,
    helm: Helm,
    deciding: Deciding,
    endpoints: Vec<Endpoint>,
    stop: watch::Sender<bool>,
    /// Ended by closing the endpoints and by `stop`.
    servers: [JoinHandle<()>; 5],
    /// Ends last: until then there may be something to note.
    audited: JoinHandle<()>,
    /// Copies it to the archive, if the operator named one.
    copying: Option<Copying>,
    /// Shows the figures, if they are shown.
    figures: Option<JoinHandle<()>>,
    /// Lets terminals in.
    _porter: Porter,
}

/// What decides, as it is stopped.
enum Deciding {
    /// The core of a node alone.
    Here(Core, Tasks),
    /// A place among several nodes.
    Cell(Seated),
}

/// Runs a node until `stop`, then ends it in good order.
///
/// # Errors
/// [`ControlError`], for the operator, if it cannot start.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), ControlError> {
    let node = Node::start(config).await?;
    kakehashi_log::service::ready();
    tokio::select! {
        () = stop => {}
        () = service::guard(|| node.helm.answers()) => {}
    }
    kakehashi_log::service::stopping();
    node.stop().await;
    Ok(())
}

impl Node {
    /// Starts a node. When this returns, terminals, relays and commands can connect.
    ///
    /// # Errors
    /// [`ControlError`], for the operator.
    pub async fn start(config: Config) -> Result<Self, ControlError> {
        Self::start_over(config, None).await
    }

    /// Starts a node, over a store that it shares with others if one is given.
    ///
    /// # Errors
    /// [`ControlError`], for the operator.
    pub async fn start_over(
        config: Config,
        shared: Option<SharedStore>,
    ) -> Result<Self, ControlError> {
        config.check()?;
        let entropy = Entropy::system();
        let metrics = Arc::new(Metrics::new());
        let (parts, audited) = Parts::open(&config, &entropy, shared, &metrics).await?;
        let porter = Porter::start().map_err(ControlError::Porter)?;
        let listeners = listen(&config, &entropy, &porter)?;
        let url = config.api_url(listeners.api_addr);
        let operator = OperatorToken::renew(&config.data, &url, &entropy)?;

        let secret = cell_secret(&config, &entropy, &parts.store).await?;
        let sealer = SecondSealer::new(&secret);
        let tokens = Tokens::new(TokenKey::of(&secret), config.token_life());
        let clock = Clock::start();
        let start = parts.start(&config, (entropy.clone(), clock), secret, &metrics);
        let endpoints = listeners.endpoints();
        let node_addr = listeners.nodes.as_ref().map(|(.., address)| *address);
        let surroundings = surroundings(&config, &listeners.certificates);
        let around = (&parts.store, &surroundings);
        let (helm, deciding) = decide(start, listeners.nodes, &config, around).await?;
        let (accounts, audit) = (Arc::clone(&parts.accounts), Arc::clone(&parts.audit));
        let chance = (entropy.clone(), clock);
        let gate = Gate::new(accounts, helm.clone(), audit, chance, tokens, Arc::clone(&metrics));
        let links = links(&config, helm.clone(), Arc::clone(&surroundings));
        let (stop, stopped) = watch::channel(false);
        let (accounts, records) = (Arc::clone(&parts.accounts), Arc::clone(&parts.records));
        let doors = (listeners.api, listeners.console);
        let keys = (operator, sealer, entropy, clock);
        let service =
            (service(&parts, helm.clone(), &surroundings), config.console.probe_status.clone());
        let [api, console] = serve_people(doors, service, keys, &stopped);
        let servers = [
            porter.handle().spawn(listener::serve(
                listeners.terminals.clone(),
                Arc::new(gate),
                Limits::with_per_address(config.terminals.connections_per_address),
                Handle::current(),
            )),
            tokio::spawn(link::serve(listeners.relays.clone(), Arc::new(links))),
            api,
            console,
            tokio::spawn(retention::serve(accounts, records, stopped)),
        ];
        let state = parts.state(&config, metrics, listeners.certificates);
        let node = Self {
            metrics_addr: listeners.figures.as_ref().map(kakehashi_metrics::Listener::address),
            figures: listeners.figures.map(|it| tokio::spawn(it.serve(state.shown()))),
            copying: parts.copy_audit(&config),
            terminal_addr: listeners.terminal_addr,
            relay_addr: listeners.relay_addr,
            api_addr: listeners.api_addr,
            console_addr: listeners.console_addr,
            accounts: parts.accounts,
            records: parts.records,
            audit: parts.audit,
            surroundings,
            node_addr,
            helm,
            deciding,
            endpoints,
            stop,
            servers,
            audited,
            _porter: porter,
        };
        tracing::info!(event = "node_ready", terminals = %node.terminal_addr,
            relays = %node.relay_addr, api = %url, console = %node.console_addr,
            figures = node.metrics_addr.map(field::display), "the node is ready");
        Ok(node)
    }

    /// What the node says of itself: live calls, sessions, relays.
    pub fn live(&self) -> Arc<dyn Live> {
        Arc::new(self.helm.clone())
    }

    /// Ends the node: sessions are told, records written, ports and files freed.
    pub async fn stop(self) {
        tracing::info!(event = "node_stopping", "stopping");
        let _last = self.stop.send(true);
        for endpoint in &self.endpoints {
            endpoint.set_server_config(None);
        }
        match self.deciding {
            Deciding::Here(core, tasks) => {
                core.input(Input::Stop).await;
                tasks.carried_out().await;
            }
            Deciding::Cell(seated) => seated.leave().await,
        }
        // Sessions say their farewell and close by themselves.
        if let Some(terminals) = self.endpoints.first() {
            let _closed = timeout(2 * FAREWELL_TIMEOUT, terminals.wait_idle()).await;
        }
        for endpoint in self.endpoints {
            let code = VarInt::from_u32(CloseCode::NodeStopping as u32);
            endpoint.close(code, b"the node is shutting down");
            let _closed = timeout(FAREWELL_TIMEOUT, endpoint.wait_idle()).await;
        }
        for server in self.servers {
            let _ended = server.await;
        }
        if let Some(figures) = self.figures {
            figures.abort();
            // It holds the parts until it is gone.
            let _ended = figures.await;
        }
        self.audit.stop();
        let _written = self.audited.await;
        if let Some(copying) = self.copying {
            copying.finish().await;
        }
    }
}

/// Starts what decides: a core, or a place among the nodes that have one.
async fn decide(
    start: Start,
    nodes: Option<(Endpoint, ClientConfig, SocketAddr)>,
    config: &Config,
    (store, surroundings): (&SharedStore, &Arc<Surroundings>),
) -> Result<(Helm, Deciding), ControlError> {
    let Some((endpoint, tls, _)) = nodes else {
        let (core, tasks) = start.begin(Term::ALONE, store).await?;
        return Ok((Helm::Here(core.clone()), Deciding::Here(core, tasks)));
    };
    let (me, peers) = (config.node.name.clone(), config.node.peers.clone());
    let (store, surroundings) = (Arc::clone(store), Arc::clone(surroundings));
    let seated = Cell { me, peers, endpoint, tls, store, surroundings }.join(start);
    Ok((seated.helm.clone(), Deciding::Cell(seated)))
}

/// The secret of this node's cell, if it is that of all nodes over the store.
async fn cell_secret(
    config: &Config,
    entropy: &Entropy,
    store: &SharedStore,
) -> Result<CellSecret, ControlError> {
    let secret = open_or_create_cell_secret(&config.pki(), entropy)?;
    let alone = config.node.peers.is_empty();
    match startup::settle_secret(store, &secret, alone).await? {
        Ok(()) => Ok(secret),
        Err(theirs) => {
            let path = config.pki().join("cell.key");
            Err(ControlError::OtherCell { path, ours: secret.fingerprint(), theirs })
        }
    }
}

/// What is kept on disk.
struct Parts {
    store: SharedStore,
    accounts: Arc<Accounts>,
    records: Arc<Records>,
    audit: Arc<Audit>,
    archive: Option<Arc<Claimed>>,
}

impl Parts {
    /// The parts, and the task that writes the audit log.
    async fn open(
        config: &Config,
        entropy: &Entropy,
        shared: Option<SharedStore>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), ControlError> {
        let is_own = shared.is_none() && config.store.engine == Engine::Embedded;
        if is_own && !config.node.peers.is_empty() {
            // Each would lead over a store of its own.
            let (setting, problem) =
                ("node.peers", "needs a store that the nodes share: `store.engine = \"etcd\"`");
            return Err(ConfigError::Value { setting, problem }.into());
        }
        std::fs::create_dir_all(&config.data)
            .map_err(|error| ControlError::Data { path: config.data.clone(), error })?;
        // Records that no other node is to change stay with this one.
        let own: SharedStore = Arc::new(Embedded::open(&config.store_file())?);
        let timed = |store| Arc::new(Timed::new(store, Arc::clone(metrics)));
        let store = match (shared, config.store.engine) {
            (Some(shared), _) => shared,
            (None, Engine::Embedded) => Arc::clone(&own),
            (None, Engine::Etcd) => store::open(&config.store, &config.store_file()).await?,
        };
        let store: SharedStore = timed(store);
        schema::settle(&store).await?;
        let accounts = Accounts::new(Arc::clone(&store), hashing(config, entropy));
        let accounts = Arc::new(accounts.map_err(ControlError::Threads)?);
        accounts.settle_operators(UnixMs::now()).await?;
        let archive = archive::of_node(config, &store, entropy).await?;
        let records = Records::new(Arc::clone(&store)).with_archive(archive.clone());
        let records = Arc::new(records);
        let opened = Audit::open(own, &config.data, &config.pki(), UnixMs::now).await?;
        let (audit, audited) = (Arc::new(opened.0), opened.1);
        Ok((Self { store, accounts, records, audit, archive }, audited))
    }

    /// What a core begins with.
    fn start(
        &self,
        config: &Config,
        (entropy, clock): (Entropy, Clock),
        secret: CellSecret,
        metrics: &Arc<Metrics>,
    ) -> Start {
        Start {
            settings: config.core(),
            leg_lifetime: Duration::from_secs(config.relays.leg_lifetime_s.into()),
            entropy,
            clock,
            accounts: Arc::clone(&self.accounts),
            secret,
            archive: self.archive.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// What the node shows beside what is counted.
    #[expect(clippy::disallowed_methods, reason = "shown as it is; nothing is decided by it")]
    fn state(&self, config: &Config, metrics: Arc<Metrics>, certificates: Vec<Ends>) -> State {
        State {
            metrics,
            accounts: Arc::clone(&self.accounts),
            audit: Arc::clone(&self.audit),
            certificates,
            node: config.node.name.to_string(),
            began: SystemTime::now(),
        }
    }

    /// Copies the audit log to the archive, unless that is in the same folder.
    fn copy_audit(&self, config: &Config) -> Option<Copying> {
        let archive = self.archive.as_ref().filter(|_| config.archive.is_chosen())?;
        Some(self.audit.copy_to(Arc::clone(archive), config.node.name.clone()))
    }
}

fn hashing(config: &Config, entropy: &Entropy) -> AccountsConfig {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut hashing = AccountsConfig::for_cores(cores, entropy.clone());
    if config.sign_in.hash_jobs > 0 {
        hashing.hash_jobs = config.sign_in.hash_jobs;
        hashing.hash_queue = hashing.hash_jobs as usize * HASH_QUEUE_PER_WORKER;
    }
    if config.sign_in.hash_queue > 0 {
        hashing.hash_queue = config.sign_in.hash_queue as usize;
    }
    hashing
}

/// The links of relays, as the settings say.
fn links(config: &Config, helm: Helm, surroundings: Arc<Surroundings>) -> Links {
    Links {
        helm,
        heartbeat: Duration::from_millis(config.relays.heartbeat_ms.into()),
        lost_after: Duration::from_millis(config.relays.lost_after_ms.into()),
        relay_of: relay_id_of,
        surroundings,
        next: AtomicU64::new(1),
        strangers: Seldom::new(STRANGERS_LOG_EVERY),
    }
}

/// What the node sees around it; nothing yet.
fn surroundings(config: &Config, certificates: &[Ends]) -> Arc<Surroundings> {
    let node = &config.node;
    Arc::new(Surroundings::new(node.name.clone(), &node.peers, certificates))
}

struct Listeners {
    terminals: Endpoint,
    terminal_addr: SocketAddr,
    relays: Endpoint,
    relay_addr: SocketAddr,
    api: https::Listener,
    api_addr: SocketAddr,
    console: https::Listener,
    console_addr: SocketAddr,
    /// Where other nodes connect, and how they are dialled; none if there are none.
    nodes: Option<(Endpoint, ClientConfig, SocketAddr)>,
    /// Where figures are shown, if they are.
    figures: Option<kakehashi_metrics::Listener>,
    certificates: Vec<Ends>,
}

impl Listeners {
    /// Where QUIC is spoken, terminals first.
    fn endpoints(&self) -> Vec<Endpoint> {
        let nodes = self.nodes.iter().map(|(endpoint, ..)| endpoint);
        [&self.terminals, &self.relays].into_iter().chain(nodes).cloned().collect()
    }
}

fn listen(config: &Config, entropy: &Entropy, porter: &Porter) -> Result<Listeners, ControlError> {
    let own = |path: &Path| !path.as_os_str().is_empty();
    // The internal authority is made even if it serves nobody yet, so that relays can be added.
    let now = UnixMs::now();
    let pki = Pki::open_or_create(&config.pki(), now, entropy.clone())?;
    let mut certificates = Vec::new();
    let mut noted = |to, identity: Identity| {
        certificates.extend(identity.ends(to));
        identity
    };
    let identity = |certificate: &Path, key: &Path| -> Result<Identity, PkiError> {
        if own(certificate) {
            load_identity(certificate, key)
        } else {
            pki.issue_server(&config.names, now)
        }
    };
    let (outer, inner) = (&config.terminals, &config.relays);
    let authority = if own(&inner.ca) { load_roots(&inner.ca)? } else { pki.roots()? };
    let browsers = noted("browsers", identity(&config.console.certificate, &config.console.key)?);
    let for_browsers = for_operators(browsers)?;
    let operators = noted("operators", identity(&config.api.certificate, &config.api.key)?);
    let for_operators = for_operators(operators)?;
    let terminals = noted("terminals", identity(&outer.certificate, &outer.key)?);
    let for_terminals = for_terminals(terminals)?;
    let between_nodes = match config.node.peers.is_empty() {
        true => None,
        false => {
            let nodes = noted("nodes", pki.issue_node(&config.node.name, now)?);
            Some(for_nodes(nodes, pki.roots()?)?)
        }
    };
    let relays = noted("relays", identity(&inner.certificate, &inner.key)?);
    let for_relays = for_relays(relays, authority)?;
    let lost = Duration::from_millis(inner.lost_after_ms.into());
    let split = Split::new(porter.handle(), Handle::current());
    let terminals =
        listener::listen(outer.listen, "terminals.listen", for_terminals, IDLE_TIMEOUT, split)?;
    let relays =
        listener::listen(inner.listen, "relays.listen", for_relays, lost, Arc::new(TokioRuntime))?;
    let api = https::Listener::bind(config.api.listen, "api.listen", for_operators)?;
    let console = https::Listener::bind(config.console.listen, "console.listen", for_browsers)?;
    let nodes = between_nodes.map(|tls| listen_to_nodes(config, tls)).transpose()?;
    Ok(Listeners {
        nodes,
        figures: config.metrics.bind()?,
        certificates,
        terminal_addr: bound(&terminals, outer.listen, "terminals.listen")?,
        relay_addr: bound(&relays, inner.listen, "relays.listen")?,
        api_addr: api.address,
        console_addr: console.address,
        console,
        terminals,
        relays,
        api,
    })
}

/// Where other nodes connect, and how they are dialled.
fn listen_to_nodes(
    config: &Config,
    (server, client): (QuicServerConfig, QuicClientConfig),
) -> Result<(Endpoint, ClientConfig, SocketAddr), ControlError> {
    let (wished, setting) = (config.node.listen, "node.listen");
    let nodes = listener::listen(wished, setting, server, NODE_IDLE, Arc::new(TokioRuntime))?;
    let mut tls = ClientConfig::new(Arc::new(client));
    tls.transport_config(Arc::new(listener::transport(NODE_IDLE)));
    let address = bound(&nodes, wished, setting)?;
    Ok((nodes, tls, address))
}

fn bound(
    endpoint: &Endpoint,
    wished: SocketAddr,
    setting: &'static str,
) -> Result<SocketAddr, ListenError> {
    let refused = |error| ListenError::Refused { address: wished, setting, error };
    endpoint.local_addr().map_err(refused)
}

/// What operators can ask of the node.
fn service(parts: &Parts, helm: Helm, surroundings: &Arc<Surroundings>) -> Service {
    Service {
        accounts: Arc::clone(&parts.accounts),
        records: Arc::clone(&parts.records),
        audit: Arc::clone(&parts.audit),
        live: Arc::new(helm),
        surroundings: Arc::clone(surroundings),
        now: UnixMs::now,
    }
}

/// Serves the API and the console.
fn serve_people(
    (api, console): (https::Listener, https::Listener),
    (service, probe): (Service, PathBuf),
    (operator, sealer, entropy, clock): (OperatorToken, SecondSealer, Entropy, Clock),
    stopped: &watch::Receiver<bool>,
) -> [JoinHandle<()>; 2] {
    let routes = Api::new(service.clone(), operator, entropy.clone(), clock).router();
    let pages = Console::new(service, probe, sealer, (entropy, clock)).router();
    let serve = |listener, door, router| {
        tokio::spawn(https::serve(listener, door, router, stopped.clone()))
    };
    [serve(api, "the API", routes), serve(console, "the console", pages)]
}
