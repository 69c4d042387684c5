//! A whole control node: everything composed, started and stopped.

use crate::accounts::{Accounts, AccountsConfig};
use crate::admin::{Live, Service};
use crate::api::{self, Api, ApiListener, OperatorToken};
use crate::audit::{Audit, AuditError};
use crate::capacity::{FAREWELL_TIMEOUT, HASH_QUEUE_PER_WORKER, IDLE_TIMEOUT, STRANGERS_LOG_EVERY};
use crate::clock::{Clock, UnixMs};
use crate::config::{Config, ConfigError};
use crate::coordinator::{Coordinator, Input};
use crate::driver::{self, Core};
use crate::entropy::Entropy;
use crate::fleet::Fleet;
use crate::fleet::link::{self, Links};
use crate::gate::identity::{IdentityError, for_operators, for_relays, for_terminals};
use crate::gate::listener::{self, ListenError};
use crate::gate::{CloseCode, Gate, Limits, Porter, Split, Tokens};
use crate::lives::{Lives, Sealer};
use crate::pki::{
    Identity, Pki, PkiError, load_identity, load_roots, open_or_create_cell_secret, relay_id_of,
};
use crate::records::Records;
use crate::retention;
use crate::seldom::Seldom;
use crate::startup;
use crate::store::{self, SharedStore, StoreError};
use kakehashi_wire::id::Term;
use quinn::{Endpoint, TokioRuntime, VarInt};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

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
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A port cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    /// Tenants and accounts.
    pub accounts: Arc<Accounts>,
    /// Call records.
    pub records: Arc<Records>,
    /// The audit log.
    pub audit: Arc<Audit>,
    core: Core,
    carried: JoinHandle<()>,
    endpoints: [Endpoint; 2],
    stop: watch::Sender<bool>,
    /// Ended by closing the endpoints and by `stop`.
    servers: [JoinHandle<()>; 4],
    /// Ends last: until then there may be something to note.
    audited: JoinHandle<()>,
    /// Lets terminals in.
    _porter: Porter,
}

/// Runs a node until `stop`, then ends it in good order.
///
/// # Errors
/// [`ControlError`], for the operator, if it cannot start.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), ControlError> {
    let node = Node::start(config).await?;
    stop.await;
    node.stop().await;
    Ok(())
}

impl Node {
    /// Starts a node. When this returns, terminals, relays and commands can connect.
    ///
    /// # Errors
    /// [`ControlError`], for the operator.
    pub async fn start(config: Config) -> Result<Self, ControlError> {
        config.check()?;
        let entropy = Entropy::system();
        let (parts, audited) = Parts::open(&config, &entropy).await?;
        let porter = Porter::start().map_err(ControlError::Porter)?;
        let listeners = listen(&config, &entropy, &porter)?;
        let url = config.api_url(listeners.api_addr);
        let operator = OperatorToken::renew(&config.data, &url, &entropy)?;

        let keys = startup::token_keys(&parts.store, &entropy, UnixMs::now()).await?;
        let hours = u64::from(config.sign_in.token_hours);
        let tokens = Tokens::new(keys, Duration::from_secs(hours * 3600));
        let leg_lifetime = Duration::from_secs(config.relays.leg_lifetime_s.into());
        let generations = startup::reserve_generations(&parts.store).await?;
        let fleet = Fleet::new(Term::ALONE, generations, leg_lifetime);
        let coordinator = Coordinator::new(config.core(), entropy.clone(), fleet);
        let clock = Clock::start();
        let (core, carried) = parts.start(coordinator, clock).await?;

        let (accounts, audit) = (Arc::clone(&parts.accounts), Arc::clone(&parts.audit));
        let gate = Gate::new(accounts, core.clone(), audit, (entropy.clone(), clock), tokens);
        let limits = Limits::with_per_address(config.terminals.connections_per_address);
        let links = Links {
            core: core.clone(),
            heartbeat: Duration::from_millis(config.relays.heartbeat_ms.into()),
            lost_after: Duration::from_millis(config.relays.lost_after_ms.into()),
            relay_of: relay_id_of,
            next: AtomicU64::new(1),
            strangers: Seldom::new(STRANGERS_LOG_EVERY),
        };
        let (stop, stopped) = watch::channel(false);
        let (accounts, records) = (Arc::clone(&parts.accounts), Arc::clone(&parts.records));
        let servers = [
            porter.handle().spawn(listener::serve(
                listeners.terminals.clone(),
                Arc::new(gate),
                limits,
                Handle::current(),
            )),
            tokio::spawn(link::serve(listeners.relays.clone(), Arc::new(links))),
            serve_api(
                listeners.api,
                &parts,
                core.clone(),
                (operator, entropy, clock),
                stopped.clone(),
            ),
            tokio::spawn(retention::serve(accounts, records, stopped)),
        ];
        let node = Self {
            terminal_addr: listeners.terminal_addr,
            relay_addr: listeners.relay_addr,
            api_addr: listeners.api_addr,
            accounts: parts.accounts,
            records: parts.records,
            audit: parts.audit,
            core,
            carried,
            endpoints: [listeners.terminals, listeners.relays],
            stop,
            servers,
            audited,
            _porter: porter,
        };
        tracing::info!(terminals = %node.terminal_addr, relays = %node.relay_addr,
            api = %url, "the node is ready");
        Ok(node)
    }

    /// What the node says of itself: live calls, sessions, relays.
    pub fn live(&self) -> Arc<dyn Live> {
        Arc::new(self.core.clone())
    }

    /// Ends the node: sessions are told, records written, ports and files freed.
    pub async fn stop(self) {
        tracing::info!("stopping");
        let _last = self.stop.send(true);
        let [terminals, relays] = self.endpoints;
        terminals.set_server_config(None);
        relays.set_server_config(None);
        self.core.input(Input::Stop).await;
        let _carried = self.carried.await;
        // Sessions say their farewell and close by themselves.
        let _closed = timeout(2 * FAREWELL_TIMEOUT, terminals.wait_idle()).await;
        for endpoint in [terminals, relays] {
            let code = VarInt::from_u32(CloseCode::NodeStopping as u32);
            endpoint.close(code, b"the node is shutting down");
            let _closed = timeout(FAREWELL_TIMEOUT, endpoint.wait_idle()).await;
        }
        for server in self.servers {
            let _ended = server.await;
        }
        self.audit.stop();
        let _written = self.audited.await;
    }
}

/// What is kept on disk.
struct Parts {
    store: SharedStore,
    accounts: Arc<Accounts>,
    records: Arc<Records>,
    lives: Arc<Lives>,
    audit: Arc<Audit>,
}

impl Parts {
    /// The parts, and the task that writes the audit log.
    async fn open(
        config: &Config,
        entropy: &Entropy,
    ) -> Result<(Self, JoinHandle<()>), ControlError> {
        std::fs::create_dir_all(&config.data)
            .map_err(|error| ControlError::Data { path: config.data.clone(), error })?;
        let store = store::open(&config.store, &config.store_file()).await?;
        let accounts = Accounts::new(Arc::clone(&store), hashing(config, entropy));
        let accounts = Arc::new(accounts.map_err(ControlError::Threads)?);
        let records = Arc::new(Records::new(Arc::clone(&store)));
        let secret = open_or_create_cell_secret(&config.pki(), entropy)?;
        let sealer = Sealer::new(&secret, entropy.clone());
        let lives = Arc::new(Lives::new(Arc::clone(&store), sealer));
        let opened =
            Audit::open(Arc::clone(&store), &config.data, &config.pki(), UnixMs::now).await?;
        let (audit, audited) = (Arc::new(opened.0), opened.1);
        Ok((Self { store, accounts, records, lives, audit }, audited))
    }

    /// Starts the core with the calls that were going on.
    async fn start(
        &self,
        mut coordinator: Coordinator,
        clock: Clock,
    ) -> Result<(Core, JoinHandle<()>), StoreError> {
        let (people, calls) = ((&*self.accounts, &*self.records), (&self.store, &*self.lives));
        let first = startup::take_over(&mut coordinator, clock.now(), people, calls).await?;
        let kept = (Arc::clone(&self.records), Arc::clone(&self.lives));
        Ok(driver::start(coordinator, clock, kept, Arc::clone(&self.store), first))
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

struct Listeners {
    terminals: Endpoint,
    terminal_addr: SocketAddr,
    relays: Endpoint,
    relay_addr: SocketAddr,
    api: ApiListener,
    api_addr: SocketAddr,
}

fn listen(config: &Config, entropy: &Entropy, porter: &Porter) -> Result<Listeners, ControlError> {
    let own = |path: &Path| !path.as_os_str().is_empty();
    // The internal authority is made even if it serves nobody yet, so that relays can be added.
    let now = UnixMs::now();
    let pki = Pki::open_or_create(&config.pki(), now, entropy.clone())?;
    let identity = |certificate: &Path, key: &Path| -> Result<Identity, PkiError> {
        if own(certificate) {
            load_identity(certificate, key)
        } else {
            pki.issue_server(&config.names, now)
        }
    };
    let (outer, inner) = (&config.terminals, &config.relays);
    let authority = if own(&inner.ca) { load_roots(&inner.ca)? } else { pki.roots()? };
    let for_operators = for_operators(identity(&config.api.certificate, &config.api.key)?)?;
    let for_terminals = for_terminals(identity(&outer.certificate, &outer.key)?)?;
    let for_relays = for_relays(identity(&inner.certificate, &inner.key)?, authority)?;
    let lost = Duration::from_millis(inner.lost_after_ms.into());
    let split = Split::new(porter.handle(), Handle::current());
    let terminals =
        listener::listen(outer.listen, "terminals.listen", for_terminals, IDLE_TIMEOUT, split)?;
    let relays =
        listener::listen(inner.listen, "relays.listen", for_relays, lost, Arc::new(TokioRuntime))?;
    let api = ApiListener::bind(config.api.listen, "api.listen", for_operators)?;
    let bound = |endpoint: &Endpoint, wished, setting| {
        endpoint.local_addr().map_err(|error| ListenError::Refused {
            address: wished,
            setting,
            error,
        })
    };
    Ok(Listeners {
        terminal_addr: bound(&terminals, outer.listen, "terminals.listen")?,
        relay_addr: bound(&relays, inner.listen, "relays.listen")?,
        api_addr: api.address,
        terminals,
        relays,
        api,
    })
}

fn serve_api(
    listener: ApiListener,
    parts: &Parts,
    core: Core,
    (operator, entropy, clock): (OperatorToken, Entropy, Clock),
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let service = Service {
        accounts: Arc::clone(&parts.accounts),
        records: Arc::clone(&parts.records),
        audit: Arc::clone(&parts.audit),
        live: Arc::new(core),
        now: UnixMs::now,
    };
    tokio::spawn(api::serve(listener, Api::new(service, operator, entropy, clock), stopped))
}
