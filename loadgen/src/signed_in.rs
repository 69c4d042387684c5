//! A call between two accounts, set up through control as any terminal would.

use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_terminal::{Event, Events, Settings, Terminal, TerminalError};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::{CallEnd, CallReady};
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
    /// The login ID of its account.
    pub login: String,
}

/// A terminal that has signed in and is in no call.
pub struct SignedIn {
    /// The session.
    pub terminal: Terminal,
    /// Its events from here on.
    pub events: Events,
    /// The login ID of its account.
    pub login: String,
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
    let (caller, callee) = tokio::try_join!(SignedIn::start(caller), SignedIn::start(callee))?;
    between(caller, callee, offers).await
}

/// Lets the first call the second, and waits until both may send.
///
/// # Errors
/// If a step fails or takes longer than 20 s.
pub async fn between(
    caller: SignedIn,
    callee: SignedIn,
    offers: Vec<StreamOffer>,
) -> Result<LiveCall> {
    caller.terminal.invite(&callee.login, offers.clone()).await?;
    answered(caller, callee, offers).await
}

/// Lets the second answer, whom the first has called, and waits until both may send.
///
/// # Errors
/// If a step fails or takes longer than 20 s.
pub async fn answered(
    caller: SignedIn,
    mut callee: SignedIn,
    offers: Vec<StreamOffer>,
) -> Result<LiveCall> {
    let call = incoming(&mut callee.events).await?;
    callee.terminal.accept(call, offers).await?;
    Ok(LiveCall {
        caller: caller.ready().await.context("the caller is not ready")?,
        callee: callee.ready().await.context("the called side is not ready")?,
    })
}

impl SignedIn {
    /// Signs in.
    ///
    /// # Errors
    /// If control refuses, or does not answer for 20 s.
    pub async fn start(settings: Settings) -> Result<Self> {
        Ok(Self::start_counting(settings).await?.0)
    }

    /// The same, and how often the terminal had to begin again.
    ///
    /// # Errors
    /// If control refuses, or does not answer for 20 s.
    pub async fn start_counting(settings: Settings) -> Result<(Self, u64)> {
        let login = settings.login.clone();
        let (terminal, mut events) = Terminal::start(settings)?;
        let mut again = 0;
        loop {
            let event = next(&mut events).await;
            match event.with_context(|| format!("{login} did not sign in"))? {
                Event::SignedIn(_) => return Ok((Self { terminal, events, login }, again)),
                Event::Reconnecting { .. } => again += 1,
                _ => {}
            }
        }
    }

    async fn ready(mut self) -> Result<Side> {
        let ready = ready(&mut self.events).await?;
        Ok(Side { terminal: self.terminal, events: self.events, ready, login: self.login })
    }
}

impl Side {
    /// Waits for the end of the call; gives it with the session, which goes on.
    ///
    /// # Errors
    /// If it does not end within 20 s, or the session does.
    pub async fn ended(mut self) -> Result<(SignedIn, CallEnd)> {
        loop {
            let event = timeout(STEP, self.events.next()).await.context("no end in 20 s")?;
            match event.context("the session ended")? {
                Event::SessionEnded { why: Some(why) } => return Err(why.into()),
                Event::Ended { reason, .. } => {
                    let Self { terminal, events, login, .. } = self;
                    return Ok((SignedIn { terminal, events, login }, reason));
                }
                _ => {}
            }
        }
    }

    /// Waits for the end of the session; says why it ended, if it did not sign out.
    ///
    /// # Errors
    /// If it does not end within 20 s.
    pub async fn session_ended(mut self) -> Result<Option<TerminalError>> {
        loop {
            let event = timeout(STEP, self.events.next()).await.context("no farewell in 20 s")?;
            match event {
                Some(Event::SessionEnded { why }) => return Ok(why),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
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
