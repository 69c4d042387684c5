//! The relays' links of this node: kept whether it leads or not, lent to the core while it does.

use crate::coordinator::Input;
use crate::driver::Core;
use crate::fleet::LinkId;
use kakehashi_wire::relay::{FromRelay, Hello, ToRelay};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, mpsc};

/// All links of relays to this node.
#[derive(Default)]
pub(super) struct RelayLinks(Mutex<State>);

#[derive(Default)]
struct State {
    core: Option<Core>,
    links: BTreeMap<LinkId, Link>,
}

struct Link {
    hello: Hello,
    orders: Orders,
}

/// What the core says to a relay. A link whose sender is gone is closed, so that a core can close
/// it; without a core it is kept here.
enum Orders {
    Kept(mpsc::Sender<ToRelay>),
    Lent(mpsc::WeakSender<ToRelay>),
}

impl RelayLinks {
    /// A relay connected.
    pub(super) async fn up(&self, link: LinkId, hello: Hello, orders: mpsc::Sender<ToRelay>) {
        let mut state = self.0.lock().await;
        let kept = match state.core.clone() {
            Some(core) => {
                let lent = orders.downgrade();
                core.link_up(link, hello.clone(), orders).await;
                Orders::Lent(lent)
            }
            None => Orders::Kept(orders),
        };
        state.links.insert(link, Link { hello, orders: kept });
    }

    /// A relay said something: it is nothing to a node that does not lead.
    pub(super) async fn said(&self, link: LinkId, message: FromRelay) {
        let core = self.0.lock().await.core.clone();
        if let Some(core) = core {
            core.input(Input::LinkSaid(link, message)).await;
        }
    }

    /// A relay's connection is gone.
    pub(super) async fn down(&self, link: LinkId) {
        let mut state = self.0.lock().await;
        state.links.remove(&link);
        if let Some(core) = state.core.clone() {
            core.input(Input::LinkDown(link)).await;
        }
    }

    /// This node leads with `core` from now on.
    pub(super) async fn lend(&self, core: Core) {
        let mut state = self.0.lock().await;
        for (link, known) in &mut state.links {
            if let Orders::Kept(orders) = &known.orders {
                let lent = Orders::Lent(orders.downgrade());
                let Orders::Kept(orders) = std::mem::replace(&mut known.orders, lent) else {
                    continue;
                };
                core.link_up(*link, known.hello.clone(), orders).await;
            }
        }
        state.core = Some(core);
    }

    /// This node leads no longer. To be called while the core still stands.
    pub(super) async fn take_back(&self) {
        let mut state = self.0.lock().await;
        state.core = None;
        // A link that the core has closed is gone.
        state.links.retain(|_, known| match &known.orders {
            Orders::Kept(_) => true,
            Orders::Lent(lent) => match lent.upgrade() {
                Some(orders) => {
                    known.orders = Orders::Kept(orders);
                    true
                }
                None => false,
            },
        });
    }
}
