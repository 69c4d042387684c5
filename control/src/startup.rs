//! What a node settles with the store before it serves anybody.

use crate::accounts::Accounts;
use crate::admin::Live;
use crate::capacity::GENERATIONS_PER_START;
use crate::clock::UnixMs;
use crate::fleet::Generations;
use crate::missed::{self, Asker, Change, Deed};
use crate::records::{CallRecord, PartyRole, RecordState, Records};
use crate::sessions::AccountKey;
use crate::store::{Expected, Key, Record, SharedStore, StoreError, Transaction, decode, encode};
use kakehashi_wire::terminal::CallEnd;
use serde::{Deserialize, Serialize};

/// The generations that were given away.
#[derive(Serialize, Deserialize)]
struct GenerationsRecord {
    /// None at or above this was ever used.
    next: u64,
}

impl Record for GenerationsRecord {
    const VERSION: u32 = 1;
}

/// Reserves a block of generations that no life of this node used before.
///
/// # Errors
/// [`StoreError`]; then nothing may be ordered.
pub async fn reserve_generations(store: &SharedStore) -> Result<Generations, StoreError> {
    let key = Key::of_index(format_args!("order-generations"))
        .expect("invariant: the key is short and printable");
    let found = store.get(&key).await?;
    let (first, expected) = match &found {
        Some(entry) => (decode::<GenerationsRecord>(entry)?.next, Expected::At(entry.revision)),
        None => (1, Expected::Absent),
    };
    let next = first.saturating_add(GENERATIONS_PER_START);
    let reserve = Transaction::new()
        .compare(key.clone(), expected)
        .put(key, encode(&GenerationsRecord { next }));
    store.transact(reserve).await?;
    Ok(Generations::new(first..next))
}

/// Ends the calls that were going on when the node died; those that rang were missed. Returns how
/// many there were.
///
/// # Errors
/// [`StoreError`]; the rest stay as they are until the next start.
pub async fn end_interrupted_calls(
    accounts: &Accounts,
    records: &Records,
    store: &SharedStore,
) -> Result<usize, StoreError> {
    let now = UnixMs::now();
    let mut ended = 0;
    for tenant in accounts.tenants().await? {
        for record in records.live(tenant.id).await? {
            if let Some(deed) = missed_in(&record) {
                missed::carry_out(store, deed).await?;
            }
        }
        let reason = CallEnd::ControlRestarted;
        ended += records.mark_all_live_ended(tenant.id, now, reason).await?;
    }
    Ok(ended)
}

/// What the called account has missed if a call that stands so goes no further.
fn missed_in(record: &CallRecord) -> Option<Deed> {
    let callee = record.members.iter().find(|member| member.role == PartyRole::Callee)?;
    let account = AccountKey { tenant: record.tenant, account: callee.account };
    let change = Change::Missed(record.login(PartyRole::Caller).to_owned(), record.started);
    let rang = record.state == RecordState::Ringing;
    rang.then_some(Deed { account, change: Some(change), asker: Asker::Nobody })
}

/// Tells the node of all desks.
///
/// # Errors
/// [`StoreError`]; then calls to some desks would be refused as if they were not there.
pub async fn open_desks(accounts: &Accounts, node: &dyn Live) -> Result<(), StoreError> {
    for tenant in accounts.tenants().await? {
        let desks = accounts.desks(tenant.id).await?;
        if !desks.desks.is_empty() {
            node.set_desks(tenant.id, desks).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Party;
    use crate::store::Embedded;
    use kakehashi_wire::id::{AccountId, CallId, TenantId};
    use std::sync::Arc;

    #[test]
    fn a_call_that_rang_when_the_node_died_was_missed() {
        let party = |account, role| Party {
            account: AccountId(account),
            login: format!("login-{account}"),
            role,
            device: None,
            joined: None,
            left: None,
            quality: None,
        };
        let record = |state| CallRecord {
            call: CallId(1),
            tenant: TenantId(1),
            members: vec![party(1, PartyRole::Caller), party(2, PartyRole::Callee)],
            desk: None,
            state,
            started: UnixMs(7),
            answered: None,
            ended: None,
            reason: None,
        };
        let deed = missed_in(&record(RecordState::Ringing)).unwrap();
        assert_eq!(deed.account.account, AccountId(2));
        assert_eq!(deed.change, Some(Change::Missed("login-1".into(), UnixMs(7))));
        assert_eq!(missed_in(&record(RecordState::Active)), None);
    }

    #[tokio::test]
    async fn generations_go_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut last = None;
        for _ in 0..3 {
            let store: SharedStore = Arc::new(Embedded::open(&path).unwrap());
            let mut generations = reserve_generations(&store).await.unwrap();
            let drawn = generations.draw().unwrap();
            assert!(Some(drawn) > last);
            last = generations.draw();
        }
    }
}
