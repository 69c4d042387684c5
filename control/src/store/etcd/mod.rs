//! The engine on a cluster: etcd, shared by several nodes.
//!
//! Every read is linearizable and every write is answered by a quorum, so that what one node was
//! promised, all others see. All keys stand below one prefix, which is all that the node's user of
//! etcd needs rights on: entries under `<prefix>data/`, and under `<prefix>base` how far revisions
//! were when the entries came here from another store. Revisions are etcd's own, counted on from
//! there: they grow over a move from one engine to another, too.
//!
//! etcd keeps the history until it is compacted; the operator sets how (`OPERATING.md`). A watch
//! that is older than that is told so, as in the other engine.

mod fault;
mod gaps;
mod members;
mod watching;

use super::{
    Condition, Entry, EtcdSettings, Expected, Key, Listing, MemberCondition, Order, Pending,
    Prefix, Range, Revision, Store, StoreError, Transaction, Watch,
};
use crate::capacity::STORE_RANGE_ENTRIES_MAX;
use etcd_client::{
    Compare, CompareOp, GetOptions, GetResponse, KeyValue, ResponseHeader, SortOrder, SortTarget,
    Txn, TxnOp,
};
use fault::Failure;
use members::{Kind, Members};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// A store on a cluster.
pub struct Etcd {
    shared: Arc<Shared>,
    /// Watches end when this is dropped.
    open: watch::Sender<()>,
}

/// What requests and watches share.
struct Shared {
    members: Members,
    /// What the keys of entries begin with.
    data: String,
    /// What is added to etcd's revisions.
    base: u64,
}

impl Etcd {
    /// Connects to the cluster that `settings` name.
    ///
    /// # Errors
    /// [`StoreError`], if no quorum answers or this node is refused.
    pub async fn open(settings: &EtcdSettings) -> Result<Self, StoreError> {
        let members = Members::new(settings)?;
        let shared = Shared { members, data: format!("{}data/", settings.prefix), base: 0 };
        let found =
            shared.read(base_key(settings), GetOptions::new()).await.map_err(store_error)?;
        let base = found.kvs().first().map_or(Ok(0), |found| base_of(settings, found))?;
        let (open, _) = watch::channel(());
        Ok(Self { shared: Arc::new(Shared { base, ..shared }), open })
    }

    /// Lets an empty store go on from revision `from`, which another one had reached.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not empty, or somebody else does the same.
    pub async fn go_on_from(settings: &EtcdSettings, from: Revision) -> Result<Self, StoreError> {
        let store = Self::open(settings).await?;
        let all = GetOptions::new().with_prefix().with_limit(1);
        let found = store.shared.read(store.shared.data.clone(), all).await.map_err(store_error)?;
        if !found.kvs().is_empty() {
            return Err(StoreError::Conflict);
        }
        let reached = revision(found.header());
        if from.0 > store.shared.base + reached {
            let key = base_key(settings);
            let before = store.shared.read(key.clone(), GetOptions::new()).await;
            let before =
                before.map_err(store_error)?.kvs().first().map_or(0, KeyValue::mod_revision);
            let change = Txn::new()
                .when([Compare::mod_revision(key.clone(), CompareOp::Equal, before)])
                .and_then([TxnOp::put(key, (from.0 - reached).to_string(), None)]);
            store.shared.write(change).await?;
        }
        Self::open(settings).await
    }
}

fn base_key(settings: &EtcdSettings) -> String {
    format!("{}base", settings.prefix)
}

fn base_of(settings: &EtcdSettings, found: &KeyValue) -> Result<u64, StoreError> {
    let number = found.value_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::Corrupt {
        path: base_key(settings).into(),
        what: "it is no number".to_owned(),
    })
}

fn store_error(failure: Failure) -> StoreError {
    match failure {
        Failure::Final(error) => error,
        Failure::NotDone(what) | Failure::Unknown(what) => StoreError::Unavailable { what },
        Failure::TooLong => StoreError::Unavailable { what: "one entry is too long".to_owned() },
        Failure::Compacted => StoreError::Unavailable { what: "compacted".to_owned() },
    }
}

/// etcd's numbers are signed and never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn revision(header: Option<&ResponseHeader>) -> u64 {
    header.map_or(0, |header| unsigned(header.revision()))
}

/// The first text after all that begin with `prefix`, which is printable ASCII.
fn behind(prefix: &str) -> String {
    format!("{prefix}\x7f")
}

impl Shared {
    fn key(&self, key: &Key) -> String {
        format!("{}{key}", self.data)
    }

    fn below(&self, prefix: &Prefix) -> String {
        format!("{}{}", self.data, prefix.as_str())
    }

    fn revision(&self, header: Option<&ResponseHeader>) -> Revision {
        Revision(self.base + revision(header))
    }

    /// The revision as etcd has it, or none if it is from before the entries came here.
    fn native(&self, revision: Revision) -> Option<i64> {
        let native = revision.0.checked_sub(self.base)?;
        i64::try_from(native).ok()
    }

    fn entry(&self, found: &KeyValue) -> Result<Entry, StoreError> {
        let key = self.parse(found.key())?;
        let revision = Revision(self.base + unsigned(found.mod_revision()));
        Ok(Entry { key, value: found.value().to_vec(), revision })
    }

    fn parse(&self, key: &[u8]) -> Result<Key, StoreError> {
        let text = String::from_utf8_lossy(key).into_owned();
        let own = text.strip_prefix(&self.data).and_then(|own| Key::parse(own.to_owned()).ok());
        own.ok_or_else(|| StoreError::Corrupt {
            path: text.into(),
            what: "it is no key of this platform".to_owned(),
        })
    }

    async fn read(&self, key: String, options: GetOptions) -> Result<GetResponse, Failure> {
        let question = |mut kv: etcd_client::KvClient| -> members::Asked<GetResponse> {
            let (key, options) = (key.clone(), options.clone());
            Box::pin(async move { kv.get(key, Some(options)).await })
        };
        self.members.ask(Kind::Read, question).await
    }

    /// Does `change`; its revision.
    async fn write(&self, change: Txn) -> Result<Revision, StoreError> {
        let question = |mut kv: etcd_client::KvClient| -> members::Asked<_> {
            let change = change.clone();
            Box::pin(async move { kv.txn(change).await })
        };
        let done = self.members.ask(Kind::Write, question).await.map_err(store_error)?;
        if done.succeeded() { Ok(self.revision(done.header())) } else { Err(StoreError::Conflict) }
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        transaction.check()?;
        let mut compares = Vec::with_capacity(transaction.compares().len());
        for compare in transaction.compares() {
            let expected = match compare.expected {
                Expected::Absent => 0,
                Expected::At(at) => match self.native(at) {
                    // Nothing here was last changed before the entries came.
                    None | Some(0) => return Err(StoreError::Conflict),
                    Some(native) => native,
                },
            };
            let key = self.key(&compare.key);
            compares.push(Compare::mod_revision(key, CompareOp::Equal, expected));
        }
        let deletes = transaction.deletes().iter().map(|key| TxnOp::delete(self.key(key), None));
        let puts = transaction.puts().iter();
        let puts = puts.map(|(key, value)| TxnOp::put(self.key(key), value.clone(), None));
        let writes: Vec<TxnOp> = deletes.chain(puts).collect();
        self.write(Txn::new().when(compares).and_then(writes)).await
    }

    async fn range(&self, range: Range) -> Result<Listing, StoreError> {
        let first = self.below(&range.prefix);
        let after = range.after.as_ref();
        if after.is_some_and(|after| !range.prefix.holds(after)) {
            let counted = self.read(first, GetOptions::new().with_count_only()).await;
            let revision = self.revision(counted.map_err(store_error)?.header());
            return Ok(Listing { entries: Vec::new(), revision, more: false });
        }
        let end = behind(&first);
        let (first, end) = match (after.map(|after| self.key(after)), range.order) {
            (None, _) => (first, end),
            // The next key there can be.
            (Some(after), Order::Ascending) => (format!("{after}\0"), end),
            (Some(after), Order::Descending) => (first, after),
        };
        let mut options = GetOptions::new().with_range(end);
        if range.order == Order::Descending {
            options = options.with_sort(SortTarget::Key, SortOrder::Descend);
        }
        let mut limit = range.limit.min(STORE_RANGE_ENTRIES_MAX);
        if limit == 0 {
            let counted = self.read(first, options.with_count_only()).await.map_err(store_error)?;
            let (revision, more) = (self.revision(counted.header()), counted.count() > 0);
            return Ok(Listing { entries: Vec::new(), revision, more });
        }
        loop {
            let page = options.clone().with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
            match self.read(first.clone(), page).await {
                Ok(found) => {
                    let entries: Result<_, _> =
                        found.kvs().iter().map(|entry| self.entry(entry)).collect();
                    let revision = self.revision(found.header());
                    return Ok(Listing { entries: entries?, revision, more: found.more() });
                }
                Err(Failure::TooLong) if limit > 1 => limit /= 2,
                Err(failure) => return Err(store_error(failure)),
            }
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = self.read(self.key(key), GetOptions::new()).await.map_err(store_error)?;
        found.kvs().first().map(|entry| self.entry(entry)).transpose()
    }

    async fn condition(&self) -> Result<Condition, StoreError> {
        let all = self.members.status().await;
        let members: Vec<_> = all.into_iter().map(|(name, status)| member(name, status)).collect();
        let asked = self.read(self.data.clone(), GetOptions::new().with_count_only()).await;
        let (revision, problem) = match asked {
            Ok(answer) => (Some(self.revision(answer.header())), None),
            Err(failure) => (None, Some(store_error(failure).to_string())),
        };
        Ok(Condition { engine: super::Engine::Etcd, revision, problem, members })
    }
}

fn member(name: String, status: Result<etcd_client::StatusResponse, Failure>) -> MemberCondition {
    match status {
        Ok(status) => {
            let id = status.header().map(ResponseHeader::member_id);
            MemberCondition {
                name,
                problem: match status.leader() {
                    0 => Some("it knows no leader".to_owned()),
                    // An alarm: a quota that is reached, or a file that is damaged.
                    _ => status.errors().first().cloned(),
                },
                version: status.version().to_owned(),
                is_leader: id == Some(status.leader()),
                bytes: unsigned(status.db_size()),
            }
        }
        Err(failure) => MemberCondition {
            name,
            problem: Some(store_error(failure).to_string()),
            version: String::new(),
            is_leader: false,
            bytes: 0,
        },
    }
}

impl Store for Etcd {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        Box::pin(self.shared.get(key))
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        Box::pin(self.shared.range(range))
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(self.shared.transact(transaction))
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        let (sender, watch) = Watch::channel(prefix.clone(), after, Some(VecDeque::new()));
        let shared = Arc::clone(&self.shared);
        tokio::spawn(watching::run(shared, prefix.clone(), after, sender, self.open.subscribe()));
        Box::pin(core::future::ready(Ok(watch)))
    }

    fn condition(&self) -> Pending<'_, Condition> {
        Box::pin(self.shared.condition())
    }
}
