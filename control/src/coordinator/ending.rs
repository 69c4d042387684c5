//! Calls end, and so does what they held.

use super::{Coordinator, Output, Write};
use crate::calls::{Call, Event};
use crate::clock::Now;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{CallEnd, CallEnded, Refusal};

impl Coordinator {
    /// The call is over: recorded, its legs released, its members told.
    pub(super) fn end_call(&mut self, id: CallId, reason: CallEnd, now: Now) {
        self.leave_desk(id, now);
        let Some(mut call) = self.calls.remove(id) else { return };
        for media in call.rounds_mut().take_all() {
            self.release_round(&media);
        }
        // Its guests know nothing of this call yet: theirs goes on.
        if let Some(apart) = call.unmerge(now.wall) {
            self.go_apart(id, apart, now);
        }
        self.write(call.record().ended(now.wall, reason));
        self.note_missed(&call, reason, now);
        for member in call.everybody() {
            for session in member.sessions() {
                if self.sessions.get(session).is_some() {
                    self.say(session, CallEnded { call: id, reason: told(reason) });
                }
            }
            self.announce_account(member.account);
        }
    }

    /// The call never came to ring: its invitation is refused, and nothing of it is kept.
    pub(super) fn withdraw_call(&mut self, id: CallId, reason: Refusal, now: Now) {
        self.desks.leave(id, now.since_start);
        let Some(mut call) = self.calls.remove(id) else { return };
        self.out.push(Output::Write(Write::Forget(call.record())));
        let caller = call.caller().session().map(|caller| (caller, call.invite()));
        let crossing = call.take_crossing().map(|it| (it.session, it.request));
        for (session, request) in caller.into_iter().chain(crossing) {
            if self.sessions.get(session).is_some() {
                self.refuse(session, request, reason);
            }
        }
        for member in call.members() {
            self.announce_account(member.account);
        }
    }

    pub(super) fn written(&mut self, id: CallId, now: Now) {
        self.unsaved.forget(id);
        let is_for_desk = self.calls.get(id).is_some_and(|call| call.desk().is_some());
        self.happen(id, if is_for_desk { Event::Queue } else { Event::Stored }, now);
    }

    /// Only an invitation depends on the store; whatever else was not written is offered again.
    pub(super) fn write_failed(&mut self, write: Write, now: Now) {
        let id = write.record().call;
        match self.calls.get(id).map(Call::state) {
            Some(crate::calls::State::Inviting) => {
                self.happen(id, Event::StoreFailed, now);
            }
            _ => self.unsaved.keep(write, now.since_start),
        }
    }

    pub(super) fn retry_writes(&mut self, now: Now) {
        for write in self.unsaved.due(now.since_start) {
            let id = write.record().call;
            match (self.calls.get(id), &write) {
                // Of a live call, the state it has reached meanwhile.
                (Some(call), _) => self.out.push(Output::Write(Write::Put(call.record()))),
                // Of one that is over, its end; anything earlier would bring it back to life.
                (None, Write::Put(record)) if record.ended.is_none() => {}
                (None, _) => self.out.push(Output::Write(write)),
            }
        }
    }
}

/// The reason that members hear: whose rights ended is not the others' business.
pub(super) fn told(reason: CallEnd) -> CallEnd {
    match reason {
        CallEnd::Suspended | CallEnd::RightsChanged => CallEnd::PeerLost,
        reason => reason,
    }
}
