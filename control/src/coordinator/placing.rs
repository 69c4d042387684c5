//! What placement is to know: the shards there are, which of them stand by for which calls, and how
//! far members are from them. And the calls that wait for a shard.
//!
//! A core that has just begun knows no relay: they notice that their node is gone, and connect to
//! the next. Whoever takes a call meanwhile waits for them, and the call does not end.

use super::Coordinator;
use crate::calls::{Event, State};
use crate::capacity::{RELAYS_PATIENCE, STANDBYS_COUNTED_EVERY};
use crate::clock::Now;
use crate::placement::{Candidate, Nearness, Standbys};
use crate::sessions::AccountKey;
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::terminal::ReportQuality;
use std::collections::BTreeSet;
use std::time::Duration;

/// Which relays carried which calls when they were last counted, how far accounts are from their
/// sites, and which calls wait for one.
#[derive(Default)]
pub(super) struct Placing {
    standbys: Standbys,
    nearness: Nearness,
    /// When they are to be counted again.
    due: Duration,
    /// Calls that were taken before there was a relay.
    unplaced: BTreeSet<CallId>,
    /// Until when relays are awaited that have not connected yet.
    relays_due: Duration,
}

impl Placing {
    /// Relays are about to connect.
    pub(super) fn expect_relays(&mut self, now: Now) {
        self.relays_due = now.since_start + RELAYS_PATIENCE;
    }

    /// A call waits for a relay; `false` if none is awaited.
    pub(super) fn wait(&mut self, call: CallId, now: Now) -> bool {
        now.since_start < self.relays_due && self.unplaced.insert(call)
    }

    /// When it is over with the patience of those that wait.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.unplaced.is_empty()).then_some(self.relays_due)
    }
}

impl Coordinator {
    /// Shards that a call could be placed on.
    pub(super) fn candidates(&self, now: Now) -> Vec<Candidate> {
        self.fleet.candidates(&self.placing.standbys, now.since_start)
    }

    /// The same for a call of these accounts, with how far they are.
    pub(super) fn candidates_for(&self, accounts: &[AccountKey], now: Now) -> Vec<Candidate> {
        let mut candidates = self.candidates(now);
        for shard in &mut candidates {
            let nearness = &self.placing.nearness;
            shard.detour = nearness.detour(accounts, shard.site, now.since_start);
        }
        candidates
    }

    /// Takes note of how far a member of a call is from the relays of it; others are none of its.
    pub(super) fn note_ways(&mut self, session: SessionId, report: &ReportQuality, now: Now) {
        let Some(account) = self.sessions.get(session).map(|session| session.account) else {
            return;
        };
        let media = self.calls.get(report.call).and_then(|call| call.rounds().current());
        let Some(media) = media else { return };
        for way in &report.ways {
            let site = self.fleet.site(way.relay);
            let site = site.filter(|_| media.seats().any(|seat| seat.relay == way.relay));
            if let Some(site) = site {
                let (nearness, at) = (&mut self.placing.nearness, now.since_start);
                nearness.note(account, site, way.round_trip_us, at);
            }
        }
    }

    /// Places calls that wait for a relay, if there is one by now; those that have waited for long
    /// enough end.
    pub(super) fn place_waiting(&mut self, now: Now) {
        let is_over = now.since_start >= self.placing.relays_due;
        if self.placing.unplaced.is_empty() || !(is_over || self.fleet.takes_calls()) {
            return;
        }
        for id in std::mem::take(&mut self.placing.unplaced) {
            let call = self.calls.get(id).filter(|call| call.state() == State::Preparing);
            let waits = call.is_some_and(|call| call.rounds().coming().is_none());
            if !waits || self.begin_round(id, now) {
                continue;
            }
            if !self.placing.wait(id, now) {
                self.happen(id, Event::LegsRefused, now);
            }
        }
    }

    /// Counts which relays stand by for which, if it is time. What began since is missing: those
    /// calls are few beside the rest, and their legs count at once.
    pub(super) fn count_standbys(&mut self, now: Now) {
        if now.since_start < self.placing.due {
            return;
        }
        self.placing.due = now.since_start + STANDBYS_COUNTED_EVERY;
        let mut standbys = Standbys::default();
        for media in self.calls.iter().filter_map(|call| call.rounds().current()) {
            let legs = u32::try_from(media.legs_at(0).count()).unwrap_or(u32::MAX);
            let mut places = media.in_use().map(|place| place.seat);
            if let Some(carries) = places.next() {
                standbys.note(carries.relay, places, legs);
            }
        }
        self.placing.standbys = standbys;
    }
}
