//! How does a call carry its media?

use super::tenant::{Lane, Protection, TenantLimits};
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
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaTerms {
    /// Which cipher terminals and relays seal with.
    pub suite: Suite,
    /// Each leg gets a secret of its own, and no member another's key.
    pub seal: bool,
    /// The highest rate of each leg, in kbit/s of UDP payload; 0 for no limit.
    pub rate_kbps: u32,
    /// Terminals are to send over both relays all the time.
    pub hitless: bool,
}

/// On which terms a call of a tenant carries its media: of what the operator asks of all calls and
/// what the tenant has, the stricter.
pub fn media_terms(facts: &MediaFacts, tenant: &TenantLimits) -> MediaTerms {
    let rates = [facts.leg_rate_max_kbps, tenant.leg_rate_max_kbps];
    MediaTerms {
        suite: facts.suite,
        seal: facts.isolation == Isolation::PerLeg || tenant.lane == Lane::Seal,
        rate_kbps: rates.into_iter().filter(|rate| *rate > 0).min().unwrap_or(0),
        hitless: tenant.protection == Protection::Hitless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_operator_and_tenant_the_stricter_counts() {
        let suite = Suite::AeadAes256Gcm;
        for (isolation, lane, seal) in [
            (Isolation::None, Lane::Pass, false),
            (Isolation::None, Lane::Seal, true),
            (Isolation::PerLeg, Lane::Pass, true),
            (Isolation::PerLeg, Lane::Seal, true),
        ] {
            for (operators, tenants, rate_kbps) in
                [(0, 0, 0), (8_000, 0, 8_000), (0, 500, 500), (8_000, 500, 500), (300, 500, 300)]
            {
                let facts = MediaFacts { suite, isolation, leg_rate_max_kbps: operators };
                let tenant =
                    TenantLimits { lane, leg_rate_max_kbps: tenants, ..TenantLimits::default() };
                let terms = MediaTerms { suite, seal, rate_kbps, hitless: false };
                assert_eq!(media_terms(&facts, &tenant), terms);
                let protected = TenantLimits { protection: Protection::Hitless, ..tenant };
                let terms = MediaTerms { hitless: true, ..terms };
                assert_eq!(media_terms(&facts, &protected), terms);
            }
        }
    }
}
