//! Acts that anybody can cause as often as they like: the first of a minute has a record, the
//! others of its kind share one with a count, and of too many kinds the rest share theirs.

use super::entry::{Entry, Outcome, Plain};
use crate::capacity::AUDIT_SHARES_MAX;
use std::collections::HashMap;

/// What acts have in common that share a record. The account that asks is among it, so that each
/// has a record of its own; an address is not: who guesses from many would have as many records.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    act: &'static str,
    actor: Plain,
    tenant: Plain,
    target: Plain,
    outcome: Outcome,
    detail: Plain,
}

/// The target of all whose kind is one too many; no name has brackets.
const REST: &str = "(others)";

impl Kind {
    fn of(entry: &Entry) -> Self {
        let is_rest = entry.target.as_str() == REST;
        Self {
            act: entry.act,
            actor: if is_rest { entry.actor.kind() } else { entry.actor.who() },
            tenant: entry.tenant.clone(),
            target: entry.target.clone(),
            outcome: entry.outcome,
            detail: entry.detail.clone(),
        }
    }
}

/// The kinds of this minute, and what happened of each since its first record.
#[derive(Clone, Default)]
pub(super) struct Shares {
    open: HashMap<Kind, Option<Entry>>,
}

impl Shares {
    /// The entry to write now, or none if it is counted.
    pub(super) fn take(&mut self, mut entry: Entry) -> Option<Entry> {
        if !entry.may_share {
            return Some(entry);
        }
        let mut kind = Kind::of(&entry);
        if !self.open.contains_key(&kind) && self.open.len() >= AUDIT_SHARES_MAX {
            (entry.tenant, entry.target) = (Plain::default(), Plain::of(REST));
            kind = Kind::of(&entry);
        }
        match self.open.get_mut(&kind) {
            None => {
                self.open.insert(kind, None);
                Some(entry)
            }
            Some(counted) => {
                let before = counted.as_ref().map_or(0, |entry| entry.times);
                *counted = Some(Entry { times: before + entry.times, ..entry });
                None
            }
        }
    }

    /// Ends the minute: what was counted, to be written.
    pub(super) fn close(&mut self) -> Vec<Entry> {
        let mut counted: Vec<Entry> = self.open.drain().filter_map(|(_, entry)| entry).collect();
        counted.sort_by(|a, b| (a.act, &a.tenant, &a.target).cmp(&(b.act, &b.tenant, &b.target)));
        counted
    }

    /// What [`Self::close`] gave and could not be written is counted on.
    pub(super) fn reopen(&mut self, entries: &[Entry]) {
        let counted = entries.iter().map(|entry| (Kind::of(entry), Some(entry.clone())));
        self.open.extend(counted);
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Actor;
    use super::*;

    fn failed(login: &str, port: u16) -> Entry {
        let actor = Actor::Terminal { address: ([192, 0, 2, 1], port).into() };
        let target = Plain::of(login);
        let outcome = Outcome::Refused;
        Entry { target, outcome, may_share: true, ..Entry::new(actor, "sign_in") }
    }

    #[test]
    fn the_first_is_written_and_the_others_are_counted() {
        let mut shares = Shares::default();
        assert_eq!(shares.take(failed("a", 1)), Some(failed("a", 1)));
        for port in 2..=5 {
            assert_eq!(shares.take(failed("a", port)), None);
        }
        assert!(shares.take(failed("b", 1)).is_some());
        let single = Entry { may_share: false, ..failed("a", 1) };
        assert!(shares.take(single).is_some());
        let counted = shares.close();
        assert_eq!(counted, [Entry { times: 4, ..failed("a", 5) }]);
        shares.reopen(&counted);
        assert_eq!(shares.take(failed("a", 9)), None);
        assert_eq!(shares.close()[0].times, 5);
        assert!(shares.take(failed("a", 1)).is_some(), "another minute");
    }

    #[test]
    fn each_account_has_a_record_of_what_it_looked_at() {
        let look = |login: &str, port| {
            let address = ([192, 0, 2, 1], port).into();
            let actor = Actor::Account { login: Plain::of(login), address };
            Entry { may_share: true, ..Entry::new(actor, "calls") }
        };
        let mut shares = Shares::default();
        assert!(shares.take(look("anna", 1)).is_some() && shares.take(look("ben", 1)).is_some());
        assert!(shares.take(look("anna", 2)).is_none() && shares.take(look("ben", 2)).is_none());
        let accounts = 2 * AUDIT_SHARES_MAX;
        let written = |nth| shares.take(look(&format!("account-{nth}"), 1)).is_some();
        assert_eq!((0..accounts).map(written).filter(|it| *it).count(), AUDIT_SHARES_MAX - 1);
        let counted = shares.close();
        shares.reopen(&counted);
        assert_eq!(shares.open.len(), counted.len(), "kinds are found again");
        assert!(counted.iter().any(|entry| entry.target.as_str() == REST));
    }

    #[test]
    fn however_many_names_are_tried_the_records_of_a_minute_are_few() {
        let mut shares = Shares::default();
        let tried = 10 * u64::try_from(AUDIT_SHARES_MAX).unwrap();
        let names = (0..tried).map(|name| failed(&format!("name-{name}"), 1));
        let written = names.filter_map(|entry| shares.take(entry)).count();
        assert_eq!(written, AUDIT_SHARES_MAX + 1);
        let counted: u64 = shares.close().iter().map(|entry| entry.times).sum();
        assert_eq!(counted + u64::try_from(written).unwrap(), tried, "none is lost");
    }
}
