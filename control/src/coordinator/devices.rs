//! Several devices of one account: all ring, the first to answer has the call, the others are told.

use super::Coordinator;
use super::requests::By;
use crate::calls::{CALLEE, Call, Event, Standing, State, Step};
use crate::clock::Now;
use crate::policy::acceptable;
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{
    Accept, Done, Incoming, Refusal, Reject, Ringing, Taken, ToTerminal,
};

impl Coordinator {
    /// Every device of the called account rings, and the caller hears of it.
    pub(super) fn ring(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        let Some(callee) = call.callee() else { return };
        let (incoming, request) = (incoming(call, callee.account), call.invite());
        let (caller, callee) = (call.caller().session(), call.ringing());
        for device in callee {
            self.say(device, incoming.clone());
        }
        if let Some(caller) = caller {
            self.say(caller, Ringing { request, call: id });
        }
        self.calls.set_timer(id, Some(now.since_start + self.settings.no_answer));
    }

    /// A device that signs in while its account is called rings too.
    pub(super) fn ring_also(&mut self, session: &Session) {
        for id in self.calls_of(session) {
            let Some(call) = self.calls.get_mut(id) else { continue };
            // Before it rings anywhere, nobody has been told.
            if call.ring_also(session) && call.state() != State::Inviting {
                let incoming = incoming(call, session.account);
                self.say(session.id, incoming);
            }
        }
    }

    pub(super) fn calls_of(&self, session: &Session) -> Vec<CallId> {
        self.calls.all_of(session.account).map(Call::id).collect()
    }

    pub(super) fn accept(&mut self, session: &Session, ask: Accept, now: Now) {
        let allowed = match acceptable(&ask.streams) {
            true => self.permitted(session, ask.call, By::Callee),
            false => Err(Refusal::BadRequest),
        };
        let Accept { request, call, streams } = match allowed {
            Ok(CALLEE) => ask,
            Ok(nth) => return self.join(session, nth, ask, now),
            Err(reason) => return self.refuse(session.id, ask.request, reason),
        };
        if let Some(Step::Refuse(reason)) =
            self.take(call, session.id, (streams, Done { request }), now)
        {
            self.refuse(session.id, request, reason);
        }
    }

    /// `session` of the called account takes the call with these streams, and is answered so.
    pub(super) fn take(
        &mut self,
        call: CallId,
        session: SessionId,
        (streams, answer): (Vec<StreamOffer>, impl Into<ToTerminal>),
        now: Now,
    ) -> Option<Step> {
        let at = self.out.len();
        let step = self.happen(call, Event::Accept, now)?;
        if let Step::To(_) = step {
            self.taken_by(session, call, streams, now);
            self.answer_at(at, session, answer);
            self.prepare(call, now);
        }
        Some(step)
    }

    /// The call is recorded as taken; the account's other devices stop ringing.
    fn taken_by(&mut self, session: SessionId, id: CallId, streams: Vec<StreamOffer>, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.agent_answers(session, now.wall);
        let others = call.answered_by(CALLEE, session, streams);
        if let Some(session) = self.sessions.get(session) {
            let _is_member = call.change(session, |member| {
                member.uses(session.device);
                Ok(())
            });
        }
        self.taken_at_desk(id, now);
        let Some(call) = self.calls.get(id) else { return };
        let record = call.record();
        self.write(record);
        for other in others {
            self.say(other, Taken { call: id });
        }
        if let Some(callee) = self.calls.get(id).and_then(Call::callee) {
            self.note_talked(id, callee.account);
        }
        self.announce_members(id);
    }

    /// A device declines. Where others ring, the call does not notice.
    pub(super) fn reject(&mut self, session: &Session, ask: Reject, now: Now) {
        if self.rings_at_desk(session, ask.call) {
            return self.decline_at_desk(session, (ask.request, ask.call), now);
        }
        let nth = self.calls.get(ask.call).and_then(|call| call.place_of(session.account));
        let others_ring = self.calls.get(ask.call).zip(nth).is_some_and(|(call, nth)| {
            call.members()[nth].sessions().iter().any(|ringing| *ringing != session.id)
        });
        let event = if others_ring { Event::RejectOne } else { Event::Reject };
        let step = self.act((session, ask.request, ask.call), By::Callee, event, now);
        if step == Some(Step::Stay)
            && let Some((call, nth)) = self.calls.get_mut(ask.call).zip(nth)
        {
            call.stop_ringing(nth, session.id);
        }
    }

    /// A session that ends takes its account out of its calls, as `event`, unless other devices
    /// still ring.
    pub(super) fn member_detached(&mut self, session: &Session, event: Event, now: Now) {
        for id in self.calls_of(session) {
            if self.rings_at_desk(session, id) {
                self.stops_ringing(session, id, now);
                continue;
            }
            let Some(call) = self.calls.get_mut(id) else { continue };
            let lost = match call.standing(session) {
                Some((nth, Standing::Takes)) => Some(nth),
                Some((nth, Standing::Rings)) => {
                    Some(nth).filter(|nth| !call.stop_ringing(*nth, session.id))
                }
                Some((_, Standing::Aside)) | None => None,
            };
            if let Some(nth) = lost {
                self.leaves(id, nth, event, now);
            }
        }
    }
}

/// What a device of an account is told at which the call rings.
pub(super) fn incoming(call: &Call, account: AccountKey) -> Incoming {
    let (by, desk) = call.rung_by(account);
    Incoming {
        call: call.id(),
        login: by.login.clone(),
        display: by.display.clone(),
        desk: desk.unwrap_or_default().to_owned(),
        streams: by.streams.clone(),
    }
}
