//! A store that only one may write: whoever last claimed one record of it.

use super::{
    Condition, Entry, Expected, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch,
};
use crate::capacity::TURNS_OF_A_WRITE_MAX;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// A store whose every change also compares the revision of one record, the fence.
///
/// **A change is made only while nobody else has claimed the fence.** Whoever claims it writes it,
/// so that its revision is another; what the one before it still has under way is then refused
/// ([`StoreError::Fenced`]), however late it comes.
///
/// **What nobody knows the outcome of never comes behind what was written later.** A change that
/// was not answered may lie in a connection that a cut holds up, for as long as the cut lasts, and
/// would then take back what its writer has written anew meanwhile. So every change also compares
/// the turn, a second record: before the first one after such an outcome, the turn is written anew,
/// and whatever was under way until then is refused.
pub struct Fenced {
    store: SharedStore,
    fence: Key,
    claimed: Revision,
    turn: Key,
    /// Changes of unknown outcome so far.
    doubts: AtomicU64,
    state: Mutex<Turn>,
}

/// What is known of the turn.
#[derive(Default)]
struct Turn {
    /// `None` until it was read.
    at: Option<Expected>,
    /// How many of the doubts it has settled.
    settled: u64,
}

/// A change that is under way: in doubt unless its outcome is known.
struct UnderWay<'a>(&'a AtomicU64);

impl UnderWay<'_> {
    fn answered(self) {
        core::mem::forget(self);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Fenced {
    /// `store`, for whoever claimed `fence` at revision `claimed`.
    pub fn new(store: SharedStore, fence: Key, claimed: Revision) -> Self {
        // Not below the fence: whoever watches that is told of claims alone.
        let turn =
            Key::parse(format!("x/turn/{fence}")).expect("invariant: fences have short keys");
        let (doubts, state) = (AtomicU64::new(0), Mutex::default());
        Self { store, fence, claimed, turn, doubts, state }
    }

    /// Whether nobody else has claimed the fence, at some time after this was asked.
    ///
    /// # Errors
    /// [`StoreError`] if that is not known.
    pub async fn holds(&self) -> Result<bool, StoreError> {
        let found = self.store.get(&self.fence).await?;
        Ok(found.is_some_and(|found| found.revision == self.claimed))
    }

    async fn read_turn(&self) -> Result<Expected, StoreError> {
        let found = self.store.get(&self.turn).await?;
        Ok(found.map_or(Expected::Absent, |found| Expected::At(found.revision)))
    }

    /// The turn as it is now. It is noted before anybody else writes it anew: what is known of it
    /// never goes back, or a change in doubt could be of a later turn than the one that is ended.
    async fn read_turn_anew(&self) -> Result<Expected, StoreError> {
        let mut turn = self.state.lock().await;
        let at = self.read_turn().await?;
        turn.at = Some(at);
        Ok(at)
    }

    /// The turn, behind which no change of unknown outcome comes any more.
    async fn turn(&self) -> Result<Expected, StoreError> {
        let mut turn = self.state.lock().await;
        let at = match turn.at {
            Some(at) => at,
            None => self.read_turn().await?,
        };
        turn.at = Some(at);
        let doubts = self.doubts.load(Ordering::Acquire);
        if turn.settled == doubts {
            return Ok(at);
        }
        let next = Transaction::new().put(self.turn.clone(), Vec::new());
        let at = match self.store.transact(self.guarded(next, at)).await {
            Ok(revision) => Expected::At(revision),
            Err(StoreError::Conflict) if !self.holds().await? => return Err(StoreError::Fenced),
            // One that was not answered before was made after all.
            Err(StoreError::Conflict) => self.read_turn().await?,
            // Nothing of what was asked for is under way.
            Err(StoreError::Unsure { what }) => return Err(StoreError::Unavailable { what }),
            Err(error) => return Err(error),
        };
        *turn = Turn { at: Some(at), settled: doubts };
        Ok(at)
    }

    fn guarded(&self, transaction: Transaction, turn: Expected) -> Transaction {
        let fenced = transaction.compare(self.fence.clone(), Expected::At(self.claimed));
        fenced.compare(self.turn.clone(), turn)
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let mut turn = self.turn().await?;
        for _ in 0..TURNS_OF_A_WRITE_MAX {
            let under_way = UnderWay(&self.doubts);
            let done = self.store.transact(self.guarded(transaction.clone(), turn)).await;
            match done {
                Err(StoreError::Unsure { .. }) => return done,
                Err(StoreError::Conflict) => under_way.answered(),
                done => {
                    under_way.answered();
                    return done;
                }
            }
            // Which of the compares failed: the caller's, or one of these?
            if !self.holds().await? {
                return Err(StoreError::Fenced);
            }
            if self.read_turn_anew().await? == turn {
                return Err(StoreError::Conflict);
            }
            // Another change was in doubt while this one was under way.
            turn = self.turn().await?;
        }
        Err(StoreError::Unavailable { what: "it answers too few changes in time".to_owned() })
    }
}

impl Store for Fenced {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.store.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.store.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        Box::pin(self.write(transaction))
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.store.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.store.condition()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A store behind a line that a cut holds up: what is sent meanwhile arrives when it is over.
    struct Line {
        store: Embedded,
        is_cut: AtomicBool,
        /// Everything sent arrives at once, and only the answers do not.
        loses_answers: AtomicBool,
        held_up: Mutex<Vec<Transaction>>,
    }

    impl Line {
        fn set(&self, is_cut: bool, loses_answers: bool) {
            self.is_cut.store(is_cut, Ordering::Relaxed);
            self.loses_answers.store(loses_answers, Ordering::Relaxed);
        }

        /// What was held up arrives; how much of it was done.
        async fn arrive(&self) -> usize {
            let mut done = 0;
            for change in core::mem::take(&mut *self.held_up.lock().await) {
                done += usize::from(self.store.transact(change).await.is_ok());
            }
            done
        }
    }

    impl Store for Line {
        fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
            self.store.get(key)
        }

        fn range(&self, range: Range) -> Pending<'_, Listing> {
            self.store.range(range)
        }

        fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
            Box::pin(async move {
                if self.is_cut.load(Ordering::Relaxed) {
                    self.held_up.lock().await.push(transaction);
                } else {
                    let done = self.store.transact(transaction).await;
                    if !self.loses_answers.load(Ordering::Relaxed) {
                        return done;
                    }
                }
                Err(StoreError::Unsure { what: "cut".into() })
            })
        }

        fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
            self.store.watch(prefix, after)
        }

        fn condition(&self) -> Pending<'_, Condition> {
            self.store.condition()
        }
    }

    fn key(text: &str) -> Key {
        Key::parse(text.to_owned()).unwrap()
    }

    fn put(value: u8) -> Transaction {
        Transaction::new().put(key("a"), vec![value])
    }

    async fn value(store: &Fenced) -> Option<u8> {
        store.get(&key("a")).await.unwrap().map(|entry| entry.value[0])
    }

    async fn fenced() -> (tempfile::TempDir, Arc<Line>, Fenced) {
        let folder = tempfile::tempdir().unwrap();
        let line = Arc::new(Line {
            store: Embedded::open(&folder.path().join("store")).unwrap(),
            is_cut: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            held_up: Mutex::default(),
        });
        let claimed = line.transact(Transaction::new().put(key("lead"), vec![1])).await.unwrap();
        let store = Fenced::new(Arc::clone(&line) as SharedStore, key("lead"), claimed);
        (folder, line, store)
    }

    #[tokio::test]
    async fn what_was_held_up_never_comes_behind_what_was_written_later() {
        let (_folder, line, store) = fenced().await;
        store.transact(put(1)).await.unwrap();
        line.set(true, false);
        assert!(matches!(store.transact(put(2)).await, Err(StoreError::Unsure { .. })));
        // Nothing is sent before the turn is.
        let refused = store.transact(put(3)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        line.set(false, false);
        store.transact(put(4)).await.unwrap();
        assert_eq!(line.arrive().await, 0);
        assert_eq!(value(&store).await, Some(4));
        store.transact(put(5)).await.unwrap();
        assert_eq!(value(&store).await, Some(5));
    }

    #[tokio::test]
    async fn what_arrived_before_the_next_turn_stands_until_it_is_written_over() {
        let (_folder, line, store) = fenced().await;
        store.transact(put(1)).await.unwrap();
        line.set(true, false);
        assert!(store.transact(put(2)).await.is_err());
        assert!(store.transact(put(3)).await.is_err());
        line.set(false, false);
        // The change and the turn behind it.
        assert_eq!(line.arrive().await, 2);
        assert_eq!(value(&store).await, Some(2));
        store.transact(put(4)).await.unwrap();
        line.set(false, true);
        assert!(matches!(store.transact(put(5)).await, Err(StoreError::Unsure { .. })));
        line.set(false, false);
        assert_eq!(value(&store).await, Some(5));
        let wrong = put(6).compare(key("a"), Expected::Absent);
        assert_eq!(store.transact(wrong).await, Err(StoreError::Conflict));
        store.transact(put(7)).await.unwrap();
        assert_eq!(value(&store).await, Some(7));
    }

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_any_more_is_in_doubt_and_another_lead_ends_it_all() {
        let (_folder, line, store) = fenced().await;
        drop(store.transact(put(1)));
        assert_eq!(store.doubts.load(Ordering::Relaxed), 0, "it was never sent");
        line.set(true, false);
        assert!(store.transact(put(1)).await.is_err());
        line.set(false, false);
        line.transact(Transaction::new().put(key("lead"), vec![2])).await.unwrap();
        assert_eq!(store.transact(put(2)).await, Err(StoreError::Fenced));
        assert_eq!(line.arrive().await, 0);
        assert_eq!(value(&store).await, None);
    }
}
