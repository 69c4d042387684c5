//! The task that reads and writes missed calls.

use super::{Deed, MissedList, News};
use crate::sessions::AccountKey;
use crate::store::{Expected, Key, SharedStore, StoreError, Transaction, decode, encode};
use tokio::sync::mpsc;

/// How often a change is tried again when somebody else changed the same list first.
const ATTEMPTS: usize = 8;

/// Does deeds until there are no more, and tells what came of them.
pub(crate) async fn keep(
    store: SharedStore,
    mut deeds: mpsc::Receiver<Deed>,
    tell: impl Fn(News) + Send,
) {
    while let Some(deed) = deeds.recv().await {
        let news = match carry_out(&store, deed.clone()).await {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!(event = "missed_calls_not_stored", %error,
                    "a change of missed calls was not written");
                deed.failed()
            }
        };
        if let Some(news) = news {
            tell(news);
        }
    }
}

/// Does one deed; what there is to tell.
pub(crate) async fn carry_out(store: &SharedStore, deed: Deed) -> Result<Option<News>, StoreError> {
    let AccountKey { tenant, account } = deed.account;
    let key = Key::of_tenant(tenant, format_args!("missed/{account}"))
        .expect("invariant: the key is short and printable");
    for _ in 0..ATTEMPTS {
        let found = store.get(&key).await?;
        let (mut list, expected) = match &found {
            Some(entry) => (decode::<MissedList>(entry)?, Expected::At(entry.revision)),
            None => (MissedList::default(), Expected::Absent),
        };
        let before = list.clone();
        let news = deed.clone().done(&mut list);
        if list == before {
            return Ok(news);
        }
        let write = Transaction::new().compare(key.clone(), expected);
        let write = match list.is_empty() {
            true => write.delete(key.clone()),
            false => write.put(key.clone(), encode(&list)),
        };
        match store.transact(write).await {
            Err(StoreError::Conflict) => {}
            result => return result.map(|_| news),
        }
    }
    Err(StoreError::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::missed::{Asker, Change};
    use crate::store::Embedded;
    use kakehashi_wire::id::{AccountId, RequestId, SessionId, TenantId};
    use std::sync::{Arc, Mutex};

    const ASKER: SessionId = SessionId(7);

    fn deed(account: u64, change: Option<Change>, asker: Asker) -> Deed {
        let account = AccountKey { tenant: TenantId(1), account: AccountId(account) };
        Deed { account, change, asker }
    }

    fn missed(login: &str, at: u64) -> Option<Change> {
        Some(Change::Missed(login.into(), UnixMs(at)))
    }

    /// What is told when a task does these deeds over the store in `folder`.
    async fn told(folder: &tempfile::TempDir, deeds: Vec<Deed>) -> Vec<News> {
        let store: SharedStore = Arc::new(Embedded::open(&folder.path().join("store")).unwrap());
        let (send, queue) = mpsc::channel(16);
        for deed in deeds {
            send.send(deed).await.unwrap();
        }
        drop(send);
        let news = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&news);
        keep(store, queue, move |news| heard.lock().unwrap().push(news)).await;
        news.lock().unwrap().drain(..).collect()
    }

    #[tokio::test]
    async fn what_was_missed_outlives_the_node_and_is_of_one_account() {
        let folder = tempfile::tempdir().unwrap();
        let deeds = vec![
            deed(1, missed("a", 1_000), Asker::Nobody),
            deed(1, missed("a", 2_000), Asker::Nobody),
            deed(2, None, Asker::Begun(ASKER)),
        ];
        let news = told(&folder, deeds).await;
        assert_eq!(news.len(), 1, "told of a change, not of a repetition nor of nothing");
        assert!(news[0].is_change);

        let asker = Asker::Request(ASKER, RequestId(1));
        let deeds = vec![
            deed(1, None, Asker::Begun(ASKER)),
            deed(1, Some(Change::Seen(UnixMs(999))), asker),
            deed(1, Some(Change::Talked("a".into())), Asker::Nobody),
            deed(1, Some(Change::Seen(UnixMs(0))), asker),
        ];
        let news = told(&folder, deeds).await;
        let calls = |news: &News| news.missed.as_ref().unwrap().calls.len();
        assert_eq!(news.iter().map(calls).collect::<Vec<_>>(), [1, 1, 0, 0]);
        let changes: Vec<_> = news.iter().map(|news| news.is_change).collect();
        assert_eq!(changes, [false, false, true, false]);
    }
}
