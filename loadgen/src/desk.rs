//! A desk at work: stores call it, concierges answer, and both speak for a while.

use crate::clock::Clock;
use crate::leg::{Arrival, LegClient};
use crate::signed_in::SignedIn;
use anyhow::{Context, Result, anyhow};
use core::time::Duration;
use kakehashi_terminal::Event;
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::CallReady;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

/// Voice: a packet of so many bytes every 20 ms.
const PAYLOAD_BYTES: usize = 160;
const INTERVAL: Duration = Duration::from_millis(20);

/// The shortest wait of a socket; the kernel takes 0 for ever.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// What all stores and concierges share.
pub struct Floor {
    /// The desk's name.
    pub desk: String,
    /// How long an answered call lasts.
    pub talk: Duration,
    /// How long a store waits for an answer.
    pub patience: Duration,
    clock: Clock,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// When the concierge of a call could speak.
    answered: HashMap<CallId, Duration>,
    totals: Totals,
}

/// What came of it.
#[derive(Clone, Default)]
pub struct Totals {
    /// Set-up of each answered call.
    pub setups: Vec<Duration>,
    /// Calls that were refused, or ended, or given up before anybody answered.
    pub abandoned: u64,
    /// Why, each reason with how often.
    pub reasons: BTreeMap<String, u64>,
    /// Packets of voice that arrived, at both sides.
    pub received: u64,
    /// Packets of voice that are missing between the first and the last that arrived.
    pub lost: u64,
    /// Messages about who of the tenant is there that concierges were sent.
    pub presence: u64,
}

impl Totals {
    fn abandon(&mut self, why: String) {
        self.abandoned += 1;
        *self.reasons.entry(why).or_default() += 1;
    }
}

impl Floor {
    /// An empty one.
    pub fn new(desk: String, talk: Duration, patience: Duration) -> Self {
        Self { desk, talk, patience, clock: Clock::start(), book: Mutex::default() }
    }

    /// What came of it so far.
    pub fn totals(&self) -> Totals {
        self.book().totals.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, heard: Heard) {
        let totals = &mut self.book().totals;
        totals.received += heard.received;
        totals.lost += heard.lost();
    }
}

fn voice() -> Vec<StreamOffer> {
    vec![StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus }]
}

/// Answers whatever comes until `over`, watches presence, and signs out.
///
/// # Errors
/// If the session ends, or a relay does not answer.
pub async fn concierge(
    mut session: SignedIn,
    floor: Arc<Floor>,
    mut over: watch::Receiver<bool>,
) -> Result<()> {
    session.terminal.watch_presence().await?;
    let mut speaking: Option<(CallId, Speaking)> = None;
    loop {
        let event = tokio::select! {
            event = session.events.next() => event.context("a concierge's session ended")?,
            _ = over.wait_for(|over| *over) => break,
        };
        match event {
            Event::Presence(_) => floor.book().totals.presence += 1,
            // Whoever called may have given up.
            Event::Incoming(incoming) => {
                let _given_up = session.terminal.accept(incoming.call, voice()).await;
            }
            Event::Ready(ready) if speaking.is_none() => {
                floor.book().answered.insert(ready.call, floor.clock.now());
                speaking = Some((ready.call, Speaking::start(ready)));
            }
            Event::Ended { call, .. } => {
                if let Some((_, voice)) = speaking.take_if(|(speaking, _)| *speaking == call) {
                    floor.heard(voice.stop().await?);
                }
            }
            _ => {}
        }
    }
    if let Some((_, voice)) = speaking {
        floor.heard(voice.stop().await?);
    }
    session.terminal.sign_out().await?;
    Ok(())
}

/// Calls the desk whenever `turns` says so, and says to `free` as `number` when it may again. Signs
/// out when there are no more turns.
///
/// # Errors
/// If the session ends, or a relay does not answer.
pub async fn store(
    mut session: SignedIn,
    floor: Arc<Floor>,
    mut turns: Receiver<()>,
    (free, number): (Sender<usize>, usize),
) -> Result<()> {
    loop {
        tokio::select! {
            turn = turns.recv() => {
                if turn.is_none() {
                    break;
                }
                call_desk(&mut session, &floor).await?;
                free.send(number).await.context("nobody counts stores")?;
            }
            event = session.events.next() => {
                event.context("a store's session ended")?;
            }
        }
    }
    session.terminal.sign_out().await?;
    Ok(())
}

async fn call_desk(session: &mut SignedIn, floor: &Floor) -> Result<()> {
    let asked = floor.clock.now();
    let call = match session.terminal.invite_desk(&floor.desk, voice()).await {
        Ok(call) => call,
        Err(error) => {
            floor.book().totals.abandon(format!("invitation: {error}"));
            return Ok(());
        }
    };
    let answered = match timeout(floor.patience, answer(session, call)).await {
        Ok(answered) => answered?,
        Err(_) => Err("no answer in time".to_owned()),
    };
    let ready = match answered {
        Ok(ready) => ready,
        Err(why) => {
            floor.book().totals.abandon(why);
            let _over_anyway = session.terminal.cancel(call).await;
            return Ok(());
        }
    };
    let (here, call) = (floor.clock.now(), ready.call);
    let voice = Speaking::start(ready);
    sleep(floor.talk).await;
    floor.heard(voice.stop().await?);
    let _over_anyway = session.terminal.hang_up(call).await;
    let mut book = floor.book();
    match book.answered.remove(&call) {
        Some(there) => book.totals.setups.push(here.max(there).saturating_sub(asked)),
        None => book.totals.abandon("the concierge heard of no media".to_owned()),
    }
    Ok(())
}

/// What the store may send with, or why the call ended before.
async fn answer(session: &mut SignedIn, waiting: CallId) -> Result<Result<Box<CallReady>, String>> {
    loop {
        match session.events.next().await.context("a store's session ended")? {
            Event::Ready(ready) if ready.call == waiting => return Ok(Ok(ready)),
            Event::Ended { call, reason } if call == waiting => {
                return Ok(Err(format!("ended: {}", reason.name())));
            }
            _ => {}
        }
    }
}

/// One side's voice, on a thread of its own.
struct Speaking {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Heard>>,
}

/// What one side heard of the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Heard {
    received: u64,
    /// Numbers of the first and the last packet.
    span: Option<(u64, u64)>,
}

impl Heard {
    fn note(&mut self, number: u64) {
        self.received += 1;
        let (first, last) = self.span.unwrap_or((number, number));
        self.span = Some((first.min(number), last.max(number)));
    }

    /// Nobody knows how many were sent before the first and after the last one.
    fn lost(self) -> u64 {
        self.span.map_or(0, |(first, last)| (last - first + 1).saturating_sub(self.received))
    }
}

impl Speaking {
    fn start(ready: Box<CallReady>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        Self { over, thread: spawn_blocking(move || speak(&ready, &ends)) }
    }

    async fn stop(self) -> Result<Heard> {
        self.over.store(true, Ordering::Release);
        self.thread.await.map_err(|_| anyhow!("a voice's thread panicked"))?
    }
}

fn speak(ready: &CallReady, over: &AtomicBool) -> Result<Heard> {
    let mut leg = LegClient::new(ready)?;
    leg.bind()?;
    let (clock, mut heard) = (Clock::start(), Heard::default());
    let (mut due, mut number) = (clock.now(), 0);
    while !over.load(Ordering::Acquire) {
        if clock.now() >= due {
            leg.send(number, PAYLOAD_BYTES)?;
            number += 1;
            due += INTERVAL;
        }
        leg.wait_at_most(due.saturating_sub(clock.now()).max(WAIT_MIN))?;
        if let Some(Arrival::Media { stamp }) = leg.receive()? {
            heard.note(stamp);
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_between_first_and_last_is_lost() {
        let mut heard = Heard::default();
        assert_eq!(heard.lost(), 0);
        for number in [4, 6, 5, 9] {
            heard.note(number);
        }
        assert_eq!((heard.received, heard.lost()), (4, 2));
    }
}
