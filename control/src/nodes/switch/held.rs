//! One session of this node: who it is, its terminal, and what it waits for.

use super::OF_HAND_OVER;
use crate::capacity::nodes::ASKED_MAX;
use crate::coordinator::{Arrival, retry_after_ms};
use crate::driver::Verdict as Waiter;
use crate::gate::{Outbox, Overflow, Said};
use crate::sessions::{AccountKey, Epochs};
use kakehashi_wire::frame::FrameHeader;
use kakehashi_wire::id::{DeviceId, RequestId, SessionId};
use kakehashi_wire::media::Host;
use kakehashi_wire::node::{AgentOrder, Request};
use kakehashi_wire::secret::{ResumeToken, SaidBytes};
use kakehashi_wire::terminal::{Refusal, Refused, ToTerminal};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Whose a session is, and in which epochs it was let in.
pub(super) type Granted = (AccountKey, DeviceId, Epochs);

/// A session.
pub(super) struct Held {
    arrival: Arrival,
    outbox: Option<Outbox>,
    /// Who waits for the lead's first verdict.
    waiter: Option<Waiter>,
    /// The lead's number for it, once it was told.
    at_lead: Option<SessionId>,
    watches: bool,
    /// It said last that nobody sits there.
    away: bool,
    /// What a lead knew of its agent last, and until when the agent is left alone.
    agent: Option<(AgentOrder, Instant)>,
    /// What was asked and not answered, and whether a lead was told.
    asked: VecDeque<(Request, bool)>,
}

impl Held {
    pub(super) fn new(arrival: Arrival, outbox: Outbox, waiter: Waiter) -> Self {
        let (outbox, waiter) = (Some(outbox), Some(waiter));
        let (watches, away) = (false, false);
        let (agent, asked) = (None, VecDeque::new());
        Self { arrival, outbox, waiter, at_lead: None, watches, away, agent, asked }
    }

    /// A lead was asked, and has not said whether it is let in.
    pub(super) fn is_undecided(&self) -> bool {
        self.waiter.is_some() && self.at_lead.is_some()
    }

    pub(super) fn is_let_in(&self) -> bool {
        self.waiter.is_none()
    }

    /// From now on it is handed over as a session that goes on.
    pub(super) fn let_in(&mut self) {
        self.arrival.resumes = Some(self.arrival.resumes.unwrap_or(self.arrival.session));
        self.arrival.request = OF_HAND_OVER;
        self.arrival.token = ResumeToken::none();
        self.arrival.is_handed_over = true;
    }

    pub(super) fn take_waiter(&mut self) -> Option<Waiter> {
        self.waiter.take()
    }

    pub(super) fn take_outbox(&mut self) -> Option<Outbox> {
        self.outbox.take()
    }

    pub(super) fn number_at_lead(&self) -> Option<SessionId> {
        self.at_lead
    }

    /// The lead that knew it is gone.
    pub(super) fn leave_lead(&mut self) {
        self.at_lead = None;
    }

    /// Whose it is, and in which epochs it was let in.
    pub(super) fn granted(&self) -> Granted {
        (self.arrival.account, self.arrival.device, self.arrival.epochs)
    }

    /// What a lead is told, which knows it as `at_lead` from then on.
    pub(super) fn arrival(&mut self, at_lead: SessionId) -> Arrival {
        self.at_lead = Some(at_lead);
        let agent = self.agent.as_ref().map(|(agent, ends)| {
            let left = ends.saturating_duration_since(Instant::now()).as_millis();
            AgentOrder { wrap_up_ms: u32::try_from(left).unwrap_or(u32::MAX), ..agent.clone() }
        });
        let is_away = self.away;
        Arrival { session: at_lead, is_away, agent, ..self.arrival.clone() }
    }

    /// What the next lead is to be told of its agent.
    pub(super) fn remember(&mut self, agent: AgentOrder) {
        let ends = Instant::now() + Duration::from_millis(agent.wrap_up_ms.into());
        self.agent = Some((agent, ends));
    }

    /// What a new lead is asked, and whether an earlier one was. It watches presence again first.
    pub(super) fn asked(&mut self) -> Vec<(Request, bool)> {
        let watch = Request::Watch(OF_HAND_OVER, Vec::new());
        let again = self.watches.then_some((watch, false)).into_iter();
        let asked: Vec<_> = again.chain(self.asked.iter().cloned()).collect();
        self.asked.retain(|(request, is_known)| !is_known || request.may_be_repeated());
        self.asked.iter_mut().for_each(|(_, is_known)| *is_known = true);
        asked
    }

    pub(super) fn take_asked(&mut self) -> Vec<Request> {
        self.asked.drain(..).map(|(request, _)| request).collect()
    }

    /// Its terminal is seen there now.
    pub(super) fn see(&mut self, seen_at: Host) {
        self.arrival.seen_at = seen_at;
    }

    /// Keeps a request until it is answered; `false` if too many are.
    pub(super) fn keep(&mut self, request: &Request) -> bool {
        self.watches |= matches!(request, Request::Watch(..));
        if let Request::Away(set) = request {
            self.away = set.away;
        }
        if request.number().is_none() {
            return true;
        }
        if self.asked.len() >= ASKED_MAX {
            return false;
        }
        self.asked.push_back((request.clone(), self.at_lead.is_some()));
        true
    }

    /// Answers that there is nobody to ask.
    pub(super) fn refuse(&self, request: &Request) -> Result<(), Overflow> {
        let Some(request) = request.number() else { return Ok(()) };
        let reason = Refusal::Busy;
        let refused = Refused { request, reason, retry_after_ms: retry_after_ms(reason) };
        self.say(Said::Message(refused.into()))
    }

    /// Whether its terminal is to hear what the lead says; an answer is waited for no longer.
    pub(super) fn is_for_terminal(&mut self, answers: Option<RequestId>, said: &SaidBytes) -> bool {
        let Some(answered) = answers else { return true };
        self.asked.retain(|(request, _)| request.number() != Some(answered));
        // That its calls are told anew is news, that its presence is watched is not.
        answered != OF_HAND_OVER || is_resumed(said)
    }

    pub(super) fn say(&self, said: Said) -> Result<(), Overflow> {
        self.outbox.as_ref().map_or(Ok(()), |outbox| outbox.say(said))
    }
}

fn is_resumed(said: &SaidBytes) -> bool {
    let header = said.as_bytes().first_chunk().and_then(|it| FrameHeader::parse(it).ok());
    let resumed = ToTerminal::KINDS.iter().find(|(_, name)| *name == "Resumed");
    header.zip(resumed).is_some_and(|(header, (kind, _))| header.kind() == *kind)
}
