//! Calls to desks: they wait, ring at agents, and go on like any other once one has answered.

use super::Coordinator;
use super::devices::incoming;
use super::requests::By;
use super::rounds::legs;
use crate::accounts::DeskList;
use crate::calls::{CALLEE, Call, Event, Member, Ringing};
use crate::clock::Now;
use crate::desks::{Desk, DeskId, Offer};
use crate::placement::choose;
use crate::policy::{Act, DeskFacts, Target, acceptable, may_call_desk};
use crate::sessions::{AccountKey, Presences, Session};
use kakehashi_wire::id::{CallId, RequestId, TenantId};
use kakehashi_wire::terminal::{
    CallEnd, CallEnded, EndWrapUp, InviteDesk, PresenceState, QueueNews, Queued, Refusal, Taken,
};
use std::time::Duration;

/// Whether somebody may answer for the account before long.
fn is_there(presences: &Presences, account: AccountKey) -> bool {
    !matches!(presences.state(account), PresenceState::Offline | PresenceState::Away)
}

impl Coordinator {
    /// The desks of `tenant` are these from now on.
    pub(super) fn set_desks(&mut self, tenant: TenantId, list: DeskList, now: Now) {
        for call in self.desks.set(tenant, list.revision, list.desks) {
            self.happen(call, Event::NoAnswer, now);
        }
    }

    /// Admits, decides and records a call to a desk; it waits when the record is on disk.
    pub(super) fn invite_desk(
        &mut self,
        session: &Session,
        ask: InviteDesk,
        now: Now,
    ) -> Result<(), Refusal> {
        let InviteDesk { request, desk, streams } = ask;
        if !acceptable(&streams) {
            return Err(Refusal::BadRequest);
        }
        self.may_do(session, Act::InviteDesk, Target::Desk(&desk), now)?;
        let key = DeskId { tenant: session.account.tenant, name: desk.to_ascii_lowercase() };
        let presences = &self.presences;
        may_call_desk(&DeskFacts {
            caller_engaged: self.engaged(session.account),
            desk: self.desks.staff(&key, |account| is_there(presences, account)),
            relay_ready: choose(&self.fleet.candidates(now.since_start), legs(2)).is_some(),
        })?;
        if !self.calls.has_room() {
            return Err(Refusal::Busy);
        }
        let id = self.fresh_call_id();
        let caller = Member::calling(session, streams);
        let call = Call::to_desk((id, request), caller, key.name.clone(), now);
        self.desks.enter(key, id, now.since_start);
        self.write(call.record());
        self.calls.insert(call);
        self.announce_members(id);
        Ok(())
    }

    /// The record of a call is on disk: it waits, and its caller hears of it.
    pub(super) fn begin_to_wait(&mut self, id: CallId, now: Now) {
        let presences = &self.presences;
        let announce = self.desks.announces(id);
        let waits = self.desks.wait(id, now.since_start);
        let told = self.desks.tell(id, |account| is_there(presences, account)).unwrap_or_default();
        let Some(call) = self.calls.get(id) else { return };
        let (request, caller) = (call.invite(), call.caller().session());
        if let Some(caller) = caller {
            let (position, wait_ms) = (told.position, told.wait_ms);
            self.say(caller, Queued { request, call: id, position, wait_ms, announce });
        }
        self.go_on_waiting(id, waits, now);
    }

    /// Whoever it rang at has let the call pass: it waits in its place for the next.
    pub(super) fn wait_again(&mut self, id: CallId, now: Now) {
        let waits = self.desks.wait(id, now.since_start);
        self.go_on_waiting(id, waits, now);
    }

    fn go_on_waiting(&mut self, id: CallId, waits: bool, now: Now) {
        if waits {
            self.calls.set_timer(id, self.desks.patience(id, now.since_start));
        } else {
            // The desk was removed meanwhile.
            self.happen(id, Event::NoAnswer, now);
        }
    }

    /// A waiting call has waited long enough for something to be done.
    pub(super) fn waited(&mut self, id: CallId, now: Now) {
        if self.desks.gives_up(id, now.since_start) {
            self.happen(id, Event::NoAnswer, now);
            return;
        }
        self.desks.overflow(id, now.since_start);
        self.calls.set_timer(id, self.desks.patience(id, now.since_start));
    }

    /// Offers what waits to agents that are free, and tells callers of their places.
    pub(super) fn serve_desks(&mut self, now: Now) {
        while let Some(account) = self.wraps.due(now.since_start) {
            self.announce_account(account);
        }
        loop {
            let presences = &self.presences;
            let is_free = |account| presences.state(account) == PresenceState::Waiting;
            let Some(offer) = self.desks.next_offer(is_free) else { break };
            self.offer(offer, now);
        }
        while let Some(calls) = self.desks.due_news(now.since_start) {
            for call in calls {
                self.tell_place(call);
            }
        }
    }

    fn offer(&mut self, offer: Offer, now: Now) {
        let Offer { call: id, key, agents, ring } = offer;
        let account = |account| AccountKey { tenant: key.tenant, account };
        let agents: Vec<_> = agents.into_iter().map(account).collect();
        let called = agents.iter().map(|account| Member::called(self.sessions.of(*account)));
        let called: Vec<_> = called.flatten().collect();
        let Some(desk) = self.calls.get_mut(id).and_then(Call::desk_mut) else { return };
        desk.offer(called);
        self.happen(id, Event::Offer, now);
        for account in agents {
            self.calls.join(account, id);
            self.announce_account(account);
        }
        let Some(call) = self.calls.get(id) else { return };
        let (incoming, devices) = (incoming(call, CALLEE), call.ringing());
        for device in devices {
            self.say(device, incoming.clone());
        }
        self.calls.set_timer(id, Some(now.since_start + ring));
        self.tell_place(id);
    }

    fn tell_place(&mut self, id: CallId) {
        let presences = &self.presences;
        let Some(told) = self.desks.tell(id, |account| is_there(presences, account)) else {
            return;
        };
        let caller = self.calls.get(id).and_then(|call| call.caller().session());
        if let Some(caller) = caller {
            let (position, wait_ms, overflow) = (told.position, told.wait_ms, told.overflow);
            self.say(caller, QueueNews { call: id, position, wait_ms, overflow });
        }
    }

    /// It rang long enough at these agents.
    pub(super) fn unanswered(&mut self, id: CallId, now: Now) {
        let Some(desk) = self.calls.get_mut(id).and_then(Call::desk_mut) else { return };
        for agent in desk.take_agents() {
            let devices = agent.sessions();
            self.let_pass(id, agent.account, now);
            for device in devices {
                self.say(device, CallEnded { call: id, reason: CallEnd::NoAnswer });
            }
        }
        self.happen(id, Event::Passed, now);
    }

    /// An agent has let a call pass, and is left alone for a while.
    fn let_pass(&mut self, id: CallId, account: AccountKey, now: Now) {
        self.calls.part(account, id);
        self.wraps.begin(account, now.since_start + self.desks.pause(id));
        self.announce_account(account);
    }

    /// Whether a session's account is an agent at which the call rings for a desk.
    pub(super) fn rings_at_desk(&self, session: &Session, id: CallId) -> bool {
        let desk = self.calls.get(id).and_then(Call::desk);
        desk.is_some_and(|desk| desk.rings_at(session.account))
    }

    /// An agent's device declines; the call rings on where it rings, or goes to the next agent.
    pub(super) fn decline_at_desk(
        &mut self,
        session: &Session,
        (request, id): (RequestId, CallId),
        now: Now,
    ) {
        if let Err(reason) = self.permitted(session, id, By::Callee) {
            return self.refuse(session.id, request, reason);
        }
        self.done(session.id, request);
        let left = self.stop_ringing_at(session, id);
        if left == Ringing::Devices {
            return;
        }
        self.let_pass(id, session.account, now);
        self.say(session.id, CallEnded { call: id, reason: CallEnd::Rejected });
        if left == Ringing::Nobody {
            self.happen(id, Event::Passed, now);
        }
    }

    /// An agent's device that rang is gone.
    pub(super) fn stops_ringing(&mut self, session: &Session, id: CallId, now: Now) {
        let left = self.stop_ringing_at(session, id);
        if left != Ringing::Devices {
            self.calls.part(session.account, id);
        }
        if left == Ringing::Nobody {
            self.happen(id, Event::Passed, now);
        }
    }

    fn stop_ringing_at(&mut self, session: &Session, id: CallId) -> Ringing {
        let desk = self.calls.get_mut(id).and_then(Call::desk_mut);
        desk.map_or(Ringing::Devices, |desk| desk.stop_ringing(session.id))
    }

    /// An agent has answered: the call waits no more, and the other agents hear that it is taken.
    pub(super) fn taken_at_desk(&mut self, id: CallId, now: Now) {
        self.note_waited(id, now);
        let Some(desk) = self.calls.get_mut(id).and_then(Call::desk_mut) else { return };
        for loser in desk.take_agents() {
            self.calls.part(loser.account, id);
            for device in loser.sessions() {
                self.say(device, Taken { call: id });
            }
            self.announce_account(loser.account);
        }
    }

    fn note_waited(&mut self, id: CallId, now: Now) {
        let Some(waited) = self.desks.leave(id, now.since_start) else { return };
        if let Some(desk) = self.calls.get_mut(id).and_then(Call::desk_mut) {
            desk.set_waited(waited.key.name, waited.time);
        }
    }

    /// A call is about to end: it waits no more, and the agent who has it is left alone for a
    /// while.
    pub(super) fn leave_desk(&mut self, id: CallId, now: Now) {
        self.note_waited(id, now);
        self.agent_leaves(id, now);
    }

    /// The agent who answered a call of a desk is about to leave it.
    pub(super) fn agent_leaves(&mut self, id: CallId, now: Now) {
        let Some((call, desk)) = self.calls.get(id).and_then(|call| Some((call, call.desk()?)))
        else {
            return;
        };
        // Who has left before has had its time.
        let agent = call.callee().filter(|agent| agent.session().is_some());
        let (Some(agent), Some(answered)) = (agent, call.answered()) else { return };
        let key = DeskId { tenant: call.tenant(), name: desk.last().to_owned() };
        let account = agent.account;
        let talked = Duration::from_millis(now.wall.0.saturating_sub(answered.0));
        self.desks.note_occupied(&key, talked);
        let pause = self.desks.desk(&key).map(Desk::wrap_up).unwrap_or_default();
        if !pause.is_zero() {
            self.wraps.begin(account, now.since_start + pause);
        }
    }

    /// An agent is ready for the next call.
    pub(super) fn end_wrap_up(&mut self, session: &Session, ask: EndWrapUp) {
        if !self.wraps.end(session.account) {
            return self.refuse(session.id, ask.request, Refusal::TooLate);
        }
        self.done(session.id, ask.request);
        self.announce(session);
    }
}
