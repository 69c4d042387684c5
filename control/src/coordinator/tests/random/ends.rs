//! Messages that are lost: with the connection of a terminal, which then resumes, or with the link
//! of a relay. In the end both sides agree, and whoever was suspended has no leg anywhere.

use super::*;
use crate::calls::Call;
use crate::policy::TenantPolicy;
use crate::store::Revision;
use kakehashi_wire::id::RelayId;

/// What the terminal of a slot makes of what it hears.
#[derive(Default)]
pub(super) struct View {
    /// Each call it is in, with the last round it has heard of.
    calls: BTreeMap<CallId, Option<u32>>,
    rings: BTreeSet<CallId>,
}

/// What a request asked of which call, as far as its answer alone says what comes of it.
#[derive(Clone, Copy)]
pub(super) enum Wish {
    In(CallId),
    Out(CallId),
}

impl View {
    fn hears(&mut self, message: &ToTerminal, wishes: &HashMap<RequestId, Wish>) {
        match message {
            ToTerminal::SignedIn(_) => *self = Self::default(),
            ToTerminal::Resumed(it) => {
                it.merged.iter().for_each(|merged| self.merged(merged.call, merged.into));
                self.calls.retain(|call, _| it.calls.contains(call));
                it.calls.iter().for_each(|call| self.is_in(*call));
                self.rings.retain(|call| it.rings.contains(call));
            }
            ToTerminal::Ringing(it) => self.is_in(it.call),
            ToTerminal::Queued(it) => self.is_in(it.call),
            ToTerminal::Incoming(it) => drop(self.rings.insert(it.call)),
            ToTerminal::CallReady(it) => {
                self.is_in(it.call);
                self.calls.insert(it.call, Some(it.round));
            }
            ToTerminal::Taken(it) => drop(self.rings.remove(&it.call)),
            ToTerminal::CallEnded(it) => {
                self.rings.remove(&it.call);
                self.calls.remove(&it.call);
            }
            ToTerminal::Merged(it) => self.merged(it.call, it.into),
            ToTerminal::Done(it) => match wishes.get(&it.request) {
                Some(Wish::In(call)) => self.is_in(*call),
                Some(Wish::Out(call)) => drop(self.rings.remove(call)),
                None => {}
            },
            _ => {}
        }
    }

    fn is_in(&mut self, call: CallId) {
        self.rings.remove(&call);
        self.calls.entry(call).or_default();
    }

    fn merged(&mut self, call: CallId, into: CallId) {
        if self.calls.remove(&call).is_some() {
            self.calls.entry(into).or_default();
        }
    }
}

impl Life {
    /// The terminal of `session` hears these, unless its connection is about to be lost.
    pub(super) fn hear(&mut self, session: SessionId, messages: &[ToTerminal]) {
        let Some(slot) = self.slots.get(&session).copied() else { return };
        if self.deaf != Some(slot) {
            for message in messages {
                self.views[slot].hears(message, &self.wishes);
            }
        }
    }

    /// Everybody may listen to calls, in tenant 1.
    pub(super) fn let_listen(&mut self) {
        self.world.role = Role::Supervisor;
        let mut policy = TenantPolicy::default();
        policy.rules.listening = true;
        self.world.input(Input::Tenant(TenantId(1), Box::new(policy), Revision(1)));
    }

    /// What was said to a terminal is lost, and its connection with it.
    pub(super) fn lose_the_deaf(&mut self) {
        if let Some(slot) = self.deaf.take() {
            self.lose(slot);
        }
    }

    /// The link of a relay breaks and comes back; what was under way there `was_done` or lost, and
    /// the answers are lost either way.
    pub(super) fn cut(&mut self, relay: u32, was_done: bool) {
        let mut played = self.world.link_cut(relay);
        for batch in std::mem::take(&mut played.unanswered) {
            for order in batch.iter().filter(|_| was_done) {
                played.apply(order);
            }
        }
        self.world.link_up_with(relay, played);
    }

    /// Notes the legs of whoever is about to be suspended.
    pub(super) fn note_barred(&mut self, whom: Whom) {
        let core = &self.world.core;
        let is_barred = |call: &Call, nth: usize| {
            let member = &call.members()[nth];
            let device = member.session().and_then(|id| core.sessions.get(id)).map(|it| it.device);
            match whom {
                Whom::Account(account) => member.account == account,
                Whom::Device(account, of) => member.account == account && device == Some(of),
                Whom::Tenant(tenant) => member.account.tenant == tenant,
            }
        };
        for call in core.calls.iter() {
            let rounds = [call.rounds().current(), call.rounds().coming()].into_iter().flatten();
            for media in rounds {
                let barred = (0..call.members().len()).filter(|nth| is_barred(call, *nth));
                self.barred.extend(barred.flat_map(|nth| media.legs_of(nth)));
            }
        }
    }

    /// A relay that has heard everything holds no leg of whoever was suspended, and no legs of two
    /// tenants under one number.
    pub(super) fn check_legs(&self) -> Result<(), TestCaseError> {
        let settled = self.world.relays.iter().filter(|(_, relay)| relay.unanswered.is_empty());
        for (link, relay) in settled {
            let here = |at: &RelayId| LinkId(at.0.into()) == *link;
            for (_, leg) in self.barred.iter().filter(|(at, _)| here(at)) {
                prop_assert!(!relay.held.contains_key(&leg.0), "a suspended one has a leg");
            }
        }
        let mut tenants = HashMap::new();
        for call in self.world.core.calls.iter() {
            let rounds = [call.rounds().current(), call.rounds().coming()].into_iter().flatten();
            for at_relays in rounds.map(|media| media.round().at_relays) {
                let tenant = tenants.insert(at_relays, call.tenant());
                prop_assert!(tenant.is_none(), "two calls under one number at the relays");
            }
        }
        Ok(())
    }

    /// All that is broken is mended, and everybody is back who can be.
    pub(super) fn mend(&mut self) -> Result<(), TestCaseError> {
        self.lose_the_deaf();
        self.world.disk_full = false;
        self.world.relays_are.answer = true;
        for relay in [1, 2] {
            let mut played = self.world.link_cut(relay);
            played.unanswered.clear();
            played.refuses = None;
            self.world.link_up_with(relay, played);
        }
        for slot in 0..self.sessions.len() {
            let lives = |id: u64| {
                let core = &self.world.core;
                core.sessions.get(SessionId(id)).is_some() && !core.detached.has(SessionId(id))
            };
            if self.sessions[slot].is_some_and(|id| !lives(id)) {
                self.resume(slot);
            }
        }
        self.world.wait(Duration::from_secs(12));
        self.check()
    }

    /// What each terminal makes of what it heard is what control knows.
    pub(super) fn check_views(&self) -> Result<(), TestCaseError> {
        let core = &self.world.core;
        for (slot, view) in self.views.iter().enumerate() {
            let session = self.sessions[slot].and_then(|id| core.sessions.get(SessionId(id)));
            let Some(session) = session.filter(|it| !core.detached.has(it.id)) else { continue };
            let (mut calls, mut rings) = (BTreeMap::new(), BTreeSet::new());
            for call in core.calls.all_of(session.account) {
                match call.standing(session) {
                    _ if call.state() == State::Inviting => {}
                    Some((nth, Standing::Takes)) => {
                        let ready = call.ready_for(session).map(|ready| ready.round);
                        let ready = ready.filter(|_| call.state() == State::Connected);
                        calls.insert(call.known_to(nth), ready);
                    }
                    Some((_, Standing::Rings)) => drop(rings.insert(call.id())),
                    Some((_, Standing::Aside)) | None => {}
                }
            }
            prop_assert_eq!(&view.calls, &calls, "slot {}", slot);
            prop_assert_eq!(&view.rings, &rings, "slot {}", slot);
        }
        Ok(())
    }

    /// Nobody does anything any more: what nobody takes ends, and what goes on goes on.
    pub(super) fn check_nothing_hangs(&mut self) -> Result<(), TestCaseError> {
        self.world.wait(Duration::from_secs(200));
        self.check()?;
        for call in self.world.core.calls.iter() {
            prop_assert_eq!(call.state(), State::Connected, "a call hangs");
            prop_assert!(call.asks().is_none() && call.joiners().is_empty(), "somebody hangs");
        }
        Ok(())
    }
}
