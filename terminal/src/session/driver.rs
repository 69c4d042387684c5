//! The task that lives a session: does what the machine says, waits, and passes on.

use super::backoff::Backoff;
use super::conversation::Conversation;
use super::dial::Dialler;
use super::error::TerminalError;
use super::known::{Known, Ready};
use super::liveness::{Liveness, Waits, Watch};
use super::machine::{Deed, Signal, State};
use super::news::News;
use super::requests::Requests;
use super::terminal::{Build, Command, Event, Reply, Settings};
use crate::clock::{Clock, Moment};
use core::time::Duration;
use kakehashi_wire::id::{CallId, RequestId};
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::{
    CallReady, Cancel, FromTerminal, HangUp, PathsChanged, Ping, Resumed, Ringing, SetAway,
    SignOut, SignedIn, ToTerminal, WatchPresence,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info};

/// How long the application may leave events unread before the session is given up: longer, and
/// control would have to hold what this side does not read.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a sign-out waits for its answer.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(2);

type Waiter = oneshot::Sender<Result<Reply, TerminalError>>;

/// Checks the settings and starts the task.
pub(super) fn spawn(
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
) -> Result<(), TerminalError> {
    let clock = Clock::start();
    let dialler = Dialler::new(&settings, clock)?;
    let timing = settings.timing;
    let driver = Driver {
        dialler,
        backoff: Backoff::new(timing.retry_least, timing.retry_most),
        settings,
        clock,
        commands,
        events,
        conversation: None,
        requests: Requests::new(),
        wishes: Wishes::default(),
        changing: None,
        admitted: None,
        token: None,
        known: Known::default(),
        news: News::default(),
        signed_in_before: false,
        fault: None,
    };
    tokio::spawn(driver.run());
    Ok(())
}

/// What control answered to the first message.
pub(super) enum Admitted {
    /// Another session begins.
    Anew(SignedIn),
    /// The session of before goes on.
    Again(Resumed),
}

/// What the application has asked for that a session does not keep.
#[derive(Default)]
struct Wishes {
    watching: bool,
    away: bool,
}

/// Connections, one after the other, and the session they carry.
pub(super) struct Driver {
    pub(super) settings: Settings,
    pub(super) dialler: Dialler,
    clock: Clock,
    backoff: Backoff,
    // Ends of the application's channels.
    pub(super) commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    // Of the connection that stands.
    pub(super) conversation: Option<Conversation>,
    pub(super) requests: Requests<Waiter>,
    pub(super) admitted: Option<Admitted>,
    // Over all connections.
    /// What the session can be resumed with.
    pub(super) token: Option<ResumeToken>,
    pub(super) known: Known,
    news: News,
    wishes: Wishes,
    /// The password that will hold if the request for it is done.
    changing: Option<(RequestId, Password)>,
    signed_in_before: bool,
    fault: Option<TerminalError>,
}

impl Driver {
    async fn run(mut self) {
        let (mut state, mut signal) = (State::Resting, Signal::Wake);
        loop {
            let (next, deed) = state.on(signal);
            debug!(event = "session_step", ?state, ?signal, ?next, ?deed, "session");
            state = next;
            let done = match deed {
                Deed::Rest => self.rest().await,
                Deed::Dial => self.dial().await,
                Deed::SignIn => self.sign_in().await,
                Deed::Serve => self.serve().await,
                Deed::SignOut => self.sign_out().await,
                Deed::Finish | Deed::Nothing => return self.finish().await,
            };
            signal = done.unwrap_or_else(|error| self.fail(error));
        }
    }

    /// Takes a failure in: whoever waits for an answer learns that none will come.
    fn fail(&mut self, error: TerminalError) -> Signal {
        let signal = Signal::of(&error, self.signed_in_before);
        if let Some(conversation) = self.conversation.take()
            && error.is_the_nodes()
        {
            self.dialler.lost(conversation.address());
        }
        for waiter in self.requests.abandon() {
            let _ = waiter.send(Err(error.clone()));
        }
        self.fault = Some(error);
        signal
    }

    async fn rest(&mut self) -> Result<Signal, TerminalError> {
        let why = self.fault.take().unwrap_or(TerminalError::NotConnected);
        let asked = match why {
            TerminalError::Refused { retry_after_ms, .. } => {
                Duration::from_millis(retry_after_ms.into())
            }
            _ => Duration::ZERO,
        };
        let next_try = self.backoff.next(rand::random(), asked);
        info!(event = "session_not_connected", error = %why, ?next_try, "not connected");
        if !self.tell(Event::Reconnecting { why, next_try }).await {
            return Ok(Signal::Leave);
        }
        let waited = until_told_to_leave(
            (&mut self.commands, &mut self.known),
            tokio::time::sleep(next_try),
        )
        .await;
        Ok(waited.map_or(Signal::Leave, |()| Signal::Wake))
    }

    async fn dial(&mut self) -> Result<Signal, TerminalError> {
        let commands = (&mut self.commands, &mut self.known);
        let begun = until_told_to_leave(commands, Conversation::begin(&mut self.dialler)).await;
        let Some(begun) = begun else { return Ok(Signal::Leave) };
        self.conversation = Some(begun?);
        Ok(Signal::Connected)
    }

    async fn serve(&mut self) -> Result<Signal, TerminalError> {
        self.backoff.reset();
        self.signed_in_before = true;
        self.admit().await?;
        if self.wishes.watching {
            let request = self.requests.number();
            self.say(WatchPresence { request }.into()).await?;
        }
        if self.wishes.away {
            let request = self.requests.number();
            self.say(SetAway { request, away: true }.into()).await?;
        }
        let mut liveness = Liveness::new(self.clock.now());
        loop {
            let watched = self.watch(&mut liveness).await?;
            let reply_due = self.requests.next_deadline();
            let due = watched.into_iter().chain(reply_due).min();
            let due = due.map(|due| self.clock.instant(due));
            let Some(conversation) = &mut self.conversation else {
                return Err(TerminalError::NotConnected);
            };
            tokio::select! {
                heard = conversation.hear() => self.handle(heard?).await?,
                command = self.commands.recv() => match command {
                    Some(Command::Request { build, reply }) => self.ask(build, reply).await?,
                    Some(Command::Tell(message)) => self.say(message).await?,
                    Some(Command::SignOut) | None => return Ok(Signal::Leave),
                },
                () = sleep_until(due) => {
                    for waiter in self.requests.expire(self.clock.now()) {
                        let _ = waiter.send(Err(TerminalError::NoReply));
                    }
                }
            }
        }
    }

    /// Sees to it that control is still there while somebody waits for it; when to look again.
    async fn watch(&mut self, liveness: &mut Liveness) -> Result<Option<Moment>, TerminalError> {
        let somebody = !self.known.is_empty() || self.requests.next_deadline().is_some();
        let waits = match (somebody, self.dialler.has_others()) {
            (false, _) => Waits::No,
            (true, false) => Waits::ForThisNode,
            (true, true) => Waits::ForAnyNode,
        };
        let Some(conversation) = &self.conversation else {
            return Err(TerminalError::NotConnected);
        };
        let datagrams = conversation.datagrams();
        let (now, timing) = (self.clock.now(), self.settings.timing);
        match liveness.look(datagrams, waits, now, &timing) {
            None => Ok(None),
            Some(Watch::Until(at)) => Ok(Some(at)),
            Some(Watch::Ping) => {
                self.say(Ping { at_ms: now.micros() / 1_000 }.into()).await?;
                Ok(Some(now.plus(timing.busy_ping)))
            }
            Some(Watch::Lost) => {
                let ms = timing.busy_silence.as_millis();
                Err(TerminalError::Lost { why: format!("nothing was heard for {ms} ms") })
            }
        }
    }

    async fn ask(&mut self, build: Build, reply: Waiter) -> Result<(), TerminalError> {
        let deadline = self.clock.now().plus(self.settings.timing.reply);
        let request = match self.requests.open(reply, deadline) {
            Ok(request) => request,
            Err(reply) => {
                let _ = reply.send(Err(TerminalError::TooManyRequests));
                return Ok(());
            }
        };
        let message = build(request);
        self.wishes.watching |= matches!(message, FromTerminal::WatchPresence(_));
        self.known.asked(&message);
        if let FromTerminal::SetAway(set) = &message {
            self.wishes.away = set.away;
        }
        if let FromTerminal::ChangePassword(change) = &message {
            self.changing = Some((request, change.new.clone()));
        }
        match self.say(message).await {
            // Only this message is unusable, not the session.
            Err(error @ TerminalError::Settings { .. }) => {
                self.answer(request, Err(error));
                Ok(())
            }
            other => other,
        }
    }

    async fn handle(&mut self, message: ToTerminal) -> Result<(), TerminalError> {
        let event = match message {
            ToTerminal::Done(done) => {
                if let Some((_, new)) = self.changing.take_if(|(asked, _)| *asked == done.request) {
                    self.settings.password = new;
                }
                self.answer(done.request, Ok(Reply::Done));
                return Ok(());
            }
            ToTerminal::Refused(no) => {
                let error =
                    TerminalError::Refused { reason: no.reason, retry_after_ms: no.retry_after_ms };
                self.answer(no.request, Err(error));
                return Ok(());
            }
            ToTerminal::Ringing(Ringing { request, call }) => {
                return self.invited(request, call, Event::Ringing { call }).await;
            }
            ToTerminal::Queued(queued) => {
                return self.invited(queued.request, queued.call, Event::Queued(queued)).await;
            }
            ToTerminal::QueueNews(news) => Event::QueueNews(news),
            ToTerminal::Presence(presence) => Event::Presence(presence),
            ToTerminal::Incoming(incoming) => {
                self.known.heard(incoming.call);
                Event::Incoming(incoming)
            }
            ToTerminal::CallReady(ready) => return self.ready(ready).await,
            ToTerminal::PathRenewed(renewed) => {
                self.known.renewed(&renewed);
                Event::PathRenewed(renewed)
            }
            ToTerminal::PathsChanged(changed) => {
                if !self.known.paths_changed(&changed) {
                    return Ok(());
                }
                Event::PathsChanged(changed)
            }
            ToTerminal::Members(members) => Event::Members(members),
            ToTerminal::AddFailed(failed) => Event::AddFailed(failed),
            ToTerminal::AddDeskFailed(failed) => Event::AddDeskFailed(failed),
            ToTerminal::Merged(merged) => {
                self.known.merged(&merged);
                Event::Merged(merged)
            }
            ToTerminal::MissedCalls(missed) => Event::Missed(missed),
            ToTerminal::Taken(taken) => {
                self.known.over(taken.call);
                Event::Taken { call: taken.call }
            }
            ToTerminal::CallEnded(end) => {
                self.known.over(end.call);
                Event::Ended { call: end.call, reason: end.reason }
            }
            ToTerminal::TokenRenewed(renewed) => {
                self.token = Some(renewed.token);
                return Ok(());
            }
            ToTerminal::SessionEnded(end) => {
                return Err(TerminalError::SessionEnded { reason: end.reason });
            }
            // Another node decides from here on, over the same connection.
            ToTerminal::Resumed(resumed) => return self.settle(resumed).await,
            ToTerminal::SignedIn(_) => return Err(unexpected(&message)),
        };
        self.pass_on(event).await
    }

    async fn ready(&mut self, ready: CallReady) -> Result<(), TerminalError> {
        match self.known.ready(&ready) {
            Ready::Over => self.leave(ready.call).await,
            Ready::First => self.pass_on(Event::Ready(Box::new(ready))).await,
            Ready::Elsewhere => {
                let CallReady { call, round, paths, hitless, .. } = ready;
                let changed = PathsChanged { call, round, paths, hitless };
                self.pass_on(Event::PathsChanged(changed)).await
            }
            Ready::Again(news) => {
                for renewed in news {
                    self.pass_on(Event::PathRenewed(renewed)).await?;
                }
                Ok(())
            }
        }
    }

    /// Tells control that this terminal is in a call no longer.
    pub(super) async fn leave(&mut self, call: CallId) -> Result<(), TerminalError> {
        let request = self.requests.number();
        self.say(HangUp { request, call }.into()).await
    }

    /// The answer to an invitation. A call nobody waits for any more must not go on.
    async fn invited(
        &mut self,
        request: RequestId,
        call: CallId,
        event: Event,
    ) -> Result<(), TerminalError> {
        if self.answer(request, Ok(Reply::Call(call))) {
            self.known.heard(call);
            return self.pass_on(event).await;
        }
        let request = self.requests.number();
        self.say(Cancel { request, call }.into()).await
    }

    /// Gives an answer to whoever waits for it; `false` if nobody does.
    fn answer(&mut self, request: RequestId, answer: Result<Reply, TerminalError>) -> bool {
        self.requests.take(request).is_some_and(|waiter| waiter.send(answer).is_ok())
    }

    pub(super) async fn say(&mut self, message: FromTerminal) -> Result<(), TerminalError> {
        match &mut self.conversation {
            Some(conversation) => conversation.say(&message).await,
            None => Err(TerminalError::NotConnected),
        }
    }

    /// Tells the application; an error if it does not listen.
    pub(super) async fn pass_on(&mut self, event: Event) -> Result<(), TerminalError> {
        if self.tell(event).await {
            return Ok(());
        }
        Err(TerminalError::Lost { why: "the application does not read its events".into() })
    }

    async fn tell(&mut self, event: Event) -> bool {
        self.news.log(&event, self.clock.now());
        self.events.send_timeout(event, EVENT_TIMEOUT).await.is_ok()
    }

    async fn sign_out(&mut self) -> Result<Signal, TerminalError> {
        let request = self.requests.number();
        self.say(SignOut { request }.into()).await?;
        let Some(conversation) = &mut self.conversation else { return Ok(Signal::Left) };
        let ended = async {
            while let Ok(message) = conversation.hear().await {
                if matches!(message, ToTerminal::SessionEnded(_)) {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(SIGN_OUT_TIMEOUT, ended).await;
        self.fault = None;
        Ok(Signal::Left)
    }

    async fn finish(mut self) {
        for waiter in self.requests.abandon() {
            let _ = waiter.send(Err(TerminalError::Over));
        }
        if let Some(conversation) = self.conversation.take() {
            conversation.close().await;
        }
        let why = self.fault.take();
        info!(
            event = "session_over",
            error = why.as_ref().map(tracing::field::display),
            "session over"
        );
        self.tell(Event::SessionEnded { why }).await;
    }
}

/// Waits for `work`; `None` if the application wants to leave first. Requests made meanwhile are
/// refused at once rather than kept for a connection that may never come; but a call that is left
/// stays left.
pub(super) async fn until_told_to_leave<T>(
    (commands, known): (&mut mpsc::Receiver<Command>, &mut Known),
    work: impl Future<Output = T>,
) -> Option<T> {
    /// The number of a request that is not sent.
    const NONE: RequestId = RequestId(0);
    let mut work = core::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            command = commands.recv() => match command {
                Some(Command::Request { build, reply }) => {
                    let done = known.asked(&build(NONE)).then_some(Reply::Done);
                    let _ = reply.send(done.ok_or(TerminalError::NotConnected));
                }
                Some(Command::Tell(_)) => {}
                Some(Command::SignOut) | None => return None,
            },
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => core::future::pending().await,
    }
}

pub(super) fn unexpected(message: &ToTerminal) -> TerminalError {
    TerminalError::Protocol { why: format!("a {} message at this point", message.name()) }
}
