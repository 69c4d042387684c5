//! The shell around the core: one task turns inputs into outputs, a second carries them out.
//!
//! The second task is where outputs wait for the disk, so the core itself never does: while one
//! turn's records are being written, the next turns are decided, and their records share the next
//! flush. It waits for a moment at most: calls that go on must not stop for a store that does.

mod carry;
mod refusals;
mod saver;
mod seat;
mod story;

use crate::accounts::{DeskList, KnownTenant};
use crate::admin::{CallRow, Live, LiveFuture, MediaEnd, NoLead, RelayRow, SessionRow};
use crate::capacity::{INPUTS_MAX, MISSED_QUEUE_MAX, TALLY_EVERY, TURNS_WAITING_MAX};
use crate::clock::Clock;
use crate::coordinator::{Arrival, Coordinator, Input, Output, Rejection};
use crate::drained;
use crate::fleet::LinkId;
use crate::gate::Outbox;
use crate::lives::Lives;
use crate::metrics::Metrics;
use crate::missed;
use crate::records::Records;
use crate::sessions::Revocation;
use crate::store::SharedStore;
use carry::Carrier;
use kakehashi_wire::id::{CallId, RelayId, SessionId, TenantId};
use kakehashi_wire::relay::{Hello, ToRelay};
use saver::Saver;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

pub(crate) use seat::Seat;

/// Whoever has something for the core holds one of these.
#[derive(Clone)]
pub struct Core {
    events: mpsc::Sender<Event>,
    store: SharedStore,
}

/// Decides a sign-in.
pub(crate) type Verdict = oneshot::Sender<Result<Seat, Rejection>>;

/// What reaches the core's task.
enum Event {
    Input(Input),
    /// Without a verdict to give here, the outbox hears it.
    Arrived(Arrival, Outbox, Option<Verdict>),
    LinkUp(LinkId, Hello, mpsc::Sender<ToRelay>),
    /// Told when the relays are on it, and once more when they have answered.
    Revoked(Revocation, oneshot::Sender<()>, oneshot::Sender<MediaEnd>),
    EndCall(Option<TenantId>, CallId, oneshot::Sender<()>),
    KnowsRelay(RelayId, oneshot::Sender<bool>),
    /// Somebody wants to know whether anything is decided at all.
    Awake(oneshot::Sender<()>),
    Calls(oneshot::Sender<Vec<CallRow>>),
    Sessions(oneshot::Sender<Vec<SessionRow>>),
    Relays(oneshot::Sender<Vec<RelayRow>>),
}

/// Whoever outputs may name.
enum Attach {
    Session(SessionId, Outbox, Option<Verdict>),
    Link(LinkId, mpsc::Sender<ToRelay>),
    GoneSession(SessionId),
    GoneLink(LinkId),
    Waits(Revocation, oneshot::Sender<MediaEnd>),
}

/// What came of one event.
struct Turn {
    attach: Option<Attach>,
    outputs: Vec<Output>,
    /// Its orders wait for no record: neither its own nor an earlier turn's. Told when they are on
    /// their way.
    urgent: Option<oneshot::Sender<()>>,
}

/// What an event is for the core and the carrier.
struct Sorted {
    input: Input,
    attach: Option<Attach>,
    urgent: Option<oneshot::Sender<()>>,
}

impl Core {
    /// Something happened.
    pub(crate) async fn input(&self, input: Input) {
        // Without a core the node is shutting down, and every connection is closed with it.
        let _stopping = self.events.send(Event::Input(input)).await;
    }

    /// Somebody proved who they are; `None` if the node is shutting down.
    pub(crate) async fn arrive(
        &self,
        arrival: Arrival,
        outbox: Outbox,
    ) -> Option<Result<Seat, Rejection>> {
        let (verdict, decided) = oneshot::channel();
        self.events.send(Event::Arrived(arrival, outbox, Some(verdict))).await.ok()?;
        decided.await.ok()
    }

    /// Somebody proved who they are at another node, which hears the verdict by `outbox`.
    pub(crate) async fn arrive_at_node(&self, arrival: Arrival, outbox: Outbox) {
        let _stopping = self.events.send(Event::Arrived(arrival, outbox, None)).await;
    }

    /// A relay connected; what is for it goes to `orders`.
    pub(crate) async fn link_up(&self, link: LinkId, hello: Hello, orders: mpsc::Sender<ToRelay>) {
        let _stopping = self.events.send(Event::LinkUp(link, hello, orders)).await;
    }

    /// Whether it decides; comes when it does, or is over.
    pub(crate) async fn answers(&self) -> bool {
        self.ask(Event::Awake).await.is_ok()
    }

    fn ask<T: Send + 'static>(
        &self,
        event: impl FnOnce(oneshot::Sender<T>) -> Event + Send + 'static,
    ) -> LiveFuture<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let _stopping = self.events.send(event(answer)).await;
            answered.await.map_err(|_over| NoLead)
        })
    }
}

impl Live for Core {
    fn live_calls(&self) -> LiveFuture<'_, Vec<CallRow>> {
        self.ask(Event::Calls)
    }

    fn sessions(&self) -> LiveFuture<'_, Vec<SessionRow>> {
        self.ask(Event::Sessions)
    }

    fn relays(&self) -> LiveFuture<'_, Vec<RelayRow>> {
        self.ask(Event::Relays)
    }

    fn drain(&self, relay: RelayId, on: bool) -> LiveFuture<'_, bool> {
        Box::pin(async move {
            if !self.ask(move |done| Event::KnowsRelay(relay, done)).await? {
                return Ok(false);
            }
            // On disk first: another core is to know of what was answered.
            if let Err(error) = drained::note(&self.store, relay, on).await {
                tracing::error!(event = "relay_disuse_not_stored", %error, %relay,
                    "that a relay is out of use could not be noted");
                return Err(NoLead);
            }
            self.input(Input::Drain(relay, on)).await;
            Ok(true)
        })
    }

    fn know(&self, KnownTenant { tenant, revision }: KnownTenant) -> LiveFuture<'_, ()> {
        let input = Input::Tenant(tenant.id, Box::new(tenant.policy()), revision);
        Box::pin(async {
            self.input(input).await;
            Ok(())
        })
    }

    fn end_call(&self, tenant: Option<TenantId>, call: CallId) -> LiveFuture<'_, bool> {
        Box::pin(async move {
            let (done, carried) = oneshot::channel();
            let _stopping = self.events.send(Event::EndCall(tenant, call, done)).await;
            // Of a call that does not go on, nothing is carried.
            Ok(carried.await.is_ok())
        })
    }

    fn set_desks(&self, tenant: TenantId, list: DeskList) -> LiveFuture<'_, ()> {
        Box::pin(async move {
            self.input(Input::Desks(tenant, list)).await;
            Ok(())
        })
    }

    fn revoke(&self, revocation: Revocation) -> LiveFuture<'_, Option<MediaEnd>> {
        Box::pin(async move {
            let (removed, answered) = oneshot::channel();
            self.ask(move |told| Event::Revoked(revocation, told, removed)).await?;
            answered.await.map(Some).map_err(|_over| NoLead)
        })
    }
}

/// The tasks of a core.
pub(crate) struct Tasks {
    decides: JoinHandle<()>,
    carries: JoinHandle<()>,
    /// What goes on beside them until they end.
    beside: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Waits until [`Input::Stop`] has been carried out.
    pub(crate) async fn carried_out(self) {
        let _carried = self.carries.await;
        if let Some(beside) = self.beside {
            beside.abort();
            // It holds the store until it is gone.
            let _ended = beside.await;
        }
    }

    /// With a task that is of use while this core decides, and may end at any moment.
    pub(crate) fn with(self, beside: Option<JoinHandle<()>>) -> Self {
        Self { beside, ..self }
    }

    /// Ends the core where it stands: nothing more is decided, told or written.
    pub(crate) fn halt(self) {
        self.decides.abort();
        self.carries.abort();
        if let Some(beside) = self.beside {
            beside.abort();
        }
    }
}

/// Starts the tasks of a core; what it has decided already is carried out `first`.
pub(crate) fn start(
    core: Coordinator,
    clock: Clock,
    (records, lives): (Arc<Records>, Arc<Lives>),
    store: SharedStore,
    first: Vec<Output>,
    metrics: Arc<Metrics>,
) -> (Core, Tasks) {
    let (events, queue) = mpsc::channel(INPUTS_MAX);
    let (turns, waiting) = mpsc::channel(TURNS_WAITING_MAX);
    // Bounded by the turns and deeds that wait, the calls and the sessions: each write and each
    // deed is answered once, and once more when it was given up; each session ends once.
    let (feedback, answers) = mpsc::unbounded_channel();
    let first = Turn { attach: None, outputs: first, urgent: None };
    let watched = Watched(Arc::clone(&metrics));
    let decides = tokio::spawn(decide(core, clock, (queue, answers), (turns, first), watched));
    let (deeds, to_do) = mpsc::channel(MISSED_QUEUE_MAX);
    let news = feedback.clone();
    let kept_in = Arc::clone(&store);
    let kept = tokio::spawn(missed::keep(store, to_do, move |told| {
        let _stopping = news.send(Input::Missed(told));
    }));
    let saver = Saver::new(records, lives, feedback.clone());
    let carrier = Carrier::new(saver, feedback, deeds, metrics);
    let carries = tokio::spawn(async move {
        carrier.run(waiting).await;
        let _kept = kept.await;
    });
    (Core { events, store: kept_in }, Tasks { decides, carries, beside: None })
}

async fn decide(
    mut core: Coordinator,
    clock: Clock,
    (mut events, mut answers): (mpsc::Receiver<Event>, mpsc::UnboundedReceiver<Input>),
    (turns, first): (mpsc::Sender<Turn>, Turn),
    watched: Watched,
) {
    let Watched(metrics) = &watched;
    let mut tallies = tokio::time::interval(TALLY_EVERY);
    tallies.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // There is room: nothing was sent before.
    let _first = turns.send(first).await;
    let mut stopping = false;
    while !stopping {
        let now = clock.now().since_start;
        let due = core.next_deadline().map(|at| at.saturating_sub(now));
        let event = tokio::select! {
            biased;
            Some(answer) = answers.recv() => Event::Input(answer),
            () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => {
                Event::Input(Input::Tick)
            }
            _ = tallies.tick() => {
                metrics.set_tally(Some(core.tally()));
                continue;
            }
            Some(event) = events.recv() => event,
            else => return,
        };
        let Some(Sorted { input, attach, urgent }) = sort(event, &core) else { continue };
        stopping = matches!(input, Input::Stop);
        metrics.hears(&input);
        let outputs = core.handle(input, clock.now());
        metrics.decided(&outputs);
        if turns.send(Turn { attach, outputs, urgent }).await.is_err() {
            return;
        }
    }
}

/// Whoever watches a core. A core that is over has nothing more to show.
struct Watched(Arc<Metrics>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.set_tally(None);
    }
}

/// The input an event is, and what comes with it; none for a question, which is answered at once.
fn sort(event: Event, core: &Coordinator) -> Option<Sorted> {
    let sorted = |input, attach| Some(Sorted { input, attach, urgent: None });
    // An asker that is gone needs no answer.
    match event {
        Event::Input(input) => {
            let attach = gone(&input);
            sorted(input, attach)
        }
        Event::Arrived(arrival, outbox, verdict) => {
            let attach = Attach::Session(arrival.session, outbox, verdict);
            sorted(Input::Arrived(arrival), Some(attach))
        }
        Event::LinkUp(link, hello, orders) => {
            sorted(Input::LinkUp(link, hello), Some(Attach::Link(link, orders)))
        }
        Event::Revoked(revocation, told, removed) => {
            let input = Input::Revoked(revocation);
            let attach = Some(Attach::Waits(revocation, removed));
            Some(Sorted { input, attach, urgent: Some(told) })
        }
        Event::EndCall(tenant, call, done) => core.goes_on(tenant, call).then_some(Sorted {
            input: Input::EndCall(call),
            attach: None,
            urgent: Some(done),
        }),
        Event::KnowsRelay(relay, answer) => {
            let _gone = answer.send(core.knows_relay(relay));
            None
        }
        Event::Awake(answer) => {
            let _gone = answer.send(());
            None
        }
        Event::Calls(answer) => {
            let _gone = answer.send(core.call_rows());
            None
        }
        Event::Sessions(answer) => {
            let _gone = answer.send(core.session_rows());
            None
        }
        Event::Relays(answer) => {
            let _gone = answer.send(core.relay_rows());
            None
        }
    }
}

fn gone(input: &Input) -> Option<Attach> {
    match input {
        Input::Gone(session) | Input::Lost(session) => Some(Attach::GoneSession(*session)),
        Input::LinkDown(link) => Some(Attach::GoneLink(*link)),
        _ => None,
    }
}
