//! What the links of all nodes share: the way to the shards, and whose orders count.
//!
//! Links wait for each other here, in the sequence in which they came. Whether a node's orders
//! count is asked when it is their turn, so that nothing of an older term follows the first word of
//! a newer one to the shards.

use super::dispatch::Dispatcher;
use super::figures::LinkFigures;
use super::link::ShardHandle;
use super::report::Published;
use super::terms::{LinkNumber, Terms, Verdict};
use kakehashi_wire::id::Term;
use kakehashi_wire::relay::{Orders, OrdersDone, Outdated, Resync, ShardOffer};
use std::cell::RefCell;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify};

/// The shards, as all links see them.
pub(super) struct Office {
    offers: Vec<ShardOffer>,
    published: Vec<Arc<Published>>,
    dispatcher: Mutex<Dispatcher>,
    terms: RefCell<Terms>,
    figures: Arc<LinkFigures>,
}

impl Office {
    pub(super) fn new(
        shards: Vec<ShardHandle>,
        knock: Arc<Notify>,
        figures: Arc<LinkFigures>,
    ) -> Self {
        let offer = |shard: &ShardHandle| ShardOffer {
            shard: shard.index,
            address: shard.address.into(),
            legs_max: shard.legs_max,
        };
        Self {
            offers: shards.iter().map(offer).collect(),
            published: shards.iter().map(|shard| Arc::clone(&shard.published)).collect(),
            dispatcher: Mutex::new(Dispatcher::new(shards, knock)),
            terms: RefCell::new(Terms::new()),
            figures,
        }
    }

    /// The shards as terminals and control see them.
    pub(super) fn offers(&self) -> &[ShardOffer] {
        &self.offers
    }

    /// What each shard publishes.
    pub(super) fn published(&self) -> &[Arc<Published>] {
        &self.published
    }

    /// What the links count.
    pub(super) fn figures(&self) -> &LinkFigures {
        &self.figures
    }

    /// The newest term heard.
    pub(super) fn newest(&self) -> Term {
        self.terms.borrow().newest()
    }

    /// Whether the node at `link` is the one that orders.
    pub(super) fn is_lead(&self, link: LinkNumber) -> bool {
        self.terms.borrow().is_lead(link)
    }

    /// Carries orders out.
    ///
    /// # Errors
    /// Their term is older than the newest; nothing was done.
    pub(super) async fn orders(
        &self,
        link: LinkNumber,
        orders: Orders,
    ) -> Result<OrdersDone, Outdated> {
        let mut dispatcher = self.dispatcher.lock().await;
        self.admit(link, orders.term)?;
        let results = dispatcher.orders(orders.orders).await;
        self.figures.ordered(&results);
        Ok(OrdersDone { results })
    }

    /// Drops what is not wanted.
    ///
    /// # Errors
    /// The term is older than the newest; nothing was done.
    pub(super) async fn resync(&self, link: LinkNumber, resync: Resync) -> Result<(), Outdated> {
        let mut dispatcher = self.dispatcher.lock().await;
        self.admit(link, resync.term)?;
        self.terms.borrow_mut().stated_over(link);
        self.figures.led_by(link.0, resync.term);
        dispatcher.resync(resync).await;
        Ok(())
    }

    fn admit(&self, link: LinkNumber, term: Term) -> Result<(), Outdated> {
        match self.terms.borrow_mut().hear(term) {
            Verdict::Obey => Ok(()),
            Verdict::TakeOver => {
                tracing::info!(event = "leader_changed", node = link.0, %term,
                    "orders come from this node from now on");
                Ok(())
            }
            Verdict::Refuse(outdated) => {
                self.figures.outdated();
                tracing::debug!(event = "old_orders_refused",
                    node = link.0, %term, newest = %outdated.newest,
                    "orders of an older term were refused");
                Err(outdated)
            }
        }
    }
}
