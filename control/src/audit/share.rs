//! Acts that anybody can cause as often as they like: the first of a minute has a record, the
//! others of its kind share one with a count, and of too many kinds the rest share theirs.

use super::entry::{Entry, Outcome, Plain};
use crate::capacity::AUDIT_SHARES_MAX;
use std::collections::HashMap;

/// What acts have in common that share a record. An operator's place is among it, a terminal's
/// is not: who guesses from many addresses would have as many records.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    act: &'static str,
    actor: Plain,
    tenant: Plain,
    target: Plain,
    outcome: Outcome,
    detail: Plain,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        Self {
            act: entry.act,
            actor: entry.actor.kind(),
            tenant: entry.tenant.clone(),
            target: entry.target.clone(),
            outcome: entry.outcome,
            detail: entry.detail.clone(),
        }
    }

    fn anybody(self) -> Self {
        Self { tenant: Plain::default(), target: Plain::of("(others)"), ..self }
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
            kind = kind.anybody();
            (entry.tenant, entry.target) = (kind.tenant.clone(), kind.target.clone());
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
