//! One conversation with a node: hello, welcome, then orders in and reports out until it breaks.
//!
//! Three loops share the connection: one reads and carries out, one writes, one beats. The first to
//! fail ends all three.

use super::lost::LinkLost;
use super::office::Office;
use super::report::report;
use super::terms::LinkNumber;
use super::{frames, link::LinkConfig};
use crate::capacity::{COUNTER_REPORT_MS, HELLO_MS, OUTBOX_MESSAGES};
use kakehashi_wire::relay::{FromRelay, Hello, RelayHeartbeat, Rollovers, ToRelay, Welcome};
use quinn::{Connection, RecvStream, SendStream};
use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Pace of a conversation, as control wants it.
#[derive(Clone, Copy)]
struct Pace {
    beat: Duration,
    lost_after: Duration,
}

impl From<&Welcome> for Pace {
    /// Within reason: a node cannot make a relay spin, nor wait forever.
    fn from(welcome: &Welcome) -> Self {
        let beat = welcome.heartbeat_ms.clamp(10, 10_000);
        let lost_after = welcome.lost_after_ms.clamp(2 * beat, 60_000);
        let ms = |ms| Duration::from_millis(u64::from(ms));
        Self { beat: ms(beat), lost_after: ms(lost_after) }
    }
}

/// What the loops tell each other.
struct Ear {
    /// When control was last heard; `None` while its orders are being carried out.
    heard: Cell<Option<Instant>>,
    beat: Cell<u64>,
}

/// Introduces the relay; returns the stream when control has taken it in.
pub(super) async fn introduce(
    connection: &Connection,
    config: &LinkConfig,
    office: &Office,
) -> Result<(SendStream, RecvStream, Welcome), LinkLost> {
    let greeting = async {
        let (mut send, mut receive) = connection.open_bi().await?;
        frames::write(&mut send, &hello(config, office).into()).await?;
        match frames::read(&mut receive).await? {
            ToRelay::Welcome(welcome) => Ok((send, receive, welcome)),
            other => Err(LinkLost::Protocol(format!("{} came before Welcome", other.name()))),
        }
    };
    let silent = || LinkLost::Silent { ms: HELLO_MS };
    timeout(Duration::from_millis(HELLO_MS), greeting).await.map_err(|_| silent())?
}

fn hello(config: &LinkConfig, office: &Office) -> Hello {
    Hello {
        relay: config.relay,
        incarnation: config.incarnation,
        software: concat!("kakehashi-relay ", env!("CARGO_PKG_VERSION")).into(),
        site: config.site.clone(),
        shards: office.offers().to_vec(),
    }
}

/// Talks until something breaks.
pub(super) async fn converse(
    send: SendStream,
    receive: RecvStream,
    welcome: &Welcome,
    (office, link): (&Office, LinkNumber),
) -> LinkLost {
    let (outbox, messages) = mpsc::channel(OUTBOX_MESSAGES);
    let ear = Ear { heard: Cell::new(Some(Instant::now())), beat: Cell::new(0) };
    let ended = tokio::try_join!(
        listen(receive, (office, link), &ear, outbox.clone()),
        speak(send, messages),
        beat(welcome.into(), (office, link), &ear, outbox),
    );
    match ended {
        Err(lost) => lost,
        Ok((never, _, _)) => match never {},
    }
}

async fn listen(
    mut receive: RecvStream,
    (office, link): (&Office, LinkNumber),
    ear: &Ear,
    outbox: mpsc::Sender<FromRelay>,
) -> Result<Infallible, LinkLost> {
    loop {
        let message = frames::read(&mut receive).await?;
        ear.heard.set(None);
        office.figures().heard(link.0);
        match message {
            ToRelay::Orders(orders) => {
                let answer = office.orders(link, orders).await;
                put(&outbox, answer.map_or_else(FromRelay::from, FromRelay::from)).await?;
            }
            ToRelay::Resync(resync) => {
                if let Err(outdated) = office.resync(link, resync).await {
                    put(&outbox, outdated.into()).await?;
                }
            }
            ToRelay::NodeHeartbeat(heartbeat) => {
                office.figures().beat_heard(link.0);
                ear.beat.set(heartbeat.beat);
            }
            ToRelay::Welcome(_) => {
                return Err(LinkLost::Protocol("a second Welcome came".into()));
            }
        }
        ear.heard.set(Some(Instant::now()));
    }
}

async fn speak(
    mut send: SendStream,
    mut messages: mpsc::Receiver<FromRelay>,
) -> Result<Infallible, LinkLost> {
    while let Some(message) = messages.recv().await {
        frames::write(&mut send, &message).await?;
    }
    Err(LinkLost::Closed("this relay stopped speaking".into()))
}

async fn beat(
    pace: Pace,
    (office, link): (&Office, LinkNumber),
    ear: &Ear,
    outbox: mpsc::Sender<FromRelay>,
) -> Result<Infallible, LinkLost> {
    let published = office.published();
    let mut beats = interval(pace.beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported: Option<Instant> = None;
    loop {
        let now = beats.tick().await;
        let silence = ear.heard.get().map(|heard| now.saturating_duration_since(heard));
        if silence.is_some_and(|silence| silence > pace.lost_after) {
            let ms = u64::try_from(pace.lost_after.as_millis()).unwrap_or(u64::MAX);
            return Err(LinkLost::Silent { ms });
        }
        let shards = published.iter().map(|shard| shard.load()).collect();
        put(&outbox, RelayHeartbeat { beat: ear.beat.get(), term: office.newest(), shards }.into())
            .await?;
        office.figures().beat_sent(link.0);
        let due = Duration::from_millis(COUNTER_REPORT_MS);
        if reported.is_none_or(|reported| now.saturating_duration_since(reported) >= due) {
            reported = Some(now);
            put(&outbox, report(published.iter().map(Arc::as_ref)).into()).await?;
            // Each is told once, to the node whose legs they are.
            let taken = published.iter().filter(|_| office.is_lead(link));
            for streams in taken.map(|shard| shard.take_wrapped()) {
                if !streams.is_empty() {
                    put(&outbox, Rollovers { streams }.into()).await?;
                }
            }
        }
    }
}

async fn put(outbox: &mpsc::Sender<FromRelay>, message: FromRelay) -> Result<(), LinkLost> {
    let stopped = |_| LinkLost::Closed("this relay stopped speaking".into());
    outbox.send(message).await.map_err(stopped)
}
