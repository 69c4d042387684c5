//! What a node settles with the store before it serves anybody.

use crate::accounts::{Accounts, DeskList, KnownTenant};
use crate::calls::{Call, Live};
use crate::capacity::GENERATIONS_PER_START;
use crate::clock::{Now, UnixMs};
use crate::coordinator::{Coordinator, Input, Output};
use crate::drained;
use crate::fleet::Generations;
use crate::lives::{Lives, ended_rights};
use crate::missed::{self, Asker, Change, Deed};
use crate::pki::CellSecret;
use crate::records::{CallRecord, PartyRole, RecordState, Records};
use crate::sessions::{AccountKey, Revocation};
use crate::store::{
    Expected, Key, Record, SharedStore, StoreError, Transaction, all_of, decode, encode,
};
use kakehashi_wire::id::{RelayId, TenantId};
use kakehashi_wire::terminal::CallEnd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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

/// Which secret the nodes over this store have.
#[derive(Serialize, Deserialize)]
struct CellRecord {
    /// Its fingerprint.
    secret: String,
}

impl Record for CellRecord {
    const VERSION: u32 = 1;
}

/// Whether the secret of this node is that of the others. A node that is `alone` says which it is;
/// one of several takes part with the one that is said, or not at all. `Err` has the fingerprint
/// that the others have.
///
/// # Errors
/// [`StoreError`]; then nothing may be sealed, since the others could not open it.
pub async fn settle_secret(
    store: &SharedStore,
    secret: &CellSecret,
    alone: bool,
) -> Result<Result<(), String>, StoreError> {
    let key =
        Key::of_index(format_args!("cell")).expect("invariant: the key is short and printable");
    let ours = secret.fingerprint();
    loop {
        let found = store.get(&key).await?;
        let expected = match &found {
            Some(entry) => {
                let theirs = decode::<CellRecord>(entry)?.secret;
                if theirs == ours {
                    return Ok(Ok(()));
                }
                if !alone {
                    return Ok(Err(theirs));
                }
                Expected::At(entry.revision)
            }
            None => Expected::Absent,
        };
        let record = encode(&CellRecord { secret: ours.clone() });
        let write = Transaction::new().compare(key.clone(), expected).put(key.clone(), record);
        match store.transact(write).await {
            Ok(_) => return Ok(Ok(())),
            // Another node has just said it.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends what was going on when the node died and is not taken up, `live`; what rang was missed.
async fn end_interrupted(
    (records, store): (&Records, &SharedStore),
    live: impl IntoIterator<Item = CallRecord>,
) -> Result<(), StoreError> {
    let (now, mut ended) = (UnixMs::now(), 0);
    for record in live {
        if let Some(deed) = missed_in(&record) {
            missed::carry_out(store, deed).await?;
        }
        records.put(&record.ended(now, CallEnd::ControlRestarted)).await?;
        ended += 1;
    }
    if ended > 0 {
        tracing::warn!(
            event = "calls_lost",
            calls = ended,
            "calls were going on when the node ended and are lost"
        );
    }
    Ok(())
}

/// What the called account has missed if a call that stands so goes no further.
fn missed_in(record: &CallRecord) -> Option<Deed> {
    let callee = record.members.iter().find(|member| member.role == PartyRole::Callee)?;
    let account = AccountKey { tenant: record.tenant, account: callee.account };
    let change = Change::Missed(record.login(PartyRole::Caller).to_owned(), record.started);
    let rang = record.state == RecordState::Ringing;
    rang.then_some(Deed { account, change: Some(change), asker: Asker::Nobody })
}

/// All that a core needs to know of the store before it decides anything.
pub struct Known {
    drained: Vec<RelayId>,
    tenants: Vec<(KnownTenant, DeskList)>,
    lives: Vec<Live>,
    /// Whose rights have ended who are in those calls.
    revoked: Vec<Revocation>,
}

impl Known {
    /// Reads it, in few rounds: each may go to another site. Calls that were going on and cannot be
    /// taken up are ended.
    ///
    /// # Errors
    /// [`StoreError`]; then no core may begin: calls would be lost, or go on with somebody who was
    /// suspended.
    pub async fn read(
        (accounts, records): (&Accounts, &Records),
        (store, lives): (&SharedStore, &Lives),
    ) -> Result<Self, StoreError> {
        let (drained, tenants, lives) =
            tokio::try_join!(drained::all(store), accounts.known_tenants(), lives.all())?;
        let desks = tenants.iter().map(|known| accounts.desks(known.tenant.id)).collect();
        let live = tenants.iter().map(|known| records.live(known.tenant.id)).collect();
        let (desks, live, revoked) =
            tokio::try_join!(all_of(desks), all_of(live), ended_rights(accounts, &lives))?;
        let with = |live: &Live| live.call.merges_with().map(Call::id);
        let taken = lives.iter().flat_map(|live| [Some(live.call.id()), with(live)]);
        let taken: BTreeSet<_> = taken.flatten().collect();
        let left = live.into_iter().flatten().filter(|record| !taken.contains(&record.call));
        end_interrupted((records, store), left).await?;
        if !lives.is_empty() {
            tracing::info!(
                event = "calls_taken_over",
                calls = lives.len(),
                "calls go on that another node began"
            );
        }
        Ok(Self { drained, tenants: tenants.into_iter().zip(desks).collect(), lives, revoked })
    }

    /// Every tenant.
    pub fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.tenants.iter().map(|(known, _)| known.tenant.id)
    }

    /// Tells it to a core that has done nothing yet, and gives it the calls. Returns what it
    /// decides on them.
    pub fn tell(self, core: &mut Coordinator, now: Now) -> Vec<Output> {
        let mut decided = Vec::new();
        for relay in self.drained {
            decided.extend(core.handle(Input::Drain(relay, true), now));
        }
        for (KnownTenant { tenant, revision }, desks) in self.tenants {
            let (id, policy) = (tenant.id, Box::new(tenant.policy()));
            decided.extend(core.handle(Input::Tenant(id, policy, revision), now));
            if !desks.desks.is_empty() {
                decided.extend(core.handle(Input::Desks(id, desks), now));
            }
        }
        decided.extend(core.take_over(self.lives, now));
        for revocation in self.revoked {
            decided.extend(core.handle(Input::Revoked(revocation), now));
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Party;
    use crate::store::Embedded;
    use kakehashi_wire::id::{AccountId, CallId};
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
    async fn nodes_over_one_store_have_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
        let secret = |byte| CellSecret::new([byte; 32]);
        let settle = async |byte, alone| settle_secret(&store, &secret(byte), alone).await.unwrap();
        let (one, two) = tokio::join!(settle(1, false), settle(1, false));
        assert_eq!((one, two), (Ok(()), Ok(())), "whoever comes first says it");
        assert_eq!(settle(2, false).await, Err(secret(1).fingerprint()));
        assert_eq!(settle(1, false).await, Ok(()), "which has changed nothing");
        // Who is alone begins with whatever it has.
        assert_eq!(settle(2, true).await, Ok(()));
        assert_eq!(settle(1, false).await, Err(secret(2).fingerprint()));
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
