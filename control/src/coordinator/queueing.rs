//! Calls to desks: they wait, ring at agents, and go on like any other once one has answered.

use super::Coordinator;
use super::devices::incoming;
use super::requests::By;
use super::rounds::legs;
use crate::accounts::DeskList;
use crate::calls::{Answers, AtDesk, Call, Event, Member, Ringing};
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
pub(super) fn is_there(presences: &Presences, account: AccountKey) -> bool {
    !matches!(presences.state(account), PresenceState::Offline | PresenceState::Away)
}

impl Coordinator {
    /// The desks of `tenant` are these from now on.
    pub(super) fn set_desks(&mut self, tenant: TenantId, list: DeskList, now: Now) {
        for call in self.desks.set(tenant, list.revision, list.desks) {
            self.wait_in_vain(call, now);
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
            relay_ready: choose(&self.candidates(now), legs(2)).is_some(),
        })?;
        self.may_begin()?;
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
            self.wait_until(id, self.desks.patience(id, now.since_start));
        } else {
            // The desk was removed meanwhile.
            self.wait_in_vain(id, now);
        }
    }

    /// A call that stands at a desk wants attention then.
    pub(super) fn wait_until(&mut self, id: CallId, at: Option<Duration>) {
        match self.calls.get_mut(id).and_then(Call::asks_mut) {
            Some(asks) => {
                asks.due = at;
                self.arm(id);
            }
            None => self.calls.set_timer(id, at),
        }
    }

    /// Nobody of the desk will answer.
    fn wait_in_vain(&mut self, id: CallId, now: Now) {
        if self.calls.get(id).is_some_and(|call| call.asks().is_some()) {
            return self.ask_fails(id, CallEnd::NobodyAtDesk, now);
        }
        self.happen(id, Event::NoAnswer, now);
    }

    /// Whoever it rang at has let the call pass.
    fn passed(&mut self, id: CallId, now: Now) {
        if self.calls.get(id).is_some_and(|call| call.asks().is_some()) {
            return self.wait_again(id, now);
        }
        self.happen(id, Event::Passed, now);
    }

    /// A waiting call has waited long enough for something to be done.
    pub(super) fn waited(&mut self, id: CallId, now: Now) {
        if self.desks.gives_up(id, now.since_start) {
            return self.wait_in_vain(id, now);
        }
        self.desks.overflow(id, now.since_start);
        self.wait_until(id, self.desks.patience(id, now.since_start));
        self.calls.touch(id);
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
        let Some(desk) = self.calls.get_mut(id).and_then(Call::at_desk_mut) else { return };
        desk.offer(called);
        self.happen(id, Event::Offer, now);
        for account in &agents {
            self.calls.join(*account, id);
            self.announce_account(*account);
        }
        // All hear the same.
        let Some((call, agent)) = self.calls.get(id).zip(agents.first()) else { return };
        let (incoming, devices) = (incoming(call, *agent), call.ringing_agents());
        for device in devices {
            self.say(device, incoming.clone());
        }
        self.wait_until(id, Some(now.since_start + ring));
        self.tell_place(id);
    }

    /// Tells of a call's place at its desk, if that is news.
    pub(super) fn tell_place(&mut self, id: CallId) {
        let presences = &self.presences;
        let Some(told) = self.desks.tell(id, |account| is_there(presences, account)) else {
            return;
        };
        if let Some(caller) = self.hears_of_place(id) {
            let (position, wait_ms, overflow) = (told.position, told.wait_ms, told.overflow);
            self.say(caller, QueueNews { call: id, position, wait_ms, overflow });
        }
    }

    /// It rang long enough at these agents.
    pub(super) fn unanswered(&mut self, id: CallId, now: Now) {
        let Some(desk) = self.calls.get_mut(id).and_then(Call::at_desk_mut) else { return };
        for agent in desk.take_agents() {
            let devices = agent.sessions();
            self.let_pass(id, agent.account, now);
            for device in devices {
                self.say(device, CallEnded { call: id, reason: CallEnd::NoAnswer });
            }
        }
        self.passed(id, now);
    }

    /// An agent has let a call pass, and is left alone for a while.
    fn let_pass(&mut self, id: CallId, account: AccountKey, now: Now) {
        self.calls.part(account, id);
        self.wraps.begin(account, now.since_start + self.desks.pause(id));
        self.announce_account(account);
    }

    /// Whether a session's account is an agent at which the call rings for a desk.
    pub(super) fn rings_at_desk(&self, session: &Session, id: CallId) -> bool {
        let agents = self.calls.get(id).map(Call::agents).unwrap_or_default();
        agents.iter().any(|agent| agent.account == session.account)
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
            self.passed(id, now);
        }
    }

    /// An agent's device that rang is gone.
    pub(super) fn stops_ringing(&mut self, session: &Session, id: CallId, now: Now) {
        let left = self.stop_ringing_at(session, id);
        if left != Ringing::Devices {
            self.calls.part(session.account, id);
        }
        if left == Ringing::Nobody {
            self.passed(id, now);
        }
    }

    fn stop_ringing_at(&mut self, session: &Session, id: CallId) -> Ringing {
        let desk = self.calls.get_mut(id).and_then(Call::at_desk_mut);
        desk.map_or(Ringing::Devices, |desk| desk.stop_ringing(session.id))
    }

    /// An agent has answered: the call waits no more, and the other agents hear that it is taken.
    pub(super) fn taken_at_desk(&mut self, id: CallId, now: Now) {
        let desk = self.note_waited(id, now);
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Some(desk) = desk {
            call.answers_for(desk, now.since_start);
        }
        let losers = call.at_desk_mut().map(AtDesk::take_agents).unwrap_or_default();
        call.take_asks();
        for loser in losers {
            self.calls.part(loser.account, id);
            for device in loser.sessions() {
                self.say(device, Taken { call: id });
            }
            self.announce_account(loser.account);
        }
    }

    /// The wait of a call is over; gives the desk where it stood last. What it waited when it was
    /// to be taken at all goes into its record.
    fn note_waited(&mut self, id: CallId, now: Now) -> Option<String> {
        let waited = self.desks.leave(id, now.since_start)?;
        let call = self.calls.get_mut(id).filter(|call| call.asks().is_none());
        if let Some(desk) = call.and_then(Call::desk_mut) {
            desk.set_waited(waited.key.name.clone(), waited.time);
        }
        Some(waited.key.name)
    }

    /// A call is about to end: it waits no more, and agents who have it are left alone for a while.
    pub(super) fn leave_desk(&mut self, id: CallId, now: Now) {
        self.note_waited(id, now);
        let Some(call) = self.calls.get(id) else { return };
        // Whoever is about to come from another call goes on there.
        let agents = (0..call.members().len()).filter(|nth| call.known_to(*nth) == id);
        let answers = |nth: usize| Some((call.members()[nth].account, call.answers(nth)?.clone()));
        let agents: Vec<_> = agents.filter_map(answers).collect();
        for (account, answers) in agents {
            self.agent_leaves(account, answers, now);
        }
    }

    /// An agent who answered a call of a desk, or was brought into one, is about to leave it.
    pub(super) fn agent_leaves(&mut self, account: AccountKey, answers: Answers, now: Now) {
        let key = DeskId { tenant: account.tenant, name: answers.desk };
        let talked = now.since_start.saturating_sub(answers.since);
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
