//! What happens to the sites, and how it is mended: as if somebody typed it.

use crate::bed::Bed;
use crate::by_hand::{Change, Deed, Order, Ways};
use crate::voices::Calls;
use anyhow::{Context, Result};
use rand::RngExt;
use rand::rngs::StdRng;

/// What happens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fault {
    /// A part gets kill -9, and is started again.
    Killed(Victim),
    /// A part gets SIGSTOP, and SIGCONT later.
    Frozen(Victim),
    /// No packet leaves or reaches a site.
    SiteCut,
    /// No packet from a site reaches the terminals; what they send to it arrives.
    OneWayCut,
    /// This share of all packets gets lost.
    Loss(f64),
}

/// To which part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Victim {
    /// A relay over which a call goes.
    Relay,
    /// A node.
    Node,
    /// The member that leads the store.
    StoreLeader,
}

/// What harms, and what mends it.
pub(crate) struct Harm {
    inflicting: Vec<Order>,
    mending: Order,
}

impl Fault {
    /// The harm to a part or a site that the dice choose; of relays and sites, one over which some
    /// call goes.
    ///
    /// # Errors
    /// If there is no such part.
    pub(crate) fn harm(self, bed: &Bed, calls: &Calls, dice: &mut StdRng) -> Result<Harm> {
        let part =
            |victim: Victim, (inflict, mend): (Deed, Deed), dice: &mut StdRng| -> Result<Harm> {
                let name = victim.choose(bed, calls, dice)?;
                let inflicting = vec![Order::Part(inflict, name.clone())];
                Ok(Harm { inflicting, mending: Order::Part(mend, name) })
            };
        let ways = |orders: Vec<(Change, Ways)>| -> Result<Harm> {
            let order = |(change, ways)| Order::Ways(change, ways);
            let inflicting = orders.into_iter().map(order).collect();
            Ok(Harm { inflicting, mending: Order::Ways(Change::Heal, Ways::All) })
        };
        match self {
            Self::Killed(victim) => part(victim, (Deed::Kill, Deed::Start), dice),
            Self::Frozen(victim) => part(victim, (Deed::Freeze, Deed::Thaw), dice),
            Self::SiteCut => ways(vec![(Change::Cut, Ways::Around(site(calls, dice)?))]),
            Self::OneWayCut => {
                let site = site(calls, dice)?;
                let out = |to: &str| (Change::Cut, Ways::Between(site.clone(), to.to_owned()));
                ways(vec![out("stores"), out("concierges")])
            }
            Self::Loss(share) => ways(vec![(Change::Loss(share), Ways::All)]),
        }
    }
}

impl Victim {
    fn choose(self, bed: &Bed, calls: &Calls, dice: &mut StdRng) -> Result<String> {
        match self {
            Self::Relay => {
                let (site, nth) = relay(calls, dice)?;
                Ok(format!("relay-{site}{nth}"))
            }
            Self::Node => Ok(format!("node-{}", dice.random_range(1..=bed.plan().nodes))),
            Self::StoreLeader => Ok(format!("store-{}", bed.store_leader()?)),
        }
    }
}

impl Harm {
    /// Inflicts it.
    ///
    /// # Errors
    /// If a part does not obey.
    pub(crate) fn inflict(&self, bed: &mut Bed) -> Result<()> {
        self.inflicting.iter().try_for_each(|order| order.carry_out(bed).map(drop))
    }

    /// Mends it.
    ///
    /// # Errors
    /// If a part does not obey.
    pub(crate) fn mend(&self, bed: &mut Bed) -> Result<()> {
        self.mending.carry_out(bed).map(drop)
    }
}

/// Site and number of a relay over which somebody sends.
fn relay(calls: &Calls, dice: &mut StdRng) -> Result<(u8, u8)> {
    let nth = dice.random_range(0..calls.len().max(1));
    let address = calls.relay_of(nth).context("a call has no relay that answers")?;
    crate::configs::relay_at(address).with_context(|| format!("{address} is no relay's"))
}

fn site(calls: &Calls, dice: &mut StdRng) -> Result<String> {
    relay(calls, dice).map(|(site, _)| site.to_string())
}
