//! Calls outlive their core: what changed of them is kept after each turn, and another core takes
//! them up.
//!
//! A call that was taken up is what it was, with all its members away: whoever comes back by
//! resuming is told the whole of it, and who does not come back in time leaves it, as after any
//! lost connection. Its legs are wanted again as they were, and no key is drawn anew.

use super::{Coordinator, Output};
use crate::calls::{
    Ages, Around, Call, CallMedia, Event, Kept, LegLife, Live, MemberEvent, Restart, State,
};
use crate::capacity::{LEGS_TIMEOUT, ROUND_KEPT, SAVE_RETRY};
use crate::clock::Now;
use crate::sessions::{AccountKey, Admission, Session};
use kakehashi_wire::id::{CallId, LegId, RelayId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// What is kept of each call, and what the store did not take.
#[derive(Default)]
pub(super) struct Keeping {
    prints: HashMap<CallId, [u8; 32]>,
    owed: BTreeSet<CallId>,
    retry: Option<Duration>,
}

impl Keeping {
    /// Whether what there is to keep of a call differs from what was kept last.
    fn is_news(&mut self, kept: &Kept) -> bool {
        let print = kept.print();
        self.owed.remove(&kept.call);
        self.prints.insert(kept.call, print) != Some(print)
    }

    fn forget(&mut self, call: CallId) {
        self.prints.remove(&call);
        self.owed.remove(&call);
    }

    /// The store did not take what was to be kept of a call.
    pub(super) fn failed(&mut self, call: CallId, now: Duration) {
        if self.prints.remove(&call).is_some() {
            self.owed.insert(call);
            self.retry.get_or_insert(now + SAVE_RETRY);
        }
    }

    /// The calls to keep again, if it is time.
    fn due(&mut self, now: Duration) -> BTreeSet<CallId> {
        if self.retry.is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        self.retry = None;
        std::mem::take(&mut self.owed)
    }

    /// When [`due`](Self::due) has something.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        self.retry
    }
}

impl Coordinator {
    /// Begins with the calls of another core, which is no more. To be called before anybody has
    /// arrived and after the desks and tenants are known. Whose rights have ended since is to be
    /// said next, before any relay connects.
    pub fn take_over(&mut self, lives: Vec<Live>, now: Now) -> Vec<Output> {
        self.placing.expect_relays(now);
        // A call that was to become part of another stands by itself as it was before.
        let guests: BTreeSet<_> =
            lives.iter().filter_map(|live| Some(live.call.merges_with()?.id())).collect();
        let mut lives = lives;
        lives.retain(|live| !guests.contains(&live.call.id()));
        let mut there = BTreeMap::new();
        let mut nowhere = Vec::new();
        let calls: Vec<_> = lives.iter().map(|live| live.call.id()).collect();
        for Live { mut call, around, ages } in lives {
            for session in &around.sessions {
                match self.seat(session) {
                    Some(seated) => {
                        call.succeed(session, &seated);
                        call.lose(&seated);
                        there.insert(seated.id, seated);
                    }
                    None => nowhere.push(session.clone()),
                }
            }
            self.adopt(call, around, ages, now);
        }
        for session in there.keys() {
            self.detached.detach(*session, now.since_start + self.settings.grace);
        }
        for call in calls {
            self.go_on(call, now);
        }
        for session in there.values() {
            self.speak_in_one(session.account, now);
            self.ring_if_free(session, now);
            self.announce(session);
        }
        for session in nowhere {
            self.member_detached(&session, Event::MemberLost, now);
        }
        self.finish(now)
    }

    /// The session under which a device that takes part in a call is known: its number may have
    /// changed after one of its calls was kept last. `None` if there is no room.
    fn seat(&mut self, session: &Session) -> Option<Session> {
        let there = self.sessions.of(session.account).find(|it| it.device == session.device);
        if let Some(there) = there {
            return Some(there.clone());
        }
        match self.sessions.admit(session.clone()) {
            Admission::New | Admission::Replaces(_) => Some(session.clone()),
            Admission::Elsewhere | Admission::Full => None,
        }
    }

    /// Holds a call and all that belongs to it.
    fn adopt(&mut self, mut call: Call, around: Around, ages: Ages, now: Now) {
        let rings = self.settings.no_answer;
        let kept = self.settings.grace.max(ROUND_KEPT);
        call.restart(now.since_start, ages.state, Restart { rings, attend: LEGS_TIMEOUT, kept });
        for (_, media) in call.all_media() {
            media.claim(&mut self.ssrcs);
            self.calls.note_round(media.round());
        }
        let lives: HashMap<_, _> =
            around.lives.iter().map(|life| ((life.relay, life.leg), life.epoch)).collect();
        for (relay, leg) in call.wanted_again(&self.sessions) {
            let epoch = lives.get(&(relay, leg.leg)).copied();
            self.fleet.adopt(relay, (leg, epoch), now.since_start + LEGS_TIMEOUT);
        }
        if let Some(place) = around.place {
            let waited = [ages.wait, ages.at_desk];
            self.desks.restore(call.id(), place, waited, now.since_start);
        }
        self.calls.insert(call);
    }

    /// An account speaks in one call at a time: that it held another may not have been written
    /// before it began this one. It holds whatever can be held; else what has come least far ends.
    fn speak_in_one(&mut self, account: AccountKey, now: Now) {
        let speaks = |call: &&Call| !call.is_held_by(account);
        let calls = self.calls.all_of(account).filter(speaks);
        let place = |call: &Call| Some((call.state() as u8, call.id(), call.place_of(account)?));
        let mut calls: Vec<_> = calls.filter_map(place).collect();
        calls.sort_unstable();
        while calls.len() > 1 {
            let held = calls.iter().position(|(_, id, nth)| {
                let hold = |call: &mut Call| call.change_at(*nth, MemberEvent::Hold, now.wall);
                self.adjust(*id, hold).is_ok()
            });
            let (_, id, nth) = calls.remove(held.unwrap_or_default());
            if held.is_none() {
                self.leaves(id, nth, Event::MemberLost, now);
            }
        }
    }

    /// A desk rings only at agents who are in no other call: that one has let it pass may not have
    /// been written before the next call began.
    fn ring_if_free(&mut self, session: &Session, now: Now) {
        let calls: Vec<_> = self.calls.all_of(session.account).map(Call::id).collect();
        let devices: Vec<_> = self.sessions.of(session.account).cloned().collect();
        for id in calls {
            let others = self.calls.all_of(session.account).any(|call| call.id() != id);
            if others && self.rings_at_desk(session, id) {
                devices.iter().for_each(|device| self.stops_ringing(device, id, now));
            }
        }
    }

    /// What was to happen to a call next happens in its full time: nobody is to miss a call for
    /// what became of a node.
    fn go_on(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        let is_for_desk = call.desk().is_some();
        let asks_desk = call.asks().is_some();
        let rings_there = !call.agents().is_empty();
        match call.state() {
            // It is on disk, and may have rung already.
            State::Inviting => {
                let event = if is_for_desk { Event::Queue } else { Event::Stored };
                self.happen(id, event, now);
            }
            State::Queued => self.wait_again(id, now),
            State::Ringing => {
                let rings = if is_for_desk { self.desks.ring(id) } else { self.settings.no_answer };
                self.calls.set_timer(id, Some(now.since_start + rings));
            }
            // It had no relay there, either.
            State::Preparing if call.rounds().coming().is_none() => {
                self.placing.wait(id, now);
            }
            State::Preparing | State::Connected => {
                self.arm(id);
                self.mend_taken_up(id, now);
                if asks_desk && rings_there {
                    let rings = self.desks.ring(id);
                    self.wait_until(id, Some(now.since_start + rings));
                } else if asks_desk {
                    self.wait_again(id, now);
                }
            }
            State::Ended => {}
        }
    }

    /// Has kept what changed of calls in this turn.
    pub(super) fn keep_calls(&mut self, now: Now) {
        for id in self.keeping.due(now.since_start) {
            self.calls.touch(id);
        }
        for id in self.calls.take_touched() {
            match self.calls.get(id).map(|call| self.kept(call, now)) {
                Some(kept) if self.keeping.is_news(&kept) => self.out.push(Output::Keep(kept)),
                Some(_) => {}
                // Its end is a record's to say.
                None => self.keeping.forget(id),
            }
        }
    }

    fn kept(&self, call: &Call, now: Now) -> Kept {
        let with = call.merges_with().into_iter().flat_map(Call::everybody);
        let sessions: BTreeSet<_> =
            call.everybody().chain(with).flat_map(|member| member.sessions()).collect();
        let sessions = sessions.into_iter().filter_map(|id| self.sessions.get(id).cloned());
        let place = self.desks.place(call.id(), now.since_start);
        let [wait, at_desk] = place.map(|(_, ages)| ages).unwrap_or_default();
        let life = |(relay, leg)| {
            let epoch = self.fleet.epoch(relay, leg)?;
            Some(LegLife { relay, leg, epoch })
        };
        let around = Around {
            sessions: sessions.collect(),
            place: place.map(|(place, _)| place.clone()),
            lives: call.all_media().flat_map(|(_, it)| legs(it)).filter_map(life).collect(),
        };
        let state = now.since_start.saturating_sub(call.entered());
        Kept::of(call, &around, Ages { state, wait, at_desk })
    }
}

/// Each leg of a round, and its relay.
fn legs(media: &CallMedia) -> impl Iterator<Item = (RelayId, LegId)> {
    media
        .seats()
        .enumerate()
        .flat_map(|(nth, seat)| media.legs_at(nth).map(move |leg| (seat.relay, leg)))
}
