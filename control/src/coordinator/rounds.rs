//! Rounds: who takes part in a call that goes on has changed, so it gets new keys, sources, legs.
//!
//! The relays first, then the members, and what was before stays for a moment: make before break.
//! Who leaves cannot open what comes after, and who joins not what was before.

use super::Coordinator;
use crate::calls::{CallMedia, Entered, Event, Round, State};
use crate::capacity::{LEGS_TIMEOUT, STANDBY_TIMEOUT};
use crate::clock::Now;
use crate::placement::{Seat, choose};
use crate::policy::media_terms;
use kakehashi_log::millis;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::CallEnd;

impl Coordinator {
    /// Begins the round that the call's members want, unless it has it or is about to. A round that
    /// was about to be and that nobody wants any more is withdrawn: the last wish counts.
    pub(super) fn regroup(&mut self, id: CallId, now: Now) {
        let call = self.calls.get_mut(id).filter(|call| call.state() == State::Connected);
        let Some(call) = call else { return };
        let wanted = call.wanted_members();
        if call.rounds().drawn() != Some(&wanted) {
            if let Some(vain) = call.rounds_mut().withdraw() {
                self.release_round(&vain);
            }
            let drawn = self.calls.get(id).and_then(|call| call.rounds().drawn());
            if drawn != Some(&wanted) && !self.begin_round(id, now) {
                return self.withdraw_round(id, now);
            }
        }
        if self.calls.get(id).is_some_and(|call| call.merges_in_vain()) {
            self.unmerge(id, now);
        }
        self.arm(id);
    }

    /// Draws the keys of whoever is to take part, and wants the legs at the relays; `false` if none
    /// has room.
    pub(super) fn begin_round(&mut self, id: CallId, now: Now) -> bool {
        let at_relays = self.fresh_round();
        let Some(call) = self.calls.get(id) else { return false };
        let wanted = call.wanted_members();
        let accounts: Vec<_> = wanted.iter().map(|&nth| call.members()[nth].account).collect();
        let candidates = self.candidates_for(&accounts, now);
        let Some(call) = self.calls.get_mut(id) else { return false };
        let placement = choose(&candidates, legs(wanted.len()));
        let members = call.members().iter().enumerate();
        let offers: Vec<_> = members
            .map(|(nth, member)| wanted.contains(&nth).then_some(member.streams.as_slice()))
            .collect();
        let round = Round { call: id, at_relays, number: call.rounds().next_number() };
        let limits = &self.tenants.policy(call.tenant()).limits;
        let terms = media_terms(&self.settings.media, limits);
        let media = placement.and_then(|placement| {
            let address = |seat: Seat| self.fleet.address(seat.relay, seat.shard);
            let random = (&self.entropy, &mut self.ssrcs);
            let at = (round, now.since_start);
            CallMedia::draw(at, placement, address, &offers, terms, random)
        });
        let Some(media) = media else { return false };
        call.rounds_mut().begin(media, now.since_start, now.since_start + STANDBY_TIMEOUT);
        for (relay, leg) in call.wanted(&self.sessions) {
            self.fleet.want(relay, leg);
        }
        self.calls.note_round(round);
        tracing::debug!(event = "round_begun", call = %id, round = %at_relays,
            number = round.number, "a call is placed, and relays know it by its round");
        self.arm(id);
        true
    }

    /// The relays hold the legs of the coming round: its members may send.
    pub(super) fn enter_round(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let is_first = call.rounds().current().is_none();
        if let (Some(coming), Some(since)) = (call.rounds().coming(), call.rounds().since()) {
            let Round { at_relays, number, .. } = coming.round();
            tracing::debug!(event = "round_entered", call = %id, round = %at_relays, number,
                took_ms = millis(now.since_start.saturating_sub(since)),
                "relays hold the legs of a round");
        }
        let Entered { leavers, merged } = call.enter_round(now);
        if !is_first {
            let record = call.record();
            self.write(record);
        }
        if let Some(with) = merged {
            self.merged(id, &with, now);
        }
        for nth in leavers {
            self.part(id, nth, CallEnd::Transferred, now);
        }
        if !is_first {
            self.tell_members(id);
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        for (session, ready) in call.ready(|relay, leg| self.fleet.epoch(relay, leg)) {
            self.say(session, ready);
        }
        self.look_at_protection(id, now);
        self.arm(id);
    }

    /// The relays will not hold the legs of the coming round: the one in force goes on, and whoever
    /// waited for it does not come.
    pub(super) fn withdraw_round(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Some(vain) = call.rounds_mut().withdraw() {
            self.release_round(&vain);
        }
        self.unmerge(id, now);
        let joiners = self.calls.get(id).map(|call| call.joiners()).unwrap_or_default();
        for nth in joiners {
            match self.calls.get(id).map(|call| call.goes_on_without(nth)) {
                Some(true) => self.part(id, nth, CallEnd::NoRelay, now),
                // Whoever was there before them has left meanwhile.
                Some(false) => drop(self.happen(id, Event::MemberLost, now)),
                None => return,
            }
        }
        self.arm(id);
    }

    /// Looks at a call in preparation or going on whose time has come.
    pub(super) fn attend(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let at = now.since_start;
        let spent = call.rounds_mut().spent(at);
        let rung_out = call.rung_out(at);
        if let Some(since) = call.rounds().since() {
            let last = since + LEGS_TIMEOUT;
            let next = if last > at { last } else { at + LEGS_TIMEOUT };
            call.rounds_mut().attend_at(next);
        }
        for media in &spent {
            self.release_round(media);
        }
        for nth in rung_out {
            self.part(id, nth, CallEnd::NoAnswer, now);
        }
        self.attend_ask(id, now);
        self.look_at_legs_of(id, now);
        self.arm(id);
    }

    /// The call wants attention when its rounds or those who ring in it do.
    pub(super) fn arm(&mut self, id: CallId) {
        if let Some(call) = self.calls.get(id) {
            let at = call.next_attention();
            self.calls.set_timer(id, at);
        }
    }

    /// The relays are to hold nothing of a round any more.
    pub(super) fn release_round(&mut self, media: &CallMedia) {
        for (nth, seat) in media.seats().enumerate() {
            for leg in media.legs_at(nth) {
                self.fleet.release(seat.relay, leg);
            }
        }
        media.free(&mut self.ssrcs);
        self.calls.forget_round(media.round());
    }

    fn fresh_round(&self) -> CallId {
        loop {
            let at_relays = CallId(self.entropy.nonzero());
            if !self.calls.knows_round(at_relays) {
                return at_relays;
            }
        }
    }
}

/// The legs that so many members have at a relay.
pub(super) fn legs(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}
