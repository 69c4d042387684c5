//! One side of a call: speaks, listens, and notes what becomes of its session.

use super::speech::{Book, Speech};
use crate::clock::now;
use anyhow::Result;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_loadgen::signed_in;
use kakehashi_terminal::media::{
    CallMedia, CallOptions, CallSummary, Feed, MediaInput, MediaOutput,
};
use kakehashi_terminal::{Event, Events, Terminal};
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a side has gone through.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    /// Since when its session is without a connection.
    pub(crate) away_since: Option<Instant>,
    /// When its session had its connection back last.
    pub(crate) back_at: Option<Instant>,
    /// How long it was without one, the longest time.
    pub(crate) away_for: Duration,
    /// What went wrong until then.
    pub(crate) whys: Vec<String>,
    /// Why its call, or its session, is over.
    pub(crate) over: Option<String>,
}

/// A terminal in a call.
pub(crate) struct Side {
    /// What it has heard.
    pub(crate) book: Book,
    terminal: Terminal,
    media: Arc<CallMedia>,
    diary: Arc<Mutex<Diary>>,
    /// How its media was when the page was turned.
    before: Mutex<CallSummary>,
    call: CallId,
}

impl Side {
    /// Begins to speak and to listen.
    ///
    /// # Errors
    /// If it has no socket.
    pub(crate) fn speak(side: signed_in::Side) -> Result<Self> {
        let signed_in::Side { terminal, events, ready, login } = side;
        let book = Book::default();
        let output = MediaOutput { sinks: Some(Box::new(book.clone())), plain: Vec::new() };
        let call = ready.call;
        let media = CallMedia::start(&ready, vec![voice()], output, CallOptions::default())?;
        let media = Arc::new(media);
        let diary: Arc<Mutex<Diary>> = Arc::default();
        let followed = (call, Arc::clone(&media));
        tokio::spawn(follow(events, followed, login, Arc::clone(&diary)));
        Ok(Self { book, terminal, media, diary, before: Mutex::default(), call })
    }

    /// What it has gone through so far.
    pub(crate) fn diary(&self) -> Diary {
        open(&self.diary).clone()
    }

    /// The relay it sends over, if one answers.
    pub(crate) fn relay(&self) -> Option<SocketAddr> {
        let paths = self.media.snapshot().paths;
        paths.iter().find(|path| path.active)?.address.parse().ok()
    }

    /// How many relays of its call answer it.
    pub(crate) fn relays_that_answer(&self) -> usize {
        self.media.snapshot().paths.iter().filter(|path| path.usable).count()
    }

    /// Forgets what it has gone through, if its session and call go on.
    pub(crate) fn turn_page(&self) {
        *open(&self.before) = self.media.snapshot();
        let mut diary = open(&self.diary);
        diary.back_at = None;
        diary.away_for = Duration::ZERO;
        diary.whys.clear();
    }

    /// Over which relays it sends and sent before, and what it refused since: for whoever looks for
    /// the cause of a silence.
    pub(crate) fn media(&self) -> String {
        let (before, now) = (open(&self.before).clone(), self.media.snapshot());
        format!(
            "before over {}; now over {}; refused before {:?}, now {:?}",
            ways(&before),
            ways(&now),
            before.drops,
            now.drops
        )
    }

    /// Hangs up and signs out.
    pub(crate) async fn end(self) {
        // A call or session that has ended already needs no end.
        let _over = self.terminal.hang_up(self.call).await;
        let _out = self.terminal.sign_out().await;
    }
}

/// What a side offers to send.
pub(crate) fn offers() -> Vec<StreamOffer> {
    vec![voice().offer()]
}

fn voice() -> MediaInput {
    MediaInput {
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        feed: Feed::Frames(Box::new(Speech::default())),
    }
}

fn open<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The relays of a call: the one in use first, then what else answers.
fn ways(summary: &CallSummary) -> String {
    let active = summary.paths.iter().find(|path| path.active);
    let active = active.map_or("none", |path| path.address.as_str());
    let others = summary.paths.iter().filter(|path| !path.active);
    let others: Vec<_> = others.map(|path| (path.address.as_str(), path.usable)).collect();
    format!("{active}, beside it {others:?}")
}

/// Does what control says of the call, as an application does, and writes the diary.
async fn follow(
    mut events: Events,
    (call, media): (CallId, Arc<CallMedia>),
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
            Event::Reconnecting { why, .. } => {
                diary.away_since.get_or_insert(at);
                diary.whys.push(why.to_string());
            }
            Event::Resumed => {
                let away = diary.away_since.take().map_or(Duration::ZERO, |since| at - since);
                diary.away_for = diary.away_for.max(away);
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
