//! What an application holds: a [`Terminal`] to ask with, [`Events`] to be told by.

use super::device_secret::DeviceSecret;
use super::driver;
use super::error::TerminalError;
use crate::capacity::{COMMANDS_MAX, EVENTS_MAX};
use core::net::IpAddr;
use core::time::Duration;
use kakehashi_wire::id::{CallId, DeviceId, MemberId, RequestId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{
    Accept, AddDesk, AddDeskFailed, AddFailed, AddMember, CallEnd, CallReady, Cancel,
    ChangePassword, ChooseLayer, EndWrapUp, FromTerminal, HangUp, Hold, Incoming, Invite,
    InviteDesk, Layer, Listen, Members, Merge, Merged, Missed, MissedCalls, Mute, PathRenewed,
    PathsChanged, Presence, QueueNews, Queued, Reject, ReportQuality, SetAway, Share, SignedIn,
};
use tokio::sync::{mpsc, oneshot};

/// Whom to sign in as, and where.
#[derive(Clone)]
pub struct Settings {
    /// Control's nodes, `host:port` each, the nearest first. Each name may have several addresses.
    pub control: Vec<String>,
    /// The name their certificates must be made out to; `None`: the host each is named by.
    pub server_name: Option<String>,
    /// Certificates of the authorities that may sign it, PEM.
    pub ca_pem: Vec<u8>,
    /// The tenant's name.
    pub tenant: String,
    /// The account's login ID.
    pub login: String,
    /// The account's password.
    pub password: Password,
    /// This device, stable over restarts.
    pub device: DeviceId,
    /// Its key, as stable.
    pub device_secret: DeviceSecret,
    /// Name and version of the application.
    pub software: String,
    /// The address of this machine to speak to control from; the system's choice if `None`.
    pub source: Option<IpAddr>,
    /// How long to wait for what.
    pub timing: Timing,
}

/// How long to wait for what. The defaults are right outside of tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// For the connection to stand.
    pub dial: Duration,
    /// For the answer to a request.
    pub reply: Duration,
    /// For the answer to a resumption, if there is another node to go to.
    pub resume: Duration,
    /// Most of the first delay before dialling again.
    pub retry_least: Duration,
    /// Most of any delay before dialling again.
    pub retry_most: Duration,
    /// Silence after which a keep-alive is sent.
    pub keep_alive: Duration,
    /// Silence after which the connection counts as lost.
    pub idle: Duration,
    /// While in a call, or something is awaited: how often control is made to acknowledge
    /// something.
    pub busy_ping: Duration,
    /// And, if there is another node to go to, the silence after which the connection counts as
    /// lost then.
    pub busy_silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(5),
            // Control gives a sign-in 10 s in its queue.
            reply: Duration::from_secs(10),
            // A resumption costs no password hash: what takes longer than in a storm is stuck.
            resume: Duration::from_secs(3),
            retry_least: Duration::from_millis(100),
            retry_most: Duration::from_secs(10),
            // A network that fell silent is noticed in a third of what a call may ring, and two
            // packets may be lost before.
            keep_alive: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            // Four packets a second, and back within 1.5 s: silence, pause, handshake, resumption.
            busy_ping: Duration::from_millis(250),
            busy_silence: Duration::from_secs(1),
        }
    }
}

/// What happens to a session.
pub enum Event {
    /// Signed in, for the first time or again. Calls of before are over, and were said to be lost.
    SignedIn(SignedIn),
    /// The session goes on over another connection, and its calls with it. A call that still rings
    /// follows as [`Incoming`](Self::Incoming) once more.
    Resumed,
    /// Who of the tenant is there.
    Presence(Presence),
    /// Someone calls.
    Incoming(Incoming),
    /// An invitation was taken: the other side rings.
    Ringing {
        /// The new call.
        call: CallId,
    },
    /// A call to a desk was taken in: it waits. With `announce`, play an announcement of your own.
    Queued(Queued),
    /// The place of a call that waits has changed.
    QueueNews(QueueNews),
    /// The relays are ready: media may begin, or go on in the next round.
    Ready(Box<CallReady>),
    /// A relay seals with another key from now on: hand it to the call's
    /// [`renew_path`](crate::media::CallMedia::renew_path).
    PathRenewed(PathRenewed),
    /// A call goes over other relays: hand it to the call's
    /// [`change_paths`](crate::media::CallMedia::change_paths).
    PathsChanged(PathsChanged),
    /// Who is in a call and how, at each change: hand what comes of it to the call's
    /// [`members`](crate::media::CallMedia::members).
    Members(Members),
    /// Somebody whom this terminal wanted in a call did not come; the call goes on.
    AddFailed(AddFailed),
    /// Nobody came from the desk that this terminal asked; the call goes on.
    AddDeskFailed(AddDeskFailed),
    /// A call goes on as part of another: its media is that of the other from now on.
    Merged(Merged),
    /// Another device of the account has taken the call; nothing more is said of it here.
    Taken {
        /// Which.
        call: CallId,
    },
    /// What the account has missed: after a sign-in if there is anything, and at each change.
    Missed(MissedCalls),
    /// A call is over.
    Ended {
        /// Which.
        call: CallId,
        /// Why.
        reason: CallEnd,
    },
    /// A call is over: this terminal was without a connection for too long, or did not hear why.
    Lost {
        /// Which.
        call: CallId,
    },
    /// The session broke or did not come about; it is tried again. Media of calls goes on
    /// meanwhile, and so do they if it does not take too long.
    Reconnecting {
        /// What happened.
        why: TerminalError,
        /// Delay until the next attempt.
        next_try: Duration,
    },
    /// The session is over for good; no event follows.
    SessionEnded {
        /// Why; none after a sign-out that was asked for.
        why: Option<TerminalError>,
    },
}

/// What the application wants of the session task.
pub(super) enum Command {
    /// Sends a request; the reply is the message that answers it.
    Request { build: Build, reply: oneshot::Sender<Result<Reply, TerminalError>> },
    /// Sends a message that has no answer.
    Tell(FromTerminal),
    /// Ends the session.
    SignOut,
}

/// Makes the request once its number is known.
pub(super) type Build = Box<dyn FnOnce(RequestId) -> FromTerminal + Send>;

/// What answered a request.
pub(super) enum Reply {
    Done,
    Call(CallId),
}

/// Events, in order. Dropping it ends the session.
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` after [`Event::SessionEnded`].
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// A session that keeps itself alive. Clones share it; dropping all of them ends it.
#[derive(Clone)]
pub struct Terminal {
    commands: mpsc::Sender<Command>,
}

impl Terminal {
    /// Starts the session's task on the current tokio runtime; it dials at once.
    ///
    /// # Errors
    /// [`TerminalError::Settings`] if the CA, a node or the server name cannot be used.
    pub fn start(settings: Settings) -> Result<(Self, Events), TerminalError> {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (outbox, events) = mpsc::channel(EVENTS_MAX);
        driver::spawn(settings, inbox, outbox)?;
        Ok((Self { commands }, Events(events)))
    }

    /// Asks to be told presence, now and after every reconnect.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn watch_presence(&self) -> Result<(), TerminalError> {
        self.ask(|request| kakehashi_wire::terminal::WatchPresence { request }.into()).await
    }

    /// Calls `login`; the call is ringing when this returns. At least one stream must be offered
    /// for [`CallMedia`](crate::media::CallMedia) to carry it.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] if the call cannot be, else as the connection has it.
    pub async fn invite(
        &self,
        login: &str,
        streams: Vec<StreamOffer>,
    ) -> Result<CallId, TerminalError> {
        let login = login.to_owned();
        self.call(Box::new(move |request| Invite { request, login, streams }.into())).await
    }

    /// Calls the desk of this name; the call waits there when this returns, and
    /// [`Event::QueueNews`] tells of its place. At least one stream must be offered for
    /// [`CallMedia`](crate::media::CallMedia) to carry it.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] if the call cannot be, else as the connection has it.
    pub async fn invite_desk(
        &self,
        desk: &str,
        streams: Vec<StreamOffer>,
    ) -> Result<CallId, TerminalError> {
        let desk = desk.to_owned();
        self.call(Box::new(move |request| InviteDesk { request, desk, streams }.into())).await
    }

    /// Ends the time in which desks leave this account alone after a call.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] if there is none, else as the connection has it.
    pub async fn end_wrap_up(&self) -> Result<(), TerminalError> {
        self.ask(move |request| EndWrapUp { request }.into()).await
    }

    /// Takes a call; [`Event::Ready`] follows. At least one stream must be offered for
    /// [`CallMedia`](crate::media::CallMedia) to carry it.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn accept(
        &self,
        call: CallId,
        streams: Vec<StreamOffer>,
    ) -> Result<(), TerminalError> {
        self.ask(move |request| Accept { request, call, streams }.into()).await
    }

    /// Declines a call on this device; others of the account ring on.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn reject(&self, call: CallId) -> Result<(), TerminalError> {
        self.ask(move |request| Reject { request, call }.into()).await
    }

    /// Gives up a ringing call. Without a connection, control is told once there is one.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn cancel(&self, call: CallId) -> Result<(), TerminalError> {
        self.ask(move |request| Cancel { request, call }.into()).await
    }

    /// Ends a call. Without a connection, control is told once there is one.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn hang_up(&self, call: CallId) -> Result<(), TerminalError> {
        self.ask(move |request| HangUp { request, call }.into()).await
    }

    /// Changes the account's password. The session then signs in with the new one by itself;
    /// whoever gave the old one in [`Settings`] must keep the new one for the next start.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] if one of them is not taken, else as the connection has it.
    pub async fn change_password(&self, old: Password, new: Password) -> Result<(), TerminalError> {
        self.ask(move |request| ChangePassword { request, old, new }.into()).await
    }

    /// Puts a call on hold, or takes it back; [`Event::Members`] follows if that is a change.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn hold(&self, call: CallId, on: bool) -> Result<(), TerminalError> {
        self.ask(move |request| Hold { request, call, on }.into()).await
    }

    /// Keeps this terminal's voice from everybody, or no longer; [`Event::Members`] follows if that
    /// is a change.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn mute(&self, call: CallId, on: bool) -> Result<(), TerminalError> {
        self.ask(move |request| Mute { request, call, on }.into()).await
    }

    /// Shares the screen that was offered, or no longer; [`Event::Members`] follows if that is a
    /// change.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn share(&self, call: CallId, on: bool) -> Result<(), TerminalError> {
        self.ask(move |request| Share { request, call, on }.into()).await
    }

    /// Receives one layer of another member's cameras from now on.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn choose_layer(
        &self,
        call: CallId,
        member: MemberId,
        layer: Layer,
    ) -> Result<(), TerminalError> {
        self.ask(move |request| ChooseLayer { request, call, member, layer }.into()).await
    }

    /// Says that nobody sits at the account's terminals, or that somebody does again; said anew
    /// after every new sign-in, since control forgets it with the account's last session.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn set_away(&self, away: bool) -> Result<(), TerminalError> {
        self.ask(move |request| SetAway { request, away }.into()).await
    }

    /// Brings `login` into a call. [`Event::Members`] shows it ringing, and [`Event::Ready`] with
    /// the next round follows when it has accepted; [`Event::AddFailed`] if that does not come
    /// about.
    /// With `then_leave` this terminal's part in the call ends when the other is there.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn add_member(
        &self,
        call: CallId,
        login: &str,
        then_leave: bool,
    ) -> Result<(), TerminalError> {
        let login = login.to_owned();
        self.ask(move |request| AddMember { request, call, login, then_leave }.into()).await
    }

    /// Asks the desk of this name for somebody who comes into a call; without a name, asks none any
    /// more. [`Event::QueueNews`] tells of the call's place there, and [`Event::Ready`] with the
    /// next round follows when an agent has accepted; [`Event::AddDeskFailed`] if none does. With
    /// `then_leave` this terminal's part in the call ends when the agent is there.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn add_desk(
        &self,
        call: CallId,
        desk: &str,
        then_leave: bool,
    ) -> Result<(), TerminalError> {
        let desk = desk.to_owned();
        self.ask(move |request| AddDesk { request, call, desk, then_leave }.into()).await
    }

    /// Joins the call `with` of this terminal's to `call`. [`Event::Merged`] follows, or
    /// [`Event::AddFailed`] and both go on as before. With `then_leave` this terminal's part ends
    /// when the others are together.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn merge(
        &self,
        call: CallId,
        with: CallId,
        then_leave: bool,
    ) -> Result<(), TerminalError> {
        self.ask(move |request| Merge { request, call, with, then_leave }.into()).await
    }

    /// Asks what the account has missed; [`Event::Missed`] follows. What was missed until
    /// `seen_until_ms`, as [`MissedCall::at_ms`](kakehashi_wire::terminal::MissedCall::at_ms)
    /// counts, is forgotten; 0 forgets nothing. To call back, [`invite`](Self::invite).
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn missed(&self, seen_until_ms: u64) -> Result<(), TerminalError> {
        self.ask(move |request| Missed { request, seen_until_ms }.into()).await
    }

    /// Listens to a call of the tenant, where role and tenant allow it; [`Event::Ready`] follows.
    /// `streams` carry this terminal's reports and are received by nobody.
    ///
    /// # Errors
    /// [`TerminalError`] as control or the connection has it.
    pub async fn listen(
        &self,
        call: CallId,
        streams: Vec<StreamOffer>,
    ) -> Result<(), TerminalError> {
        self.ask(move |request| Listen { request, call, streams }.into()).await
    }

    /// Says how a call's media arrived so far; not answered. Say it every few seconds, and before
    /// hanging up: what comes after the end of the call is not in its record.
    ///
    /// # Errors
    /// [`TerminalError::Over`] if the session is finished.
    pub async fn report_quality(&self, report: ReportQuality) -> Result<(), TerminalError> {
        self.send(Command::Tell(report.into())).await
    }

    /// Ends the session in good order; [`Event::SessionEnded`] follows.
    ///
    /// # Errors
    /// [`TerminalError::Over`] if it is finished already.
    pub async fn sign_out(&self) -> Result<(), TerminalError> {
        self.send(Command::SignOut).await
    }

    async fn call(&self, build: Build) -> Result<CallId, TerminalError> {
        match self.request(build).await? {
            Reply::Call(call) => Ok(call),
            Reply::Done => {
                Err(TerminalError::Protocol { why: "an invitation was answered Done".into() })
            }
        }
    }

    async fn ask(
        &self,
        build: impl FnOnce(RequestId) -> FromTerminal + Send + 'static,
    ) -> Result<(), TerminalError> {
        self.request(Box::new(build)).await.map(drop)
    }

    async fn request(&self, build: Build) -> Result<Reply, TerminalError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Request { build, reply }).await?;
        answer.await.map_err(|_| TerminalError::Over)?
    }

    async fn send(&self, command: Command) -> Result<(), TerminalError> {
        self.commands.send(command).await.map_err(|_| TerminalError::Over)
    }
}
