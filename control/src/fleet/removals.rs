//! The legs of those whose rights end, from the order to the last relay's answer. Pure.
//!
//! ```text
//!   control                                 a relay
//!    |                                         | sends on the last packet of the leg
//!    | told --- Remove ----------------------> |   <- silent_ms
//!    | heard <----- Applied, silent_ms ------- | removed
//! ```
//! The last packet left at `heard - silent_ms` at the latest, and earlier by as much as the answer
//! was under way: no clock of a relay is compared with one of control.

use crate::admin::MediaEnd;
use crate::capacity::{REMOVAL_PATIENCE, REMOVALS_AWAITED_MAX};
use crate::clock::{Now, UnixMs};
use crate::sessions::Revocation;
use kakehashi_wire::id::{Generation, LegId, RelayId};
use kakehashi_wire::relay::{OrderResult, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;

/// All that are awaited, the oldest first.
#[derive(Default)]
pub struct Removals(Vec<Removal>);

struct Removal {
    of: Revocation,
    told: Now,
    legs: usize,
    relays: BTreeSet<RelayId>,
    awaited: BTreeSet<(RelayId, LegId)>,
    silent: BTreeSet<RelayId>,
    ended: Option<UnixMs>,
}

impl Removals {
    /// The relays were told at `now` to remove these legs; those that are not linked could not be.
    pub fn begin(
        &mut self,
        of: Revocation,
        legs: BTreeSet<(RelayId, LegId)>,
        is_linked: impl Fn(RelayId) -> bool,
        now: Now,
    ) {
        // Asked twice, it is answered once, for all.
        let at = self.0.iter().position(|known| known.of == of).unwrap_or_else(|| {
            self.0.push(Removal::new(of, now));
            self.0.len() - 1
        });
        let removal = &mut self.0[at];
        removal.legs += legs.len();
        removal.relays.extend(legs.iter().map(|(relay, _)| *relay));
        removal.awaited.extend(legs);
        let away = removal.relays.iter().copied().filter(|relay| !is_linked(*relay));
        away.collect::<Vec<_>>().into_iter().for_each(|relay| removal.lose(relay));
    }

    /// A relay answered orders.
    pub fn heard(&mut self, relay: RelayId, results: &[OrderResult], now: Now) {
        for result in results {
            for removal in &mut self.0 {
                removal.heard(relay, result, now);
            }
        }
    }

    /// A relay answers nothing of what it was told before.
    pub fn lose(&mut self, relay: RelayId) {
        self.0.iter_mut().for_each(|removal| removal.lose(relay));
    }

    /// Those of which nothing more is awaited at `now`.
    pub fn over(&mut self, now: Duration) -> Vec<(Revocation, MediaEnd)> {
        let mut too_many = self.0.len().saturating_sub(REMOVALS_AWAITED_MAX);
        let over = self.0.extract_if(.., |removal| {
            let is_over = removal.awaited.is_empty() || removal.until() <= now || too_many > 0;
            too_many -= usize::from(is_over && too_many > 0);
            is_over
        });
        over.map(Removal::end).collect()
    }

    /// When the next of them is awaited no longer.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.iter().map(Removal::until).min()
    }
}

impl Removal {
    fn new(of: Revocation, told: Now) -> Self {
        let (relays, awaited, silent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { of, told, legs: 0, relays, awaited, silent, ended: None }
    }

    fn until(&self) -> Duration {
        self.told.since_start + REMOVAL_PATIENCE
    }

    /// An answer counts if it says that the relay does not hold the leg, whatever it was asked.
    fn heard(&mut self, relay: RelayId, result: &OrderResult, now: Now) {
        let is_gone = result.life == Generation(0)
            && matches!(result.outcome, Outcome::Applied | Outcome::Unchanged | Outcome::NoSuchLeg);
        if !is_gone || !self.awaited.remove(&(relay, result.leg)) {
            return;
        }
        let Some(silent_ms) = result.silent_ms else { return };
        let since = now.since_start.saturating_sub(self.told.since_start).as_millis();
        let heard = self.told.wall.0.saturating_add(u64::try_from(since).unwrap_or(u64::MAX));
        let last = UnixMs(heard.saturating_sub(u64::from(silent_ms)));
        self.ended = self.ended.max(Some(last));
    }

    fn lose(&mut self, relay: RelayId) {
        let before = self.awaited.len();
        self.awaited.retain(|(at, _)| *at != relay);
        if self.awaited.len() != before {
            self.silent.insert(relay);
        }
    }

    fn end(mut self) -> (Revocation, MediaEnd) {
        self.silent.extend(self.awaited.iter().map(|(relay, _)| *relay));
        let end = MediaEnd {
            ordered: self.told.wall,
            legs: self.legs,
            ended: self.ended,
            confirmed: self.relays.difference(&self.silent).copied().collect(),
            silent: self.silent.into_iter().collect(),
        };
        (self.of, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Whom;
    use kakehashi_wire::id::TenantId;
    use kakehashi_wire::terminal::SessionEnd;

    const RELAYS: [RelayId; 2] = [RelayId(1), RelayId(2)];

    fn at(ms: u64) -> Now {
        Now { since_start: Duration::from_millis(ms), wall: UnixMs(1_000_000 + ms) }
    }

    fn of(tenant: u64) -> Revocation {
        Revocation { whom: Whom::Tenant(TenantId(tenant)), epoch: 2, why: SessionEnd::Suspended }
    }

    fn legs() -> BTreeSet<(RelayId, LegId)> {
        RELAYS.into_iter().zip([LegId(7), LegId(8)]).collect()
    }

    fn gone(leg: u64, silent_ms: Option<u32>) -> OrderResult {
        let (generation, outcome, life) = (Generation(3), Outcome::Applied, Generation(0));
        OrderResult { leg: LegId(leg), generation, outcome, life, silent_ms }
    }

    /// Tells both relays of both legs at 100 ms.
    fn begun() -> Removals {
        let mut removals = Removals::default();
        removals.begin(of(1), legs(), |_| true, at(100));
        assert!(removals.over(at(100).since_start).is_empty());
        removals
    }

    fn only(over: Vec<(Revocation, MediaEnd)>) -> MediaEnd {
        let [(revocation, end)] = &over[..] else { panic!("{over:?}") };
        assert_eq!((revocation, end.ordered), (&of(1), at(100).wall));
        end.clone()
    }

    #[test]
    fn the_last_packet_of_all_relays_counts_by_when_their_answers_came() {
        let mut removals = begun();
        let renewed = OrderResult { life: Generation(2), ..gone(7, None) };
        removals.heard(RELAYS[0], &[renewed], at(105));
        removals.heard(RELAYS[0], &[gone(8, Some(0))], at(106));
        removals.heard(RELAYS[0], &[gone(7, Some(4))], at(112));
        assert!(removals.over(at(112).since_start).is_empty(), "the second has not answered");
        removals.heard(RELAYS[1], &[gone(8, Some(90))], at(150));
        let end = only(removals.over(at(150).since_start));
        assert_eq!((end.legs, end.ended), (2, Some(at(108).wall)));
        assert_eq!((&end.confirmed[..], &end.silent[..]), (&RELAYS[..], &[][..]));
        assert_eq!(removals.next_deadline(), None);
    }

    #[test]
    fn relays_that_are_away_or_do_not_answer_in_time_are_named() {
        let mut removals = Removals::default();
        removals.begin(of(1), legs(), |relay| relay == RELAYS[0], at(100));
        let until = at(100).since_start + REMOVAL_PATIENCE;
        assert_eq!(removals.next_deadline(), Some(until));
        assert!(removals.over(until - Duration::from_millis(1)).is_empty());
        let end = only(removals.over(until));
        assert_eq!((end.legs, end.ended), (2, None));
        assert_eq!((&end.confirmed[..], &end.silent[..]), (&[][..], &RELAYS[..]));

        let mut removals = begun();
        removals.heard(RELAYS[0], &[gone(7, None)], at(101));
        removals.lose(RELAYS[1]);
        let end = only(removals.over(at(101).since_start));
        assert_eq!((&end.confirmed[..], &end.silent[..]), (&RELAYS[..1], &RELAYS[1..]));
        assert_eq!(end.ended, None, "it never sent");
    }

    #[test]
    fn whoever_is_in_no_call_is_answered_at_once_and_asked_twice_once() {
        let mut removals = Removals::default();
        removals.begin(of(1), BTreeSet::new(), |_| true, at(100));
        assert_eq!(only(removals.over(at(100).since_start)).legs, 0);

        let mut removals = begun();
        removals.begin(of(1), BTreeSet::new(), |_| true, at(102));
        assert!(removals.over(at(102).since_start).is_empty());
        removals.heard(RELAYS[0], &[gone(7, Some(1))], at(110));
        removals.heard(RELAYS[1], &[gone(8, None)], at(110));
        assert_eq!(only(removals.over(at(110).since_start)).ended, Some(at(109).wall));
    }

    #[test]
    fn more_than_are_awaited_at_once_end_early_the_oldest_first() {
        let mut removals = Removals::default();
        for tenant in 0..=REMOVALS_AWAITED_MAX as u64 {
            removals.begin(of(tenant), legs(), |_| true, at(100));
        }
        let over = removals.over(at(100).since_start);
        assert_eq!((over.len(), over[0].0), (1, of(0)));
        assert_eq!(over[0].1.silent, RELAYS);
    }
}
