//! Keeps a link to another node: dialled again whenever it is gone.

use super::door::LinkEnd;
use super::queue::QueueEnd;
use super::start::{Leading, News};
use super::switch::Event;
use super::{NodeName, Peer, Queue};
use crate::capacity::nodes::{NODE_BEAT, NODE_DEAD_AFTER, NODE_DIAL_EVERY, NODE_DIAL_TIMEOUT};
use crate::framing;
use crate::gate::CloseCode;
use crate::pki::node_host;
use kakehashi_wire::id::Term;
use kakehashi_wire::node::{FromNode, NodeBeat, NodeHello, ToNode};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What a link needs of the node.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) me: NodeName,
    pub(super) endpoint: Endpoint,
    pub(super) tls: ClientConfig,
    pub(super) leading: watch::Receiver<Option<Leading>>,
    pub(super) switch: mpsc::Sender<Event>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) numbers: Arc<AtomicU64>,
}

/// Dials `peer` until the node ends.
pub(super) async fn keep(peer: Peer, dialler: Dialler) {
    let mut was_up = true;
    while !dialler.news.is_closed() {
        let Err(end) = link(&peer, &dialler, &mut was_up).await else { return };
        if was_up {
            tracing::warn!(event = "node_link_lost",
                node = %peer.name, address = peer.address, %end, "no link to a node");
        }
        was_up = false;
        tokio::time::sleep(NODE_DIAL_EVERY).await;
    }
}

async fn link(peer: &Peer, dialler: &Dialler, was_up: &mut bool) -> Result<(), LinkEnd> {
    let dialled = timeout(NODE_DIAL_TIMEOUT, dial(peer, dialler)).await;
    let connection = dialled.map_err(|_elapsed| LinkEnd::Silent)??;
    let (mut send, recv) = connection.open_bi().await.map_err(|_| framing::ReadFailure::Gone)?;
    let software = concat!("kakehashi-control ", env!("CARGO_PKG_VERSION")).to_owned();
    let hello = NodeHello { node: dialler.me.as_str().to_owned(), software };
    framing::write(&mut send, FromNode::from(hello).encode()).await?;
    let number = dialler.numbers.fetch_add(1, Ordering::Relaxed);
    let (queue, end) = Queue::new(number);
    let up = News::Up(peer.name.clone(), queue);
    dialler.news.send(up).await.map_err(|_closed| LinkEnd::Stopping)?;
    *was_up = true;
    let ended = tokio::select! {
        ended = speak(send, end, &dialler.leading) => ended,
        ended = hear(recv, (&peer.name, number), dialler) => ended,
    };
    let reason = ended.as_ref().err().map(ToString::to_string).unwrap_or_default();
    CloseCode::Node.close(&connection, &reason);
    let down = News::Down(peer.name.clone(), number);
    dialler.news.send(down).await.map_err(|_closed| LinkEnd::Stopping)?;
    ended
}

async fn dial(peer: &Peer, dialler: &Dialler) -> Result<Connection, LinkEnd> {
    let failed = |error: &dyn core::fmt::Display| LinkEnd::Dial(error.to_string());
    let mut found = tokio::net::lookup_host(&peer.address).await.map_err(|error| failed(&error))?;
    let address = found.next().ok_or_else(|| failed(&"the name has no address"))?;
    let host = node_host(peer.name.as_str());
    let connecting = dialler.endpoint.connect_with(dialler.tls.clone(), address, &host);
    connecting.map_err(|error| failed(&error))?.await.map_err(|error| failed(&error))
}

async fn speak(
    mut send: SendStream,
    mut end: QueueEnd<FromNode>,
    leading: &watch::Receiver<Option<Leading>>,
) -> Result<(), LinkEnd> {
    let mut beats = interval(NODE_BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            Some(message) = end.messages.recv() => message,
            () = end.cut.notified() => return Err(LinkEnd::TooSlow),
            _ = beats.tick() => {
                let leads = leading.borrow().as_ref().map_or(Term::NONE, |leading| leading.term);
                NodeBeat { leads }.into()
            }
        };
        framing::write(&mut send, message.encode()).await?;
    }
}

async fn hear(
    mut recv: RecvStream,
    (node, number): (&NodeName, u64),
    dialler: &Dialler,
) -> Result<(), LinkEnd> {
    loop {
        let message = timeout(NODE_DEAD_AFTER, framing::read(&mut recv, ToNode::decode)).await;
        let message = message.map_err(|_elapsed| LinkEnd::Silent)??;
        let told = match message {
            ToNode::NodeBeat(beat) => {
                dialler.news.send(News::Beat(node.clone(), beat.leads)).await.is_ok()
            }
            message => dialler.switch.send(Event::Said(number, message)).await.is_ok(),
        };
        if !told {
            return Err(LinkEnd::Stopping);
        }
    }
}
