//! Serves the nodes that dial this one: while it leads, they are its guests.

use super::guest::Guest;
use super::queue::QueueEnd;
use super::start::{Leading, News};
use super::{NodeName, Queue};
use crate::accounts::Accounts;
use crate::capacity::nodes::{NODE_BEAT, NODE_DEAD_AFTER, NODES_MAX};
use crate::capacity::{HANDSHAKE_TIMEOUT, STRANGERS_LOG_EVERY};
use crate::clock::Clock;
use crate::framing::{self, ReadFailure, WriteFailure};
use crate::gate::CloseCode;
use crate::pki::node_of;
use crate::seldom::Seldom;
use crate::surroundings::Surroundings;
use kakehashi_wire::id::Term;
use kakehashi_wire::node::{FromNode, NodeBeat, NodeHello, ToNode};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use rustls_pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// What the door needs of the node.
pub(super) struct Door {
    pub(super) peers: BTreeMap<NodeName, Place>,
    pub(super) leading: watch::Receiver<Option<Leading>>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) clock: Clock,
    pub(super) surroundings: Arc<Surroundings>,
}

/// Where one of the other nodes is served: over one link at a time. A newer one ends the older, and
/// nothing is taken from it before what came over the older has been let go: a node that hands its
/// sessions over again is not in the way of itself.
pub(super) struct Place {
    newest: watch::Sender<u64>,
    only: Mutex<()>,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(0), only: Mutex::new(()) }
    }

    /// Returns when there is a newer link than the one with this number.
    async fn renewed(&self, number: u64) {
        let mut newest = self.newest.subscribe();
        // Cannot fail: the sender is ours.
        let _newer = newest.wait_for(|newest| *newest > number).await;
    }
}

/// Why a link between nodes ended or did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkEnd {
    #[error("{0}")]
    Read(#[from] ReadFailure),
    #[error("{0}")]
    Write(#[from] WriteFailure),
    #[error("{0}")]
    Dial(String),
    #[error("nothing was heard for too long")]
    Silent,
    #[error("the first message must be NodeHello")]
    NoHello,
    #[error("a certificate of {certificate:?} says it is {says}: give each node its own name")]
    OtherNode { says: String, certificate: Option<String> },
    #[error("{0} is none of `node.peers`")]
    Stranger(String),
    #[error("the node has made a new one")]
    Renewed,
    #[error("it fell too far behind")]
    TooSlow,
    #[error("this node leads no longer")]
    NotLeading,
    #[error("the node is shutting down")]
    Stopping,
}

/// Serves nodes until the endpoint is closed.
pub(super) async fn serve(endpoint: Endpoint, door: Arc<Door>) {
    let strangers = Arc::new(Seldom::new(STRANGERS_LOG_EVERY));
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_ended) = connections.join_next() => continue,
        };
        match incoming {
            // Each has one link, and a second while it dials again.
            Some(incoming) if connections.len() >= 2 * NODES_MAX => incoming.refuse(),
            Some(incoming)
                if connections.len() >= NODES_MAX && !incoming.remote_address_validated() =>
            {
                drop(incoming.retry());
            }
            Some(incoming) => {
                connections.spawn(handshake(incoming, Arc::clone(&door), Arc::clone(&strangers)));
            }
            None => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn handshake(incoming: Incoming, door: Arc<Door>, strangers: Arc<Seldom>) {
    let address = incoming.remote_address();
    let connected = async { incoming.accept()?.await };
    let connection = match timeout(HANDSHAKE_TIMEOUT, connected).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            // Anybody can cause this, so the log gets a count.
            if let Some(count) = strangers.note(Instant::now()) {
                tracing::warn!(event = "node_handshakes_failed", count, last = %address, %error,
                    "handshakes of nodes failed: check \
                    that all nodes have certificates of one authority");
            }
            return;
        }
        Err(_elapsed) => return,
    };
    let end = match Box::pin(link(&connection, &door)).await {
        Ok(()) => LinkEnd::Stopping,
        Err(end) => end,
    };
    tracing::info!(event = "node_link_ended", %address, %end, "a node's link ended");
    CloseCode::Node.close(&connection, &end.to_string());
}

async fn link(connection: &Connection, door: &Door) -> Result<(), LinkEnd> {
    let greeted = timeout(HANDSHAKE_TIMEOUT, greet(connection, door)).await;
    let (send, recv, node) = greeted.map_err(|_elapsed| LinkEnd::Silent)??;
    tracing::info!(event = "node_connected", %node, "a node connected");
    let number = door.numbers.fetch_add(1, Ordering::Relaxed);
    let (queue, end) = Queue::new(number);
    let place = door.peers.get(&node).ok_or_else(|| LinkEnd::Stranger(node.to_string()))?;
    place.newest.send_modify(|newest| *newest = number.max(*newest));
    let (mut guest, mut only) = (None, None);
    let ended = tokio::select! {
        ended = speak(send, end, door.leading.clone()) => ended,
        ended = async {
            only = Some(place.only.lock().await);
            hear(recv, (&node, queue), door, &mut guest).await
        } => ended,
        () = place.renewed(number) => Err(LinkEnd::Renewed),
    };
    if let Some((guest, _)) = guest {
        guest.leave().await;
    }
    drop(only);
    ended
}

async fn greet(
    connection: &Connection,
    door: &Door,
) -> Result<(SendStream, RecvStream, NodeName), LinkEnd> {
    let (send, mut recv) = connection.accept_bi().await.map_err(|_| ReadFailure::Gone)?;
    let FromNode::NodeHello(NodeHello { node: says, software }) =
        framing::read(&mut recv, FromNode::decode).await?
    else {
        return Err(LinkEnd::NoHello);
    };
    let shown = certificate_of(connection);
    let certificate = shown.as_ref().and_then(node_of);
    if certificate.as_ref() != Some(&says) {
        return Err(LinkEnd::OtherNode { says, certificate });
    }
    match NodeName::parse(&says).filter(|name| door.peers.contains_key(name)) {
        Some(name) => {
            if let Some(shown) = &shown {
                door.surroundings.node_came(&name, &software, shown);
            }
            Ok((send, recv, name))
        }
        None => Err(LinkEnd::Stranger(says)),
    }
}

fn certificate_of(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    identity.downcast::<Vec<CertificateDer<'static>>>().ok()?.into_iter().next()
}

/// Says what waits, and beats, until this node's term is over.
async fn speak(
    mut send: SendStream,
    mut end: QueueEnd<ToNode>,
    mut leading: watch::Receiver<Option<Leading>>,
) -> Result<(), LinkEnd> {
    let mut beats = interval(NODE_BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leads = Term::NONE;
    loop {
        let message = tokio::select! {
            message = end.messages.recv() => match message {
                Some(message) => message,
                None => return Ok(()),
            },
            () = end.cut.notified() => return Err(LinkEnd::TooSlow),
            changed = leading.changed() => {
                changed.map_err(|_closed| LinkEnd::Stopping)?;
                beat(&leading)
            }
            _ = beats.tick() => beat(&leading),
        };
        if let ToNode::NodeBeat(beat) = &message {
            if leads != Term::NONE && beat.leads != leads {
                return Err(LinkEnd::NotLeading);
            }
            leads = beat.leads;
        }
        framing::write(&mut send, message.encode()).await?;
    }
}

fn beat(leading: &watch::Receiver<Option<Leading>>) -> ToNode {
    let leads = leading.borrow().as_ref().map_or(Term::NONE, |leading| leading.term);
    NodeBeat { leads }.into()
}

/// Hands on what the node says.
async fn hear(
    mut recv: RecvStream,
    (node, queue): (&NodeName, Queue<ToNode>),
    door: &Door,
    guest: &mut Option<(Guest, Term)>,
) -> Result<(), LinkEnd> {
    loop {
        let message = timeout(NODE_DEAD_AFTER, framing::read(&mut recv, FromNode::decode)).await;
        let message = message.map_err(|_elapsed| LinkEnd::Silent)??;
        if let FromNode::NodeBeat(beat) = message {
            let news = News::Beat(node.clone(), beat.leads);
            door.news.send(news).await.map_err(|_closed| LinkEnd::Stopping)?;
            continue;
        }
        if let FromNode::WrongGuess(guess) = &message {
            door.accounts.heard_guess(guess, door.clock.now().since_start);
            continue;
        }
        let leading = door.leading.borrow().clone().ok_or(LinkEnd::NotLeading)?;
        let (guest, term) = guest.get_or_insert_with(|| {
            let accounts = Arc::clone(&door.accounts);
            (Guest::new(leading.clone(), accounts, queue.clone()), leading.term)
        });
        if *term != leading.term {
            return Err(LinkEnd::NotLeading);
        }
        guest.hear(message).await;
    }
}
