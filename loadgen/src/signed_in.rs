//! A call between two accounts, set up through control as any terminal would.

use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_terminal::{Event, Events, Settings, Terminal};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::CallReady;
use tokio::time::timeout;

/// How long any one step may take.
const STEP: Duration = Duration::from_secs(20);

/// A call both of whose terminals have been told to send. Dropping it ends both sessions.
pub struct LiveCall {
    /// The calling side.
    pub caller: Side,
    /// The called side.
    pub callee: Side,
}

/// One side of a call.
pub struct Side {
    /// The session.
    pub terminal: Terminal,
    /// Its events from here on.
    pub events: Events,
    /// What control told it.
    pub ready: Box<CallReady>,
}

/// The streams each side offers unless asked for others.
pub fn voice_and_camera() -> Vec<StreamOffer> {
    vec![
        StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus },
        StreamOffer { kind: StreamKind::Camera, codec: Codec::Vp8 },
    ]
}

/// Signs both accounts in, lets the first call the second, and waits until both may send voice and
/// a camera's video.
///
/// # Errors
/// If a step fails or takes longer than 20 s.
pub async fn call(caller: Settings, callee: Settings) -> Result<LiveCall> {
    call_with(caller, callee, voice_and_camera()).await
}

/// The same with other streams, which both sides offer.
///
/// # Errors
/// If a step fails or takes longer than 20 s.
pub async fn call_with(
    caller: Settings,
    callee: Settings,
    offers: Vec<StreamOffer>,
) -> Result<LiveCall> {
    let callee_login = callee.login.clone();
    let (caller_terminal, mut caller_events) = Terminal::start(caller)?;
    let (callee_terminal, mut callee_events) = Terminal::start(callee)?;
    signed_in(&mut caller_events).await.context("the caller did not sign in")?;
    signed_in(&mut callee_events).await.context("the called side did not sign in")?;
    caller_terminal.invite(&callee_login, offers.clone()).await?;
    let call = incoming(&mut callee_events).await?;
    callee_terminal.accept(call, offers).await?;
    let caller_ready = ready(&mut caller_events).await.context("the caller is not ready")?;
    let callee_ready = ready(&mut callee_events).await.context("the called side is not ready")?;
    Ok(LiveCall {
        caller: Side { terminal: caller_terminal, events: caller_events, ready: caller_ready },
        callee: Side { terminal: callee_terminal, events: callee_events, ready: callee_ready },
    })
}

impl LiveCall {
    /// Hangs up and signs both sides out, so that their accounts are free at once.
    ///
    /// # Errors
    /// If control does not answer.
    pub async fn end(mut self) -> Result<()> {
        self.caller.terminal.hang_up(self.caller.ready.call).await?;
        for side in [&mut self.caller, &mut self.callee] {
            side.terminal.sign_out().await?;
            while timeout(STEP, side.events.next()).await.context("no farewell in 20 s")?.is_some()
            {
            }
        }
        Ok(())
    }
}

async fn next(events: &mut Events) -> Result<Event> {
    let event = timeout(STEP, events.next()).await.context("nothing happened for 20 s")?;
    match event.context("the session ended")? {
        Event::SessionEnded { why: Some(why) } => Err(why.into()),
        Event::Ended { reason, .. } => bail!("the call ended: {reason:?}"),
        event => Ok(event),
    }
}

async fn signed_in(events: &mut Events) -> Result<()> {
    while !matches!(next(events).await?, Event::SignedIn(_)) {}
    Ok(())
}

async fn incoming(events: &mut Events) -> Result<kakehashi_wire::id::CallId> {
    loop {
        if let Event::Incoming(incoming) = next(events).await? {
            return Ok(incoming.call);
        }
    }
}

async fn ready(events: &mut Events) -> Result<Box<CallReady>> {
    loop {
        if let Event::Ready(ready) = next(events).await? {
            return Ok(ready);
        }
    }
}
