//! Another core takes over in random lives.

use super::*;
use crate::calls::CallMedia;
use crate::sessions::Revocation;

#[derive(Clone, Debug)]
pub(super) struct TakeOver {
    /// What nobody waited for was not written any more.
    forgets: bool,
    /// The account of this slot is suspended in between.
    suspended: Option<usize>,
}

pub(super) fn take_over(slots: std::ops::Range<usize>) -> impl Strategy<Value = TakeOver> {
    let suspended = prop::option::weighted(0.2, slots);
    (any::<bool>(), suspended).prop_map(|(forgets, suspended)| TakeOver { forgets, suspended })
}

impl Life {
    pub(super) fn take_over(&mut self, act: &TakeOver) {
        // With what the store did not take, a call and its end may be forgotten: what can be
        // promised then is little.
        if self.world.disk_full {
            return;
        }
        self.world.wait(crate::capacity::SAVE_RETRY);
        self.deaf = None;
        let ended = act.suspended.map(|slot| {
            let account = account(slot);
            let tenant = TenantId(tenant(account));
            let key = AccountKey { tenant, account: AccountId(account as u64) };
            let epoch = self.world.epochs.account + 1;
            self.world.epochs = Epochs { tenant: epoch, account: epoch, devices: epoch };
            self.note_barred(Whom::Account(key));
            Revocation { whom: Whom::Account(key), epoch, why: SessionEnd::Suspended }
        });
        let ended: Vec<_> = ended.into_iter().collect();
        self.world.take_over(act.forgets, &ended);
        for (slot, session) in self.sessions.iter_mut().enumerate() {
            let account = account(slot);
            let tenant = TenantId(tenant(account));
            let key = AccountKey { tenant, account: AccountId(account as u64) };
            let mut there = self.world.core.sessions.of(key);
            *session = there.find(|it| it.device == DeviceId(slot as u64)).map(|it| it.id.0);
            let is_there = session.is_some();
            assert!(!is_there || ended.iter().all(|it| !it.whom.includes(key, DeviceId(0))));
        }
        // What was asked before is answered or never will be.
        self.asked.retain(|request, _| self.answered.contains(request));
        // Whoever comes back is told anew what rings.
        self.ringing.clear();
    }

    /// What is kept holds no key in the clear, no leg and no source is there twice, and relays hold
    /// nothing that nobody wants.
    pub(super) fn check_kept(&self) -> Result<(), TestCaseError> {
        let lives: Vec<_> = self.world.lives.values().collect();
        for (_, key) in self.keys.iter().rev().take(8) {
            let shows = |sealed: &&Vec<u8>| sealed.windows(16).any(|it| it == &key.key()[..16]);
            prop_assert!(!lives.iter().any(shows), "a key in the clear");
        }
        let core = &self.world.core;
        let media: Vec<&CallMedia> =
            core.calls.iter().flat_map(|call| call.all_media().map(|(_, it)| it)).collect();
        let (mut legs, mut sources) = (HashSet::new(), HashSet::new());
        for media in &media {
            for nth in media.drawn() {
                for (_, leg) in media.legs_of(*nth) {
                    prop_assert!(legs.insert(leg.0), "a leg twice");
                }
                for stream in media.streams(*nth) {
                    prop_assert!(sources.insert(stream.ssrc), "a source twice");
                    prop_assert!(core.ssrcs.call_of(stream.ssrc).is_some(), "a free source");
                }
            }
        }
        if self.world.relays_are.answer {
            let held = self.world.relays.values().flat_map(|relay| relay.held.keys());
            prop_assert!(held.copied().all(|leg| legs.contains(&leg)), "a leg of nobody");
        }
        Ok(())
    }
}
