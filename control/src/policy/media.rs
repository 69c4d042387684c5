//! How does a call carry its media?

use kakehashi_wire::secret::Suite;
use serde::{Deserialize, Serialize};

/// How far members of a call are kept from each other's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Not at all: everybody gets the bytes the sender sealed, and with them the sender's key.
    None,
    /// Relays seal anew for each leg: no member has another's key.
    PerLeg,
}

/// What the verdict depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaFacts {
    /// Which cipher the operator chose.
    pub suite: Suite,
    /// What the operator asks of all calls.
    pub isolation: Isolation,
    /// The highest rate the operator lets a leg send with, in kbit/s of UDP payload; 0 for none.
    pub leg_rate_max_kbps: u32,
}

/// The terms a call's media is drawn on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaTerms {
    /// Which cipher terminals and relays seal with.
    pub suite: Suite,
    /// Each leg gets a secret of its own, and no member another's key.
    pub seal: bool,
    /// The highest rate of each leg, in kbit/s of UDP payload; 0 for no limit.
    pub rate_kbps: u32,
}

/// On which terms a call carries its media.
pub fn media_terms(facts: &MediaFacts) -> MediaTerms {
    MediaTerms {
        suite: facts.suite,
        seal: matches!(facts.isolation, Isolation::PerLeg),
        rate_kbps: facts.leg_rate_max_kbps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_is_what_seals_and_the_rate_is_the_operators() {
        let suite = Suite::AeadAes256Gcm;
        for (isolation, seal) in [(Isolation::None, false), (Isolation::PerLeg, true)] {
            for rate_kbps in [0, 8_000] {
                let facts = MediaFacts { suite, isolation, leg_rate_max_kbps: rate_kbps };
                assert_eq!(media_terms(&facts), MediaTerms { suite, seal, rate_kbps });
            }
        }
    }
}
