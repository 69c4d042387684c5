//! How far accounts are from sites, by the round trips that their terminals measured. Pure: the
//! time is handed in.
//!
//! Terminals report the ways to the relays of their calls, and each call has relays at two sites,
//! so a few calls tell of all. **A site that nobody has measured for an account counts as its
//! nearest**: it is tried once, and known then. What was measured is forgotten after a while, since
//! a way that was bad then would never be tried again. A core that takes the lead over knows
//! nothing, and learns anew.

use crate::capacity::{DETOUR_STEP_US, WAY_US_MAX, WAYS_ACCOUNTS_MAX, WAYS_KEPT, WAYS_SWEPT_EVERY};
use crate::sessions::AccountKey;
use kakehashi_wire::id::RelayId;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The ways from accounts to sites, as far as they are known. A site goes by its first relay.
#[derive(Default)]
pub struct Nearness {
    accounts: HashMap<AccountKey, BTreeMap<RelayId, Way>>,
    swept: Duration,
}

/// A way to a site and back.
#[derive(Clone, Copy, Debug)]
struct Way {
    round_trip_us: u32,
    measured: Duration,
}

impl Way {
    fn counts(&self, now: Duration) -> bool {
        now.saturating_sub(self.measured) <= WAYS_KEPT
    }
}

impl Nearness {
    /// A terminal of `account` measured a round trip to a relay at `site`; 0 says nothing.
    pub fn note(&mut self, account: AccountKey, site: RelayId, round_trip_us: u32, now: Duration) {
        if round_trip_us == 0 || !self.has_room(account, now) {
            return;
        }
        let round_trip_us = round_trip_us.min(WAY_US_MAX);
        let ways = self.accounts.entry(account).or_default();
        // Sites that are no more go with the next measurement.
        ways.retain(|_, way| way.counts(now));
        let way = ways.entry(site).or_insert(Way { round_trip_us, measured: now });
        // One slow answer makes no site far.
        way.round_trip_us = (way.round_trip_us * 3 + round_trip_us) / 4;
        way.measured = now;
    }

    fn has_room(&mut self, account: AccountKey, now: Duration) -> bool {
        if self.accounts.len() < WAYS_ACCOUNTS_MAX || self.accounts.contains_key(&account) {
            return true;
        }
        if now.saturating_sub(self.swept) >= WAYS_SWEPT_EVERY {
            self.swept = now;
            self.accounts.retain(|_, ways| ways.values().any(|way| way.counts(now)));
        }
        self.accounts.len() < WAYS_ACCOUNTS_MAX
    }

    /// How much longer media of these accounts is under way over `site` than over the nearest site
    /// of each, in steps of [`DETOUR_STEP_US`] and summed over the accounts.
    pub fn detour(&self, accounts: &[AccountKey], site: RelayId, now: Duration) -> u32 {
        let longer = |account: &AccountKey| {
            let ways = self.accounts.get(account)?;
            let fresh = || ways.iter().filter(|(_, way)| way.counts(now));
            let nearest = fresh().map(|(_, way)| way.round_trip_us).min()?;
            let (_, here) = fresh().find(|(at, _)| **at == site)?;
            Some(here.round_trip_us - nearest)
        };
        let longer = accounts.iter().filter_map(longer);
        longer.fold(0, u32::saturating_add) / DETOUR_STEP_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};

    const NOW: Duration = Duration::from_secs(7);
    const NEAR: RelayId = RelayId(1);
    const FAR: RelayId = RelayId(2);
    const UNKNOWN: RelayId = RelayId(3);

    fn account(number: u64) -> AccountKey {
        AccountKey { tenant: TenantId(1), account: AccountId(number) }
    }

    fn known() -> Nearness {
        let mut nearness = Nearness::default();
        for number in 1..=2 {
            nearness.note(account(number), NEAR, 5_000, NOW);
            nearness.note(account(number), FAR, 5_000 + 3 * DETOUR_STEP_US, NOW);
        }
        nearness
    }

    #[test]
    fn a_detour_is_what_is_longer_than_the_nearest_way_of_all() {
        let nearness = known();
        let detour = |accounts: &[AccountKey], site| nearness.detour(accounts, site, NOW);
        assert_eq!(detour(&[account(1)], NEAR), 0);
        assert_eq!(detour(&[account(1)], FAR), 3);
        assert_eq!(detour(&[account(1), account(2)], FAR), 6);
        assert_eq!(detour(&[account(1), account(2)], UNKNOWN), 0, "it is to be tried");
        assert_eq!(detour(&[account(3)], FAR), 0, "nothing is known of this one");
        assert_eq!(detour(&[account(3), account(1)], FAR), 3);
    }

    #[test]
    fn one_slow_answer_makes_no_site_far_and_many_do() {
        let mut nearness = known();
        let slow = 5_000 + 2 * DETOUR_STEP_US;
        nearness.note(account(1), NEAR, slow, NOW);
        assert_eq!(nearness.detour(&[account(1)], NEAR, NOW), 0);
        assert_eq!(nearness.detour(&[account(1)], FAR, NOW), 2);
        for _ in 0..40 {
            nearness.note(account(1), NEAR, slow, NOW);
            nearness.note(account(1), FAR, 5_000, NOW);
        }
        assert_eq!(nearness.detour(&[account(1)], FAR, NOW), 0);
        assert_eq!(nearness.detour(&[account(1)], NEAR, NOW), 1);
        nearness.note(account(1), FAR, 0, NOW);
        assert_eq!(nearness.detour(&[account(1)], NEAR, NOW), 1, "0 says nothing");
    }

    #[test]
    fn what_was_measured_long_ago_counts_no_more() {
        let nearness = known();
        let last = NOW + WAYS_KEPT;
        assert_eq!(nearness.detour(&[account(1)], FAR, last), 3);
        assert_eq!(nearness.detour(&[account(1)], FAR, last + Duration::from_millis(1)), 0);
    }

    #[test]
    fn so_many_accounts_are_known_and_whoever_is_silent_makes_room() {
        let mut nearness = Nearness::default();
        for number in 0..WAYS_ACCOUNTS_MAX as u64 {
            nearness.note(account(number), NEAR, 1, NOW);
        }
        let late = account(u64::MAX);
        nearness.note(late, NEAR, 1, NOW + WAYS_SWEPT_EVERY);
        assert_eq!(nearness.accounts.len(), WAYS_ACCOUNTS_MAX);
        assert!(!nearness.accounts.contains_key(&late));
        nearness.note(account(5), NEAR, 1, NOW + WAYS_KEPT);
        nearness.note(late, NEAR, 1, NOW + WAYS_KEPT + WAYS_SWEPT_EVERY);
        assert_eq!(nearness.accounts.len(), 2, "this one, and who was heard of since");
    }
}
