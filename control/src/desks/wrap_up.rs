//! Agents who are left alone for a while: after a call of a desk, or after one they let pass.

use crate::sessions::AccountKey;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Until when each of them is.
#[derive(Default)]
pub struct WrapUps {
    until: HashMap<AccountKey, Duration>,
    timers: BTreeSet<(Duration, AccountKey)>,
    changed: BTreeSet<AccountKey>,
}

impl WrapUps {
    /// `account` is left alone until then, in place of what was said before.
    pub fn begin(&mut self, account: AccountKey, until: Duration) {
        self.end(account);
        self.changed.insert(account);
        self.until.insert(account, until);
        self.timers.insert((until, account));
    }

    /// It is over; `false` if there was none.
    pub fn end(&mut self, account: AccountKey) -> bool {
        let Some(until) = self.until.remove(&account) else { return false };
        self.changed.insert(account);
        self.timers.remove(&(until, account))
    }

    /// Whether `account` is left alone.
    pub fn has(&self, account: AccountKey) -> bool {
        self.until.contains_key(&account)
    }

    /// For how long `account` is left alone still.
    pub fn left(&self, account: AccountKey, now: Duration) -> Duration {
        self.until.get(&account).map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }

    /// Those who are left alone, or are no more, since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<AccountKey> {
        std::mem::take(&mut self.changed)
    }

    /// The next whose time is over; it is left alone no more.
    pub fn due(&mut self, now: Duration) -> Option<AccountKey> {
        let (_, account) = self.timers.first().copied().filter(|(until, _)| *until <= now)?;
        self.end(account);
        Some(account)
    }

    /// When the next one's time is over.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};

    fn account(number: u64) -> AccountKey {
        AccountKey { tenant: TenantId(1), account: AccountId(number) }
    }

    #[test]
    fn each_ends_once_at_its_last_time() {
        let second = Duration::from_secs;
        let mut wraps = WrapUps::default();
        wraps.begin(account(1), second(9));
        wraps.begin(account(2), second(5));
        wraps.begin(account(1), second(3));
        assert_eq!(wraps.next_deadline(), Some(second(3)));
        assert_eq!(wraps.due(second(2)), None);
        assert_eq!(wraps.due(second(4)), Some(account(1)));
        assert!(!wraps.has(account(1)) && wraps.has(account(2)));
        assert!(wraps.end(account(2)) && !wraps.end(account(2)));
        assert_eq!((wraps.due(second(99)), wraps.next_deadline()), (None, None));
        assert_eq!(wraps.take_changed(), [account(1), account(2)].into());
        wraps.begin(account(1), second(100));
        assert_eq!(wraps.left(account(1), second(98)), second(2));
        assert_eq!(wraps.left(account(1), second(101)), Duration::ZERO);
        assert_eq!(wraps.left(account(2), second(98)), Duration::ZERO);
        assert_eq!(wraps.take_changed(), [account(1)].into());
    }
}
