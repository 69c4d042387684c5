//! The store of all nodes: one history, as a quorum has, and nodes that reach it or do not.
//!
//! Every answer comes at once, so that the real parts over it can be run without a runtime; what
//! takes time is when the simulator lets them ask.

use kakehashi_control::store::{
    Condition, Engine, Entry, Expected, Key, Listing, Order, Pending, Prefix, Range, Revision,
    Store, StoreError, Transaction, Watch,
};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// All entries at one time.
#[derive(Clone, Default)]
pub(crate) struct Contents {
    entries: BTreeMap<Key, (Vec<u8>, Revision)>,
    revision: u64,
}

/// The store.
#[derive(Default)]
pub(crate) struct SimStore(Mutex<State>);

#[derive(Default)]
struct State {
    contents: Contents,
    /// Whether whoever asks now has a majority behind it.
    away: bool,
    /// Whether what is written meanwhile waits in a line for the majority to be back.
    holds_up: bool,
    held_up: Vec<Transaction>,
}

impl SimStore {
    /// Begins anew with these entries.
    pub(crate) fn reset(&self, contents: &Contents) {
        *self.state() = State { contents: contents.clone(), ..State::default() };
    }

    /// What is in it.
    pub(crate) fn contents(&self) -> Contents {
        self.state().contents.clone()
    }

    /// Whether whoever asks next reaches a majority of its members.
    pub(crate) fn set_reached(&self, reached: bool) {
        self.state().away = !reached;
    }

    /// Whether what is written without a majority arrives later, and nobody knows.
    pub(crate) fn hold_up(&self, on: bool) {
        self.state().holds_up = on;
    }

    /// What was held up arrives.
    pub(crate) fn arrive(&self) {
        let mut state = self.state();
        for change in std::mem::take(&mut state.held_up) {
            // Whoever sent it has been told that this is not known.
            let _done = state.contents.change(&change);
        }
    }

    /// The revision that last changed a key.
    pub(crate) fn revision_of(&self, key: &str) -> Option<u64> {
        let key = Key::parse(key.to_owned()).ok()?;
        self.state().contents.entries.get(&key).map(|(_, revision)| revision.0)
    }

    /// Keys that begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        let keys = state.contents.entries.keys().map(Key::as_str);
        keys.filter(|key| key.starts_with(prefix)).map(str::to_owned).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.away {
            return Err(StoreError::Unavailable { what: "no majority".into() });
        }
        Ok(state)
    }
}

/// An answer that is there.
fn ready<T: Send + 'static>(answer: Result<T, StoreError>) -> Pending<'static, T> {
    Box::pin(std::future::ready(answer))
}

impl Contents {
    fn entry(&self, key: &Key) -> Option<Entry> {
        let (value, revision) = self.entries.get(key)?;
        Some(Entry { key: key.clone(), value: value.clone(), revision: *revision })
    }

    fn list(&self, range: &Range) -> Listing {
        let within = |key: &&Key| {
            let beyond = range.after.as_ref().is_none_or(|after| match range.order {
                Order::Ascending => *key > after,
                Order::Descending => *key < after,
            });
            beyond && range.prefix.holds(key)
        };
        let mut keys: Vec<_> = self.entries.keys().filter(within).collect();
        if range.order == Order::Descending {
            keys.reverse();
        }
        let more = keys.len() > range.limit;
        let entries = keys.into_iter().take(range.limit).filter_map(|key| self.entry(key));
        Listing { entries: entries.collect(), revision: Revision(self.revision), more }
    }

    fn change(&mut self, transaction: &Transaction) -> Result<Revision, StoreError> {
        transaction.check()?;
        let holds = |key: &Key, expected| {
            let found = self.entries.get(key).map(|(_, revision)| *revision);
            match expected {
                Expected::Absent => found.is_none(),
                Expected::At(revision) => found == Some(revision),
            }
        };
        if !transaction.compares().iter().all(|it| holds(&it.key, it.expected)) {
            return Err(StoreError::Conflict);
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        for key in transaction.deletes() {
            self.entries.remove(key);
        }
        for (key, value) in transaction.puts() {
            self.entries.insert(key.clone(), (value.clone(), revision));
        }
        Ok(revision)
    }
}

impl Store for SimStore {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        ready(self.reached().map(|state| state.contents.entry(key)))
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        ready(self.reached().map(|state| state.contents.list(&range)))
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        let mut state = self.state();
        if state.away && state.holds_up {
            state.held_up.push(transaction);
            return ready(Err(StoreError::Unsure { what: "held up".into() }));
        }
        drop(state);
        ready(self.reached().and_then(|mut state| state.contents.change(&transaction)))
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        // Nodes of the simulator look again and again instead.
        ready(Ok(Watch::channel(prefix.clone(), after, None).1))
    }

    fn condition(&self) -> Pending<'_, Condition> {
        let revision = Some(Revision(self.state().contents.revision));
        let members = Vec::new();
        ready(Ok(Condition { engine: Engine::Embedded, revision, problem: None, members }))
    }
}

/// What comes of a future that waits for nothing but the simulated store.
pub(crate) fn at_once<T>(asked: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(asked).poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the simulated store answers at once"),
    }
}
