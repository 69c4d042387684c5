//! A call that goes on gets another relay for one that it has lost, that is to be left, or that it
//! never had.
//!
//! **Make before break.** The other relay gets the legs first; then the members are told, and bind
//! there; what is left keeps its legs for a moment. Terminals have moved to the relay that lives by
//! themselves long before: this gives them a standby again. A relay is left only for one that the
//! members have known for [`HANDOVER`], so that they have bound there.
//!
//! **Kept before told**: whoever takes a call up knows every relay that its members may use. Only
//! if the store takes nothing for [`KEEP_PATIENCE`], they are told all the same: nobody else can
//! lead then.
//!
//! A relay whose link is gone for a moment is not lost: its media goes on, and it is back soon.

use super::{Coordinator, Output};
use crate::calls::{Call, CallMedia, InUse, Protected, State};
use crate::capacity::{
    HANDOVER, KEEP_PATIENCE, LEGS_TIMEOUT, LINK_PATIENCE, MEND_RETRY, MENDS_PER_TURN,
};
use crate::clock::Now;
use crate::fleet::{LegNews, Together};
use crate::placement::another;
use kakehashi_wire::id::{CallId, RelayId};
use kakehashi_wire::limits::RELAYS_PER_CALL_MAX;
use std::collections::BTreeSet;
use std::time::Duration;

/// When which call is to be looked at.
#[derive(Default)]
pub(super) struct Mending(BTreeSet<(Duration, CallId)>);

impl Mending {
    fn at(&mut self, at: Duration, call: CallId) {
        self.0.insert((at, call));
    }

    fn due(&mut self, now: Duration) -> Option<CallId> {
        let first = self.0.first().copied().filter(|(at, _)| *at <= now)?;
        self.0.remove(&first);
        Some(first.1)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| *at)
    }
}

impl Coordinator {
    /// Calls of a relay whose link is gone are looked at if it stays away.
    pub(super) fn mend_later(&mut self, rounds: &LegNews, now: Now) {
        for call in rounds.iter().filter_map(|round| self.calls.of_round(*round)) {
            self.mending.at(now.since_start + LINK_PATIENCE, call);
        }
    }

    /// A call that was taken up is looked at when its relays have had their time to connect.
    pub(super) fn mend_taken_up(&mut self, call: CallId, now: Now) {
        self.mending.at(now.since_start + LEGS_TIMEOUT, call);
    }

    /// A relay is there: calls that lack one are looked at.
    pub(super) fn mend_all(&mut self, now: Now) {
        let lacks = |call: &&Call| {
            let media = call.rounds().current();
            media.is_some_and(|media| self.fit(media).count() < 2)
        };
        let lacking: Vec<_> = self.calls.iter().filter(lacks).map(Call::id).collect();
        lacking.into_iter().for_each(|call| self.mending.at(now.since_start, call));
    }

    /// A relay is taken out of use, or put back: its calls are looked at, or those that lack one.
    pub(super) fn drain(&mut self, relay: RelayId, on: bool, now: Now) {
        let rounds = self.fleet.drain(relay, on);
        for call in rounds.iter().filter_map(|round| self.calls.of_round(*round)) {
            self.mending.at(now.since_start, call);
        }
        self.mend_all(now);
    }

    /// A round is in force: says whether it is protected as its tenant is to be.
    pub(super) fn look_at_protection(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        let Some(media) = call.rounds().current() else { return };
        if self.fit(media).count() < media.in_use().count() {
            self.mending.at(now.since_start + LINK_PATIENCE, id);
        }
        if media.wants_hitless() && media.protection() != Protected::Hitless {
            self.out.push(Output::Unprotected(id, call.tenant()));
        }
    }

    /// Looks at those calls whose time has come, some in each turn: what hurries more waits for no
    /// fleet to be rearranged.
    pub(super) fn mend_due(&mut self, now: Now) {
        for _ in 0..MENDS_PER_TURN {
            let Some(call) = self.mending.due(now.since_start) else { return };
            self.mend(call, now);
        }
    }

    /// The relay that joins a call may have its legs now.
    pub(super) fn look_at_joining(&mut self, id: CallId, now: Now) {
        let media = self.calls.get(id).and_then(|call| call.rounds().current());
        if media.is_some_and(|media| media.joining().is_some()) {
            self.mend(id, now);
        }
    }

    /// The relays in use that a call can count on.
    fn fit<'a>(&'a self, media: &'a CallMedia) -> impl Iterator<Item = InUse> + 'a {
        media.in_use().filter(|place| {
            let standing = self.fleet.standing(place.seat.relay, media.legs_at(place.nth));
            self.fleet.keeps_calls(place.seat.relay) && standing != Together::Refused
        })
    }

    fn mend(&mut self, id: CallId, now: Now) {
        let call = self.calls.get_mut(id).filter(|call| call.state() == State::Connected);
        let Some(media) = call.and_then(|call| call.rounds_mut().current_mut()) else { return };
        if let Some(since) = media.untold() {
            // One change after the other: what comes next is looked at when this one is told.
            let last = since + KEEP_PATIENCE;
            return if now.since_start < last {
                self.mending.at(last, id);
            } else {
                self.tell_paths(id, now);
            };
        }
        for (relay, leg) in media.departed(now.since_start) {
            self.fleet.release(relay, leg);
        }
        if self.settle(id, now) {
            self.find_another(id, now);
        }
        let media = self.calls.get(id).and_then(|call| call.rounds().current());
        if let Some(at) = media.and_then(CallMedia::next_departure) {
            self.mending.at(at, id);
        }
    }

    /// Sees what became of the relay that joins; `false` while that is not known, and if it came to
    /// nothing.
    fn settle(&mut self, id: CallId, now: Now) -> bool {
        let media = self.calls.get(id).and_then(|call| call.rounds().current());
        let Some((media, joining)) = media.and_then(|it| Some((it, it.joining()?))) else {
            return true;
        };
        let last = joining.since + LEGS_TIMEOUT;
        match self.fleet.standing(joining.seat.relay, media.legs_at(joining.nth)) {
            // What was lost is back: nobody needs another.
            Together::InForce if self.fit(media).count() >= RELAYS_PER_CALL_MAX => {
                self.drop_joining(id);
            }
            Together::InForce => {
                if let Some(at) = self.not_before(media, now) {
                    self.mending.at(at, id);
                    return false;
                }
                self.renew_paths(id);
                if let Some(media) = self.current_mut(id) {
                    media.settle(now.since_start);
                }
                self.leave_unfit(id, now);
                self.tell_when_kept(id, now);
            }
            Together::Waiting if now.since_start < last => {
                self.mending.at(last, id);
                return false;
            }
            Together::Waiting | Together::Refused => {
                self.drop_joining(id);
                self.mending.at(now.since_start + MEND_RETRY, id);
                return false;
            }
        }
        true
    }

    /// When a relay that is to be left may make room for the one that joins, if not yet: the other
    /// must have been known for a while. One that died makes room at once.
    fn not_before(&self, media: &CallMedia, now: Now) -> Option<Duration> {
        let linked = |place: InUse| self.fleet.is_linked(place.seat.relay);
        if media.in_use().count() < RELAYS_PER_CALL_MAX || !media.in_use().all(linked) {
            return None;
        }
        self.handover_at(media).filter(|at| *at > now.since_start)
    }

    /// From when on other relays may be left for those that the call can count on.
    fn handover_at(&self, media: &CallMedia) -> Option<Duration> {
        self.fit(media).map(|place| place.since + HANDOVER).min()
    }

    fn drop_joining(&mut self, id: CallId) {
        let Some(media) = self.calls.get_mut(id).and_then(|it| it.rounds_mut().current_mut())
        else {
            return;
        };
        let Some(joining) = media.joining() else { return };
        for leg in media.legs_at(joining.nth) {
            self.fleet.release(joining.seat.relay, leg);
        }
        media.drop_place(joining.nth);
    }

    /// Wants the legs at another relay if the call cannot count on two, and leaves what it need not
    /// keep.
    fn find_another(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        let Some(media) = call.rounds().current() else { return };
        if self.fit(media).count() < 2 && self.want_another(id, now) {
            return;
        }
        if self.leave_unfit(id, now) {
            self.renew_paths(id);
            self.tell_when_kept(id, now);
        }
    }

    /// Wants the legs at another relay; `false` if there is none.
    fn want_another(&mut self, id: CallId, now: Now) -> bool {
        let Some(call) = self.calls.get(id) else { return false };
        let Some(media) = call.rounds().current() else { return false };
        let accounts: Vec<_> = call.members().iter().map(|member| member.account).collect();
        let has: Vec<_> = media.seats().map(|seat| seat.relay).collect();
        let legs = u32::try_from(media.legs_at(0).count()).unwrap_or(u32::MAX);
        let carry: Vec<_> = self.fit(media).map(|place| place.seat.relay).collect();
        let candidates = self.candidates_for(&accounts, now);
        let seat = another(&candidates, &has, &carry, legs);
        let place = seat.and_then(|it| Some((it, self.fleet.address(it.relay, it.shard)?)));
        let Some(place) = place else { return false };
        let Some(call) = self.calls.get_mut(id) else { return false };
        let Some(media) = call.rounds_mut().current_mut() else { return false };
        let nth = media.join(place, now.since_start, &self.entropy);
        for leg in call.wanted_at(nth, &self.sessions) {
            self.fleet.want(place.0.relay, leg);
        }
        self.mending.at(now.since_start + LEGS_TIMEOUT, id);
        true
    }

    /// Leaves relays that the call cannot count on, as far as others carry it: at once for one that
    /// its members have known for a while, and one that died if there is no room for it. One that
    /// is only lost is kept while nothing replaces it: it may come back. Says whether any was left.
    fn leave_unfit(&mut self, id: CallId, now: Now) -> bool {
        let Some(media) = self.calls.get(id).and_then(|call| call.rounds().current()) else {
            return false;
        };
        let fit: Vec<_> = self.fit(media).collect();
        let in_use: Vec<_> = media.in_use().collect();
        let mut unfit: Vec<_> = in_use.iter().filter(|it| !fit.contains(it)).collect();
        unfit.sort_by_key(|place| self.fleet.is_linked(place.seat.relay));
        let known = self.handover_at(media);
        let excess = in_use.len().saturating_sub(RELAYS_PER_CALL_MAX);
        let mut left = Vec::new();
        for (at, place) in unfit.into_iter().enumerate() {
            let drained = self.fleet.is_linked(place.seat.relay);
            match known {
                _ if at < excess => left.push(place.nth),
                Some(known) if known <= now.since_start && (drained || fit.len() > 1) => {
                    left.push(place.nth);
                }
                Some(known) if known > now.since_start => self.mending.at(known, id),
                _ => {}
            }
        }
        let any = !left.is_empty();
        if let Some(media) = self.current_mut(id) {
            left.into_iter().for_each(|nth| media.leave(nth, now.since_start));
        }
        any
    }

    fn current_mut(&mut self, id: CallId) -> Option<&mut CallMedia> {
        self.calls.get_mut(id).map(Call::rounds_mut)?.current_mut()
    }

    /// The members hear of their call's other relays when the store has them: a node that takes
    /// the call up would send them back to those of before.
    fn tell_when_kept(&mut self, id: CallId, now: Now) {
        let media = self.calls.get_mut(id).and_then(|call| call.rounds_mut().current_mut());
        let Some(media) = media else { return };
        // Of the new legs they hear with the change, and not that they have another life.
        media.note_lives(|relay, leg| self.fleet.epoch(relay, leg));
        media.change_is_to_be_told(now.since_start);
        self.mending.at(now.since_start + KEEP_PATIENCE, id);
    }

    /// The store has what was decided of a call's relays at `since`.
    pub(super) fn change_is_kept(&mut self, id: CallId, since: Duration, now: Now) {
        let media = self.calls.get(id).and_then(|call| call.rounds().current());
        if media.and_then(CallMedia::untold) == Some(since) {
            self.tell_paths(id, now);
        }
    }

    fn tell_paths(&mut self, id: CallId, now: Now) {
        let Some(media) = self.current_mut(id) else { return };
        media.told(now.since_start);
        let Some(call) = self.calls.get_mut(id) else { return };
        for (session, changed) in call.paths_changed(|relay, leg| self.fleet.epoch(relay, leg)) {
            self.say(session, changed);
        }
        self.mending.at(now.since_start, id);
    }
}
