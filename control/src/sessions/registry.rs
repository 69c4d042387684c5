//! The live sessions of the node: one for each account at most.

use super::{AccountKey, Whom};
use crate::capacity::SESSIONS_MAX;
use kakehashi_wire::id::{DeviceId, SessionId};
use std::collections::HashMap;

/// A terminal that has signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// For whom it acts.
    pub account: AccountKey,
    /// The account's login ID.
    pub login: String,
    /// The account's name for others.
    pub display: String,
    /// Which device holds it.
    pub device: DeviceId,
    /// When it began.
    pub since: crate::clock::UnixMs,
}

/// What becomes of a sign-in whose password was right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is in.
    New,
    /// It is in, and the same device's older session is out.
    Replaces(Box<Session>),
    /// Another device holds a session.
    Elsewhere,
    /// The node holds as many sessions as it can.
    Full,
}

/// All sessions, by number and by account.
#[derive(Debug, Default)]
pub struct Registry {
    by_id: HashMap<SessionId, Session>,
    by_account: HashMap<AccountKey, SessionId>,
}

impl Registry {
    /// Admits `session` if it may be.
    pub fn admit(&mut self, session: Session) -> Admission {
        let older = self.of(session.account).cloned();
        if older.as_ref().is_some_and(|older| older.device != session.device) {
            return Admission::Elsewhere;
        }
        if older.is_none() && self.by_id.len() >= SESSIONS_MAX {
            return Admission::Full;
        }
        if let Some(older) = &older {
            self.by_id.remove(&older.id);
        }
        self.by_account.insert(session.account, session.id);
        self.by_id.insert(session.id, session);
        older.map_or(Admission::New, |older| Admission::Replaces(Box::new(older)))
    }

    /// Forgets a session; `None` if it was gone already.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.by_account.remove(&session.account);
        Some(session)
    }

    /// A session by its number.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    /// An account's session.
    pub fn of(&self, account: AccountKey) -> Option<&Session> {
        self.by_account.get(&account).and_then(|id| self.by_id.get(id))
    }

    /// The sessions of somebody whose rights end, in the order of their numbers.
    pub fn of_whom(&self, whom: Whom) -> Vec<Session> {
        let theirs = self.iter().filter(|session| whom.includes(session.account, session.device));
        let mut theirs: Vec<_> = theirs.cloned().collect();
        theirs.sort_unstable_by_key(|session| session.id);
        theirs
    }

    /// All sessions, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};

    fn session(id: u64, account: u64, device: u64) -> Session {
        Session {
            id: SessionId(id),
            account: AccountKey { tenant: TenantId(1), account: AccountId(account) },
            login: format!("login-{account}"),
            display: String::new(),
            device: DeviceId(device),
            since: crate::clock::UnixMs(0),
        }
    }

    #[test]
    fn the_same_device_replaces_and_another_is_refused() {
        let mut registry = Registry::default();
        assert_eq!(registry.admit(session(1, 7, 70)), Admission::New);
        assert_eq!(registry.admit(session(2, 7, 71)), Admission::Elsewhere);
        let first = Box::new(session(1, 7, 70));
        assert_eq!(registry.admit(session(3, 7, 70)), Admission::Replaces(first));
        assert_eq!(registry.get(SessionId(1)), None);
        assert_eq!(registry.of(session(0, 7, 0).account).unwrap().id, SessionId(3));
        assert_eq!(registry.remove(SessionId(1)), None);
        assert!(registry.remove(SessionId(3)).is_some());
        assert_eq!(registry.iter().count(), 0);
        assert_eq!(registry.admit(session(4, 7, 71)), Admission::New);
    }
}
