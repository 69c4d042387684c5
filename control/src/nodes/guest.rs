//! The lead's side of a link: what another node hands over, and its own the same way.
//!
//! **What was written before it is asked here and is answered here, every later lead has read.** A
//! node writes that somebody is suspended, or that a tenant is another, and has the lead told then.
//! But a lead that is one no longer may not know it, for as long as it stands still or is cut off:
//! the next one may have read the store before that write, and nobody would tell it. So an answer
//! is given only if the store says, after the question, that this node's term goes on:
//!
//! ```text
//!   a node             the lead, term 5           the store             the next lead
//!     | suspends --------------------------------> written, rev 8            |
//!     | Revoke -------------> does it              |                         |
//!     |                       who leads? --------> term 5, rev >= 8          |
//!     | <---------------- Did |                    | <------- claims term 9 -|
//!     |                       |                    | --- reads rev >= 9 ---> |
//! ```
//!
//! If the store says another term there is no answer, and whoever asks asks the next lead. A
//! password that was changed ends other sessions the same way: it is passed on only in a term that
//! goes on.

use super::Queue;
use super::start::Leading;
use crate::accounts::Accounts;
use crate::admin::Live;
use crate::capacity::SESSIONS_MAX;
use crate::capacity::nodes::LISTS_AT_ONCE;
use crate::coordinator::{Input, KnownAccount, retry_after_ms};
use crate::driver::Core;
use crate::gate::Outbox;
use kakehashi_wire::id::{SessionId, TenantId};
use kakehashi_wire::limits::ROWS_BYTES_MAX;
use kakehashi_wire::node::{
    Arrival, Asked, Did, FromNode, Look, LookAt, Rejection, Request, Rows, ToNode, Verdict,
};
use kakehashi_wire::terminal::Refusal;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One node at the core.
pub(super) struct Guest {
    leading: Leading,
    accounts: Arc<Accounts>,
    queue: Queue<ToNode>,
    sessions: HashMap<SessionId, TenantId>,
    lists: Arc<Semaphore>,
}

impl Guest {
    pub(super) fn new(leading: Leading, accounts: Arc<Accounts>, queue: Queue<ToNode>) -> Self {
        let lists = Arc::new(Semaphore::new(LISTS_AT_ONCE));
        Self { leading, accounts, queue, sessions: HashMap::new(), lists }
    }

    /// Lets what the node says happen. It speaks for its own sessions only.
    pub(super) async fn hear(&mut self, message: FromNode) {
        match message {
            FromNode::Arrival(arrival) => self.arrived(arrival).await,
            FromNode::Asked(Asked { session, request }) => self.asked(session, request).await,
            FromNode::Left(left) => {
                if self.sessions.remove(&left.session).is_some() {
                    let how = if left.may_return { Input::Lost } else { Input::Gone };
                    self.leading.core.input(how(left.session)).await;
                }
            }
            FromNode::Look(look) => self.look(look),
            FromNode::Reread(ask) => {
                let (core, accounts) = (self.leading.core.clone(), Arc::clone(&self.accounts));
                let done = async move { reread(&core, &accounts, ask.tenant).await };
                self.answer(ask.ask, done, |done| (done, Vec::new()));
            }
            FromNode::EndCall(ask) => {
                let core = self.leading.core.clone();
                let done = async move { core.end_call(ask.tenant, ask.call).await.ok() };
                self.answer(ask.ask, done, |done| (done, Vec::new()));
            }
            FromNode::Drain(ask) => {
                let core = self.leading.core.clone();
                let done = async move { core.drain(ask.relay, ask.on).await.ok() };
                self.answer(ask.ask, done, |done| (done, Vec::new()));
            }
            FromNode::Revoke(ask) => {
                let core = self.leading.core.clone();
                let done = async move { core.revoke(ask.revocation).await.ok() };
                self.answer(ask.ask, done, |end| {
                    (true, end.as_ref().and_then(json).unwrap_or_default())
                });
            }
            // What a link begins with and lives by is its own matter, and what all nodes are told.
            FromNode::NodeHello(_) | FromNode::NodeBeat(_) | FromNode::WrongGuess(_) => {}
        }
    }

    /// The link is gone: its sessions may come back, over it or another.
    pub(super) async fn leave(self) {
        for session in self.sessions.into_keys() {
            self.leading.core.input(Input::Lost(session)).await;
        }
    }

    async fn arrived(&mut self, arrival: Arrival) {
        let session = arrival.session;
        if self.sessions.len() >= SESSIONS_MAX {
            let reason = Refusal::Busy;
            let refused = Some(Rejection { reason, retry_after_ms: retry_after_ms(reason) });
            return self.queue.push(Verdict { session, refused });
        }
        self.sessions.insert(session, arrival.account.tenant);
        let outbox = Outbox::at_node(session, self.queue.clone());
        self.leading.core.arrive_at_node(arrival, outbox).await;
    }

    async fn asked(&self, session: SessionId, request: Request) {
        let Some(tenant) = self.sessions.get(&session).copied() else { return };
        let number = match request {
            Request::Watch(number, _) => number,
            Request::PasswordChanged(..) => return self.password_changed(session, request),
            request => return self.leading.core.input(Input::Asked(session, request)).await,
        };
        let (core, accounts) = (self.leading.core.clone(), Arc::clone(&self.accounts));
        let lists = Arc::clone(&self.lists);
        tokio::spawn(async move {
            // Never closed. Many ask at once when a lead begins.
            let _place = lists.acquire().await;
            let request = match accounts.list(tenant).await {
                Ok(list) => {
                    let list = list.into_iter().map(KnownAccount::from).collect();
                    Request::Watch(number, list)
                }
                Err(error) => {
                    tracing::error!(event = "request_failed", %error,
                        "a request could not be served");
                    Request::Refuse(number, Refusal::StoreUnavailable)
                }
            };
            core.input(Input::Asked(session, request)).await;
        });
    }

    /// The answer to it makes its terminal believe that no session of the old password goes on.
    fn password_changed(&self, session: SessionId, request: Request) {
        let leading = self.leading.clone();
        tokio::spawn(async move {
            // If the store does not say, others are not likely to have heard of it, either.
            if leading.goes_on().await != Some(false) {
                leading.core.input(Input::Asked(session, request)).await;
            }
        });
    }

    /// What cannot be answered is not: whoever asks asks the next lead.
    fn answer<T: Send + 'static>(
        &self,
        ask: u64,
        done: impl Future<Output = Option<T>> + Send + 'static,
        say: impl FnOnce(T) -> (bool, Vec<u8>) + Send + 'static,
    ) {
        let (leading, queue) = (self.leading.clone(), self.queue.clone());
        tokio::spawn(async move {
            if let Some(done) = done.await
                && leading.goes_on().await == Some(true)
            {
                let (done, told) = say(done);
                queue.push(Did { ask, done, told });
            }
        });
    }

    fn look(&self, Look { ask, at }: Look) {
        let (core, queue) = (self.leading.core.clone(), self.queue.clone());
        tokio::spawn(async move {
            let rows = match at {
                LookAt::Calls => core.live_calls().await.ok().as_ref().and_then(json),
                LookAt::Sessions => core.sessions().await.ok().as_ref().and_then(json),
                LookAt::Relays => core.relays().await.ok().as_ref().and_then(json),
            };
            let rows = rows.unwrap_or_default();
            let mut parts = rows.chunks(ROWS_BYTES_MAX).peekable();
            while let Some(part) = parts.next() {
                let more = parts.peek().is_some();
                if !queue.send(Rows { ask, part: part.to_vec(), more }).await {
                    return;
                }
            }
        });
    }
}

fn json(told: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(told).ok()
}

/// Tells the core of a tenant what the store says by now.
async fn reread(core: &Core, accounts: &Accounts, tenant: TenantId) -> Option<bool> {
    let read = async {
        let known = accounts.known_tenant(tenant).await?;
        Ok::<_, crate::store::StoreError>((known, accounts.desks(tenant).await?))
    };
    let (known, desks) = read
        .await
        .inspect_err(|error| {
            tracing::error!(event = "tenant_change_unread", %error, %tenant,
                "a tenant's change could not be read");
        })
        .ok()?;
    if let Some(known) = known {
        core.know(known).await.ok()?;
    }
    core.set_desks(tenant, desks).await.ok()?;
    Some(true)
}
