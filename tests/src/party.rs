//! A terminal of a test, made of the SDK alone: takes every call, follows it through its rounds,
//! and counts what it receives of whom.

use crate::platform::{Account, Platform};
use kakehashi_terminal::media::pacer::{MediaFile, OpusSource, Repeat};
use kakehashi_terminal::media::{
    CallMedia, CallOptions, CallSummary, Feed, MediaInput, MediaOutput,
};
use kakehashi_terminal::samples::SPEECH_OPUS;
use kakehashi_terminal::{Event, Events, Terminal};
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind};
use kakehashi_wire::terminal::{CallEnd, CallReady, MemberPhase, Members};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long anything may take that is waited for; generous, for loaded machines.
const SOON: Duration = Duration::from_secs(30);

/// Packets by which a count has grown for sure: more than what may have been under way.
const ENOUGH: u64 = 25;

/// What a party has seen.
#[derive(Default)]
struct Seen {
    media: HashMap<CallId, CallMedia>,
    members: HashMap<CallId, Members>,
    ended: HashMap<CallId, CallEnd>,
    failed: Vec<(String, CallEnd)>,
}

/// A signed-in terminal.
pub struct Party {
    /// To ask with.
    pub terminal: Terminal,
    login: String,
    seen: Arc<Mutex<Seen>>,
}

/// Endless speech.
pub fn speech() -> Vec<MediaInput> {
    let source = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever);
    let source = source.expect("the sample can be read");
    let feed = Feed::Frames(Box::new(source));
    vec![MediaInput { kind: StreamKind::Audio, codec: Codec::Opus, feed }]
}

impl Party {
    /// Signs in to `account`.
    pub async fn start(platform: &Platform, account: &Account) -> Self {
        let settings = platform.settings(account);
        let (terminal, mut events) = Terminal::start(settings).expect("the settings are good");
        match events.next().await {
            Some(Event::SignedIn(_)) => {}
            _ => panic!("{} did not sign in", account.login),
        }
        let seen = Arc::<Mutex<Seen>>::default();
        let login = account.login.clone();
        tokio::spawn(live(terminal.clone(), events, Arc::clone(&seen), login.clone()));
        Self { terminal, login, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `other`, and waits until both hear each other.
    pub async fn call(&self, other: &Self) -> CallId {
        let offers = speech().iter().map(MediaInput::offer).collect();
        let call = self.terminal.invite(&other.login, offers).await.expect("it can be called");
        self.hears(call, other).await;
        other.hears(call, self).await;
        call
    }

    /// The numbers of a call's media here.
    pub fn media(&self, call: CallId) -> CallSummary {
        self.seen().media.get(&call).map(CallMedia::snapshot).unwrap_or_default()
    }

    /// Numbers of the relays that it has paths to in a call, the one it sends over first.
    pub fn relays(&self, call: CallId) -> Vec<String> {
        let mut paths = self.media(call).paths;
        paths.sort_by_key(|path| !path.active);
        paths.into_iter().map(|path| path.relay).collect()
    }

    /// Waits until something is so of a call's media here.
    pub async fn until_media(&self, call: CallId, what: &str, so: impl Fn(&CallSummary) -> bool) {
        until(&format!("{}: {what}", self.login), || so(&self.media(call))).await;
    }

    /// Packets that came from `other` in a call.
    pub fn received(&self, call: CallId, other: &Self) -> u64 {
        let summary = self.media(call);
        let theirs = summary.received.iter().filter(|stream| stream.from == other.login);
        theirs.map(|stream| stream.packets).sum()
    }

    /// Waits until more comes from `other`.
    pub async fn hears(&self, call: CallId, other: &Self) {
        let before = self.received(call, other);
        let what = format!("{} hears {}", self.login, other.login);
        until(&what, || self.received(call, other) >= before + ENOUGH).await;
    }

    /// Waits until nothing comes from `other` any more, and sees that it stays so.
    pub async fn stops_hearing(&self, call: CallId, other: &Self) {
        let begun = Instant::now();
        loop {
            let before = self.received(call, other);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.received(call, other) == before {
                return;
            }
            assert!(begun.elapsed() < SOON, "{} still hears {}", self.login, other.login);
        }
    }

    /// Whether any media of a call runs here.
    pub fn is_in(&self, call: CallId) -> bool {
        self.seen().media.contains_key(&call)
    }

    /// Waits for the end of its part in a call.
    pub async fn ends(&self, call: CallId) -> CallEnd {
        let what = format!("the call of {} ends", self.login);
        until(&what, || self.seen().ended.contains_key(&call)).await;
        self.seen().ended[&call]
    }

    /// Waits until it is told that members of these phases are in the call.
    pub async fn sees(&self, call: CallId, phases: &[MemberPhase]) {
        let what = format!("{} sees {phases:?}", self.login);
        let seen = || {
            let seen = self.seen();
            let members = seen.members.get(&call).map(|members| &members.members);
            members.is_some_and(|list| list.iter().map(|it| it.phase).eq(phases.iter().copied()))
        };
        until(&what, seen).await;
    }

    /// Waits until it is told that somebody did not come.
    pub async fn fails(&self) -> (String, CallEnd) {
        until("somebody does not come", || !self.seen().failed.is_empty()).await;
        self.seen().failed.remove(0)
    }
}

/// Waits until something is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a terminal does that takes every call.
async fn live(terminal: Terminal, mut events: Events, seen: Arc<Mutex<Seen>>, login: String) {
    while let Some(event) = events.next().await {
        if let Event::Incoming(incoming) = &event {
            let offers = speech().iter().map(MediaInput::offer).collect();
            // Whether it came to be is seen by what is heard.
            let _taken = terminal.accept(incoming.call, offers).await;
        }
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Ready(ready) => seen.goes_on(*ready, &login),
            Event::Members(members) => {
                if let Some(media) = seen.media.get(&members.call) {
                    media.members(members.clone(), &login);
                }
                seen.members.insert(members.call, members);
            }
            Event::Merged(merged) => {
                // Of two that become one, the media of the one that goes on stays.
                let media = seen.media.remove(&merged.call);
                if let Some(media) = media.filter(|_| !seen.media.contains_key(&merged.into)) {
                    seen.media.insert(merged.into, media);
                }
            }
            Event::PathRenewed(renewed) => {
                if let Some(media) = seen.media.get(&renewed.call) {
                    media.renew_path(renewed.leg, renewed.epoch);
                }
            }
            Event::PathsChanged(changed) => {
                if let Some(media) = seen.media.get(&changed.call) {
                    media.change_paths(changed);
                }
            }
            Event::AddFailed(failed) => seen.failed.push((failed.login, failed.reason)),
            Event::Ended { call, reason } => {
                seen.media.remove(&call);
                seen.ended.insert(call, reason);
            }
            _ => {}
        }
    }
}

impl Seen {
    fn goes_on(&mut self, ready: CallReady, login: &str) {
        if let Some(media) = self.media.get(&ready.call) {
            return media.next_round(ready);
        }
        let options = CallOptions::default();
        let started = CallMedia::start(&ready, speech(), MediaOutput::default(), options);
        let media = started.expect("media can start");
        if let Some(members) = self.members.get(&ready.call) {
            media.members(members.clone(), login);
        }
        self.media.insert(ready.call, media);
    }
}
