//! Call records: what is kept of each call, live and ended.
//!
//! Live calls stand at `t/<tenant>/live/<call>`; when one ends, the same transaction moves it to
//! `t/<tenant>/call/<time>-<call>`, so that ended calls list in order of time. From there the node
//! that leads takes them into the archive, many at once, within minutes (`porter`): the end of a
//! call waits for no archive, and the store holds no history. Whoever lists them reads both.
//! Nothing personal is kept beyond login IDs.

pub(crate) mod end;
pub(crate) mod porter;
mod shelf;

use crate::accounts::Tenant;
use crate::archive::{Claimed, KeptError};
use crate::capacity::{
    CALL_RECORDS_PER_TENANT_MAX, CALL_RECORDS_PRUNE_EVERY, RECORDS_PER_SEGMENT_MAX,
    STORE_OPERATIONS_MAX, TENANTS_MAX,
};
use crate::clock::UnixMs;
use crate::lives;
use crate::store::{
    Entry, Expected, Key, Order, Prefix, Range, Record, Revision, SharedStore, StoreError,
    Transaction, decode, encode, hex_id, list,
};
use kakehashi_wire::id::{AccountId, CallId, DeviceId, TenantId};
use kakehashi_wire::terminal::CallEnd;
use serde::{Deserialize, Serialize};
use shelf::Newest;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What a member was in a call.
#[derive(
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    /// It called.
    Caller,
    /// It was called.
    Callee,
    /// A member brought it in.
    Added,
    /// It listened.
    Listener,
}

/// One member of a recorded call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Party {
    /// The account.
    #[serde(with = "hex_id")]
    pub account: AccountId,
    /// Its login ID at the time.
    pub login: String,
    /// What it was.
    pub role: PartyRole,
    /// The device that called or answered, once one has.
    #[serde(default, with = "hex_id::option")]
    pub device: Option<DeviceId>,
    /// When its media began; none if it never did.
    pub joined: Option<UnixMs>,
    /// When it was no longer part of the call.
    pub left: Option<UnixMs>,
    /// How the call's media arrived at this member, as it said last.
    pub quality: Option<Quality>,
}

/// How media arrived at one member, summed over its streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quality {
    /// Packets it sent.
    pub packets_sent: u64,
    /// Packets it received.
    pub packets_received: u64,
    /// Packets that never arrived.
    pub packets_lost: u64,
    /// Interarrival jitter in microseconds, the worst stream's.
    pub jitter_us: u32,
    /// Round trip to the other member in microseconds; 0 if unknown.
    pub round_trip_us: u32,
    /// Packets of voice that were not there in time: what was heard instead was made up.
    #[serde(default)]
    pub packets_concealed: u64,
}

/// What a call to a desk was there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeskPart {
    /// The desk that was called.
    pub called: String,
    /// The desk at which it was answered or given up: another, if it overflowed.
    pub last: String,
    /// How long it waited in milliseconds, ringing included; 0 while it does.
    pub waited_ms: u64,
}

/// How far a call has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It waits at a desk.
    Queued,
    /// The other side rings.
    Ringing,
    /// It was taken.
    Active,
    /// It is over.
    Ended,
}

/// One call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    #[serde(with = "hex_id")]
    pub call: CallId,
    /// Its tenant.
    #[serde(with = "hex_id")]
    pub tenant: TenantId,
    /// Whoever was part of it, the caller first.
    pub members: Vec<Party>,
    /// What it was at a desk, if one was called.
    pub desk: Option<DeskPart>,
    /// How far it has come.
    pub state: RecordState,
    /// When it was asked for.
    pub started: UnixMs,
    /// When it was taken.
    pub answered: Option<UnixMs>,
    /// When it was over.
    pub ended: Option<UnixMs>,
    /// Why it was over.
    #[serde(with = "end")]
    pub reason: Option<CallEnd>,
}

impl Record for CallRecord {
    // 3: `desk`.
    const VERSION: u32 = 3;
}

impl CallRecord {
    fn live_key(&self) -> Result<Key, StoreError> {
        key(self.tenant, format_args!("live/{}", self.call))
    }

    fn ended_key(&self) -> Result<Key, StoreError> {
        key(self.tenant, format_args!("call/{:016x}-{}", self.started.0, self.call))
    }

    /// The login ID of the member that was `role`; empty if there was none.
    pub fn login(&self, role: PartyRole) -> &str {
        let member = self.members.iter().find(|member| member.role == role);
        member.map_or("", |member| &member.login)
    }

    /// The same call, over, and nobody in it any more.
    #[must_use]
    pub fn ended(mut self, at: UnixMs, reason: CallEnd) -> Self {
        for member in &mut self.members {
            member.left = member.left.or(Some(at));
        }
        self.state = RecordState::Ended;
        self.ended = Some(at);
        self.reason = Some(reason);
        self
    }
}

fn key(tenant: TenantId, path: core::fmt::Arguments<'_>) -> Result<Key, StoreError> {
    Key::of_tenant(tenant, path).map_err(|_long| StoreError::TooLarge {
        what: "bytes of a key",
        found: crate::capacity::STORE_KEY_BYTES_MAX + 1,
        most: crate::capacity::STORE_KEY_BYTES_MAX,
    })
}

/// The call records of the store, and of the archive if there is one.
pub struct Records {
    store: SharedStore,
    archive: Option<Arc<Claimed>>,
    kept_max: usize,
    pruning: Pruning,
    due: Due,
}

#[cfg(test)]
impl CallRecord {
    /// Call 1 of tenant 1, which was taken at once.
    pub(crate) fn sample(caller: &str, callee: &str) -> Self {
        let party = |account, login: &str, role| Party {
            account: AccountId(account),
            login: login.into(),
            role,
            device: None,
            joined: None,
            left: None,
            quality: None,
        };
        Self {
            call: CallId(1),
            tenant: TenantId(1),
            members: vec![party(1, caller, PartyRole::Caller), party(2, callee, PartyRole::Callee)],
            desk: None,
            state: RecordState::Active,
            started: UnixMs(0),
            answered: Some(UnixMs(0)),
            ended: None,
            reason: None,
        }
    }
}

/// Which tenants have ended calls in the store that are to be archived.
#[derive(Default)]
struct Due {
    tenants: Mutex<(BTreeSet<TenantId>, usize)>,
    many: Notify,
}

impl Due {
    fn add(&self, tenants: impl IntoIterator<Item = TenantId>, calls: usize) {
        let mut due = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        due.0.extend(tenants);
        due.1 += calls;
        if due.1 >= RECORDS_PER_SEGMENT_MAX {
            due.1 = 0;
            self.many.notify_one();
        }
    }

    fn take(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut *self.tenants.lock().unwrap_or_else(PoisonError::into_inner)).0
    }
}

/// Which tenant's ended calls are to be pruned: each tenant's first since the start, and every
/// [`CALL_RECORDS_PRUNE_EVERY`]th after it.
#[derive(Default)]
struct Pruning(Mutex<HashMap<TenantId, u32>>);

impl Pruning {
    /// A call of `tenant` has ended. Whether its calls are to be pruned.
    fn is_due(&self, tenant: TenantId) -> bool {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= TENANTS_MAX as usize && !ended.contains_key(&tenant) {
            // Cannot be: there are no more tenants. Each would only be pruned once too often.
            ended.clear();
        }
        let ended = ended.entry(tenant).or_default();
        let is_due = *ended == 0;
        *ended = (*ended + 1) % CALL_RECORDS_PRUNE_EVERY;
        is_due
    }
}

impl Records {
    /// The call records in `store`.
    pub fn new(store: SharedStore) -> Self {
        Self {
            store,
            archive: None,
            kept_max: CALL_RECORDS_PER_TENANT_MAX,
            pruning: Pruning::default(),
            due: Due::default(),
        }
    }

    /// The same, with those of ended calls that are in `archive`.
    #[must_use]
    pub fn with_archive(self, archive: Option<Arc<Claimed>>) -> Self {
        Self { archive, ..self }
    }

    /// Writes `record` over what is there. A record that says "ended" leaves the live ones, and
    /// what was kept of the call goes.
    pub async fn put(&self, record: &CallRecord) -> Result<Revision, StoreError> {
        self.put_with(record, Transaction::new()).await
    }

    /// The same as part of `change`.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of `change` is done, or nobody knows.
    pub async fn put_with(
        &self,
        record: &CallRecord,
        change: Transaction,
    ) -> Result<Revision, StoreError> {
        let live = record.live_key()?;
        if record.state != RecordState::Ended {
            return self.store.transact(change.put(live, encode(record))).await;
        }
        let moved = change.delete(live).delete(lives::key(record.tenant, record.call));
        let moved = moved.put(record.ended_key()?, encode(record));
        let revision = self.store.transact(moved).await?;
        self.due.add([record.tenant], 1);
        if self.pruning.is_due(record.tenant)
            && let Err(error) = self.prune(record.tenant, self.kept_max).await
        {
            // The record is written, and there is another time to prune.
            tracing::warn!(event = "old_records_not_removed", %error, tenant = %record.tenant,
                "old call records were not removed");
        }
        Ok(revision)
    }

    /// Removes the live record of a call that was refused after all.
    pub async fn forget(&self, record: &CallRecord) -> Result<Revision, StoreError> {
        let kept = lives::key(record.tenant, record.call);
        let gone = Transaction::new().delete(record.live_key()?).delete(kept);
        self.store.transact(gone).await
    }

    /// The live calls of `tenant`.
    pub async fn live(&self, tenant: TenantId) -> Result<Vec<CallRecord>, StoreError> {
        let found = list(&*self.store, Prefix::of_tenant(tenant, "live")).await?;
        found.entries.iter().map(decode).collect()
    }

    /// The newest `limit` ended calls of `tenant`, newest first.
    ///
    /// # Errors
    /// [`KeptError`], if one of both places cannot be read.
    pub async fn ended(
        &self,
        tenant: TenantId,
        limit: usize,
    ) -> Result<Vec<CallRecord>, KeptError> {
        let mut newest = Newest::default();
        if limit == 0 {
            return Ok(Vec::new());
        }
        // The store first: what leaves it meanwhile is in the archive then.
        for entry in self.newest(tenant, limit).await? {
            newest.add(decode(&entry)?);
        }
        if let Some(archive) = &self.archive {
            shelf::read(archive.ready().await?, tenant, &mut newest, limit).await?;
        }
        Ok(newest.first(limit))
    }

    /// Takes the ended calls of `tenant` out of the store into the archive, if there is one, and
    /// says how many. Whoever does it again after a death in between finds done what is done.
    ///
    /// # Errors
    /// [`KeptError`]; then what is not in the archive is in the store.
    pub async fn ship(&self, tenant: TenantId) -> Result<usize, KeptError> {
        let Some(archive) = &self.archive else { return Ok(0) };
        let mut range = Range::first(Prefix::of_tenant(tenant, "call"));
        range.limit = RECORDS_PER_SEGMENT_MAX;
        let mut shipped = 0;
        loop {
            let _moving = archive.moving().await;
            let page = self.store.range(range.clone()).await?;
            let segment = shelf::cut(&page.entries);
            if segment.is_empty() {
                return Ok(shipped);
            }
            shelf::write(archive.ready().await?, tenant, segment).await?;
            let gone = segment.iter().fold(Transaction::new(), |gone, entry| {
                let as_it_is = Expected::At(entry.revision);
                gone.compare(entry.key.clone(), as_it_is).delete(entry.key.clone())
            });
            match self.store.transact(gone).await {
                Ok(_) => shipped += segment.len(),
                // Written again or removed meanwhile: what is there now is looked at anew.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// These tenants may have something to be archived.
    fn mark_due(&self, tenants: BTreeSet<TenantId>) {
        self.due.add(tenants, 0);
    }

    fn take_due(&self) -> BTreeSet<TenantId> {
        self.due.take()
    }

    /// Waits until so many calls have ended that they need not wait any longer.
    async fn are_many(&self) {
        self.due.many.notified().await;
    }

    /// Removes all ended calls of `tenant` but the newest `keep`.
    pub async fn prune(&self, tenant: TenantId, keep: usize) -> Result<(), StoreError> {
        let kept = self.newest(tenant, keep).await?;
        match kept.last() {
            Some(oldest) => self.remove_before(tenant, &oldest.key).await,
            None => Ok(()),
        }
    }

    /// Removes the ended calls of `tenant` that began longer ago than its policy keeps them; out of
    /// the archive by whole hours.
    ///
    /// # Errors
    /// [`KeptError`]; some may be removed.
    pub async fn forget_old(&self, tenant: &Tenant, now: UnixMs) -> Result<(), KeptError> {
        let kept = u64::from(tenant.rules.records_days) * DAY_MS;
        if kept == 0 {
            return Ok(());
        }
        let first = UnixMs(now.0.saturating_sub(kept));
        let oldest = key(tenant.id, format_args!("call/{:016x}", first.0))?;
        let Some(archive) = &self.archive else {
            return Ok(self.remove_before(tenant.id, &oldest).await?);
        };
        let _moving = archive.moving().await;
        self.remove_before(tenant.id, &oldest).await?;
        shelf::remove_before(archive.ready().await?, tenant.id, first)
            .await
            .map_err(KeptError::from)
    }

    async fn remove_before(&self, tenant: TenantId, first: &Key) -> Result<(), StoreError> {
        let mut range = Range::first(Prefix::of_tenant(tenant, "call"));
        range.limit = STORE_OPERATIONS_MAX;
        loop {
            let page = self.store.range(range.clone()).await?;
            let old: Vec<Key> = page
                .entries
                .into_iter()
                .map(|entry| entry.key)
                .take_while(|key| key < first)
                .collect();
            if old.is_empty() {
                return Ok(());
            }
            let removal = old.into_iter().fold(Transaction::new(), Transaction::delete);
            self.store.transact(removal).await?;
        }
    }

    async fn newest(&self, tenant: TenantId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let mut range = Range::first(Prefix::of_tenant(tenant, "call"));
        range.order = Order::Descending;
        let mut found: Vec<Entry> = Vec::new();
        while found.len() < limit {
            range.limit = limit - found.len();
            range.after = found.last().map(|entry| entry.key.clone());
            let page = self.store.range(range.clone()).await?;
            found.extend(page.entries);
            if !page.more {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
