//! One account's missed calls, and what changes them.

use crate::capacity::MISSED_REPEAT;
use crate::clock::UnixMs;
use crate::store::Record;
use kakehashi_wire::limits::MISSED_CALLS_MAX;
use kakehashi_wire::terminal::{MissedCall, MissedCalls};
use serde::{Deserialize, Serialize};

/// The calls an account has missed, the latest first, one entry for each caller.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MissedList {
    calls: Vec<Missed>,
}

/// All that one account tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Missed {
    /// The caller's login ID.
    login: String,
    /// The last time.
    at: UnixMs,
    /// How often.
    calls: u32,
}

impl Record for MissedList {
    const VERSION: u32 = 1;
}

/// What changes a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The account with this login ID called in vain.
    Missed(String, UnixMs),
    /// The two have talked since.
    Talked(String),
    /// Somebody has looked at all that was missed until then.
    Seen(UnixMs),
}

impl MissedList {
    /// Lets `change` happen; `true` if that is one.
    pub fn apply(&mut self, change: &Change) -> bool {
        let before = self.calls.len();
        match change {
            Change::Missed(login, at) => return self.add(login, *at),
            Change::Talked(login) => self.calls.retain(|missed| missed.login != *login),
            Change::Seen(until) => self.calls.retain(|missed| missed.at > *until),
        }
        self.calls.len() != before
    }

    fn add(&mut self, login: &str, at: UnixMs) -> bool {
        let known = self.calls.iter().position(|missed| missed.login == login);
        let before = known.map_or(0, |nth| self.calls[nth].calls);
        if let Some(nth) = known {
            let repeat_ms = u64::try_from(MISSED_REPEAT.as_millis()).unwrap_or(u64::MAX);
            if at.0.abs_diff(self.calls[nth].at.0) < repeat_ms {
                return false;
            }
            self.calls.remove(nth);
        }
        let missed = Missed { login: login.to_owned(), at, calls: before.saturating_add(1) };
        self.calls.insert(0, missed);
        self.calls.truncate(MISSED_CALLS_MAX);
        true
    }

    /// Whether nothing was missed.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// As the account's terminals are told.
    pub fn told(&self) -> MissedCalls {
        let call = |missed: &Missed| MissedCall {
            login: missed.login.clone(),
            at_ms: missed.at.0,
            calls: missed.calls,
        };
        MissedCalls { calls: self.calls.iter().map(call).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::terminal::ToTerminal;
    use proptest::prelude::*;

    fn missed(login: &str, minute: u64) -> Change {
        Change::Missed(login.into(), UnixMs(minute * 60_000))
    }

    fn short(list: &MissedList) -> Vec<String> {
        let short = |call: MissedCall| format!("{} {}x {}", call.login, call.calls, call.at_ms);
        list.told().calls.into_iter().map(short).collect()
    }

    #[test]
    fn the_latest_comes_first_and_each_caller_once() {
        let mut list = MissedList::default();
        for change in [missed("a", 1), missed("b", 2), missed("a", 3)] {
            assert!(list.apply(&change));
        }
        assert_eq!(short(&list), ["a 2x 180000", "b 1x 120000"]);
        let soon = Change::Missed("a".into(), UnixMs(180_000 + 59_999));
        assert!(!list.apply(&soon), "tried again at once: one call");
        assert!(list.apply(&Change::Seen(UnixMs(120_000))));
        assert_eq!(short(&list), ["a 2x 180000"]);
        assert!(!list.apply(&Change::Talked("b".into())) && !list.apply(&Change::Seen(UnixMs(0))));
        assert!(list.apply(&Change::Talked("a".into())) && list.is_empty());
    }

    proptest! {
        #[test]
        fn a_list_is_short_has_nobody_twice_and_fits_a_message(
            steps in prop::collection::vec((0_u8..8, 0_usize..40, 0_u64..200), 0..200),
        ) {
            let mut list = MissedList::default();
            for (kind, caller, minute) in steps {
                let login = format!("{caller:0>64}");
                let change = match kind {
                    0 => Change::Talked(login),
                    1 => Change::Seen(UnixMs(minute * 30_000)),
                    _ => missed(&login, minute),
                };
                let before = list.clone();
                prop_assert_eq!(list.apply(&change), list != before);
                let calls = list.told().calls;
                prop_assert!(calls.len() <= MISSED_CALLS_MAX);
                let mut logins: Vec<_> = calls.iter().map(|call| &call.login).collect();
                logins.sort();
                logins.dedup();
                prop_assert_eq!(logins.len(), calls.len());
                prop_assert!(ToTerminal::from(list.told()).encode().is_ok());
            }
        }
    }
}
