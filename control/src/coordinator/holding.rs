//! What members do within a call that goes on: hold, mute, share the screen, choose a layer.

use super::Coordinator;
use super::requests::By;
use crate::calls::{Call, Member, MemberEvent, State};
use crate::clock::Now;
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, RequestId};
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::terminal::{ChooseLayer, Hold, Mute, Refusal, Share};

impl Coordinator {
    pub(super) fn hold(&mut self, session: &Session, ask: Hold, now: Now) {
        let event = if ask.on { MemberEvent::Hold } else { MemberEvent::Resume };
        let at = (session, ask.request, ask.call);
        let other = self.calls.active_of(session.account).is_some_and(|call| call.id() != ask.call);
        self.change(at, |member| match other && member.holds() && !ask.on {
            // Who does not speak has nothing to hold.
            _ if member.listens() => Err(Refusal::NotAllowed),
            // An account speaks in one call at a time.
            true => Err(Refusal::InAnotherCall),
            false => member.apply(event, now.wall),
        });
    }

    pub(super) fn mute(&mut self, session: &Session, ask: Mute, now: Now) {
        self.change((session, ask.request, ask.call), |member| {
            member.apply(MemberEvent::Adjust, now.wall)?;
            member.muted = ask.on;
            Ok(())
        });
    }

    pub(super) fn share(&mut self, session: &Session, ask: Share, now: Now) {
        self.change((session, ask.request, ask.call), |member| {
            member.apply(MemberEvent::Adjust, now.wall)?;
            if !member.offers(StreamKind::Screen) {
                return Err(Refusal::BadRequest);
            }
            member.sharing = ask.on;
            Ok(())
        });
    }

    pub(super) fn choose_layer(&mut self, session: &Session, ask: ChooseLayer, now: Now) {
        let whose = usize::from(ask.member.0);
        let call = self.calls.get(ask.call);
        let is_other = call.and_then(|call| call.members().get(whose)).is_some_and(|member| {
            // Nobody has cameras of their own to receive.
            member.account != session.account
        });
        self.change((session, ask.request, ask.call), |member| {
            member.apply(MemberEvent::Adjust, now.wall)?;
            if !is_other {
                return Err(Refusal::BadRequest);
            }
            member.choose_layer(whose, ask.layer);
            Ok(())
        });
    }

    /// Changes the asking member, answers, and tells relays and members what comes of it: nothing
    /// if it was so before.
    fn change(
        &mut self,
        (session, request, id): (&Session, RequestId, CallId),
        change: impl FnOnce(&mut Member) -> Result<(), Refusal>,
    ) {
        let allowed = self.permitted(session, id, By::Either);
        let known = self.calls.get(id).is_some_and(|call| call.state() != State::Inviting);
        if let Some(reason) = allowed.err().or_else(|| (!known).then_some(Refusal::NoSuchCall)) {
            return self.refuse(session.id, request, reason);
        }
        match self.adjust(id, |call| call.change(session, change)) {
            Err(reason) => self.refuse(session.id, request, reason),
            Ok(seen) => {
                self.done(session.id, request);
                if seen {
                    self.tell_members(id);
                }
            }
        }
    }

    /// Changes a call, and tells the relays what its members receive by then. Says whether the
    /// members see a difference.
    pub(super) fn adjust(
        &mut self,
        id: CallId,
        change: impl FnOnce(&mut Call) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let call = self.calls.get_mut(id).ok_or(Refusal::NoSuchCall)?;
        let (seen, received) = (call.seen(), call.received());
        change(call)?;
        let is_seen = call.seen() != seen;
        let news = call.received().into_iter().zip(received).filter(|(new, old)| new != old);
        for (leg, subscriptions) in news.flat_map(|(new, _)| new.at_each_relay()) {
            self.fleet.resubscribe(leg.0, leg.1, subscriptions);
        }
        Ok(is_seen)
    }
}
