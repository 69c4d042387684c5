//! One terminal of a call: answers or calls, speaks, listens, and notes what becomes of its
//! session.

use super::speech::{Book, Speech};
use crate::clock::now;
use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_terminal::media::{CallMedia, CallOptions, Feed, MediaInput, MediaOutput};
use kakehashi_terminal::{Event, Events, Settings, Terminal};
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::time::timeout;

/// How long a sign-in, or the set-up of a call, may take.
const STEP: Duration = Duration::from_secs(30);

/// What a side has gone through.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    /// Since when its session is without a connection.
    pub(crate) away_since: Option<Instant>,
    /// When its session had its connection back last.
    pub(crate) back_at: Option<Instant>,
    /// Why its call, or its session, is over.
    pub(crate) over: Option<String>,
}

/// A terminal in a call.
pub(crate) struct Side {
    /// Its session.
    pub(crate) terminal: Terminal,
    /// What it has heard.
    pub(crate) book: Book,
    diary: Arc<Mutex<Diary>>,
    call: CallId,
}

/// A terminal that has signed in.
pub(crate) struct SignedIn {
    terminal: Terminal,
    events: Events,
    login: String,
}

impl SignedIn {
    /// Signs in.
    ///
    /// # Errors
    /// If that takes longer than 30 s.
    pub(crate) async fn start(settings: Settings) -> Result<Self> {
        let login = settings.login.clone();
        let (terminal, mut events) = Terminal::start(settings)?;
        let wanted = |event: &Event| matches!(event, Event::SignedIn(_));
        until(&mut events, wanted).await.with_context(|| format!("{login} did not sign in"))?;
        Ok(Self { terminal, events, login })
    }

    /// Calls `login`.
    ///
    /// # Errors
    /// If the call does not come about.
    pub(crate) async fn call(self, login: &str) -> Result<Side> {
        self.terminal.invite(login, vec![voice().offer()]).await?;
        self.speak().await
    }

    /// Answers whoever calls.
    ///
    /// # Errors
    /// If nobody does, or the call does not come about.
    pub(crate) async fn answer(mut self) -> Result<Side> {
        let wanted = |event: &Event| matches!(event, Event::Incoming(_));
        let Event::Incoming(incoming) = until(&mut self.events, wanted).await? else {
            bail!("somebody else was told of the call");
        };
        self.terminal.accept(incoming.call, vec![voice().offer()]).await?;
        self.speak().await
    }

    async fn speak(mut self) -> Result<Side> {
        let wanted = |event: &Event| matches!(event, Event::Ready(_));
        let Event::Ready(ready) = until(&mut self.events, wanted).await? else {
            bail!("the call is not ready");
        };
        let book = Book::default();
        let output = MediaOutput { sinks: Some(Box::new(book.clone())), plain: Vec::new() };
        let call = ready.call;
        let media = CallMedia::start(&ready, vec![voice()], output, CallOptions::default())?;
        let diary: Arc<Mutex<Diary>> = Arc::default();
        tokio::spawn(follow(self.events, (call, media), self.login, Arc::clone(&diary)));
        Ok(Side { terminal: self.terminal, book, diary, call })
    }
}

impl Side {
    /// What it has gone through so far.
    pub(crate) fn diary(&self) -> Diary {
        open(&self.diary).clone()
    }

    /// Forgets what it has gone through, if its session and call go on.
    pub(crate) fn turn_page(&self) {
        let mut diary = open(&self.diary);
        diary.back_at = None;
    }

    /// Hangs up and signs out.
    pub(crate) async fn end(self) {
        // A call or session that has ended already needs no end.
        let _over = self.terminal.hang_up(self.call).await;
        let _out = self.terminal.sign_out().await;
    }
}

fn voice() -> MediaInput {
    MediaInput {
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        feed: Feed::Frames(Box::new(Speech::default())),
    }
}

fn open(diary: &Mutex<Diary>) -> MutexGuard<'_, Diary> {
    diary.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
    let look = async {
        while let Some(event) = events.next().await {
            match event {
                Event::Ended { reason, .. } => bail!("the call ended: {reason:?}"),
                Event::SessionEnded { why } => bail!("the session ended: {why:?}"),
                event if wanted(&event) => return Ok(event),
                _ => {}
            }
        }
        bail!("the session is over")
    };
    timeout(STEP, look).await.with_context(|| format!("not within {STEP:?}"))?
}

/// Does what control says of the call, as an application does, and writes the diary.
async fn follow(
    mut events: Events,
    (call, media): (CallId, CallMedia),
    login: String,
    diary: Arc<Mutex<Diary>>,
) {
    while let Some(event) = events.next().await {
        let at = now();
        let mut diary = open(&diary);
        match event {
            Event::Ready(ready) if ready.call == call => media.next_round(*ready),
            Event::PathRenewed(renewed) => media.renew_path(renewed.leg, renewed.epoch),
            Event::PathsChanged(changed) if changed.call == call => media.change_paths(changed),
            Event::Members(members) if members.call == call => media.members(members, &login),
            Event::Reconnecting { .. } => {
                diary.away_since.get_or_insert(at);
            }
            Event::Resumed => {
                diary.away_since = None;
                diary.back_at = Some(at);
            }
            // A new session: the one with the call is gone.
            Event::SignedIn(_) => diary.over = Some("signed in anew".to_owned()),
            Event::Ended { call: ended, reason } if ended == call => {
                diary.over = Some(format!("the call ended: {reason:?}"));
            }
            Event::Lost { call: lost } if lost == call => {
                diary.over = Some("the call was lost".to_owned());
            }
            Event::SessionEnded { why } => {
                diary.over = Some(format!("the session ended: {why:?}"));
            }
            _ => {}
        }
    }
}
