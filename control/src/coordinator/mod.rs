//! The node's core: everything it decides, in one place that does no I/O.
//!
//! **`handle(input, now) -> outputs; next_deadline()`. No socket, clock, thread or store.** It
//! holds the sub-states (sessions, presence, calls, fleet) and dispatches between them; each rule
//! lives with its sub-state. Outputs are in order, and whatever follows a [`Output::Write`] waits
//! until that write is on disk.

mod agents;
mod arrivals;
mod asking;
mod devices;
mod ending;
mod holding;
mod inviting;
mod joining;
mod lives;
mod media;
mod mending;
mod missed;
mod placing;
mod presence;
mod progress;
mod queueing;
mod requests;
mod resuming;
mod revoking;
mod rounds;
mod tenants;
mod unsaved;
mod view;

use crate::accounts::DeskList;
use crate::admin::MediaEnd;
use crate::calls::{Calls, Kept, Ssrcs};
use crate::clock::Now;
use crate::desks::{Desks, WrapUps};
use crate::entropy::Entropy;
use crate::fleet::{Fleet, LinkId, Removals, ToLink};
use crate::missed::{Deed, News};
use crate::policy::{Act, MediaFacts, Reason, Target, TenantPolicy};
use crate::records::CallRecord;
use crate::sessions::{Detached, Presences, Pushes, Registry, Revocation, Revoked};
use crate::store::Revision;
use kakehashi_wire::id::{CallId, RelayId, RequestId, SessionId, TenantId, Term};
use kakehashi_wire::node::AgentOrder;
pub use kakehashi_wire::node::{Arrival, Called, KnownAccount, Rejection, Request};
use kakehashi_wire::relay::{FromRelay, Hello};
use kakehashi_wire::terminal::{Done, Presence, Refusal, Refused, SessionEnd, ToTerminal};
use lives::Keeping;
use mending::Mending;
use placing::Placing;
use std::time::Duration;
use tenants::Tenants;
use unsaved::Unsaved;
pub use view::{RelayTally, Tally};

/// What the core needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a call rings.
    pub no_answer: Duration,
    /// How long a session is kept without a connection.
    pub grace: Duration,
    /// What the operator asks of the media of all calls.
    pub media: MediaFacts,
}

impl Target<'_> {
    /// Whoever a login ID names in the tenant.
    fn of(called: Option<Called>) -> Self {
        called.map_or(Self::Nobody, |called| Self::Account(called.role))
    }
}

/// What can happen to the node.
pub enum Input {
    /// Somebody proved who they are.
    Arrived(Arrival),
    /// A session asks for something.
    Asked(SessionId, Request),
    /// A session is over.
    Gone(SessionId),
    /// A relay connected.
    LinkUp(LinkId, Hello),
    /// A relay said something.
    LinkSaid(LinkId, FromRelay),
    /// A relay's connection is gone.
    LinkDown(LinkId),
    /// The store has the write that was asked for.
    Written(CallId),
    /// The store did not take a write.
    WriteFailed(Write),
    /// The store has what was to be kept of a call before its members are told of this change of
    /// its relays.
    Kept(CallId, Duration),
    /// The store did not take what was to be kept of a call.
    KeepFailed(CallId),
    /// The store has not answered for a while, or does again.
    StoreHangs(bool),
    /// Time has passed.
    Tick,
    /// The node shuts down.
    Stop,
    /// Somebody's rights end, as the store says by now.
    Revoked(Revocation),
    /// What a tenant may have and how it wants its calls, as the store says by then.
    Tenant(TenantId, Box<TenantPolicy>, Revision),
    /// An operator or administrator ends a call.
    EndCall(CallId),
    /// A relay is taken out of use, or put back.
    Drain(RelayId, bool),
    /// What an account has missed, as the store says by now.
    Missed(News),
    /// The desks of a tenant, as the store says by now.
    Desks(TenantId, DeskList),
    /// A session's connection is lost; it may come back.
    Lost(SessionId),
}

/// A change of what the store keeps of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Keep this.
    Put(CallRecord),
    /// Keep nothing: the call was refused although its record may have been written.
    Forget(CallRecord),
}

impl Write {
    /// What it is about.
    pub fn record(&self) -> &CallRecord {
        match self {
            Self::Put(record) | Self::Forget(record) => record,
        }
    }
}

/// What is answered for `reason`.
pub(crate) fn rejected(reason: Refusal) -> Rejection {
    Rejection { reason, retry_after_ms: retry_after_ms(reason) }
}

/// What the node does.
pub enum Output {
    /// Decides an [`Input::Arrived`].
    Arrival(SessionId, Result<(), Rejection>),
    /// Says something to a terminal.
    Say(SessionId, ToTerminal),
    /// Says one thing to many terminals.
    Push(Vec<SessionId>, Presence),
    /// Has the node of a session keep what the next core is to know of its agent.
    Remember(SessionId, AgentOrder),
    /// Ends a session: says why after all that was said before, then closes.
    End(SessionId, SessionEnd),
    /// Something for a relay.
    Link(ToLink),
    /// The relays have removed the legs of an [`Input::Revoked`], or have had their time for it.
    Removed(Revocation, MediaEnd),
    /// Changes the store. Later outputs wait for it.
    Write(Write),
    /// What another core needs to go on with a call, in place of what was kept of it before.
    /// Nothing waits for it but what follows a write of the same call in this turn.
    Keep(Kept),
    /// Something was refused; the log has the reason.
    Refused(SessionId, Act, Reason),
    /// Something about missed calls, for whoever keeps them.
    Missed(Deed),
    /// Relays obey a newer term than this node's, and are not ordered any more.
    NewerTerm(Term),
    /// A call of this tenant is carried without the protection that the tenant is to have: no other
    /// relay can take its legs.
    Unprotected(CallId, TenantId),
}

/// The core.
pub struct Coordinator {
    settings: Settings,
    entropy: Entropy,
    sessions: Registry,
    revoked: Revoked,
    tenants: Tenants,
    detached: Detached,
    presences: Presences,
    pushes: Pushes,
    calls: Calls,
    ssrcs: Ssrcs,
    fleet: Fleet,
    removals: Removals,
    desks: Desks,
    wraps: WrapUps,
    unsaved: Unsaved,
    mending: Mending,
    placing: Placing,
    keeping: Keeping,
    /// The store does not answer: what goes on goes on, and nothing new begins.
    store_hangs: bool,
    out: Vec<Output>,
}

impl Coordinator {
    /// An empty node.
    pub fn new(settings: Settings, entropy: Entropy, fleet: Fleet) -> Self {
        let desks = Desks::new(fleet.term());
        Self {
            settings,
            entropy,
            sessions: Registry::default(),
            revoked: Revoked::default(),
            tenants: Tenants::default(),
            detached: Detached::default(),
            presences: Presences::default(),
            pushes: Pushes::default(),
            calls: Calls::default(),
            ssrcs: Ssrcs::default(),
            fleet,
            removals: Removals::default(),
            desks,
            wraps: WrapUps::default(),
            unsaved: Unsaved::default(),
            mending: Mending::default(),
            placing: Placing::default(),
            keeping: Keeping::default(),
            store_hangs: false,
            out: Vec::new(),
        }
    }

    /// Lets `input` happen at `now`.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Output> {
        match input {
            Input::Arrived(arrival) => self.arrived(arrival, now),
            Input::Asked(session, request) => self.asked(session, request, now),
            Input::Gone(session) => self.gone(session, now),
            Input::LinkUp(link, hello) => {
                self.removals.lose(hello.relay);
                let mut said = Vec::new();
                self.fleet.link_up(link, hello, &mut said);
                self.out.extend(said.into_iter().map(Output::Link));
                self.mend_all(now);
            }
            Input::LinkSaid(link, FromRelay::Rollovers(said)) => self.wrapped(link, &said, now),
            Input::LinkSaid(link, message) => {
                self.note_removals(link, &message, now);
                let news = self.fleet.heard(link, message, now.since_start);
                self.out.extend(self.fleet.newer_term().map(Output::NewerTerm));
                self.look_at_legs(news, now);
            }
            Input::LinkDown(link) => {
                self.fleet.at(link).into_iter().for_each(|relay| self.removals.lose(relay));
                let news = self.fleet.link_down(link);
                self.mend_later(&news, now);
                self.look_at_legs(news, now);
            }
            Input::Written(call) => self.written(call, now),
            Input::WriteFailed(write) => self.write_failed(write, now),
            Input::Kept(call, since) => self.change_is_kept(call, since, now),
            Input::KeepFailed(call) => self.keeping.failed(call, now.since_start),
            Input::StoreHangs(hangs) => self.store_hangs = hangs,
            Input::Tick => {}
            Input::Stop => self.stop(),
            Input::Revoked(revocation) => self.revoke(&revocation, now),
            Input::Tenant(tenant, policy, at) => self.tenants.know(tenant, *policy, at),
            Input::EndCall(call) => self.end_by_operator(call, now),
            Input::Drain(relay, on) => self.drain(relay, on, now),
            Input::Missed(news) => self.missed_news(news),
            Input::Desks(tenant, list) => self.set_desks(tenant, list, now),
            Input::Lost(session) => self.lost(session, now),
        }
        self.finish(now)
    }

    /// Does what is due, and hands out all that was decided.
    fn finish(&mut self, now: Now) -> Vec<Output> {
        self.fleet.note_time(now.since_start);
        self.count_standbys(now);
        self.look_at_detached(now);
        self.look_at_timers(now);
        self.place_waiting(now);
        self.mend_due(now);
        self.retry_writes(now);
        self.serve_desks(now);
        self.tell_of_agents(now);
        self.push_presence(now);
        self.flush_fleet(now);
        self.tell_of_removals(now);
        self.keep_calls(now);
        std::mem::take(&mut self.out)
    }

    /// When an [`Input::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        let deadlines = [
            self.calls.next_deadline(),
            self.fleet.next_deadline(),
            self.removals.next_deadline(),
            self.unsaved.next_retry(),
            self.keeping.next_retry(),
            self.pushes.next_due(),
            self.wraps.next_deadline(),
            self.desks.next_news(),
            self.detached.next_end(),
            self.mending.next(),
            self.placing.next(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn say(&mut self, session: SessionId, message: impl Into<ToTerminal>) {
        let message = message.into();
        if !self.detached.has(session) {
            self.out.push(Output::Say(session, message));
        } else if let ToTerminal::CallEnded(ended) = message {
            self.detached.keep(session, ended);
        }
    }

    fn done(&mut self, session: SessionId, request: RequestId) {
        self.say(session, Done { request });
    }

    fn refuse(&mut self, session: SessionId, request: RequestId, reason: Refusal) {
        self.say(session, Refused { request, reason, retry_after_ms: retry_after_ms(reason) });
    }

    fn write(&mut self, record: CallRecord) {
        self.out.push(Output::Write(Write::Put(record)));
    }

    fn flush_fleet(&mut self, now: Now) {
        let mut said = Vec::new();
        self.fleet.flush(now.since_start, &mut said);
        self.out.extend(said.into_iter().map(Output::Link));
    }
}

/// When a refused request may be tried again, in milliseconds; 0 if waiting will not help.
pub fn retry_after_ms(reason: Refusal) -> u32 {
    match reason {
        Refusal::Busy | Refusal::NoRelay | Refusal::StoreUnavailable => 1_000,
        // By then sessions whose terminals died have been noticed.
        Refusal::SignedInElsewhere | Refusal::TenantFull => {
            u32::try_from(crate::capacity::IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
