//! What happens to the sites, and how it is mended.

use crate::bed::Bed;
use crate::by_hand::{Change, Ways, apply};
use anyhow::{Context, Result};
use core::time::Duration;
use rand::RngExt;
use rand::rngs::StdRng;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A relay gets kill -9, and is started again.
    RelayKilled,
    /// A relay gets SIGSTOP, and SIGCONT later.
    RelayFrozen,
    /// No packet leaves or reaches a site.
    SiteCut,
    /// No packet leaves a site; what is sent to it arrives.
    OneWayCut,
    /// 5 % of all packets get lost.
    Loss,
    /// A node gets kill -9, and is started again.
    NodeKilled,
}

/// What there is to mend.
pub(crate) enum Harm {
    /// A part is to be started.
    Down(String),
    /// A part is to go on.
    Frozen(String),
    /// The weather is to be fair again.
    Weather,
}

impl Fault {
    /// How long the harm is watched before it is mended.
    pub(crate) const fn watched(self) -> Duration {
        match self {
            Self::RelayKilled | Self::NodeKilled => Duration::from_millis(1_500),
            Self::RelayFrozen | Self::SiteCut | Self::OneWayCut | Self::Loss => {
                Duration::from_secs(4)
            }
        }
    }

    /// How long what is mended is watched.
    pub(crate) const fn settles(self) -> Duration {
        Duration::from_millis(2_500)
    }

    /// Does it to a part or a site that the dice choose.
    ///
    /// # Errors
    /// If the part does not obey.
    pub(crate) fn inflict(self, bed: &mut Bed, dice: &mut StdRng) -> Result<Harm> {
        match self {
            Self::RelayKilled => {
                let relay = choose(bed, dice, "relay-")?;
                bed.part(&relay)?.kill()?;
                Ok(Harm::Down(relay))
            }
            Self::NodeKilled => {
                let node = choose(bed, dice, "node-")?;
                bed.part(&node)?.kill()?;
                Ok(Harm::Down(node))
            }
            Self::RelayFrozen => {
                let relay = choose(bed, dice, "relay-")?;
                bed.part(&relay)?.freeze()?;
                Ok(Harm::Frozen(relay))
            }
            Self::SiteCut => {
                let site = site(bed, dice);
                apply(bed, Change::Cut, &Ways::Around(site))?;
                Ok(Harm::Weather)
            }
            Self::OneWayCut => {
                let site = site(bed, dice);
                for terminals in ["stores", "concierges"] {
                    apply(bed, Change::Cut, &Ways::Between(site.clone(), terminals.to_owned()))?;
                }
                Ok(Harm::Weather)
            }
            Self::Loss => {
                apply(bed, Change::Loss(0.05), &Ways::All)?;
                Ok(Harm::Weather)
            }
        }
    }
}

impl Harm {
    /// Mends it.
    ///
    /// # Errors
    /// If the part does not obey.
    pub(crate) fn mend(self, bed: &mut Bed) -> Result<()> {
        match self {
            Self::Down(part) => bed.part(&part)?.start(),
            Self::Frozen(part) => bed.part(&part)?.thaw(),
            Self::Weather => apply(bed, Change::Heal, &Ways::All),
        }
    }
}

/// A part whose name begins so.
fn choose(bed: &mut Bed, dice: &mut StdRng, kind: &str) -> Result<String> {
    let names: Vec<String> = bed
        .parts()
        .iter()
        .map(|part| part.name().to_owned())
        .filter(|name| name.starts_with(kind))
        .collect();
    let nth = dice.random_range(0..names.len().max(1));
    names.into_iter().nth(nth).with_context(|| format!("there is no {kind}"))
}

/// A site that may be cut. While there is one node, not the node's: without it nothing is decided.
fn site(bed: &mut Bed, dice: &mut StdRng) -> String {
    let nodes = bed.parts().iter().filter(|part| part.name().starts_with("node-")).count();
    let first = if nodes == 1 && bed.plan().sites > 1 { 2 } else { 1 };
    dice.random_range(first..=bed.plan().sites).to_string()
}
