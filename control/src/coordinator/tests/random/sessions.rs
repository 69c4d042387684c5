//! How sessions come and go in random lives.

use super::*;

impl Life {
    pub(super) fn sign_in(&mut self, slot: usize) {
        let session = self.next_session;
        self.next_session += 1;
        self.slots.insert(SessionId(session), slot);
        let account = account(slot);
        self.world.sign_in(session, tenant(account), account as u64, slot as u64);
        if self.world.verdicts[&SessionId(session)].is_ok() {
            self.sessions[slot] = Some(session);
            self.firsts[slot] = Some(session);
        }
    }

    pub(super) fn lose(&mut self, slot: usize) {
        if let Some(session) = self.sessions[slot].map(SessionId) {
            // What it asked may be answered, but not to it.
            self.asked
                .retain(|request, asker| *asker != session || self.answered.contains(request));
            self.world.input(Input::Lost(session));
        }
    }

    pub(super) fn resume(&mut self, slot: usize) {
        let Some(first) = self.firsts[slot] else { return };
        let session = self.next_session;
        self.next_session += 1;
        self.slots.insert(SessionId(session), slot);
        let account = account(slot);
        self.world.resume(session, (tenant(account), account as u64, slot as u64), first);
        if self.world.verdicts[&SessionId(session)].is_ok()
            && let Some(older) = self.sessions[slot].replace(session)
        {
            self.asked.retain(|request, asker| asker.0 != older || self.answered.contains(request));
        }
    }

    pub(super) fn suspend(&mut self, slot: usize, what: u8) {
        let account = account(slot);
        let tenant = TenantId(tenant(account));
        let key = AccountKey { tenant, account: AccountId(account as u64) };
        let whom = match what {
            0 => Whom::Account(key),
            1 => Whom::Device(key, DeviceId(slot as u64)),
            _ => Whom::Tenant(tenant),
        };
        self.note_barred(whom);
        self.world.suspend(whom);
        let lives = |id: &u64| self.world.core.sessions.get(SessionId(*id)).is_some();
        for session in &mut self.sessions {
            *session = session.filter(lives);
        }
    }
}
