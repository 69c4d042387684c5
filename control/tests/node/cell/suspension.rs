//! Suspensions that are written when no node leads, or where the lead is one no longer.

use super::*;
use kakehashi_control::store::WatchSender;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

async fn suspend(platform: &Platform, login: &str) -> Result<Answer, String> {
    let subject = Subject::Account { tenant: "shop".into(), login: login.into() };
    let request = Request::Suspend { subject, reason: None };
    let suspended = client::request(platform.folder.path(), request).await;
    suspended.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_suspended_while_no_node_leads_is_out_when_one_does() {
    for is_told in [true, false] {
        let mut cell = Cell::start(3).await;
        let _relays = cell.relays().await;
        let mut a = cell.at(1).terminal("shop", "a").await;
        let mut b = cell.at(2).terminal("shop", "b").await;
        let call = a.invite("b").await.unwrap();
        b.incoming().await;
        b.accept(call).await;
        a.ready().await;
        b.ready().await;
        cell.kill(0).await;
        if is_told {
            suspend(cell.at(2), "a").await.unwrap();
        } else {
            // As by a node that dies before it can tell anybody.
            let subject = Subject::Account { tenant: "shop".into(), login: "a".into() };
            cell.at(2).node.accounts.suspend(&subject, None, UnixMs::now()).await.unwrap();
        }
        let reason = loop {
            match a.hear().await {
                Some(ToTerminal::SessionEnded(it)) => break it.reason,
                Some(_) => {}
                None => panic!("it is told"),
            }
        };
        let reasons = [SessionEnd::NodeStopping, SessionEnd::Suspended];
        assert!(reasons[..1 + usize::from(is_told)].contains(&reason), "{reason:?}");
        let live = cell.at(1).node.live();
        let over = async {
            while !live.live_calls().await.is_ok_and(|calls| calls.is_empty()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(over).await;
        let mut again = Terminal::open(cell.at(2).connect().await).await;
        assert!(again.sign_in("shop", "a", PASSWORD, device_of("a")).await.is_err());
    }
}

/// A store that does not tell who leads when that changes, and takes one claim of the lead.
struct Deaf(SharedStore, Mutex<Vec<WatchSender>>, AtomicBool);

impl Store for Deaf {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.0.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.0.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        let claims = transaction.puts().iter().any(|(key, _)| key.as_str() == "x/lead");
        if claims && self.2.swap(true, Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Conflict) });
        }
        self.0.transact(transaction)
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        if prefix.as_str() != "x/lead" {
            return self.0.watch(prefix, after);
        }
        let (sender, watch) = Watch::channel(prefix.clone(), after, Some(VecDeque::new()));
        self.1.lock().unwrap().push(sender);
        Box::pin(async { Ok(watch) })
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.0.condition()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_that_does_not_know_of_the_next_one_acknowledges_nothing() {
    let seen = |at: usize, store: &SharedStore| -> SharedStore {
        match at {
            0 => Arc::new(Deaf(Arc::clone(store), Mutex::default(), AtomicBool::default())),
            _ => Arc::clone(store),
        }
    };
    let cell = Cell::start_apart(2, seen, Some(0)).await;
    let mut b = cell.at(1).terminal("shop", "b").await;
    let sessions = async |at: usize| cell.at(at).node.live().sessions().await.unwrap().len();
    assert_eq!((sessions(0).await, sessions(1).await), (0, 1), "both lead, as far as they know");
    let refused = suspend(cell.at(0), "b").await.err().unwrap();
    assert!(refused.contains("no node leads"), "{refused}");
    assert_eq!(sessions(1).await, 1, "the lead was not told");
    suspend(cell.at(1), "b").await.unwrap();
    assert_eq!(b.session_ended().await, SessionEnd::Suspended);
}
