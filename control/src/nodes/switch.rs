//! This node's sessions, and the way to the lead. Kept apart from connections and from the lead, so
//! that either may go: a new lead gets every session at once, with what it waits for, and no
//! terminal connects again for that.
//!
//! While there is no lead, what terminals ask waits for a short time and is refused then.

mod held;
mod ops;
mod stale;

pub(super) use ops::Deed;

use super::Queue;
use crate::accounts::Accounts;
use crate::capacity::nodes::{HAND_OVER_MESSAGES_MAX, LEADLESS_PATIENCE};
use crate::coordinator::{Arrival, Rejection, retry_after_ms};
use crate::driver::{Seat, Verdict as Waiter};
use crate::entropy::Entropy;
use crate::gate::{Outbox, Said};
use held::Held;
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::node::{
    Asked, Did, FromNode, Left, LookAt, Remember, Request, Say, ToNode, Verdict,
};
use kakehashi_wire::terminal::{Refusal, SessionEnd};
use ops::Ops;
use stale::Stale;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// The request of what nobody asked for: what comes of a hand-over.
const OF_HAND_OVER: RequestId = RequestId(0);

/// What reaches the switch.
pub(super) enum Event {
    /// Somebody proved who they are.
    Arrived(Box<Arrival>, Outbox, Waiter),
    /// A session asks for something.
    Asked(SessionId, Request),
    /// A session's connection is gone; its terminal may come back, or not.
    Left(SessionId, bool),
    /// The way to the lead from now on, if there is one.
    Route(Option<Queue<FromNode>>),
    /// The lead said something over the link of that number.
    Said(u64, ToNode),
    /// Operators want to see something.
    Look(LookAt, oneshot::Sender<Vec<u8>>),
    /// Operators want something done.
    Act(Deed, oneshot::Sender<Did>),
    /// A session was let in with rights that count no longer.
    Stale(SessionId),
    /// Somebody wants to know whether this runs.
    Awake(oneshot::Sender<()>),
    /// The node shuts down.
    Stop,
}

/// The sessions by this node's number for them, which is the first that the lead had.
pub(super) struct Switch {
    held: HashMap<SessionId, Held>,
    /// The same by the lead's number.
    at_lead: HashMap<SessionId, SessionId>,
    route: Option<Queue<FromNode>>,
    /// Sessions that the lead is yet to be told of.
    to_hand_over: VecDeque<SessionId>,
    /// When those who wait for a lead have waited enough; none while there is one, or when they
    /// have.
    patience_ends: Option<Instant>,
    ops: Ops,
    stale: Stale,
    entropy: Entropy,
    ended: mpsc::UnboundedSender<SessionId>,
}

impl Switch {
    /// A switch without sessions, and where it hears of dropped seats. Each session ends once, so
    /// that queue is as long as there are sessions at most.
    pub(super) fn new(
        accounts: Arc<Accounts>,
        entropy: Entropy,
    ) -> (Self, mpsc::UnboundedReceiver<SessionId>) {
        let (ended, ends) = mpsc::unbounded_channel();
        let switch = Self {
            held: HashMap::new(),
            at_lead: HashMap::new(),
            route: None,
            to_hand_over: VecDeque::new(),
            patience_ends: Some(Instant::now() + LEADLESS_PATIENCE),
            ops: Ops::default(),
            stale: Stale::new(accounts),
            entropy,
            ended,
        };
        (switch, ends)
    }

    /// Runs until the node shuts down.
    pub(super) async fn run(
        mut self,
        events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
        mut ends: mpsc::UnboundedReceiver<SessionId>,
    ) {
        let (own, mut events) = events;
        loop {
            let route = self.route.clone().filter(|_| !self.to_hand_over.is_empty());
            let patience_ends = self.patience_ends;
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Stop) | None => return self.stop(),
                    Some(event) => self.take(event, &own),
                },
                Some(session) = ends.recv() => self.left(session, false),
                Some(mut room) = room(route.as_ref()) => {
                    for (message, place) in self.hand_over().into_iter().zip(&mut room) {
                        place.send(message);
                    }
                }
                () = until(patience_ends) => self.give_up(),
            }
        }
    }

    fn take(&mut self, event: Event, own: &mpsc::Sender<Event>) {
        match event {
            Event::Arrived(arrival, outbox, waiter) => {
                let session = arrival.session;
                self.held.insert(session, Held::new(*arrival, outbox, waiter));
                if self.is_given_up() {
                    return self.refuse_arrival(session);
                }
                self.to_hand_over.push_back(session);
                if let Some(held) = self.held.get(&session) {
                    self.stale.look_at(session, held.granted(), own);
                }
            }
            Event::Asked(session, request) => self.asked(session, request),
            Event::Left(session, may_return) => self.left(session, may_return),
            Event::Route(route) => self.set_route(route, own),
            Event::Said(link, message) => {
                if self.route.as_ref().is_some_and(|route| route.number() == link) {
                    self.said(message);
                }
            }
            Event::Look(at, answer) => self.ops.look(at, answer, self.route.as_ref()),
            Event::Act(deed, answer) => self.ops.act(deed, answer, self.route.as_ref()),
            Event::Stale(session) => self.end(session, SessionEnd::NodeStopping, false),
            Event::Awake(answer) => {
                // Whoever asked has not waited so long.
                let _gone = answer.send(());
            }
            Event::Stop => {}
        }
    }

    fn is_given_up(&self) -> bool {
        self.route.is_none() && self.patience_ends.is_none()
    }

    fn push(&self, message: impl Into<FromNode>) {
        if let Some(route) = &self.route {
            route.push(message);
        }
    }

    fn set_route(&mut self, route: Option<Queue<FromNode>>, own: &mpsc::Sender<Event>) {
        let had_lead = self.route.is_some();
        self.route = route;
        self.at_lead.clear();
        self.to_hand_over.clear();
        // Whether the lead that is gone had let them in is not known.
        let undecided = self.held.iter().filter(|(_, held)| held.is_undecided());
        for session in undecided.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.refuse_arrival(session);
        }
        for held in self.held.values_mut() {
            held.leave_lead();
        }
        match &self.route {
            Some(route) => {
                self.patience_ends = None;
                self.to_hand_over.extend(self.held.keys().copied());
                self.ops.ask_again(route);
                self.look_for_stale(own);
            }
            None if had_lead => self.patience_ends = Some(Instant::now() + LEADLESS_PATIENCE),
            None => {}
        }
    }

    /// What the lead is told of the next session.
    fn hand_over(&mut self) -> Vec<FromNode> {
        let Some(session) = self.to_hand_over.pop_front() else { return Vec::new() };
        let Some(held) = self.held.get_mut(&session) else { return Vec::new() };
        let at_lead = if held.is_let_in() { SessionId(self.entropy.nonzero()) } else { session };
        self.at_lead.insert(at_lead, session);
        let mut overflows = false;
        let mut messages = vec![held.arrival(at_lead).into()];
        for (request, is_known) in held.asked() {
            if is_known && !request.may_be_repeated() {
                overflows |= held.refuse(&request).is_err();
            } else {
                messages.push(Asked { session: at_lead, request }.into());
            }
        }
        messages.truncate(HAND_OVER_MESSAGES_MAX);
        if overflows {
            self.left(session, false);
        }
        messages
    }

    fn asked(&mut self, session: SessionId, request: Request) {
        let is_given_up = self.is_given_up();
        let Some(held) = self.held.get_mut(&session) else { return };
        if let Request::Moved(seen_at) = request {
            held.see(seen_at);
        }
        if matches!(request, Request::SignOut) && self.route.is_none() {
            return self.end(session, SessionEnd::SignedOut, false);
        }
        if is_given_up || !held.keep(&request) {
            if held.refuse(&request).is_err() {
                self.left(session, false);
            }
        } else if let Some(session) = held.number_at_lead() {
            self.push(Asked { session, request });
        }
    }

    fn left(&mut self, session: SessionId, may_return: bool) {
        let Some(held) = self.held.remove(&session) else { return };
        if let Some(at_lead) = held.number_at_lead() {
            self.at_lead.remove(&at_lead);
            self.push(Left { session: at_lead, may_return });
        }
    }

    /// Ends a session here.
    fn end(&mut self, session: SessionId, reason: SessionEnd, may_return: bool) {
        let Some(held) = self.held.get_mut(&session) else { return };
        if let Some(outbox) = held.take_outbox() {
            outbox.end(reason);
        }
        self.left(session, may_return);
    }

    fn said(&mut self, message: ToNode) {
        match message {
            ToNode::Verdict(Verdict { session, refused }) => self.decided(session, refused),
            ToNode::Say(Say { session, answers, said }) => {
                let Some(session) = self.at_lead.get(&session).copied() else { return };
                let Some(held) = self.held.get_mut(&session) else { return };
                if held.is_for_terminal(answers, &said) {
                    self.say(session, Said::PassedOn(said));
                }
            }
            ToNode::Push(push) => {
                let said: Arc<[u8]> = push.said.into();
                for at_lead in push.sessions {
                    if let Some(session) = self.at_lead.get(&at_lead).copied() {
                        self.say(session, Said::Encoded(Arc::clone(&said)));
                    }
                }
            }
            ToNode::End(end) => {
                if let Some(session) = self.at_lead.get(&end.session).copied() {
                    self.end(session, end.reason, false);
                }
            }
            ToNode::Remember(Remember { session, agent }) => {
                let session = self.at_lead.get(&session);
                if let Some(held) = session.and_then(|session| self.held.get_mut(session)) {
                    held.remember(agent);
                }
            }
            ToNode::Did(did) => self.ops.did(did),
            ToNode::Rows(rows) => self.ops.rows(rows),
            ToNode::NodeBeat(_) => {}
        }
    }

    fn say(&mut self, session: SessionId, said: Said) {
        let Some(held) = self.held.get_mut(&session) else { return };
        if held.say(said).is_err() {
            tracing::warn!(event = "session_too_slow", %session,
                "ending: the terminal reads too slowly");
            self.left(session, false);
        }
    }

    fn decided(&mut self, at_lead: SessionId, refused: Option<Rejection>) {
        let Some(session) = self.at_lead.get(&at_lead).copied() else { return };
        let Some(held) = self.held.get_mut(&session) else { return };
        match (held.take_waiter(), refused) {
            (Some(waiter), None) => {
                held.let_in();
                let ended = self.ended.clone();
                let seat = Seat::new(session, move |session| {
                    let _stopping = ended.send(session);
                });
                // A seat that nobody waits for any more is dropped, which ends the session.
                let _gone = waiter.send(Ok(seat));
            }
            (Some(waiter), Some(rejection)) => {
                let _gone = waiter.send(Err(rejection));
                self.left(session, false);
            }
            (None, None) => {}
            // It connects again, and hears why if it may not.
            (None, Some(rejection)) => {
                tracing::info!(event = "session_not_taken_over",
                    %session, reason = ?rejection.reason, "not taken by a new lead");
                self.end(session, SessionEnd::NodeStopping, true);
            }
        }
    }

    /// There has been no lead for too long.
    fn give_up(&mut self) {
        self.patience_ends = None;
        let sessions: Vec<_> = self.held.keys().copied().collect();
        for session in sessions {
            let Some(held) = self.held.get_mut(&session) else { continue };
            if !held.is_let_in() {
                self.refuse_arrival(session);
                continue;
            }
            let waiting = held.take_asked();
            if waiting.iter().any(|request| held.refuse(request).is_err()) {
                self.left(session, false);
            }
        }
        tracing::warn!(event = "lead_vacant", "no node leads: requests are refused until one does");
    }

    fn refuse_arrival(&mut self, session: SessionId) {
        let Some(mut held) = self.held.remove(&session) else { return };
        let reason = Refusal::Busy;
        let rejection = Rejection { reason, retry_after_ms: retry_after_ms(reason) };
        if let Some(waiter) = held.take_waiter() {
            let _gone = waiter.send(Err(rejection));
        }
    }

    /// This lead may not have been told of whose rights have ended.
    fn look_for_stale(&mut self, own: &mpsc::Sender<Event>) {
        let granted = |(session, held): (&SessionId, &Held)| (*session, held.granted());
        let granted: Vec<_> = self.held.iter().map(granted).collect();
        self.stale.look_at_all(&granted, own);
    }

    /// The terminals of this node find others.
    fn stop(mut self) {
        let sessions: Vec<_> = self.held.keys().copied().collect();
        for session in sessions {
            self.end(session, SessionEnd::NodeStopping, true);
        }
    }
}

async fn room(route: Option<&Queue<FromNode>>) -> Option<mpsc::PermitIterator<'_, FromNode>> {
    match route {
        Some(route) => route.room(HAND_OVER_MESSAGES_MAX).await,
        None => None,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => core::future::pending().await,
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
