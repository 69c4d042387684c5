//! Who comes into a call that goes on, who leaves it, and two calls that become one.

use super::devices::incoming;
use super::requests::By;
use super::rounds::legs;
use super::{Called, Coordinator};
use crate::calls::{Apart, Brought, Call, Event, Member, MemberEvent, State, Step};
use crate::clock::Now;
use crate::placement::choose;
use crate::policy::{
    Act, AddFacts, ListenFacts, MergeFacts, Target, acceptable, may_add, may_listen, may_merge,
};
use crate::sessions::Session;
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{
    Accept, AddFailed, AddMember, CallEnd, CallEnded, Listen, Merge, Merged, Refusal, Taken,
};

impl Coordinator {
    /// Rings at the account that a member wants in its call, or is refused.
    pub(super) fn add_member(
        &mut self,
        session: &Session,
        (ask, callee): (&AddMember, Option<Called>),
        now: Now,
    ) {
        if let Err(reason) = self.try_add_member(session, (ask, callee), now) {
            self.refuse(session.id, ask.request, reason);
            let callee = callee.map(|callee| callee.account);
            self.note_add_in_vain(session, (ask.call, callee), reason, now);
        }
    }

    fn try_add_member(
        &mut self,
        session: &Session,
        (ask, callee): (&AddMember, Option<Called>),
        now: Now,
    ) -> Result<(), Refusal> {
        let id = ask.call;
        let by = self.wants_others(session, id, now)?;
        self.may_do(session, Act::AddMember, Target::of(callee), now)?;
        let call = self.calls.get(id).ok_or(Refusal::NoSuchCall)?;
        let callee = self.callee(session, callee.map(|callee| callee.account));
        let members = call.wanted_members().len() + 1;
        let account = may_add(&AddFacts {
            by: session.account,
            callee,
            is_member: callee.is_some_and(|callee| call.place_of(callee.account).is_some()),
            has_room: call.has_room_for(1),
            relay_ready: self.has_room_for(members, now),
        })?;
        let brought = Brought { by, then_leaves: ask.then_leave };
        let until = now.since_start + self.settings.no_answer;
        let member = Member::added(self.sessions.of(account), brought, until);
        let member = member.ok_or(Refusal::NotAvailable)?;
        let devices = member.sessions();
        let call = self.calls.get_mut(id).ok_or(Refusal::NoSuchCall)?;
        call.add(member);
        let incoming = incoming(call, account);
        self.calls.join(account, id);
        self.done(session.id, ask.request);
        for device in devices {
            self.say(device, incoming.clone());
        }
        self.tell_members(id);
        self.announce_account(account);
        self.arm(id);
        Ok(())
    }

    /// The place of a session's account in a call whose members it may change.
    pub(super) fn wants_others(
        &mut self,
        session: &Session,
        id: CallId,
        now: Now,
    ) -> Result<usize, Refusal> {
        let nth = self.permitted(session, id, By::Either)?;
        if let Some(Step::Refuse(reason)) = self.happen(id, Event::Add, now) {
            return Err(reason);
        }
        let call = self.calls.get(id).ok_or(Refusal::NoSuchCall)?;
        match call.members().get(nth) {
            Some(member) if member.listens() => Err(Refusal::NotAllowed),
            Some(member) if member.takes_part() => Ok(nth),
            _ => Err(Refusal::TooLate),
        }
    }

    /// Somebody listens to a call of its tenant, or is refused; all who are in it are told.
    pub(super) fn listen(&mut self, session: &Session, ask: Listen, now: Now) {
        let request = ask.request;
        if let Err(reason) = self.try_listen(session, ask, now) {
            self.refuse(session.id, request, reason);
        }
    }

    fn try_listen(&mut self, session: &Session, ask: Listen, now: Now) -> Result<(), Refusal> {
        let Listen { request, call: id, streams } = ask;
        if !acceptable(&streams) {
            return Err(Refusal::BadRequest);
        }
        self.may_do(session, Act::Listen, Target::Nobody, now)?;
        // Of another tenant's call is said what is said of none.
        let of_tenant = |call: &&Call| call.tenant() == session.account.tenant;
        let call = self.calls.get(id).filter(of_tenant).ok_or(Refusal::NoSuchCall)?;
        may_listen(&ListenFacts {
            goes_on: call.state() == State::Connected,
            is_member: call.place_of(session.account).is_some(),
            engaged: self.engaged(session.account),
            has_room: call.has_room_for(1),
            relay_ready: self.has_room_for(call.wanted_members().len() + 1, now),
        })?;
        let call = self.calls.get_mut(id).ok_or(Refusal::NoSuchCall)?;
        let mut member = Member::listening(session, streams);
        member.uses(session.device);
        call.add(member);
        self.calls.join(session.account, id);
        self.done(session.id, request);
        self.tell_members(id);
        self.announce_account(session.account);
        self.regroup(id, now);
        Ok(())
    }

    pub(super) fn has_room_for(&self, members: usize, now: Now) -> bool {
        choose(&self.candidates(now), legs(members)).is_some()
    }

    /// Somebody who was brought in takes the call.
    pub(super) fn join(&mut self, session: &Session, nth: usize, ask: Accept, now: Now) {
        let Accept { request, call: id, streams } = ask;
        match self.happen(id, Event::Join, now) {
            Some(Step::Refuse(reason)) => self.refuse(session.id, request, reason),
            Some(_) => {
                self.done(session.id, request);
                self.joined(session, (id, nth), streams, now);
            }
            None => {}
        }
    }

    fn joined(
        &mut self,
        session: &Session,
        (id, nth): (CallId, usize),
        streams: Vec<StreamOffer>,
        now: Now,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let is_of_desk = nth == call.members().len();
        call.agent_answers(session.id, now.wall);
        let others = call.answered_by(nth, session.id, streams);
        // It rings, so it may.
        let _joins = call.change(session, |member| {
            member.uses(session.device);
            member.apply(MemberEvent::Accept, now.wall)
        });
        if is_of_desk {
            self.taken_at_desk(id, now);
        }
        for other in others {
            self.say(other, Taken { call: id });
        }
        self.note_talked(id, session.account);
        self.tell_members(id);
        self.announce_account(session.account);
        self.regroup(id, now);
    }

    /// The member at `nth` leaves its call as `event`: the call goes on if two others speak with
    /// each other, else it ends.
    pub(super) fn leaves(
        &mut self,
        id: CallId,
        nth: usize,
        event: Event,
        now: Now,
    ) -> Option<Step> {
        if !self.calls.get(id)?.goes_on_without(nth) {
            return self.happen(id, event, now);
        }
        let step = self.happen(id, Event::MemberLeft, now)?;
        let reason = match event {
            Event::MemberLost => CallEnd::PeerLost,
            Event::Suspended => CallEnd::Suspended,
            Event::RightsChanged => CallEnd::RightsChanged,
            Event::Reject => CallEnd::Rejected,
            _ => CallEnd::HungUp,
        };
        self.part(id, nth, reason, now);
        Some(step)
    }

    /// The member at `nth` leaves a call that goes on. Its legs go at once, whatever the round.
    pub(super) fn part(&mut self, id: CallId, nth: usize, reason: CallEnd, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        if let Some(answers) = call.answers_anywhere(nth).cloned() {
            self.agent_leaves(call.members()[nth].account, answers, now);
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        let member = &call.members()[nth];
        let (account, login) = (member.account, member.login.clone());
        let waited = member.brought().filter(|_| member.rings() || member.joins());
        let missed = call.missed_by(nth);
        let ssrcs = &mut self.ssrcs;
        for (relay, leg) in call.take_legs(nth, &mut |media, nth| media.part(nth, ssrcs)) {
            self.fleet.release(relay, leg);
        }
        let (sessions, known_as) = call.part(nth, now.wall);
        let brought_by = waited.and_then(|brought| call.members()[brought.by].session());
        let record = call.record();
        self.calls.part(account, id);
        self.write(record);
        self.note_unanswered(missed, reason, now);
        let reason = super::ending::told(reason);
        for session in sessions {
            if self.sessions.get(session).is_some() {
                self.say(session, CallEnded { call: known_as, reason });
            }
        }
        if let Some(session) = brought_by {
            self.say(session, AddFailed { call: id, login, reason });
        }
        self.tell_members(id);
        self.announce_account(account);
        self.regroup(id, now);
    }

    /// Everybody who has taken the call is told who is in it.
    pub(super) fn tell_members(&mut self, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let seen = call.seen();
        for session in call.told() {
            self.say(session, seen.clone());
        }
    }

    /// Another call of the asking member's becomes part of this one.
    pub(super) fn merge(&mut self, session: &Session, ask: Merge, now: Now) -> Result<(), Refusal> {
        let by = self.wants_others(session, ask.call, now)?;
        self.wants_others(session, ask.with, now)?;
        let active = self.calls.active_of(session.account).map(Call::id);
        if active.is_some_and(|active| active != ask.call && active != ask.with) {
            // It would speak in this one too.
            return Err(Refusal::InAnotherCall);
        }
        let find = |id| self.calls.get(id).ok_or(Refusal::NoSuchCall);
        let (call, with) = (find(ask.call)?, find(ask.with)?);
        let guests = call.guests_of(with, session.account).count();
        // Who holds its call may speak in another, and is not pulled into this one.
        let all_hear = !call.guests_of(with, session.account).any(Member::holds);
        let is_settled = |call: &Call| {
            let mut there = call.members().iter().filter(|member| !member.has_left());
            let changes = there.any(|member| member.rings() || member.listens());
            let is_alone = !call.is_merging() && call.asks().is_none();
            is_alone && !changes && call.rounds().coming().is_none()
        };
        may_merge(&MergeFacts {
            differ: ask.call != ask.with,
            settled: is_settled(call) && is_settled(with) && all_hear,
            guests,
            has_room: call.has_room_for(guests),
            relay_ready: self.has_room_for(call.wanted_members().len() + guests, now),
        })?;
        let Some(with) = self.calls.remove(ask.with) else { return Err(Refusal::NoSuchCall) };
        let Some(call) = self.calls.get_mut(ask.call) else { return Err(Refusal::NoSuchCall) };
        for account in call.merge(with, by, ask.then_leave) {
            self.calls.join(account, ask.call);
        }
        // It speaks in this one from now on, if it stays.
        self.adjust(ask.call, |call| {
            call.change(session, |member| member.apply(MemberEvent::Resume, now.wall))
        })?;
        self.done(session.id, ask.request);
        self.tell_members(ask.call);
        self.regroup(ask.call, now);
        Ok(())
    }

    /// `with` is part of the call now.
    pub(super) fn merged(&mut self, id: CallId, with: &Call, now: Now) {
        self.write(with.record().ended(now.wall, CallEnd::Transferred));
        for session in with.members().iter().filter_map(Member::session) {
            self.say(session, Merged { call: with.id(), into: id });
        }
    }

    /// What was to become part of the call goes on as it was.
    pub(super) fn unmerge(&mut self, id: CallId, now: Now) {
        let apart = self.calls.get_mut(id).and_then(|call| call.unmerge(now.wall));
        let Some(apart) = apart else { return };
        let (by, was_held) = (apart.by, apart.was_held);
        let failed = self.go_apart(id, apart, now);
        if was_held {
            // Whoever has left has nothing to hold.
            let _held = self.adjust(id, |call| call.change_at(by, MemberEvent::Hold, now.wall));
        }
        let asked = self.calls.get(id).and_then(|call| call.members()[by].session());
        for login in failed {
            if let Some(session) = asked {
                self.say(session, AddFailed { call: id, login, reason: CallEnd::NoRelay });
            }
        }
        self.tell_members(id);
    }

    /// Brings a call back that was to become part of call `id`. Returns who did not come.
    pub(super) fn go_apart(&mut self, id: CallId, apart: Apart, now: Now) -> Vec<String> {
        let Apart { with, back, .. } = apart;
        let with_id = with.id();
        let alone = !with.is_alive();
        for (account, _) in &back {
            self.calls.part(*account, id);
        }
        self.calls.insert(with);
        self.arm(with_id);
        if alone {
            self.happen(with_id, Event::MemberLost, now);
        }
        back.into_iter().map(|(_, login)| login).collect()
    }
}
