//! The QUIC link of a relay: who it is, its heartbeat, orders one way, outcomes the other.

use super::LinkId;
use crate::capacity::{FAREWELL_TIMEOUT, HANDSHAKE_TIMEOUT, LINK_OUTBOX_MAX, RELAYS_MAX};
use crate::framing::{self, ReadFailure, WriteFailure};
use crate::gate::CloseCode;
use crate::nodes::Helm;
use crate::seldom::Seldom;
use crate::surroundings::Surroundings;
use kakehashi_wire::id::RelayId;
use kakehashi_wire::relay::{FromRelay, Hello, NodeHeartbeat, ToRelay, Welcome};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Reads the relay's number out of its certificate.
pub(crate) type RelayOf = fn(&CertificateDer<'_>) -> Option<RelayId>;

/// What links need of the node.
pub(crate) struct Links {
    pub(crate) helm: Helm,
    pub(crate) heartbeat: Duration,
    pub(crate) lost_after: Duration,
    pub(crate) relay_of: RelayOf,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) next: AtomicU64,
    pub(crate) strangers: Seldom,
}

/// Why a link ended or did not begin.
#[derive(Debug, thiserror::Error)]
enum LinkEnd {
    #[error("{0}")]
    Read(#[from] ReadFailure),
    #[error("{0}")]
    Write(#[from] WriteFailure),
    #[error("nothing was heard for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("the first message must be Hello")]
    NoHello,
    #[error(
        "the relay says it is {says}, its certificate says {certificate:?}: give it the \
         certificate made for its number"
    )]
    OtherRelay { says: RelayId, certificate: Option<RelayId> },
    #[error("the node closed it")]
    Closed,
}

/// Serves relays until the endpoint is closed and the last of them is gone.
pub(crate) async fn serve(endpoint: Endpoint, links: Arc<Links>) {
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_ended) = connections.join_next() => continue,
        };
        match incoming {
            // Every relay has one link, and a second while it reconnects.
            Some(incoming) if connections.len() >= 2 * RELAYS_MAX => incoming.refuse(),
            // Forged first packets must not take the places of relays. Cannot fail: an address
            // that is not validated was not asked yet.
            Some(incoming)
                if connections.len() >= RELAYS_MAX && !incoming.remote_address_validated() =>
            {
                drop(incoming.retry());
            }
            Some(incoming) => drop(connections.spawn(handshake(incoming, Arc::clone(&links)))),
            None => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn handshake(incoming: Incoming, links: Arc<Links>) {
    let address = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => {
            return tracing::debug!(event = "relay_connect_failed", %address, %error,
                "a relay could not connect");
        }
    };
    match timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => {
            let end = match Box::pin(link(&connection, &links)).await {
                Ok(()) => LinkEnd::Closed,
                Err(end) => end,
            };
            tracing::warn!(event = "relay_link_ended", %address, %end, "a relay's link ended");
            CloseCode::Relay.close(&connection, &end.to_string());
        }
        Ok(Err(error)) => {
            tracing::debug!(event = "relay_handshake_failed", %address, %error,
                "a relay's handshake failed");
            // Anybody can cause this, so the log gets a count.
            if let Some(count) = links.strangers.note(Instant::now()) {
                tracing::warn!(
                    event = "relay_handshakes_failed", count, last = %address, %error,
                    "handshakes of relays failed: check that their certificates are from this \
                     node's authority"
                );
            }
        }
        Err(_elapsed) => tracing::debug!(event = "relay_handshake_late", %address,
            "a relay's handshake took too long"),
    }
}

async fn link(connection: &Connection, links: &Links) -> Result<(), LinkEnd> {
    let silent = |_elapsed| LinkEnd::Silent(HANDSHAKE_TIMEOUT);
    let begun = timeout(HANDSHAKE_TIMEOUT, greet(connection, links)).await;
    let (mut send, mut recv, hello) = begun.map_err(silent)??;
    let relay = hello.relay;
    let link = LinkId(links.next.fetch_add(1, Ordering::Relaxed));
    let (orders, mut waiting) = mpsc::channel(LINK_OUTBOX_MAX);
    tracing::info!(event = "relay_connected", %relay, link = link.0, software = hello.software,
        "a relay connected");
    links.helm.link_up(link, hello, orders).await;
    let ended = tokio::select! {
        ended = speak(&mut send, &mut waiting, links.heartbeat) => ended,
        ended = hear(&mut recv, link, links) => ended,
    };
    links.helm.link_down(link).await;
    ended
}

async fn greet(
    connection: &Connection,
    links: &Links,
) -> Result<(SendStream, RecvStream, Hello), LinkEnd> {
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| ReadFailure::Gone)?;
    let FromRelay::Hello(hello) = framing::read(&mut recv, FromRelay::decode).await? else {
        return Err(LinkEnd::NoHello);
    };
    let shown = certificate_of(connection);
    let certificate = shown.as_ref().and_then(|shown| (links.relay_of)(shown));
    if certificate != Some(hello.relay) {
        return Err(LinkEnd::OtherRelay { says: hello.relay, certificate });
    }
    if let Some(shown) = &shown {
        links.surroundings.relay_came(hello.relay, shown);
    }
    let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let welcome =
        Welcome { heartbeat_ms: ms(links.heartbeat), lost_after_ms: ms(links.lost_after) };
    framing::write(&mut send, ToRelay::from(welcome).encode()).await?;
    Ok((send, recv, hello))
}

fn certificate_of(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    identity.downcast::<Vec<CertificateDer<'static>>>().ok()?.into_iter().next()
}

/// Sends orders and heartbeats until the core closes the link.
async fn speak(
    send: &mut SendStream,
    waiting: &mut mpsc::Receiver<ToRelay>,
    heartbeat: Duration,
) -> Result<(), LinkEnd> {
    let mut ticks = interval(heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = 0;
    loop {
        let message = tokio::select! {
            message = waiting.recv() => match message {
                Some(message) => message,
                None => break,
            },
            _ = ticks.tick() => {
                beat += 1;
                NodeHeartbeat { beat }.into()
            }
        };
        framing::write(send, message.encode()).await?;
    }
    if send.finish().is_ok() {
        let _heard = timeout(FAREWELL_TIMEOUT, send.stopped()).await;
    }
    Ok(())
}

/// Hands on what the relay says until it is silent for too long.
async fn hear(recv: &mut RecvStream, link: LinkId, links: &Links) -> Result<(), LinkEnd> {
    loop {
        let message = timeout(links.lost_after, framing::read(recv, FromRelay::decode)).await;
        let message = message.map_err(|_elapsed| LinkEnd::Silent(links.lost_after))??;
        links.helm.link_said(link, message).await;
    }
}
