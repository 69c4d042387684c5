//! A relay as a program: checks the machine, starts shards and link, and stops them together.

use crate::config::{Config, ConfigError, LogFormat};
use crate::host::routes::{Routes, RoutesEnd};
use crate::host::{self, Admission, Firewall, FirewallError, HostError};
use crate::io::{BindError, MediaError, MediaSocket, NicQueue, Queues, bind, open_queues};
use crate::legs::Identity;
use crate::metrics::{RelayFigures, Who};
use crate::orders::figures::LinkFigures;
use crate::orders::file::{self, OrderFileError};
use crate::orders::link::{self, LinkConfig, ShardHandle};
use crate::orders::lost::SetupError;
use crate::orders::mailbox::mailbox;
use crate::orders::report::Published;
use crate::service;
use crate::shard::{Clock, Plan, ShardError, ShardThread, board, spawn};
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_log::traces::Sender;
use kakehashi_log::{self as log, Format, NotStarted};
use kakehashi_metrics::{ListenError, Listener};
use kakehashi_srtp::{Authenticator, Provider};
use kakehashi_wire::id::{Incarnation, RelayId, ShardIndex};
use kakehashi_wire::relay::Order;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

/// How often, and after what pause, a port in use is tried again.
const PORT_TRIES: usize = 10;
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// Why a relay does not run, or no longer.
#[derive(Debug, Error)]
pub enum RelayError {
    /// Its settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine lacks something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A media port cannot be opened, or the NIC not used as the settings say.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The packet filter's sets cannot be kept.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// A shard does not start, or broke off.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The figures cannot be shown where they should.
    #[error(transparent)]
    Metrics(#[from] ListenError),
    /// The link to control can never work.
    #[error(transparent)]
    Link(#[from] SetupError),
    /// The orders of a file cannot be carried out.
    #[error(transparent)]
    Orders(#[from] OrderFileError),
    /// The link's thread broke off: a bug.
    #[error("the link to control broke off; please report this with the log above")]
    LinkBroken,
    /// The operating system refused something a process needs.
    #[error("the system refused what a relay needs: {0}")]
    System(#[from] std::io::Error),
}

/// Runs a relay with the settings in `file` until SIGINT or SIGTERM, logging to standard error.
/// With a file of `orders` it carries out those and talks to no control.
///
/// # Errors
/// Why it could not start, or had to stop.
pub fn run_file(file: &Path, orders: Option<&Path>) -> Result<(), RelayError> {
    let config = Config::read(file)?;
    let _log = start_log(&config)?;
    let source = match orders {
        Some(path) => Source::File(file::read(path)?),
        None => Source::Control,
    };
    run(&config, source)
}

/// Where a relay's orders come from.
enum Source {
    Control,
    File(Vec<Vec<Order>>),
}

/// Runs a relay until SIGINT or SIGTERM.
fn run(config: &Config, source: Source) -> Result<(), RelayError> {
    run_from(config, source, async {
        let signals = signal(SignalKind::interrupt()).and_then(|interrupt| {
            signal(SignalKind::terminate()).map(|terminate| (interrupt, terminate))
        });
        let Ok((mut interrupt, mut terminate)) = signals else {
            tracing::warn!(
                event = "signals_missing",
                "no signal handlers: the relay ends without goodbye"
            );
            return core::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Runs a relay until `stop` completes, on this thread and those it starts.
///
/// # Errors
/// Why it could not start, or had to stop.
pub fn run_until(config: &Config, stop: impl Future<Output = ()>) -> Result<(), RelayError> {
    run_from(config, Source::Control, stop)
}

fn run_from(
    config: &Config,
    source: Source,
    stop: impl Future<Output = ()>,
) -> Result<(), RelayError> {
    config.check()?;
    host::check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stop = core::pin::pin!(stop);
        // Asked first, so that a signal handler stands before anyone can see an open port.
        let sockets = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            sockets = open_ports(config) => sockets.map_err(MediaError::from)?,
        };
        let queues = open_queues(config).map_err(MediaError::from)?;
        let listener = config.metrics.bind()?;
        let relay = Relay::start(config, source, (sockets, queues))?;
        kakehashi_log::service::ready();
        tokio::select! {
            () = stop => tracing::info!(event = "relay_stopping", "stopping"),
            () = relay.ended.notified() => {}
            () = relay.show(listener, config) => {}
            () = service::guard(&relay.published) => {}
        }
        kakehashi_log::service::stopping();
        relay.stop()
    })
}

/// Opens the media port of each shard. A port in use is tried again for a moment: the kernel closes
/// the ring of a relay that was killed, and with it the port, only after the process is gone.
async fn open_ports(config: &Config) -> Result<Vec<MediaSocket>, BindError> {
    let mut sockets = Vec::with_capacity(usize::from(config.shards));
    for number in 0..config.shards {
        let address = SocketAddr::new(config.listen_ip, config.first_port + number);
        let mut tries = PORT_TRIES;
        let socket = loop {
            match bind(address) {
                Err(BindError::InUse { .. }) if tries > 0 => tries -= 1,
                other => break other?,
            }
            tokio::time::sleep(PORT_PAUSE).await;
        };
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Tells that a thread has ended, however it ended.
struct Ended(Arc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// What the shards get their packets through, in their order.
struct Ports {
    sockets: Vec<MediaSocket>,
    /// Queues of the NIC; empty if packets go through the kernel.
    nics: Vec<(NicQueue, RoutesEnd)>,
    /// Who lets media in, if not all is.
    admission: Option<Arc<Admission>>,
}

/// The threads of a running relay.
struct Relay {
    ended: Arc<Notify>,
    stop_shards: Arc<AtomicBool>,
    stop_orders: watch::Sender<bool>,
    shards: Vec<ShardThread>,
    orders: Option<JoinHandle<Result<(), RelayError>>>,
    published: Vec<Arc<Published>>,
    /// How packets come and go.
    io: &'static str,
    /// What the links to control count, if there are any.
    links: Option<Arc<LinkFigures>>,
    /// What follows the kernel's tables for the NIC's queues, if they are used.
    _routes: Option<Routes>,
    /// What keeps the packet filter's sets, if it does.
    _firewall: Option<Firewall>,
}

impl Relay {
    fn start(
        config: &Config,
        source: Source,
        (sockets, queues): (Vec<MediaSocket>, Option<Queues>),
    ) -> Result<Self, RelayError> {
        let provider = choose(config);
        let incarnation = match source {
            Source::Control => Incarnation(rand::random()),
            // Whoever wrote the file knows which keys this life seals with.
            Source::File(_) => Incarnation(0),
        };
        let identity = Identity { relay: RelayId(config.relay_id), incarnation };
        let firewall = match config.firewall.table.as_str() {
            "" => None,
            table => Some(Firewall::start(table)?),
        };
        let mut doors: Vec<_> = firewall.iter().map(Firewall::door).collect();
        let (nics, routes) = match queues {
            None => (Vec::new(), None),
            Some(Queues { shards, routes, door }) => {
                doors.extend(door);
                (shards, Some(routes))
            }
        };
        let io = if routes.is_some() { "xdp" } else { "uring" };
        let ports = Ports { sockets, nics, admission: Admission::new(doors) };
        let mut relay = Self {
            ended: Arc::new(Notify::new()),
            stop_shards: Arc::new(AtomicBool::new(false)),
            stop_orders: watch::channel(false).0,
            shards: Vec::new(),
            orders: None,
            published: Vec::new(),
            io,
            links: None,
            _routes: routes,
            _firewall: firewall,
        };
        let knock = Arc::new(Notify::new());
        let started =
            relay.start_shards(config, ports, (provider, identity), &knock).and_then(|handles| {
                relay.published.extend(handles.iter().map(|shard| Arc::clone(&shard.published)));
                match source {
                    Source::Control => relay.start_link(config, identity, handles, knock),
                    Source::File(batches) => relay.start_file(batches, handles, knock),
                }
            });
        match started {
            Ok(()) => Ok(relay),
            Err(error) => {
                // Why it did not start matters; how the rest of it ended does not.
                let _ = relay.stop();
                Err(error)
            }
        }
    }

    fn start_shards(
        &mut self,
        config: &Config,
        Ports { sockets, nics, admission }: Ports,
        (provider, identity): (Provider, Identity),
        knock: &Arc<Notify>,
    ) -> Result<Vec<ShardHandle>, RelayError> {
        let cores = host::place(config.shards, config.relay_id, &config.cores)?;
        let clock = Clock::start();
        let mut handles = Vec::with_capacity(cores.len());
        let mut nics = nics.into_iter();
        for ((number, core), socket) in (0..config.shards).zip(cores).zip(sockets) {
            let index = ShardIndex(number);
            let address = SocketAddr::new(config.advertise_ip, config.first_port + number);
            let (to_shard, shard_end) = mailbox(knock)?;
            let published = Arc::new(board());
            let plan = Plan {
                index,
                core,
                socket,
                nic: nics.next(),
                admission: admission.clone(),
                mailbox: shard_end,
                published: Arc::clone(&published),
                legs_max: usize::try_from(config.legs_per_shard_max).unwrap_or(usize::MAX),
                provider,
                identity,
                train_packets_max: config.train_packets_max,
                gather: Duration::from_micros(config.gather_us),
                clock,
                stop: Arc::clone(&self.stop_shards),
            };
            self.shards.push(spawn(plan, Ended(Arc::clone(&self.ended)))?);
            handles.push(ShardHandle {
                index,
                address,
                legs_max: config.legs_per_shard_max,
                mailbox: to_shard,
                published,
            });
        }
        Ok(handles)
    }

    fn start_link(
        &mut self,
        config: &Config,
        identity: Identity,
        handles: Vec<ShardHandle>,
        knock: Arc<Notify>,
    ) -> Result<(), RelayError> {
        let figures = Arc::new(LinkFigures::new(&config.control.nodes));
        self.links = Some(Arc::clone(&figures));
        let link = LinkConfig {
            relay: identity.relay,
            site: config.site.clone(),
            incarnation: identity.incarnation,
            nodes: config.control.nodes.clone(),
            server_name: Some(config.control.name.clone()).filter(|name| !name.is_empty()),
            certificate: config.certificate_file.clone(),
            key: config.key_file.clone(),
            ca: config.ca_file.clone(),
            figures,
        };
        let ended = Ended(Arc::clone(&self.ended));
        let stop = self.stop_orders.subscribe();
        let thread = Builder::new().name("link".into()).spawn(move || {
            let _ended = ended;
            link::run(link, handles, knock, stop).map_err(RelayError::from)
        })?;
        self.orders = Some(thread);
        Ok(())
    }

    fn start_file(
        &mut self,
        batches: Vec<Vec<Order>>,
        handles: Vec<ShardHandle>,
        knock: Arc<Notify>,
    ) -> Result<(), RelayError> {
        let ended = Ended(Arc::clone(&self.ended));
        let stop = self.stop_orders.subscribe();
        let thread = Builder::new().name("orders".into()).spawn(move || {
            let _ended = ended;
            file::run(batches, handles, knock, stop).map_err(RelayError::from)
        })?;
        self.orders = Some(thread);
        Ok(())
    }

    /// Shows the relay's figures to whoever asks at `listener`, for ever.
    async fn show(&self, listener: Option<Listener>, config: &Config) {
        let Some(listener) = listener else { return core::future::pending().await };
        let relay = RelayId(config.relay_id);
        let who = Who { relay, site: config.site.clone(), io: self.io };
        let legs_max = config.legs_per_shard_max;
        tracing::info!(event = "figures_shown", address = %listener.address(), "figures are shown");
        let links = self.links.clone();
        listener.serve(RelayFigures::new(who, legs_max, &self.published, links)).await;
    }

    /// Stops everything: the link first, so that control hears of it; then the shards. Returns
    /// why something ended by itself.
    fn stop(self) -> Result<(), RelayError> {
        self.stop_orders.send_replace(true);
        let orders = self
            .orders
            .map_or(Ok(()), |thread| thread.join().unwrap_or(Err(RelayError::LinkBroken)));
        self.stop_shards.store(true, Ordering::Relaxed);
        let shards: Vec<_> = self.shards.into_iter().map(ShardThread::join).collect();
        for (number, published) in self.published.iter().enumerate() {
            let counted: Vec<_> = published.counters().filter(|(_, value)| *value > 0).collect();
            tracing::info!(
                event = "shard_counted",
                shard = number,
                ?counted,
                "what the shard has counted"
            );
        }
        shards.into_iter().try_for_each(|result| result.map_err(RelayError::from))?;
        orders
    }
}

/// The AES-GCM implementation the settings name, or the faster one. Tags are checked by what the
/// processor does best beside it.
fn choose(config: &Config) -> Provider {
    if let Some(provider) = config.provider.named() {
        let authenticator = Authenticator::beside(provider);
        tracing::info!(event = "provider_configured", %provider, %authenticator,
            "AES-GCM provider, as configured");
        return provider;
    }
    let clock = Clock::start();
    let (provider, measurement) = Provider::fastest(|| clock.now().0);
    let authenticator = Authenticator::beside(provider);
    tracing::info!(event = "provider_measured", %provider, %authenticator, %measurement,
        "AES-GCM provider, by measurement");
    provider
}

/// Logs to standard error from here on; a log that runs already stays.
fn start_log(config: &Config) -> Result<log::Running, ConfigError> {
    let format = match config.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let sender = Sender { program: "relay", instance: config.relay_id.to_string() };
    log::start((&config.log_level, format), &config.traces, &sender).map_err(|error| {
        let key = match error {
            NotStarted::Filter(_) => "log_level",
            NotStarted::Traces(_) => "traces.collector",
        };
        ConfigError::Value { key, problem: error.to_string() }
    })
}
