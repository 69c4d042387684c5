//! Tokens of people who signed in, to the API or the console: what they were granted, and for how
//! long. In memory only: a node that starts anew knows none.

use crate::audit::Digest;
use crate::capacity::{API_TOKEN_IDLE, API_TOKEN_LIFE, API_TOKENS_MAX, API_TOKENS_PER_ACCOUNT_MAX};
use crate::sessions::{AccountKey, Epochs};
use std::collections::HashMap;
use std::time::Duration;

/// What a token stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    /// Whose it is.
    pub(crate) account: AccountKey,
    /// The epochs in which it was granted: in others it does not count.
    pub(crate) epochs: Epochs,
}

/// All of them, by their hashes, each with what the door keeps beside it. A search by hash tells an
/// attacker nothing by its time: what is compared is a hash whose preimage nobody can choose.
pub(crate) struct Grants<T> {
    held: HashMap<[u8; 32], Held<T>>,
}

/// A token that counts.
pub(crate) struct HeldToken<'a, T> {
    pub(crate) token: Digest,
    /// What the door keeps beside it.
    pub(crate) with: &'a T,
    /// When it was issued.
    pub(crate) issued: Duration,
    /// When it was used last.
    pub(crate) used: Duration,
}

struct Held<T> {
    grant: Grant,
    with: T,
    issued: Duration,
    used: Duration,
}

impl<T> Held<T> {
    fn counts(&self, now: Duration) -> bool {
        now < self.issued + API_TOKEN_LIFE && now < self.used + API_TOKEN_IDLE
    }
}

impl<T> Default for Grants<T> {
    fn default() -> Self {
        Self { held: HashMap::new() }
    }
}

impl<T> Grants<T> {
    /// Takes in a token. Of too many, of one account or in all, the one not used for longest goes.
    pub(crate) fn add(&mut self, token: Digest, (grant, with): (Grant, T), now: Duration) {
        self.held.retain(|_, held| held.counts(now));
        let of = |held: &Held<T>| held.grant.account == grant.account;
        if self.held.values().filter(|held| of(held)).count() >= API_TOKENS_PER_ACCOUNT_MAX {
            self.drop_oldest(of);
        }
        if self.held.len() >= API_TOKENS_MAX {
            self.drop_oldest(|_| true);
        }
        self.held.insert(token.0, Held { grant, with, issued: now, used: now });
    }

    /// What `token` stands for, which is used by that.
    pub(crate) fn find(&mut self, token: Digest, now: Duration) -> Option<(Grant, &mut T)> {
        let held = self.held.get_mut(&token.0).filter(|held| held.counts(now))?;
        held.used = now;
        Some((held.grant, &mut held.with))
    }

    /// The same without using it.
    pub(crate) fn look(&self, token: Digest, now: Duration) -> Option<(Grant, &T)> {
        let held = self.held.get(&token.0).filter(|held| held.counts(now))?;
        Some((held.grant, &held.with))
    }

    /// The tokens of an account that count, in the order in which they were issued.
    pub(crate) fn of(&self, account: AccountKey, now: Duration) -> Vec<HeldToken<'_, T>> {
        let held = self.held.iter();
        let own = held.filter(|(_, held)| held.grant.account == account && held.counts(now));
        let mut tokens: Vec<_> = own
            .map(|(token, held)| HeldToken {
                token: Digest(*token),
                with: &held.with,
                issued: held.issued,
                used: held.used,
            })
            .collect();
        tokens.sort_by_key(|held| held.issued);
        tokens
    }

    /// `token` counts no longer.
    pub(crate) fn remove(&mut self, token: Digest) {
        self.held.remove(&token.0);
    }

    fn drop_oldest(&mut self, of: impl Fn(&Held<T>) -> bool) {
        let candidates = self.held.iter().filter(|(_, held)| of(held));
        if let Some(oldest) = candidates.min_by_key(|(_, held)| held.used).map(|(key, _)| *key) {
            self.held.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};

    fn grant(account: u64) -> Grant {
        let account = AccountKey { tenant: TenantId(1), account: AccountId(account) };
        Grant { account, epochs: Epochs { tenant: 1, account: 1, devices: 1 } }
    }

    fn token(number: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Digest(bytes)
    }

    #[test]
    fn a_token_lasts_while_it_is_used_and_no_longer_than_its_life() {
        let mut grants = Grants::<()>::default();
        let second = Duration::from_secs(1);
        grants.add(token(1), (grant(1), ()), Duration::ZERO);
        grants.add(token(2), (grant(1), ()), Duration::ZERO);
        let mut now = Duration::ZERO;
        while now + API_TOKEN_IDLE < API_TOKEN_LIFE {
            now += API_TOKEN_IDLE - second;
            assert_eq!(grants.find(token(1), now), Some((grant(1), &mut ())), "{now:?}");
        }
        assert_eq!(grants.find(token(2), now), None, "nobody used it");
        assert_eq!(grants.look(token(1), now), Some((grant(1), &())));
        assert_eq!(grants.look(token(1), now + API_TOKEN_IDLE), None, "looking is no use");
        assert!(grants.find(token(1), API_TOKEN_LIFE - second).is_some());
        assert_eq!(grants.find(token(1), API_TOKEN_LIFE), None);
        grants.add(token(3), (grant(1), ()), API_TOKEN_LIFE);
        assert_eq!(grants.held.len(), 1, "what does not count is forgotten");
        grants.remove(token(3));
        assert_eq!(grants.find(token(3), API_TOKEN_LIFE), None);
    }

    #[test]
    fn an_accounts_own_tokens_are_listed_while_they_count() {
        let mut grants = Grants::default();
        let second = Duration::from_secs(1);
        for (nth, account) in [1, 2, 1].into_iter().enumerate() {
            let at = second * nth as u32;
            grants.add(token(nth), (grant(account), nth), at);
        }
        assert!(grants.find(token(0), API_TOKEN_IDLE - second).is_some());
        let own = |grants: &Grants<usize>, now| {
            let held = grants.of(grant(1).account, now).into_iter();
            held.map(|held| (*held.with, held.issued, held.used)).collect::<Vec<_>>()
        };
        let first = (0, Duration::ZERO, API_TOKEN_IDLE - second);
        assert_eq!(own(&grants, API_TOKEN_IDLE), [first, (2, 2 * second, 2 * second)]);
        assert_eq!(own(&grants, API_TOKEN_IDLE + 2 * second), [first], "nobody used the other");
    }

    #[test]
    fn of_too_many_the_one_not_used_for_longest_goes() {
        let mut grants = Grants::<()>::default();
        let at = |second: usize| Duration::from_millis(second as u64);
        for nth in 0..API_TOKENS_PER_ACCOUNT_MAX {
            grants.add(token(nth), (grant(1), ()), at(nth));
        }
        assert!(grants.find(token(0), at(100)).is_some());
        grants.add(token(100), (grant(1), ()), at(101));
        assert!(
            grants.find(token(0), at(102)).is_some() && grants.find(token(1), at(102)).is_none()
        );
        for nth in 0..API_TOKENS_MAX {
            grants.add(token(1000 + nth), (grant(1000 + nth as u64), ()), at(200));
        }
        assert_eq!(grants.held.len(), API_TOKENS_MAX);
        assert!(grants.find(token(0), at(200)).is_none());
    }
}
