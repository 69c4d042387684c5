//! What the program has heard of others.

use kakehashi_wire::terminal::{MissedCall, Presence, PresenceEntry};
use std::collections::BTreeMap;

/// Who is there, and what was missed, as far as it was shown.
#[derive(Default)]
pub(super) struct Known {
    /// The accounts of the tenant but this terminal's own.
    pub(super) accounts: BTreeMap<String, PresenceEntry>,
    changed: Vec<String>,
    list_shown: bool,
    /// The latest of the missed calls that were shown.
    pub(super) missed_until_ms: u64,
}

impl Known {
    /// Takes in what is said of presence but for `own`. What is to be shown, if anything: none of
    /// the logins for the whole list, else those that changed.
    pub(super) fn take(
        &mut self,
        presence: Presence,
        own: Option<&str>,
    ) -> Option<Option<Vec<String>>> {
        for entry in presence.entries {
            let known = self.accounts.get(&entry.login);
            if Some(entry.login.as_str()) != own && known != Some(&entry) {
                self.changed.push(entry.login.clone());
                self.accounts.insert(entry.login.clone(), entry);
            }
        }
        if !presence.complete {
            return None;
        }
        let changed = core::mem::take(&mut self.changed);
        let again = core::mem::replace(&mut self.list_shown, true);
        (!again || !changed.is_empty()).then(|| again.then_some(changed))
    }

    /// These missed calls are shown.
    pub(super) fn shows(&mut self, missed: &[MissedCall]) {
        let latest = missed.iter().map(|call| call.at_ms).max().unwrap_or(0);
        self.missed_until_ms = self.missed_until_ms.max(latest);
    }
}
