//! What a node settles with the store before it serves anybody.

use crate::accounts::{Accounts, KnownTenant};
use crate::calls::{Call, Live};
use crate::capacity::{GENERATIONS_PER_START, TOKEN_KEY_AGE};
use crate::clock::{Now, UnixMs};
use crate::coordinator::{Coordinator, Input, Output};
use crate::entropy::Entropy;
use crate::fleet::Generations;
use crate::lives::{Lives, ended_rights};
use crate::missed::{self, Asker, Change, Deed};
use crate::records::{CallRecord, PartyRole, RecordState, Records};
use crate::sessions::{AccountKey, TOKEN_KEY_BYTES, TokenKeys};
use crate::store::{Expected, Key, Record, SharedStore, StoreError, Transaction, decode, encode};
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::CallEnd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zeroize::{Zeroize, ZeroizeOnDrop};

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

/// The keys of resume tokens.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct TokenKeysRecord {
    #[zeroize(skip)]
    made: UnixMs,
    current: [u8; TOKEN_KEY_BYTES],
    previous: Option<[u8; TOKEN_KEY_BYTES]>,
}

impl Record for TokenKeysRecord {
    const VERSION: u32 = 1;
}

/// The keys of resume tokens: made at the first start, and again when they are old; those of before
/// still count.
///
/// # Errors
/// [`StoreError`]; then no token may be made, since nobody could read it after a restart.
pub async fn token_keys(
    store: &SharedStore,
    entropy: &Entropy,
    now: UnixMs,
) -> Result<TokenKeys, StoreError> {
    loop {
        match settled_token_keys(store, entropy, now).await {
            // Another node has just made them.
            Err(StoreError::Conflict) => {}
            settled => return settled,
        }
    }
}

async fn settled_token_keys(
    store: &SharedStore,
    entropy: &Entropy,
    now: UnixMs,
) -> Result<TokenKeys, StoreError> {
    let key = Key::of_index(format_args!("token-keys"))
        .expect("invariant: the key is short and printable");
    let found = store.get(&key).await?;
    let (before, expected) = match &found {
        Some(entry) => (Some(decode::<TokenKeysRecord>(entry)?), Expected::At(entry.revision)),
        None => (None, Expected::Absent),
    };
    let age_ms = u64::try_from(TOKEN_KEY_AGE.as_millis()).unwrap_or(u64::MAX);
    let is_old = |it: &TokenKeysRecord| now.0.saturating_sub(it.made.0) >= age_ms;
    if let Some(fresh) = before.as_ref().filter(|it| !is_old(it)) {
        return Ok(TokenKeys::new(&fresh.current, fresh.previous.as_ref()));
    }
    let previous = before.map(|before| before.current);
    let record = TokenKeysRecord { made: now, current: entropy.bytes(), previous };
    let write = Transaction::new().compare(key.clone(), expected).put(key, encode(&record));
    store.transact(write).await?;
    Ok(TokenKeys::new(&record.current, record.previous.as_ref()))
}

/// Ends the calls that were going on when the node died and are not `taken` up; those that rang
/// were missed. Returns how many there were.
///
/// # Errors
/// [`StoreError`]; the rest stay as they are until the next start.
pub async fn end_interrupted_calls(
    accounts: &Accounts,
    records: &Records,
    store: &SharedStore,
    taken: &BTreeSet<CallId>,
) -> Result<usize, StoreError> {
    let now = UnixMs::now();
    let mut ended = 0;
    for tenant in accounts.tenants().await? {
        let mut live = records.live(tenant.id).await?;
        live.retain(|record| !taken.contains(&record.call));
        ended += live.len();
        for record in live {
            if let Some(deed) = missed_in(&record) {
                missed::carry_out(store, deed).await?;
            }
            records.put(&record.ended(now, CallEnd::ControlRestarted)).await?;
        }
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

/// Tells a core that has done nothing yet all that it needs to know of the store, and gives it the
/// calls that were going on. Returns what it decides on them.
///
/// # Errors
/// [`StoreError`]; then the core must not be used: calls would be lost, or go on with somebody who
/// was suspended.
pub async fn take_over(
    core: &mut Coordinator,
    now: Now,
    (accounts, records): (&Accounts, &Records),
    (store, lives): (&SharedStore, &Lives),
) -> Result<Vec<Output>, StoreError> {
    let mut decided = Vec::new();
    for KnownTenant { tenant, revision } in accounts.known_tenants().await? {
        let id = tenant.id;
        decided.extend(core.handle(Input::Tenant(id, Box::new(tenant.policy()), revision), now));
        let desks = accounts.desks(id).await?;
        if !desks.desks.is_empty() {
            decided.extend(core.handle(Input::Desks(id, desks), now));
        }
    }
    let lives = lives.all().await?;
    let with = |live: &Live| live.call.merges_with().map(Call::id);
    let taken = lives.iter().flat_map(|live| [Some(live.call.id()), with(live)]);
    let taken: BTreeSet<_> = taken.flatten().collect();
    let ended = end_interrupted_calls(accounts, records, store, &taken).await?;
    if ended > 0 {
        tracing::warn!(calls = ended, "calls were going on when the node ended and are lost");
    }
    if !lives.is_empty() {
        tracing::info!(calls = lives.len(), "calls go on that another node began");
    }
    let revoked = ended_rights(accounts, &lives).await?;
    decided.extend(core.take_over(lives, now));
    for revocation in revoked {
        decided.extend(core.handle(Input::Revoked(revocation), now));
    }
    Ok(decided)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Party;
    use crate::sessions::TokenClaims;
    use crate::store::Embedded;
    use kakehashi_wire::device::DeviceKey;
    use kakehashi_wire::id::{AccountId, DeviceId, SessionId, TenantId};
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
    async fn tokens_outlive_a_restart_and_one_change_of_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let (start, age) = (UnixMs(1000), u64::try_from(TOKEN_KEY_AGE.as_millis()).unwrap());
        let claims = TokenClaims {
            account: AccountKey { tenant: TenantId(1), account: AccountId(2) },
            tenant_epoch: 3,
            account_epoch: 4,
            device: DeviceId(5),
            device_key: DeviceKey([6; 32]),
            session: SessionId(7),
            issued: start,
            expires: UnixMs(start.0 + 9 * age),
        };
        let mut token = None;
        for (after, counts) in [(0, true), (age - 1, true), (age, true), (2 * age, false)] {
            let store: SharedStore = Arc::new(Embedded::open(&path).unwrap());
            let now = UnixMs(start.0 + after);
            let keys = token_keys(&store, &Entropy::system(), now).await.unwrap();
            let token = token.get_or_insert_with(|| keys.token(claims));
            assert_eq!(keys.read(token, now), Some(claims).filter(|_| counts), "after {after} ms");
        }
    }

    #[tokio::test]
    async fn nodes_that_start_together_have_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
        let entropy = Entropy::system();
        let made = || token_keys(&store, &entropy, UnixMs(1));
        let (one, two, three) = tokio::join!(made(), made(), made());
        let claims = TokenClaims {
            account: AccountKey { tenant: TenantId(1), account: AccountId(2) },
            tenant_epoch: 3,
            account_epoch: 4,
            device: DeviceId(5),
            device_key: DeviceKey([6; 32]),
            session: SessionId(7),
            issued: UnixMs(1),
            expires: UnixMs(9),
        };
        let token = one.unwrap().token(claims);
        for keys in [two.unwrap(), three.unwrap()] {
            assert_eq!(keys.read(&token, UnixMs(2)), Some(claims));
        }
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
