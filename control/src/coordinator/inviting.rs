//! Invitations: admitted, decided, recorded; and two that cross.

use super::{Called, Coordinator};
use crate::calls::{Call, Crossing, Member, State, Step};
use crate::clock::Now;
use crate::placement::choose;
use crate::policy::{Act, CallFacts, Callee, Engaged, MayCall, Target, acceptable, may_call};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{AccountId, CallId, RequestId};
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{Refusal, Ringing};

/// Legs a call between two terminals has at each relay.
pub(super) const LEGS: u32 = 2;

impl Coordinator {
    /// Admits, decides and records an invitation; it rings when the record is on disk.
    pub(super) fn invite(
        &mut self,
        session: &Session,
        request: RequestId,
        callee: Option<Called>,
        streams: Vec<StreamOffer>,
        now: Now,
    ) -> Result<(), Refusal> {
        if !acceptable(&streams) {
            return Err(Refusal::BadRequest);
        }
        let facts = self.facts(session, callee.map(|callee| callee.account), now);
        // Whoever has called back takes a call that there is.
        let act = if facts.crossing.is_some() { Act::Accept } else { Act::Invite };
        self.may_do(session, act, Target::of(callee), now)?;
        let callee = match may_call(&facts)? {
            MayCall::Rings(callee) => callee,
            MayCall::Takes(call) => {
                let crossing = Crossing { session: session.id, request, streams };
                return self.cross(call, crossing, now);
            }
        };
        self.may_begin()?;
        if !self.calls.has_room() {
            return Err(Refusal::Busy);
        }
        let callee = Member::called(self.sessions.of(callee)).ok_or(Refusal::NotAvailable)?;
        let id = self.fresh_call_id();
        let call = Call::new((id, request), Member::calling(session, streams), callee, now);
        self.write(call.record());
        self.calls.insert(call);
        self.announce_members(id);
        Ok(())
    }

    /// Whether a call may begin: one that the store does not know of would be lost with the node.
    pub(super) fn may_begin(&self) -> Result<(), Refusal> {
        if self.store_hangs { Err(Refusal::StoreUnavailable) } else { Ok(()) }
    }

    fn facts(&self, session: &Session, callee: Option<AccountId>, now: Now) -> CallFacts {
        let callee = self.callee(session, callee);
        let crossing = callee.and_then(|callee| {
            let call = self.calls.active_of(session.account)?;
            let rings = matches!(call.state(), State::Inviting | State::Ringing);
            let is_theirs = call.caller().account == callee.account;
            (rings && is_theirs && call.callee().is_some_and(|it| it.account == session.account))
                .then(|| call.id())
        });
        CallFacts {
            caller: session.account,
            caller_engaged: self.engaged(session.account),
            callee,
            crossing,
            relay_ready: choose(&self.candidates(now), LEGS).is_some(),
        }
    }

    /// What is known of an account of the session's tenant.
    pub(super) fn callee(&self, session: &Session, account: Option<AccountId>) -> Option<Callee> {
        let account = AccountKey { tenant: session.account.tenant, account: account? };
        let is_there = self.sessions.is_there(account);
        Some(Callee { account, is_there, engaged: self.engaged(account) })
    }

    pub(super) fn engaged(&self, account: AccountKey) -> Engaged {
        Engaged {
            calls: self.calls.all_of(account).count(),
            is_active: self.calls.active_of(account).is_some(),
        }
    }

    pub(super) fn fresh_call_id(&self) -> CallId {
        loop {
            let id = CallId(self.entropy.nonzero());
            if !self.calls.contains(id) {
                return id;
            }
        }
    }

    /// Both have called each other: the second takes the first one's call, as soon as it rings.
    fn cross(&mut self, id: CallId, crossing: Crossing, now: Now) -> Result<(), Refusal> {
        let call = self.calls.get_mut(id).ok_or(Refusal::NoSuchCall)?;
        if call.state() == State::Inviting {
            let is_first = call.cross(crossing);
            return if is_first { Ok(()) } else { Err(Refusal::InAnotherCall) };
        }
        let Crossing { session, request, streams } = crossing;
        match self.take(id, session, (streams, Ringing { request, call: id }), now) {
            Some(Step::Refuse(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    /// The call rings now: whoever called back meanwhile has it.
    pub(super) fn meet_crossing(&mut self, id: CallId, now: Now) {
        let Some(crossing) = self.calls.get_mut(id).and_then(Call::take_crossing) else { return };
        let session = crossing.session;
        if self.sessions.get(session).is_some() && !self.detached.has(session) {
            // It rings, so it can be taken.
            let _taken = self.cross(id, crossing, now);
        }
    }
}
