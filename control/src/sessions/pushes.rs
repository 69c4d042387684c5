//! Changes of presence in tenants that many watch: what happened within a moment is told together.
//!
//! **A change waits for at most [`PRESENCE_PUSH_EVERY`], the last one of each account is told, and
//! nothing is left untold.** Each change costs a message for each watcher, so in a tenant of a
//! thousand terminals that all sign in at once there would be a million.
//!
//! ```text
//!  quiet --change--> due at once --told--> closed for PRESENCE_PUSH_EVERY --over--> quiet
//!                                             | changes wait      ^  |
//!                                             +-------------------+  +--some waited: told
//! ```

use super::AccountKey;
use crate::capacity::{PRESENCE_PUSH_EVERY, PRESENCE_WAITING_MAX};
use kakehashi_wire::id::{AccountId, TenantId};
use kakehashi_wire::terminal::PresenceEntry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// What waits to be told, of every tenant that was told something lately.
#[derive(Debug, Default)]
pub struct Pushes {
    tenants: HashMap<TenantId, Waiting>,
    due: BTreeSet<(Duration, TenantId)>,
}

#[derive(Debug)]
struct Waiting {
    /// When the tenant is looked at next: it stands in `due` with this.
    at: Duration,
    entries: BTreeMap<AccountId, PresenceEntry>,
}

impl Pushes {
    /// Notes what an account is doing by now. It is told when [`due`](Self::due) says so, which in
    /// a tenant that was quiet is at once.
    pub fn note(&mut self, account: AccountKey, entry: PresenceEntry) {
        let tenant = account.tenant;
        let at_once = || Waiting { at: Duration::ZERO, entries: BTreeMap::new() };
        let waiting = self.tenants.entry(tenant).or_insert_with(at_once);
        waiting.entries.insert(account.account, entry);
        let at = match waiting.entries.len() {
            PRESENCE_WAITING_MAX.. => Duration::ZERO,
            _ => waiting.at,
        };
        self.due.remove(&(waiting.at, tenant));
        waiting.at = at;
        self.due.insert((at, tenant));
    }

    /// What waits about an account need not be told: something newer was.
    pub fn told(&mut self, account: AccountKey) {
        if let Some(waiting) = self.tenants.get_mut(&account.tenant) {
            waiting.entries.remove(&account.account);
        }
    }

    /// The next tenant whose changes are to be told now, and the changes.
    pub fn due(&mut self, now: Duration) -> Option<(TenantId, Vec<PresenceEntry>)> {
        while let Some((at, tenant)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, tenant));
            let Some(waiting) = self.tenants.get_mut(&tenant) else { continue };
            if waiting.entries.is_empty() {
                self.tenants.remove(&tenant);
                continue;
            }
            waiting.at = now + PRESENCE_PUSH_EVERY;
            self.due.insert((waiting.at, tenant));
            let entries = std::mem::take(&mut waiting.entries);
            return Some((tenant, entries.into_values().collect()));
        }
        None
    }

    /// When [`due`](Self::due) has something to look at.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::terminal::PresenceState;
    use proptest::prelude::*;

    const STATES: [PresenceState; 3] =
        [PresenceState::Waiting, PresenceState::Ringing, PresenceState::InCall];

    fn key(tenant: u64, account: u64) -> AccountKey {
        AccountKey { tenant: TenantId(tenant), account: AccountId(account) }
    }

    fn entry(account: u64, state: PresenceState) -> PresenceEntry {
        PresenceEntry { login: account.to_string(), display: String::new(), state }
    }

    fn told(pushes: &mut Pushes, now: u64) -> Vec<(u64, Vec<PresenceEntry>)> {
        let now = Duration::from_millis(now);
        std::iter::from_fn(|| pushes.due(now)).map(|(tenant, told)| (tenant.0, told)).collect()
    }

    #[test]
    fn the_first_change_goes_at_once_and_what_follows_waits_for_the_interval() {
        let mut pushes = Pushes::default();
        pushes.note(key(1, 7), entry(7, PresenceState::Waiting));
        let first = vec![(1, vec![entry(7, PresenceState::Waiting)])];
        assert_eq!(told(&mut pushes, 1_000), first);
        for state in STATES {
            pushes.note(key(1, 7), entry(7, state));
        }
        pushes.note(key(1, 8), entry(8, PresenceState::Waiting));
        pushes.note(key(2, 7), entry(7, PresenceState::Waiting));
        let other = vec![(2, vec![entry(7, PresenceState::Waiting)])];
        assert_eq!(told(&mut pushes, 1_001), other, "tenants do not wait for each other");
        assert_eq!(told(&mut pushes, 1_249), []);
        assert_eq!(pushes.next_due(), Some(Duration::from_millis(1_250)));
        let last = [entry(7, PresenceState::InCall), entry(8, PresenceState::Waiting)];
        assert_eq!(told(&mut pushes, 1_250), vec![(1, last.to_vec())]);
        assert_eq!(told(&mut pushes, 2_000), []);
        assert!(pushes.next_due().is_none() && pushes.tenants.is_empty(), "quiet again");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut pushes = Pushes::default();
        pushes.note(key(1, 0), entry(0, PresenceState::Waiting));
        told(&mut pushes, 0);
        let most = PRESENCE_WAITING_MAX as u64;
        for account in 1..most {
            pushes.note(key(1, account), entry(account, PresenceState::Waiting));
        }
        assert_eq!(told(&mut pushes, 1), []);
        pushes.note(key(1, most), entry(most, PresenceState::Waiting));
        let told = told(&mut pushes, 1);
        assert_eq!(told[0].1.len(), PRESENCE_WAITING_MAX);
    }

    proptest! {
        /// Whatever changes when: after a while every watcher's picture is right, and each tenant
        /// was told at most once in an interval.
        #[test]
        fn nothing_is_lost_and_nothing_is_told_too_often(
            steps in prop::collection::vec((1_u64..3, 0_u64..4, 0_usize..3, 0_u64..120), 0..200),
        ) {
            let mut pushes = Pushes::default();
            let (mut actual, mut seen) = (BTreeMap::new(), BTreeMap::new());
            let (mut now, mut last) = (0, BTreeMap::new());
            let every = u64::try_from(PRESENCE_PUSH_EVERY.as_millis()).unwrap();
            let mut look = |pushes: &mut Pushes, now| {
                for (tenant, entries) in told(pushes, now) {
                    let before = last.insert(tenant, now);
                    assert!(before.is_none_or(|before| now >= before + every), "too often");
                    assert!(!entries.is_empty());
                    for entry in entries {
                        seen.insert((tenant, entry.login), entry.state);
                    }
                }
            };
            for (tenant, account, state, wait) in steps {
                actual.insert((tenant, account.to_string()), STATES[state]);
                pushes.note(key(tenant, account), entry(account, STATES[state]));
                look(&mut pushes, now);
                now += wait;
                look(&mut pushes, now);
            }
            look(&mut pushes, now + every);
            look(&mut pushes, now + 2 * every);
            prop_assert_eq!(actual, seen);
            prop_assert!(pushes.tenants.is_empty() && pushes.due.is_empty());
        }
    }
}
