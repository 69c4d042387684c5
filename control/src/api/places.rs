//! Places for long answers: each is in memory until it has been read, so there are only so many.
//!
//! Whoever changes something takes none: a suspension waits for nobody who reads slowly. The
//! operator has places of its own, and nobody keeps one for longer than [`API_LIST_TIMEOUT`].

use crate::admin::{Asker, Request};
use crate::capacity::{API_LIST_TIMEOUT, API_LISTS_MAX, API_OPERATOR_LISTS_MAX};
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// All of them.
pub(super) struct Places {
    people: Arc<Semaphore>,
    operator: Arc<Semaphore>,
}

/// One of them, free again when it is dropped.
pub(super) struct Place(
    #[expect(dead_code, reason = "only how long it lives matters")] OwnedSemaphorePermit,
);

/// The same while its answer is on its way.
pub(super) struct Held {
    _place: Place,
    _sent: oneshot::Sender<()>,
}

impl Places {
    /// All are free.
    pub(super) fn new() -> Self {
        let places = |most| Arc::new(Semaphore::new(most));
        Self { people: places(API_LISTS_MAX), operator: places(API_OPERATOR_LISTS_MAX) }
    }

    /// Waits for a place for the answer to `request` of `asker`, if it needs one.
    pub(super) async fn wait(&self, asker: &Asker, request: &Request) -> Option<Place> {
        if !request.lists() {
            return None;
        }
        let places = match asker {
            Asker::Operator { .. } | Asker::Staff { .. } => &self.operator,
            Asker::Account { .. } => &self.people,
        };
        Arc::clone(places).acquire_owned().await.ok().map(Place)
    }
}

impl Place {
    /// From now on its answer is sent. Tells `unread` if it is not read in time.
    pub(super) fn hold(self, unread: &Arc<Notify>) -> Held {
        let (sent, is_sent) = oneshot::channel::<()>();
        let unread = Arc::clone(unread);
        tokio::spawn(async move {
            // Nothing is ever said: it ends when the answer has been sent.
            if timeout(API_LIST_TIMEOUT, is_sent).await.is_err() {
                unread.notify_one();
            }
        });
        Held { _place: self, _sent: sent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Subject;
    use core::future::poll_fn;
    use core::task::Poll;
    use kakehashi_wire::terminal::Role;
    use std::pin::pin;
    use std::time::Duration;
    use tokio::time::sleep;

    fn person() -> Asker {
        let (tenant, login) = ("shop".to_owned(), "a".to_owned());
        let address = ([192, 0, 2, 1], 4433).into();
        Asker::Account { tenant, login, role: Role::TenantAdmin, address }
    }

    fn list() -> Request {
        Request::AccountList { tenant: "shop".into() }
    }

    /// Whether there is no place by now.
    async fn waits(waiting: impl Future<Output = Option<Place>>) -> bool {
        let mut waiting = pin!(waiting);
        poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn lists_wait_for_each_other_and_nothing_else_for_them() {
        let (places, operator) =
            (Places::new(), Asker::Operator { address: ([127, 0, 0, 1], 1).into() });
        let mut held = Vec::new();
        for _ in 0..API_LISTS_MAX {
            held.push(places.wait(&person(), &list()).await.unwrap());
        }
        assert!(waits(places.wait(&person(), &list())).await, "one too many");
        let tenant = "shop".to_owned();
        let subject = Subject::Account { tenant, login: "b".to_owned() };
        assert!(
            places.wait(&person(), &Request::Suspend { subject, reason: None }).await.is_none()
        );
        for _ in 0..API_OPERATOR_LISTS_MAX {
            held.push(places.wait(&operator, &list()).await.unwrap());
        }
        assert!(waits(places.wait(&operator, &list())).await);
        held.remove(0);
        assert!(!waits(places.wait(&person(), &list())).await, "one was read");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_found_out_and_who_does_is_not() {
        let places = Places::new();
        let hold = async |unread| places.wait(&person(), &list()).await.unwrap().hold(unread);
        let (slow, quick) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let _unread = hold(&slow).await;
        drop(hold(&quick).await);
        let nearly = API_LIST_TIMEOUT - Duration::from_secs(1);
        assert!(timeout(nearly, slow.notified()).await.is_err(), "it has its time");
        sleep(Duration::from_secs(2)).await;
        assert!(timeout(Duration::ZERO, slow.notified()).await.is_ok());
        assert!(timeout(API_LIST_TIMEOUT, quick.notified()).await.is_err());
    }
}
