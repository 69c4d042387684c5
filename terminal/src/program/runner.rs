//! Lives a session for a goal: waits for calls, makes one, or looks who is there.

mod aside;
mod begin;
mod keys;
mod lost;

pub(super) use keys::COMMANDS;

use super::announcement::Announcement;
use super::known::Known;
use super::voice::{Note, Voice, end_sentence};
use super::{password, streams};
use crate::capacity::QUALITY_REPORT_EVERY;
use crate::config::Config;
use crate::congestion::RateLimits;
use crate::media::{CallMedia, CallOptions, CallSummary, MediaError, MediaInput, Phase};
use crate::session::{Event, Events, Terminal, TerminalError};
use anyhow::{Context as _, Result, anyhow, bail};
use aside::part_in;
use core::pin::pin;
use core::time::Duration;
use kakehashi_wire::id::{CallId, MemberId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{CallEnd, CallReady, Incoming, Members, Presence, SessionEnd};
use keys::Keys;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// How often a running call shows its numbers.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What a desk's name stands behind: no login ID has a colon.
const DESK: &str = "desk:";

/// What the session is for.
pub(super) enum Goal {
    /// Take calls.
    Wait { reject: bool, ask: bool, calls: Option<u32> },
    /// Make a call.
    Call { login: String, seconds: Option<u64> },
    /// Show presence once.
    Presence,
    /// Change the password.
    Password { new_password_file: Option<PathBuf> },
}

/// A call as this program sees it.
struct Current {
    call: CallId,
    with: String,
    /// Whose media arrives, once it does.
    others: Vec<(String, MemberId)>,
    /// Opened when the call was made or taken, until media starts.
    inputs: Vec<MediaInput>,
    media: Option<CallMedia>,
    /// Who is in it, as control said last.
    members: Option<Members>,
    /// What is played until somebody answers.
    announcement: Option<Announcement>,
    /// Control said that it is over.
    ended: bool,
    /// Whether control has heard that it was taken is not known.
    unsure: bool,
}

impl Current {
    fn new(call: CallId, with: String, inputs: Vec<MediaInput>) -> Self {
        Self {
            call,
            with,
            others: Vec::new(),
            inputs,
            media: None,
            members: None,
            announcement: None,
            ended: false,
            unsure: false,
        }
    }

    /// Tells media who is in the call.
    fn tell_media(&self, own: &str) {
        if let Some((media, members)) = self.media.as_ref().zip(self.members.clone()) {
            media.members(members, own);
        }
    }
}

/// The session and its goal.
pub(super) struct Runner {
    terminal: Terminal,
    events: Events,
    voice: Voice,
    config: Config,
    password: Password,
    goal: Goal,
    keys: Keys,
    known: Known,
    /// Waits for the person to answer it.
    ringing: Option<Incoming>,
    was_signed_in: bool,
    current: Option<Current>,
    /// A call on hold beside it.
    aside: Option<Current>,
    calls_done: u32,
    /// The goal is reached or missed: the session is being ended.
    outcome: Option<Result<()>>,
    interrupted: bool,
}

impl Runner {
    pub(super) fn new(
        terminal: Terminal,
        events: Events,
        voice: Voice,
        (config, password): (Config, Password),
        goal: Goal,
    ) -> Self {
        Self {
            terminal,
            events,
            voice,
            config,
            password,
            goal,
            keys: Keys::silent(),
            known: Known::default(),
            ringing: None,
            was_signed_in: false,
            current: None,
            aside: None,
            calls_done: 0,
            outcome: None,
            interrupted: false,
        }
    }

    /// Runs until the goal is reached, missed, or the person interrupts.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut interrupts = Interrupts::new()?;
        let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
        let mut reports = pin!(sleep(until_report()));
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(Event::SessionEnded { why }) => return self.finish(why),
                    Some(event) => self.on_event(event).await?,
                    None => return self.finish(Some(TerminalError::Over)),
                },
                done = media_end(&mut self.current) => self.on_media_end(done).await?,
                done = media_end(&mut self.aside) => self.on_aside_end(done).await?,
                () = interrupts.next() => self.on_interrupt().await?,
                line = self.keys.next() => self.on_line(&line).await?,
                _ = progress.tick() => self.show_progress(),
                () = &mut reports => {
                    self.report_all().await;
                    reports.set(sleep(until_report()));
                }
            }
        }
    }

    fn finish(self, why: Option<TerminalError>) -> Result<()> {
        match (self.outcome, why) {
            (Some(outcome), _) => {
                self.voice.say(&Note::SignedOut);
                outcome
            }
            (None, Some(why)) => Err(why.into()),
            (None, None) => Ok(()),
        }
    }

    async fn on_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::SignedIn(signed_in) if signed_in.must_change_password => {
                self.change_password().await?;
            }
            Event::SignedIn(signed_in) => {
                let login = self.config.login.as_deref().unwrap_or_default();
                let (display, role) = (&signed_in.display, signed_in.role);
                self.voice.say(&Note::SignedIn { login, display, role });
                if !core::mem::replace(&mut self.was_signed_in, true) {
                    self.begin().await?;
                }
            }
            Event::Resumed => self.voice.say(&Note::Resumed),
            Event::Presence(presence) => self.on_presence(presence).await?,
            Event::Incoming(incoming) => self.on_incoming(incoming).await?,
            Event::Ringing { call } => {
                self.voice.say(&Note::Ringing { call: &call.to_string() });
            }
            Event::Queued(queued) => self.on_queued(queued),
            Event::QueueNews(news) => {
                self.voice.say(&Note::Place { call: &news.call.to_string(), news: &news });
            }
            Event::Ready(ready) => self.on_ready(*ready).await?,
            Event::PathRenewed(renewed) => self.on_path_renewed(renewed),
            Event::PathsChanged(changed) => self.on_paths_changed(changed),
            Event::Members(members) => self.on_members(&members),
            Event::AddFailed(failed) => {
                let (login, reason) = (failed.login.as_str(), failed.reason);
                self.voice.say(&Note::AddFailed { login, reason });
            }
            Event::AddDeskFailed(failed) => {
                let login = &format!("{DESK}{}", failed.desk);
                self.voice.say(&Note::AddFailed { login, reason: failed.reason });
            }
            Event::Merged(merged) => self.on_merged(merged),
            Event::Taken { call } => self.on_taken(call).await?,
            Event::Missed(missed) => {
                self.known.shows(&missed.calls);
                self.voice.say(&Note::Missed { calls: &missed.calls });
            }
            Event::Ended { call, reason } => self.on_ended(call, reason).await?,
            Event::Lost { call } => self.on_lost(call).await?,
            Event::Reconnecting { why, next_try } => self.on_trouble(why, next_try)?,
            Event::SessionEnded { .. } => {}
        }
        Ok(())
    }

    /// A caller wants to know at once; a terminal that waits keeps trying.
    fn on_trouble(&self, why: TerminalError, next_try: Duration) -> Result<()> {
        let reason = SessionEnd::PasswordChanged;
        if why == (TerminalError::SessionEnded { reason }) {
            return Ok(());
        }
        if !self.was_signed_in && !matches!(self.goal, Goal::Wait { .. }) {
            return Err(why.into());
        }
        self.voice.say(&Note::Reconnecting { why: &why.to_string(), next_try });
        Ok(())
    }

    /// Gives the account a new password. The session signs in with it by itself.
    async fn change_password(&mut self) -> Result<()> {
        let login = self.config.login.as_deref().unwrap_or_default();
        let file = match &self.goal {
            Goal::Password { new_password_file } => new_password_file.as_deref(),
            _ => None,
        };
        let new = match password::find_new(file, login) {
            Ok(new) => new,
            Err(error) => return self.stop(Err(error)).await,
        };
        let old = core::mem::replace(&mut self.password, new.clone());
        if let Err(error) = self.terminal.change_password(old, new).await {
            return self.stop(Err(error.into())).await;
        }
        self.voice.say(&Note::PasswordChanged { login });
        match self.goal {
            Goal::Password { .. } => self.stop(Ok(())).await,
            _ => Ok(()),
        }
    }

    async fn begin(&mut self) -> Result<()> {
        match &self.goal {
            Goal::Password { .. } => self.change_password().await,
            Goal::Wait { .. } => {
                self.keys.listen()?;
                Ok(self.terminal.watch_presence().await?)
            }
            Goal::Presence => Ok(self.terminal.watch_presence().await?),
            Goal::Call { login, .. } => {
                let login = login.clone();
                self.keys.listen()?;
                match self.invite(login).await {
                    Ok(()) => Ok(()),
                    Err(error) => self.stop(Err(error)).await,
                }
            }
        }
    }

    async fn on_presence(&mut self, presence: Presence) -> Result<()> {
        let own = self.config.login.as_deref();
        let complete = presence.complete;
        if let Some(changed) = self.known.take(presence, own) {
            let (accounts, changed) = (&self.known.accounts, changed.as_deref());
            self.voice.say(&Note::Presence { accounts, changed });
        }
        if !complete {
            return Ok(());
        }
        match self.goal {
            Goal::Presence => self.stop(Ok(())).await,
            _ => Ok(()),
        }
    }

    async fn on_taken(&mut self, call: CallId) -> Result<()> {
        let rang = self.ringing.take_if(|ringing| ringing.call == call).is_some();
        let taken = self.current.take_if(|current| current.call == call).is_some();
        if !rang && !taken {
            return Ok(());
        }
        self.voice.say(&Note::Taken { call: &call.to_string() });
        self.count_call().await
    }

    async fn on_ready(&mut self, ready: CallReady) -> Result<()> {
        let voice = self.voice;
        let Some(current) = part_in(&mut self.current, &mut self.aside, ready.call) else {
            tolerate(self.terminal.hang_up(ready.call).await, self.voice);
            return Ok(());
        };
        let others = ready.senders.iter().map(|sender| (sender.login.clone(), sender.member));
        current.others = others.collect();
        if let Some(media) = &current.media {
            voice.say(&Note::Round { ready: &ready });
            media.next_round(ready);
            return Ok(());
        }
        // Who answers for a desk is known only now.
        if let (true, [sender]) = (current.with.starts_with(DESK), &ready.senders[..]) {
            current.with = sender.login.clone();
        }
        // What it is played over and recorded into is the call's from now on.
        if let Some(announcement) = current.announcement.take() {
            announcement.end().await;
        }
        let call = ready.call.to_string();
        voice.say(&Note::Connected { call: &call, with: &current.with });
        let inputs = core::mem::take(&mut current.inputs);
        let options = options(&self.goal, self.config.rates());
        let started = streams::output(&self.config)
            .and_then(|output| Ok(CallMedia::start(&ready, inputs, output, options)?));
        match started {
            Ok(media) => {
                current.media = Some(media);
                current.tell_media(self.config.login.as_deref().unwrap_or_default());
                Ok(())
            }
            Err(error) => self.give_up(error).await,
        }
    }

    async fn on_ended(&mut self, call: CallId, reason: CallEnd) -> Result<()> {
        if self.ringing.take_if(|ringing| ringing.call == call).is_some() {
            self.voice.say(&Note::Ended { call: &call.to_string(), reason });
            return self.count_call().await;
        }
        let voice = self.voice;
        let Some(current) = self.of_call(call) else { return Ok(()) };
        voice.say(&Note::Ended { call: &call.to_string(), reason });
        current.ended = true;
        if let Some(media) = &current.media {
            media.leave();
            return Ok(());
        }
        let with = current.with.clone();
        self.current = self.aside.take();
        match self.goal {
            Goal::Call { .. } => {
                let why =
                    anyhow!("the call to {with} did not come about: {}", end_sentence(reason));
                self.stop(Err(why)).await
            }
            _ => self.count_call().await,
        }
    }

    async fn on_media_end(&mut self, done: Result<CallSummary, MediaError>) -> Result<()> {
        let Some(current) = core::mem::replace(&mut self.current, self.aside.take()) else {
            return Ok(());
        };
        self.over(current, done).await
    }

    /// The media of a call has come to its end.
    async fn over(
        &mut self,
        current: Current,
        done: Result<CallSummary, MediaError>,
    ) -> Result<()> {
        let result = match done {
            Ok(summary) => {
                self.voice.say(&Note::Summary { with: &current.with, media: &summary });
                let _ = self.terminal.report_quality(summary.report(current.call)).await;
                recording_result(&summary)
            }
            Err(error) => Err(error.into()),
        };
        if !current.ended {
            tolerate(self.terminal.hang_up(current.call).await, self.voice);
        }
        if let Goal::Call { .. } = self.goal {
            return self.stop(result).await;
        }
        if let Err(error) = result {
            self.voice.say(&Note::Trouble { why: &format!("{error:#}") });
        }
        self.count_call().await
    }

    /// Media cannot be exchanged: ends the call.
    async fn give_up(&mut self, error: anyhow::Error) -> Result<()> {
        if let Some(current) = core::mem::replace(&mut self.current, self.aside.take()) {
            tolerate(self.terminal.hang_up(current.call).await, self.voice);
        }
        match self.goal {
            Goal::Call { .. } => self.stop(Err(error)).await,
            _ => {
                self.voice.say(&Note::Trouble { why: &format!("{error:#}") });
                self.count_call().await
            }
        }
    }

    /// One call less to wait for.
    async fn count_call(&mut self) -> Result<()> {
        self.calls_done += 1;
        let enough = match self.goal {
            Goal::Wait { calls: Some(calls), .. } => self.calls_done >= calls,
            _ => false,
        };
        if enough || self.interrupted { self.stop(Ok(())).await } else { Ok(()) }
    }

    /// Ends the session; the program ends with `outcome` when control has confirmed.
    async fn stop(&mut self, outcome: Result<()>) -> Result<()> {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            let _ = self.terminal.sign_out().await;
        }
        Ok(())
    }

    /// The first time in good order, the second time at once.
    async fn on_interrupt(&mut self) -> Result<()> {
        if core::mem::replace(&mut self.interrupted, true) {
            bail!("interrupted");
        }
        self.report_all().await;
        if let Some(Current { media: Some(media), .. }) = &self.aside {
            media.leave();
        }
        match &self.current {
            Some(Current { media: Some(media), .. }) => {
                media.leave();
                Ok(())
            }
            Some(current) => {
                tolerate(self.terminal.cancel(current.call).await, self.voice);
                self.current = None;
                self.stop(Ok(())).await
            }
            None => self.stop(Ok(())).await,
        }
    }

    /// Says how the media of all calls has arrived so far: what is said when a call is over may
    /// come after the other side has ended it, and is not in its record then.
    async fn report_all(&self) {
        for Current { call, media, .. } in self.current.iter().chain(&self.aside) {
            let Some(summary) = media.as_ref().map(CallMedia::snapshot) else { continue };
            if summary.phase == Phase::Flowing {
                let _ = self.terminal.report_quality(summary.report(*call)).await;
            }
        }
    }

    fn show_progress(&self) {
        let media = self.current.as_ref().and_then(|current| current.media.as_ref());
        let Some(summary) = media.map(CallMedia::snapshot) else { return };
        // Before the first second there are no rates to show.
        if summary.phase == Phase::Flowing && summary.seconds >= 0.9 {
            self.voice.say(&Note::Progress(&summary));
        }
    }
}

/// Not with all other terminals at once, which signed in together after a failure.
fn until_report() -> Duration {
    QUALITY_REPORT_EVERY.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

fn options(goal: &Goal, rates: RateLimits) -> CallOptions {
    match goal {
        Goal::Call { seconds, .. } => CallOptions {
            send_for: seconds.map(Duration::from_secs),
            leave_when_sent: seconds.is_none(),
            rates,
        },
        _ => CallOptions { rates, ..CallOptions::default() },
    }
}

/// A call whose recording is not what arrived has not succeeded.
fn recording_result(summary: &CallSummary) -> Result<()> {
    match summary.recording.errors.first() {
        Some(why) => Err(anyhow!("{why}")).context("the recording is not complete"),
        None => Ok(()),
    }
}

/// The other side may have ended the call at the same moment: a refusal is no trouble then.
fn tolerate(result: Result<(), TerminalError>, voice: Voice) {
    match result {
        Ok(()) | Err(TerminalError::Refused { .. }) => {}
        Err(error) => voice.say(&Note::Trouble { why: &error.to_string() }),
    }
}

/// Waits for the end of the current call's media, for ever if there is none.
async fn media_end(current: &mut Option<Current>) -> Result<CallSummary, MediaError> {
    match current.as_mut().and_then(|current| current.media.as_mut()) {
        Some(media) => media.finished().await,
        None => core::future::pending().await,
    }
}

/// Ctrl-C, and the signal that service managers send.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
