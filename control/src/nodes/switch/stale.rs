//! Rights that ended before this lead could be told: found in the store.
//!
//! An earlier lead was told, or nobody was. So when there is another one, all sessions that are
//! here are looked at, and for a while whoever arrives: it may have been checked before its rights
//! ended. What ends later this lead is told, and keeps in mind for as long as a sign-in may take.

use super::Event;
use super::held::Granted;
use crate::accounts::Accounts;
use crate::capacity::REVOKED_KEPT;
use crate::capacity::nodes::{LEAD_WATCH_RETRY, RIGHTS_READ_AT_ONCE};
use kakehashi_wire::id::SessionId;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Who looks.
pub(super) struct Stale {
    accounts: Arc<Accounts>,
    /// Those of an earlier lead are ended: the later ones look at everybody.
    looking: JoinSet<()>,
    /// Until when arrivals are looked at.
    until: Option<Instant>,
    reading: Arc<Semaphore>,
}

impl Stale {
    pub(super) fn new(accounts: Arc<Accounts>) -> Self {
        let reading = Arc::new(Semaphore::new(RIGHTS_READ_AT_ONCE));
        Self { accounts, looking: JoinSet::new(), until: None, reading }
    }

    /// There is another lead, and these sessions.
    pub(super) fn look_at_all(
        &mut self,
        granted: &[(SessionId, Granted)],
        own: &mpsc::Sender<Event>,
    ) {
        self.looking = JoinSet::new();
        self.until = Some(Instant::now() + REVOKED_KEPT);
        let share = granted.len().div_ceil(RIGHTS_READ_AT_ONCE).max(1);
        for share in granted.chunks(share) {
            self.look(share.to_vec(), own);
        }
    }

    /// A session has arrived.
    pub(super) fn look_at(
        &mut self,
        session: SessionId,
        granted: Granted,
        own: &mpsc::Sender<Event>,
    ) {
        while self.looking.try_join_next().is_some() {}
        if self.until.is_some_and(|until| Instant::now() < until) {
            self.look(vec![(session, granted)], own);
        }
    }

    fn look(&mut self, share: Vec<(SessionId, Granted)>, own: &mpsc::Sender<Event>) {
        let (reading, accounts) = (Arc::clone(&self.reading), Arc::clone(&self.accounts));
        self.looking.spawn(look(share, (reading, accounts), own.clone()));
    }

    /// How many look, or have done.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.looking.len()
    }

    /// As if the lead had begun long ago.
    #[cfg(test)]
    pub(super) fn settle(&mut self) {
        (self.looking, self.until) = (JoinSet::new(), Some(Instant::now()));
    }
}

/// Tells of those of a share, one after the other, whose rights have ended.
async fn look(
    share: Vec<(SessionId, Granted)>,
    (reading, accounts): (Arc<Semaphore>, Arc<Accounts>),
    own: mpsc::Sender<Event>,
) {
    for (session, (account, device, epochs)) in share {
        // Never closed.
        let _place = reading.acquire().await;
        let counts = loop {
            match accounts.still_counts(account, device, epochs).await {
                Ok(counts) => break counts,
                // A store may lose its own leader with ours.
                Err(error) => tracing::warn!(event = "session_rights_unread", %error, %session,
                    "its rights cannot be read yet"),
            }
            sleep(LEAD_WATCH_RETRY).await;
        };
        if !counts && own.send(Event::Stale(session)).await.is_err() {
            return;
        }
    }
}
