//! Makes a node one of several, and a core on whichever leads.

use super::door::{self, Door, Place};
use super::election::Election;
use super::helm::Places;
use super::office::Office;
use super::peer::{self, Dialler};
use super::record::Tenured;
use super::relays::RelayLinks;
use super::switch::{Event, Switch};
use super::{Helm, NodeName, Peer, Queue, record};
use crate::accounts::Accounts;
use crate::archive::Claimed;
use crate::capacity::nodes::{LEAD_WATCH_RETRY, NODE_EVENTS_MAX, OPERATOR_PATIENCE};
use crate::clock::{Clock, UnixMs};
use crate::coordinator::{Coordinator, Settings};
use crate::driver::{self, Core, Tasks};
use crate::entropy::Entropy;
use crate::fleet::Fleet;
use crate::lives::{Lives, Sealer};
use crate::metrics::Metrics;
use crate::pki::CellSecret;
use crate::records::{Records, porter};
use crate::startup::{self, Known};
use crate::store::{SharedStore, StoreError};
use crate::surroundings::Surroundings;
use kakehashi_wire::id::Term;
use kakehashi_wire::node::FromNode;
use quinn::{ClientConfig, Endpoint};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The core of this node while it leads.
#[derive(Clone)]
pub(super) struct Leading {
    pub(super) term: Term,
    pub(super) core: Core,
    pub(super) tenured: Arc<Tenured>,
}

impl Leading {
    /// Whether this node leads still, at some time after this was asked; none if the store does not
    /// say for as long as operators wait.
    pub(super) async fn goes_on(&self) -> Option<bool> {
        let last = Instant::now() + OPERATOR_PATIENCE;
        loop {
            match self.tenured.goes_on().await {
                Ok(goes_on) => return Some(goes_on),
                Err(error) if Instant::now() >= last => {
                    tracing::warn!(event = "lead_part_unread", %error,
                        "whether this node leads still cannot be read");
                    return None;
                }
                Err(_) => tokio::time::sleep(LEAD_WATCH_RETRY).await,
            }
        }
    }
}

/// What links tell the office.
pub(super) enum News {
    /// A link to a node stands.
    Up(NodeName, Queue<FromNode>),
    /// It is gone.
    Down(NodeName, u64),
    /// A node beats, and says in which term it leads.
    Beat(NodeName, Term),
}

/// What a core begins with.
pub(crate) struct Start {
    pub(crate) settings: Settings,
    pub(crate) leg_lifetime: Duration,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
    pub(crate) accounts: Arc<Accounts>,
    /// What live calls are sealed with.
    pub(crate) secret: CellSecret,
    /// Where ended calls are kept; none if they stay in the store.
    pub(crate) archive: Option<Arc<Claimed>>,
    /// Who counts.
    pub(crate) metrics: Arc<Metrics>,
}

impl Start {
    /// A core that decides in `term` over `store`, with all that the store says of tenants, desks
    /// and calls.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was begun.
    pub(crate) async fn begin(
        &self,
        term: Term,
        store: &SharedStore,
    ) -> Result<(Core, Tasks), StoreError> {
        let records = Records::new(Arc::clone(store)).with_archive(self.archive.clone());
        let records = Arc::new(records);
        let sealer = Sealer::new(&self.secret, self.entropy.clone());
        let lives = Arc::new(Lives::new(Arc::clone(store), sealer));
        let known = Known::read((&self.accounts, &records), (store, &lives));
        // Each answer may come from another site.
        let (generations, known) = tokio::try_join!(startup::reserve_generations(store), known)?;
        let fleet = Fleet::new(term, generations, self.leg_lifetime);
        let mut core = Coordinator::new(self.settings, self.entropy.clone(), fleet);
        let tenants = known.tenants().collect();
        let first = known.tell(&mut core, self.clock.now());
        let kept = (Arc::clone(&records), lives);
        let (store, metrics) = (Arc::clone(store), Arc::clone(&self.metrics));
        let (core, tasks) = driver::start(core, self.clock, kept, store, first, metrics);
        let ships = self.archive.is_some().then(|| tokio::spawn(porter::run(records, tenants)));
        Ok((core, tasks.with(ships)))
    }
}

/// What makes a node one of several.
pub(crate) struct Cell {
    pub(crate) me: NodeName,
    pub(crate) peers: Vec<Peer>,
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: ClientConfig,
    pub(crate) store: SharedStore,
    pub(crate) surroundings: Arc<Surroundings>,
}

/// A node's place among the others.
pub(crate) struct Seated {
    /// What the rest of the node speaks to.
    pub(crate) helm: Helm,
    switch: mpsc::Sender<Event>,
    switched: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    office: JoinHandle<()>,
}

impl Cell {
    /// Joins the others. `start` is for when this node leads.
    pub(crate) fn join(self, start: Start) -> Seated {
        let (events, queue) = mpsc::channel(NODE_EVENTS_MAX);
        let (news, heard) = mpsc::channel(NODE_EVENTS_MAX);
        let (lead, leading) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let relays = Arc::new(RelayLinks::default());
        let numbers = Arc::new(AtomicU64::new(1));
        let accounts = &start.accounts;
        let guesses = accounts.share_guesses(*start.secret.key_of(b"kakehashi guesses"));
        let (switch, ends) = Switch::new(Arc::clone(accounts), start.entropy.clone());
        let switched = tokio::spawn(switch.run((events.clone(), queue), ends));
        let places = self.peers.iter().map(|peer| (peer.name.clone(), Place::new()));
        let door = Door {
            peers: places.collect(),
            leading: leading.clone(),
            accounts: Arc::clone(accounts),
            news: news.clone(),
            numbers: Arc::clone(&numbers),
            clock: start.clock,
            surroundings: Arc::clone(&self.surroundings),
        };
        // Each peer once, however often it is named.
        let rank = door.peers.keys().filter(|name| **name < self.me).count();
        let place = (rank, door.peers.len() + 1);
        tokio::spawn(door::serve(self.endpoint.clone(), Arc::new(door)));
        let dialler = Dialler {
            me: self.me.clone(),
            endpoint: self.endpoint,
            tls: self.tls,
            leading: leading.clone(),
            switch: events.clone(),
            news,
            numbers: Arc::clone(&numbers),
        };
        for peer in self.peers {
            tokio::spawn(peer::keep(peer, dialler.clone()));
        }
        let (records, record) = mpsc::channel(1);
        tokio::spawn(record::follow(Arc::clone(&self.store), records));
        let life = start.entropy.nonzero();
        let now = start.clock.now().since_start;
        let office = Office::new(
            (self.me.clone(), life, Election::new(self.me, life, place, now)),
            start,
            (self.store, self.surroundings),
            (lead, events.clone(), Arc::clone(&relays), numbers),
        );
        let office = tokio::spawn(office.run((heard, record, guesses), stopped));
        let helm = Helm::Cell(Places { switch: events.clone(), relays, leading });
        Seated { helm, switch: events, switched, stop, office }
    }
}

impl Seated {
    /// Leaves the others: terminals are told to find another node, and if this one leads, another
    /// may at once.
    pub(crate) async fn leave(self) {
        let _stopping = self.switch.send(Event::Stop).await;
        let _told = self.switched.await;
        let _stopping = self.stop.send(());
        let _left = self.office.await;
        tracing::debug!(event = "node_left", at = UnixMs::now().0, "left the other nodes");
    }
}
