//! What each account is doing, and which sessions are told.

use super::{AccountKey, Session};
use crate::capacity::PRESENCE_PAGE;
use kakehashi_wire::id::{SessionId, TenantId};
use kakehashi_wire::terminal::{Presence, PresenceEntry, PresenceState};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The presence of every account that is not offline, and the watchers of every tenant.
#[derive(Debug, Default)]
pub struct Presences {
    states: HashMap<AccountKey, PresenceState>,
    watchers: HashMap<TenantId, BTreeSet<SessionId>>,
    /// Accounts with a session whose people are elsewhere.
    away: HashSet<AccountKey>,
}

impl Presences {
    /// What an account is doing.
    pub fn state(&self, account: AccountKey) -> PresenceState {
        self.states.get(&account).copied().unwrap_or(PresenceState::Offline)
    }

    /// Whether nobody sits at the account's terminals, as one of them said.
    pub fn is_away(&self, account: AccountKey) -> bool {
        self.away.contains(&account)
    }

    /// Notes whether somebody sits at the account's terminals. It counts until the account is
    /// offline.
    pub fn set_away(&mut self, account: AccountKey, away: bool) {
        if away {
            self.away.insert(account);
        } else {
            self.away.remove(&account);
        }
    }

    /// Notes what an account is doing; `true` if that is news.
    pub fn set(&mut self, account: AccountKey, state: PresenceState) -> bool {
        let before = match state {
            PresenceState::Offline => {
                self.away.remove(&account);
                self.states.remove(&account)
            }
            _ => self.states.insert(account, state),
        };
        before.unwrap_or(PresenceState::Offline) != state
    }

    /// From here on `session` is told of its tenant's changes.
    pub fn watch(&mut self, session: &Session) {
        self.watchers.entry(session.account.tenant).or_default().insert(session.id);
    }

    /// The session is gone.
    pub fn unwatch(&mut self, session: &Session) {
        let tenant = session.account.tenant;
        if let Some(watchers) = self.watchers.get_mut(&tenant) {
            watchers.remove(&session.id);
            if watchers.is_empty() {
                self.watchers.remove(&tenant);
            }
        }
    }

    /// How many are told of a tenant's changes.
    pub fn watchers_count(&self, tenant: TenantId) -> usize {
        self.watchers.get(&tenant).map_or(0, BTreeSet::len)
    }

    /// Who is told of a tenant's changes.
    pub fn watchers(&self, tenant: TenantId) -> impl Iterator<Item = SessionId> + '_ {
        self.watchers.get(&tenant).into_iter().flatten().copied()
    }
}

/// A complete list in pages; the last one says so, and there is always a last one.
pub(crate) fn pages(entries: Vec<PresenceEntry>) -> Vec<Presence> {
    let mut pages: Vec<_> = entries
        .chunks(PRESENCE_PAGE)
        .map(|page| Presence { complete: false, entries: page.to_vec() })
        .collect();
    match pages.last_mut() {
        Some(last) => last.complete = true,
        None => pages.push(Presence { complete: true, entries }),
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::limits::NAME_BYTES_MAX;
    use kakehashi_wire::terminal::ToTerminal;

    #[test]
    fn a_list_ends_with_exactly_one_complete_page() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        let entry = PresenceEntry {
            login: longest.clone(),
            display: longest,
            state: PresenceState::Waiting,
        };
        for count in [0, 1, PRESENCE_PAGE, PRESENCE_PAGE + 1, 3 * PRESENCE_PAGE] {
            let pages = pages(vec![entry.clone(); count]);
            assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), count);
            assert_eq!(pages.iter().filter(|page| page.complete).count(), 1);
            assert!(pages.last().unwrap().complete);
            for page in pages {
                ToTerminal::from(page).encode().unwrap();
            }
        }
    }
}
