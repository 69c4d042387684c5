//! Whose rights have ended since they became part of a call that is taken up.

use crate::accounts::Accounts;
use crate::calls::Live;
use crate::sessions::{AccountKey, Revocation, Session};
use crate::store::{StoreError, all_of};
use std::collections::BTreeMap;

/// What has to be said to the core that takes these calls up, before any relay connects: nobody may
/// go on in a call who was suspended after it was kept.
///
/// # Errors
/// [`StoreError`]; then the calls must not be taken up.
pub async fn ended_rights(
    accounts: &Accounts,
    lives: &[Live],
) -> Result<Vec<Revocation>, StoreError> {
    let mut sessions: BTreeMap<AccountKey, Vec<&Session>> = BTreeMap::new();
    for session in lives.iter().flat_map(|live| &live.around.sessions) {
        sessions.entry(session.account).or_default().push(session);
    }
    let reads = sessions.iter();
    let reads = reads.map(|(account, sessions)| accounts.ended_since(*account, sessions)).collect();
    Ok(all_of(reads).await?.concat())
}
