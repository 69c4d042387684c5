//! The task that lives a session: does what the machine says, waits, and passes on.

use super::backoff::Backoff;
use super::conversation::Conversation;
use super::dial::Dialler;
use super::error::TerminalError;
use super::machine::{Deed, Signal, State};
use super::requests::Requests;
use super::terminal::{Build, Command, Event, Reply, Settings};
use crate::clock::Clock;
use core::time::Duration;
use kakehashi_wire::id::{CallId, RequestId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{
    Cancel, FromTerminal, Ringing, SetAway, SignIn, SignOut, SignedIn, ToTerminal, WatchPresence,
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
    let dialler = Dialler::new(&settings)?;
    let timing = settings.timing;
    let driver = Driver {
        dialler,
        backoff: Backoff::new(timing.retry_least, timing.retry_most),
        settings,
        clock: Clock::start(),
        commands,
        events,
        conversation: None,
        requests: Requests::new(),
        watching: false,
        away: false,
        changing: None,
        admitted: None,
        signed_in_before: false,
        fault: None,
    };
    tokio::spawn(driver.run());
    Ok(())
}

struct Driver {
    settings: Settings,
    dialler: Dialler,
    clock: Clock,
    backoff: Backoff,
    // Ends of the application's channels.
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    // Of the connection that stands.
    conversation: Option<Conversation>,
    requests: Requests<Waiter>,
    admitted: Option<SignedIn>,
    // Over all connections.
    watching: bool,
    away: bool,
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
            debug!(?state, ?signal, ?next, ?deed, "session");
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
        self.conversation = None;
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
        info!(error = %why, ?next_try, "not connected");
        if !self.tell(Event::Reconnecting { why, next_try }).await {
            return Ok(Signal::Leave);
        }
        let waited = until_told_to_leave(&mut self.commands, tokio::time::sleep(next_try)).await;
        Ok(waited.map_or(Signal::Leave, |()| Signal::Wake))
    }

    async fn dial(&mut self) -> Result<Signal, TerminalError> {
        let begun =
            until_told_to_leave(&mut self.commands, Conversation::begin(&self.dialler)).await;
        let Some(begun) = begun else { return Ok(Signal::Leave) };
        self.conversation = Some(begun?);
        Ok(Signal::Connected)
    }

    async fn sign_in(&mut self) -> Result<Signal, TerminalError> {
        let settings = &self.settings;
        let Some(conversation) = &mut self.conversation else {
            return Err(TerminalError::NotConnected);
        };
        let (device_key, device_proof) = settings.device_secret.prove(&conversation.exported()?);
        let message = FromTerminal::from(SignIn {
            request: self.requests.number(),
            tenant: settings.tenant.clone(),
            login: settings.login.clone(),
            password: settings.password.clone(),
            device: settings.device,
            device_key,
            device_proof,
            software: settings.software.clone(),
        });
        let reply = settings.timing.reply;
        let exchange = async {
            conversation.say(&message).await?;
            tokio::time::timeout(reply, conversation.hear())
                .await
                .unwrap_or_else(|_| Err(TerminalError::NoReply))
        };
        let Some(answer) = until_told_to_leave(&mut self.commands, exchange).await else {
            return Ok(Signal::Leave);
        };
        match answer? {
            ToTerminal::SignedIn(signed_in) => {
                self.admitted = Some(signed_in);
                Ok(Signal::Admitted)
            }
            ToTerminal::Refused(no) => {
                Err(TerminalError::Refused { reason: no.reason, retry_after_ms: no.retry_after_ms })
            }
            ToTerminal::SessionEnded(end) => {
                Err(TerminalError::SessionEnded { reason: end.reason })
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn serve(&mut self) -> Result<Signal, TerminalError> {
        self.backoff.reset();
        self.signed_in_before = true;
        if let Some(signed_in) = self.admitted.take() {
            info!(session = %signed_in.session, "signed in");
            self.pass_on(Event::SignedIn(signed_in)).await?;
        }
        if self.watching {
            let request = self.requests.number();
            self.say(WatchPresence { request }.into()).await?;
        }
        if self.away {
            let request = self.requests.number();
            self.say(SetAway { request, away: true }.into()).await?;
        }
        loop {
            let due = self.requests.next_deadline().map(|due| self.clock.instant(due));
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
        self.watching |= matches!(message, FromTerminal::WatchPresence(_));
        if let FromTerminal::SetAway(set) = &message {
            self.away = set.away;
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
            ToTerminal::Incoming(incoming) => Event::Incoming(incoming),
            ToTerminal::CallReady(ready) => Event::Ready(Box::new(ready)),
            ToTerminal::PathRenewed(renewed) => Event::PathRenewed(renewed),
            ToTerminal::Members(members) => Event::Members(members),
            ToTerminal::AddFailed(failed) => Event::AddFailed(failed),
            ToTerminal::Merged(merged) => Event::Merged(merged),
            ToTerminal::MissedCalls(missed) => Event::Missed(missed),
            ToTerminal::Taken(taken) => Event::Taken { call: taken.call },
            ToTerminal::CallEnded(end) => Event::Ended { call: end.call, reason: end.reason },
            ToTerminal::SessionEnded(end) => {
                return Err(TerminalError::SessionEnded { reason: end.reason });
            }
            ToTerminal::SignedIn(_) => return Err(unexpected(&message)),
        };
        self.pass_on(event).await
    }

    /// The answer to an invitation. A call nobody waits for any more must not go on.
    async fn invited(
        &mut self,
        request: RequestId,
        call: CallId,
        event: Event,
    ) -> Result<(), TerminalError> {
        if self.answer(request, Ok(Reply::Call(call))) {
            return self.pass_on(event).await;
        }
        let request = self.requests.number();
        self.say(Cancel { request, call }.into()).await
    }

    /// Gives an answer to whoever waits for it; `false` if nobody does.
    fn answer(&mut self, request: RequestId, answer: Result<Reply, TerminalError>) -> bool {
        self.requests.take(request).is_some_and(|waiter| waiter.send(answer).is_ok())
    }

    async fn say(&mut self, message: FromTerminal) -> Result<(), TerminalError> {
        match &mut self.conversation {
            Some(conversation) => conversation.say(&message).await,
            None => Err(TerminalError::NotConnected),
        }
    }

    /// Tells the application; an error if it does not listen.
    async fn pass_on(&mut self, event: Event) -> Result<(), TerminalError> {
        if self.tell(event).await {
            return Ok(());
        }
        Err(TerminalError::Lost { why: "the application does not read its events".into() })
    }

    async fn tell(&mut self, event: Event) -> bool {
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
        info!(error = why.as_ref().map(tracing::field::display), "session over");
        self.tell(Event::SessionEnded { why }).await;
    }
}

/// Waits for `work`; `None` if the application wants to leave first. Requests made meanwhile are
/// refused at once rather than kept for a connection that may never come.
async fn until_told_to_leave<T>(
    commands: &mut mpsc::Receiver<Command>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = core::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            command = commands.recv() => match command {
                Some(Command::Request { reply, .. }) => {
                    let _ = reply.send(Err(TerminalError::NotConnected));
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

fn unexpected(message: &ToTerminal) -> TerminalError {
    TerminalError::Protocol { why: format!("a {} message at this point", message.name()) }
}
