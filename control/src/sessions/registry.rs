//! The live sessions of the node: one for each device, a few for each account.

use super::{AccountKey, Epochs, Tally, Whom};
use crate::capacity::{SESSIONS_MAX, SESSIONS_PER_ACCOUNT_MAX};
use kakehashi_wire::id::{DeviceId, SessionId};
use kakehashi_wire::media::Host;
use kakehashi_wire::terminal::Role;
use std::collections::HashMap;

/// A terminal that has signed in.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Its first number, before it was resumed.
    pub first: SessionId,
    /// For whom it acts.
    pub account: AccountKey,
    /// The account's login ID.
    pub login: String,
    /// The account's name for others.
    pub display: String,
    /// What the account is for.
    pub role: Role,
    /// Which device holds it.
    pub device: DeviceId,
    /// In which epochs it was let in last.
    pub epochs: Epochs,
    /// When it began.
    pub since: crate::clock::UnixMs,
    /// Where its terminal is seen.
    pub seen_at: Host,
}

/// What becomes of a sign-in whose password was right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is in.
    New,
    /// It is in, and the same device's older session is out.
    Replaces(Box<Session>),
    /// Other devices hold all the sessions that an account may have.
    Elsewhere,
    /// The node holds as many sessions as it can.
    Full,
}

/// All sessions, by number and by account.
#[derive(Debug, Default)]
pub struct Registry {
    by_id: HashMap<SessionId, Session>,
    by_account: HashMap<AccountKey, Vec<SessionId>>,
    counts: Tally,
}

impl Registry {
    /// Admits `session` if it may be.
    pub fn admit(&mut self, session: Session) -> Admission {
        let older = self.of(session.account).find(|older| older.device == session.device).cloned();
        if older.is_none() {
            if self.of(session.account).count() >= SESSIONS_PER_ACCOUNT_MAX {
                return Admission::Elsewhere;
            }
            if self.by_id.len() >= SESSIONS_MAX {
                return Admission::Full;
            }
        }
        if let Some(older) = &older {
            self.remove(older.id);
        }
        self.counts.add(session.account.tenant);
        self.by_account.entry(session.account).or_default().push(session.id);
        self.by_id.insert(session.id, session);
        older.map_or(Admission::New, |older| Admission::Replaces(Box::new(older)))
    }

    /// Forgets a session; `None` if it was gone already.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        if let Some(sessions) = self.by_account.get_mut(&session.account) {
            sessions.retain(|other| *other != id);
            if sessions.is_empty() {
                self.by_account.remove(&session.account);
            }
        }
        self.counts.take(session.account.tenant);
        Some(session)
    }

    /// How many sessions a tenant has, beside the one that a sign-in from `device` replaces.
    pub fn count_beside(&self, account: AccountKey, device: DeviceId) -> usize {
        let replaced = self.of(account).filter(|session| session.device == device).count();
        self.counts.of(account.tenant) - replaced
    }

    /// A session by its number.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    /// The terminal of a session is seen there now; `true` if that is news.
    pub fn see(&mut self, id: SessionId, seen_at: Host) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return false };
        core::mem::replace(&mut session.seen_at, seen_at) != seen_at
    }

    /// An account's sessions, the oldest first.
    pub fn of(&self, account: AccountKey) -> impl Iterator<Item = &Session> {
        let sessions = self.by_account.get(&account).into_iter().flatten();
        sessions.filter_map(|id| self.by_id.get(id))
    }

    /// Whether an account has a session.
    pub fn is_there(&self, account: AccountKey) -> bool {
        self.by_account.contains_key(&account)
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
            first: SessionId(id),
            account: AccountKey { tenant: TenantId(1), account: AccountId(account) },
            login: format!("login-{account}"),
            display: String::new(),
            role: Role::Store,
            device: DeviceId(device),
            epochs: Epochs { tenant: 1, account: 1, devices: 1 },
            since: crate::clock::UnixMs(0),
            seen_at: Host::UNKNOWN,
        }
    }

    #[test]
    fn each_device_has_one_session_and_an_account_a_few() {
        let mut registry = Registry::default();
        let account = session(0, 7, 0).account;
        assert_eq!(registry.admit(session(1, 7, 70)), Admission::New);
        assert_eq!(registry.admit(session(2, 7, 71)), Admission::New);
        let first = Box::new(session(1, 7, 70));
        assert_eq!(registry.admit(session(3, 7, 70)), Admission::Replaces(first));
        assert_eq!(registry.get(SessionId(1)), None);
        let ids = |registry: &Registry| registry.of(account).map(|it| it.id.0).collect::<Vec<_>>();
        assert_eq!(ids(&registry), [2, 3]);
        let most = SESSIONS_PER_ACCOUNT_MAX as u64;
        for device in 2..most {
            assert_eq!(registry.admit(session(10 + device, 7, 70 + device)), Admission::New);
        }
        assert_eq!(registry.admit(session(50, 7, 99)), Admission::Elsewhere);
        let second = Box::new(session(2, 7, 71));
        assert_eq!(registry.admit(session(51, 7, 71)), Admission::Replaces(second));
        assert_eq!(registry.admit(session(52, 8, 99)), Admission::New, "accounts do not share");
        assert_eq!(registry.remove(SessionId(1)), None);
        for id in ids(&registry) {
            assert!(registry.is_there(account));
            assert_eq!(registry.count_beside(account, DeviceId(0)), registry.iter().count());
            assert!(registry.remove(SessionId(id)).is_some());
        }
        let other = session(52, 8, 99);
        assert_eq!(registry.count_beside(other.account, DeviceId(0)), 1);
        assert_eq!(registry.count_beside(other.account, other.device), 0);
        assert!(!registry.is_there(account));
        assert_eq!(registry.iter().count(), 1);
    }
}
