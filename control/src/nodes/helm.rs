//! Where decisions are made, as the rest of the node sees it: here, or wherever the lead is.
//!
//! What operators see is read from a core that is here. What they have done goes the way of all
//! nodes also when this one leads: what counts is that its term goes on when it is answered, which
//! is looked at in one place (`guest`).

use super::relays::RelayLinks;
use super::start::Leading;
use super::switch::{Deed, Event};
use crate::accounts::{DeskList, KnownTenant};
use crate::admin::{CallRow, Live, LiveFuture, MediaEnd, NoLead, RelayRow, SessionRow};
use crate::capacity::nodes::OPERATOR_PATIENCE;
use crate::coordinator::{Arrival, Input, Rejection, Request};
use crate::driver::{Core, Seat};
use crate::fleet::LinkId;
use crate::gate::Outbox;
use crate::sessions::Revocation;
use kakehashi_wire::id::{CallId, RelayId, SessionId, TenantId};
use kakehashi_wire::node::{Did, LookAt};
use kakehashi_wire::relay::{FromRelay, Hello, ToRelay};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Whoever has something to be decided holds one of these.
#[derive(Clone)]
pub(crate) enum Helm {
    /// A node alone: its own core.
    Here(Core),
    /// A node of several.
    Cell(Places),
}

/// The parts of a node of several that take what happens.
#[derive(Clone)]
pub(crate) struct Places {
    pub(super) switch: mpsc::Sender<Event>,
    pub(super) relays: Arc<RelayLinks>,
    pub(super) leading: watch::Receiver<Option<Leading>>,
}

impl Helm {
    /// Whether the lead reads a tenant's accounts for whoever watches presence.
    pub(crate) fn lists_accounts(&self) -> bool {
        matches!(self, Self::Cell(_))
    }

    /// Somebody proved who they are; `None` if the node is shutting down.
    pub(crate) async fn arrive(
        &self,
        arrival: Arrival,
        outbox: Outbox,
    ) -> Option<Result<Seat, Rejection>> {
        match self {
            Self::Here(core) => core.arrive(arrival, outbox).await,
            Self::Cell(places) => {
                let (verdict, decided) = oneshot::channel();
                let arrived = Event::Arrived(Box::new(arrival), outbox, verdict);
                places.switch.send(arrived).await.ok()?;
                decided.await.ok()
            }
        }
    }

    /// A session asks for something.
    pub(crate) async fn asked(&self, session: SessionId, request: Request) {
        match self {
            Self::Here(core) => core.input(Input::Asked(session, request)).await,
            Self::Cell(places) => places.tell(Event::Asked(session, request)).await,
        }
    }

    /// A session's connection is gone; its terminal may come back, or not.
    pub(crate) async fn left(&self, session: SessionId, may_return: bool) {
        match self {
            Self::Here(core) if may_return => core.input(Input::Lost(session)).await,
            Self::Here(core) => core.input(Input::Gone(session)).await,
            Self::Cell(places) => places.tell(Event::Left(session, may_return)).await,
        }
    }

    /// A relay connected; what is for it goes to `orders`.
    pub(crate) async fn link_up(&self, link: LinkId, hello: Hello, orders: mpsc::Sender<ToRelay>) {
        match self {
            Self::Here(core) => core.link_up(link, hello, orders).await,
            Self::Cell(places) => places.relays.up(link, hello, orders).await,
        }
    }

    /// A relay said something.
    pub(crate) async fn link_said(&self, link: LinkId, message: FromRelay) {
        match self {
            Self::Here(core) => core.input(Input::LinkSaid(link, message)).await,
            Self::Cell(places) => places.relays.said(link, message).await,
        }
    }

    /// A relay's connection is gone.
    pub(crate) async fn link_down(&self, link: LinkId) {
        match self {
            Self::Here(core) => core.input(Input::LinkDown(link)).await,
            Self::Cell(places) => places.relays.down(link).await,
        }
    }

    /// Whether what decides here answers: the node's own core, or its way to the lead and, if that
    /// is here, the core that leads. Comes when it does; a lead elsewhere has no part in it.
    pub(crate) async fn answers(&self) -> bool {
        match self {
            Self::Here(core) => core.answers().await,
            Self::Cell(places) => {
                let (answer, answered) = oneshot::channel();
                places.tell(Event::Awake(answer)).await;
                let leading = places.leading.borrow().as_ref().map(|it| it.core.clone());
                let leads_well = match leading {
                    None => true,
                    Some(core) => core.answers().await,
                };
                answered.await.is_ok() && leads_well
            }
        }
    }

    /// The core that decides for this node alone, or the way to the lead.
    fn alone(&self) -> Result<&Core, &Places> {
        match self {
            Self::Here(core) => Ok(core),
            Self::Cell(places) => Err(places),
        }
    }

    /// The core, if it is here, or the way to it.
    fn core(&self) -> Result<Core, &Places> {
        match self {
            Self::Here(core) => Ok(core.clone()),
            Self::Cell(places) => match &*places.leading.borrow() {
                Some(leading) => Ok(leading.core.clone()),
                None => Err(places),
            },
        }
    }
}

impl Places {
    async fn tell(&self, event: Event) {
        // Without a switch the node is shutting down, and every connection is closed with it.
        let _stopping = self.switch.send(event).await;
    }

    async fn rows<T: DeserializeOwned>(&self, at: LookAt) -> Result<Vec<T>, NoLead> {
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Look(at, answer)).await;
        let rows = timeout(OPERATOR_PATIENCE, answered).await;
        read(&rows.ok().and_then(Result::ok).ok_or(NoLead)?)
    }

    /// Whether there was something to do.
    async fn deed(&self, deed: Deed) -> Result<bool, NoLead> {
        self.act(deed).await.map(|did| did.done)
    }

    async fn act(&self, deed: Deed) -> Result<Did, NoLead> {
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Act(deed, answer)).await;
        timeout(OPERATOR_PATIENCE, answered).await.ok().and_then(Result::ok).ok_or(NoLead)
    }
}

fn read<T: DeserializeOwned>(told: &[u8]) -> Result<T, NoLead> {
    serde_json::from_slice(told).map_err(|error| {
        tracing::error!(event = "lead_rows_unreadable", %error,
            "what the lead tells cannot be read: is its version another?");
        NoLead
    })
}

impl Live for Helm {
    fn live_calls(&self) -> LiveFuture<'_, Vec<CallRow>> {
        Box::pin(async {
            match self.core() {
                Ok(core) => core.live_calls().await,
                Err(places) => places.rows(LookAt::Calls).await,
            }
        })
    }

    fn sessions(&self) -> LiveFuture<'_, Vec<SessionRow>> {
        Box::pin(async {
            match self.core() {
                Ok(core) => core.sessions().await,
                Err(places) => places.rows(LookAt::Sessions).await,
            }
        })
    }

    fn relays(&self) -> LiveFuture<'_, Vec<RelayRow>> {
        Box::pin(async {
            match self.core() {
                Ok(core) => core.relays().await,
                Err(places) => places.rows(LookAt::Relays).await,
            }
        })
    }

    fn drain(&self, relay: RelayId, on: bool) -> LiveFuture<'_, bool> {
        Box::pin(async move {
            match self.alone() {
                Ok(core) => core.drain(relay, on).await,
                Err(places) => places.deed(Deed::Drain(relay, on)).await,
            }
        })
    }

    fn know(&self, tenant: KnownTenant) -> LiveFuture<'_, ()> {
        Box::pin(async move {
            match self.alone() {
                Ok(core) => core.know(tenant).await,
                Err(places) => places.deed(Deed::Reread(tenant.tenant.id)).await.map(drop),
            }
        })
    }

    fn end_call(&self, tenant: Option<TenantId>, call: CallId) -> LiveFuture<'_, bool> {
        Box::pin(async move {
            match self.alone() {
                Ok(core) => core.end_call(tenant, call).await,
                Err(places) => places.deed(Deed::EndCall(tenant, call)).await,
            }
        })
    }

    fn set_desks(&self, tenant: TenantId, list: DeskList) -> LiveFuture<'_, ()> {
        Box::pin(async move {
            match self.alone() {
                Ok(core) => core.set_desks(tenant, list).await,
                Err(places) => places.deed(Deed::Reread(tenant)).await.map(drop),
            }
        })
    }

    fn revoke(&self, revocation: Revocation) -> LiveFuture<'_, Option<MediaEnd>> {
        Box::pin(async move {
            let places = match self.alone() {
                Ok(core) => return core.revoke(revocation).await,
                Err(places) => places,
            };
            let told = places.act(Deed::Revoke(revocation)).await?.told;
            if told.is_empty() { Ok(None) } else { read(&told).map(Some) }
        })
    }
}
