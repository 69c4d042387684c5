//! Calls that go on and ask a desk for one more: they stand in its queue like calls to it, with one
//! place for each call, and whoever answers comes in as a guest of the member that asked.

use super::Coordinator;
use super::queueing::is_there;
use crate::calls::{Brought, Call};
use crate::clock::Now;
use crate::desks::DeskId;
use crate::policy::{Act, AddDeskFacts, Target, may_add_desk};
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::terminal::{AddDesk, AddDeskFailed, CallEnd, CallEnded, Refusal};

impl Coordinator {
    /// The call waits at the desk from now on, or no longer, or that is refused.
    pub(super) fn add_desk(&mut self, session: &Session, ask: &AddDesk, now: Now) {
        if let Err(reason) = self.try_add_desk(session, ask, now) {
            self.refuse(session.id, ask.request, reason);
        }
    }

    fn try_add_desk(&mut self, session: &Session, ask: &AddDesk, now: Now) -> Result<(), Refusal> {
        let id = ask.call;
        let by = self.wants_others(session, id, now)?;
        if ask.desk.is_empty() {
            return self.take_back(session, ask, now);
        }
        self.may_do(session, Act::AddDesk, Target::Desk(&ask.desk), now)?;
        let key = DeskId { tenant: session.account.tenant, name: ask.desk.to_ascii_lowercase() };
        let call = self.calls.get(id).ok_or(Refusal::NoSuchCall)?;
        let members = call.wanted_members().len() + 1;
        let presences = &self.presences;
        may_add_desk(&AddDeskFacts {
            // Who is in the call already cannot come.
            desk: self.desks.staff(&key, |account| {
                is_there(presences, account) && call.place_of(account).is_none()
            }),
            asks: call.asks().is_some(),
            has_room: call.has_room_for(1),
            relay_ready: self.has_room_for(members, now),
        })?;
        let call = self.calls.get_mut(id).ok_or(Refusal::NoSuchCall)?;
        call.ask_desk(key.name.clone(), Brought { by, then_leaves: ask.then_leave });
        self.desks.enter(key, id, now.since_start);
        self.done(session.id, ask.request);
        self.wait_again(id, now);
        self.tell_place(id);
        Ok(())
    }

    fn take_back(&mut self, session: &Session, ask: &AddDesk, now: Now) -> Result<(), Refusal> {
        if self.calls.get(ask.call).is_none_or(|call| call.asks().is_none()) {
            return Err(Refusal::TooLate);
        }
        self.done(session.id, ask.request);
        self.ask_fails(ask.call, CallEnd::Cancelled, now);
        Ok(())
    }

    /// Nobody comes from the desk that was asked: the agents it rings at and who asked are told.
    pub(super) fn ask_fails(&mut self, id: CallId, reason: CallEnd, now: Now) {
        let Some(asks) = self.calls.get_mut(id).and_then(Call::take_asks) else { return };
        self.desks.leave(id, now.since_start);
        for agent in asks.at.agents() {
            self.calls.part(agent.account, id);
            for session in agent.sessions() {
                if self.sessions.get(session).is_some() {
                    self.say(session, CallEnded { call: id, reason });
                }
            }
            self.announce_account(agent.account);
        }
        let asked = self.calls.get(id).and_then(|call| call.members()[asks.brought.by].session());
        if let Some(session) = asked {
            let desk = asks.at.called().to_owned();
            self.say(session, AddDeskFailed { call: id, desk, reason });
        }
        self.arm(id);
    }

    /// The wait of a call that asks a desk, or the ringing there, has come to its time.
    pub(super) fn attend_ask(&mut self, id: CallId, now: Now) {
        let Some(asks) = self.calls.get_mut(id).and_then(Call::asks_mut) else { return };
        if asks.due.is_none_or(|due| due > now.since_start) {
            return;
        }
        asks.due = None;
        match asks.at.agents() {
            [] => self.waited(id, now),
            [..] => self.unanswered(id, now),
        }
    }

    /// Who hears of a call's place at a desk: who asked for somebody, else who calls.
    pub(super) fn hears_of_place(&self, id: CallId) -> Option<SessionId> {
        let call = self.calls.get(id)?;
        match call.asks() {
            Some(asks) => call.members()[asks.brought.by].session(),
            None => call.caller().session(),
        }
    }
}
