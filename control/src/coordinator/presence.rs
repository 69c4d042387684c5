//! What accounts are doing, and who is told.

use super::{Coordinator, KnownAccount, Output};
use crate::calls::State;
use crate::capacity::PRESENCE_AT_ONCE_MAX;
use crate::clock::Now;
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::TenantId;
use kakehashi_wire::terminal::{Presence, PresenceEntry, PresenceState, SetAway};

impl Coordinator {
    /// What an account is doing, from its sessions and its calls.
    pub(super) fn doing(&self, account: AccountKey) -> PresenceState {
        if !self.sessions.is_there(account) {
            return PresenceState::Offline;
        }
        let mut ringing = false;
        for call in self.calls.all_of(account) {
            match call.state() {
                State::Ended => {}
                State::Inviting | State::Queued | State::Ringing => ringing = true,
                State::Preparing | State::Connected if call.rings_at(account) => ringing = true,
                State::Preparing | State::Connected => return PresenceState::InCall,
            }
        }
        match (ringing, self.presences.is_away(account)) {
            (true, _) => PresenceState::Ringing,
            (false, true) => PresenceState::Away,
            (false, false) if self.wraps.has(account) => PresenceState::WrapUp,
            (false, false) => PresenceState::Waiting,
        }
    }

    /// Tells the watchers what the account of `session` is doing, if that is news.
    pub(super) fn announce(&mut self, session: &Session) {
        let state = self.doing(session.account);
        let before = self.presences.state(session.account);
        if !self.presences.set(session.account, state) {
            return;
        }
        self.desks.noticed(session.account, before, state);
        let entry =
            PresenceEntry { login: session.login.clone(), display: session.display.clone(), state };
        if self.presences.watchers_count(session.account.tenant) > PRESENCE_AT_ONCE_MAX {
            self.pushes.note(session.account, entry);
            return;
        }
        self.pushes.told(session.account);
        self.push(session.account.tenant, Presence { complete: true, entries: vec![entry] });
    }

    /// Tells what waited long enough.
    pub(super) fn push_presence(&mut self, now: Now) {
        while let Some((tenant, entries)) = self.pushes.due(now.since_start) {
            for page in crate::sessions::pages(entries) {
                self.push(tenant, page);
            }
        }
    }

    fn push(&mut self, tenant: TenantId, presence: Presence) {
        let told: Vec<_> = self.presences.watchers(tenant).collect();
        if !told.is_empty() {
            self.out.push(Output::Push(told, presence));
        }
    }

    /// Whoever sits at one of the account's terminals speaks for all of them.
    pub(super) fn set_away(&mut self, session: &Session, ask: SetAway) {
        self.done(session.id, ask.request);
        self.presences.set_away(session.account, ask.away);
        self.announce(session);
    }

    pub(super) fn announce_account(&mut self, account: AccountKey) {
        let session = self.sessions.of(account).next().cloned();
        if let Some(session) = session {
            self.announce(&session);
        }
    }

    /// The complete list for a new watcher.
    pub(super) fn all_presence(
        &self,
        tenant: TenantId,
        accounts: Vec<KnownAccount>,
    ) -> Vec<Presence> {
        let entries = accounts.into_iter().map(|known| PresenceEntry {
            state: self.doing(AccountKey { tenant, account: known.account }),
            login: known.login,
            display: known.display,
        });
        crate::sessions::pages(entries.collect())
    }
}
