//! What a tenant may have, and how it wants its calls.

use super::desks::Desks;
use super::hours::Hours;
use super::roles::{PerRole, Roles};
use super::software::{Version, name_and_version};
use crate::capacity::{
    ACCOUNTS_PER_TENANT_DEFAULT, CALLS_PER_TENANT_DEFAULT, DESKS_NAMED_MAX,
    LEG_RATE_MAX_KBPS_LEAST, RECORDS_DAYS_DEFAULT, RECORDS_DAYS_MAX, SOFTWARE_PER_TENANT_MAX,
    SPANS_PER_DAY_MAX, TERMINALS_PER_TENANT_DEFAULT,
};
use kakehashi_wire::limits::NAME_BYTES_MAX;
use kakehashi_wire::terminal::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a tenant's media is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Everybody gets the bytes the sender sealed, unless the operator seals all calls.
    #[default]
    Pass,
    /// Relays seal anew for each leg.
    Seal,
}

/// How a tenant's calls outlive a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Terminals go over to the standby relay when the primary is gone.
    #[default]
    Standard,
    /// Terminals send over both relays all the time. A call that has only one is carried all the
    /// same.
    Hitless,
}

/// What a tenant may have: the operator's to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Accounts.
    pub accounts: u32,
    /// Terminals that are signed in at once.
    pub terminals: u32,
    /// Calls at once.
    pub calls: u32,
    /// What a leg may send, in kbit/s of UDP payload, if that is less than the operator lets all
    /// send; 0 for no limit of its own.
    pub leg_rate_max_kbps: u32,
    /// How media is carried.
    pub lane: Lane,
    /// How calls outlive a relay.
    pub protection: Protection,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            accounts: ACCOUNTS_PER_TENANT_DEFAULT,
            terminals: TERMINALS_PER_TENANT_DEFAULT,
            calls: CALLS_PER_TENANT_DEFAULT,
            leg_rate_max_kbps: 0,
            lane: Lane::default(),
            protection: Protection::default(),
        }
    }
}

/// How a tenant wants its calls: its administrators' to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRules {
    /// Supervisors may listen to calls; everybody in them is told.
    pub listening: bool,
    /// Days for which records of ended calls are kept; 0 for as long as there is room.
    pub records_days: u32,
    /// Whom each role may call.
    pub may_call: PerRole<Roles>,
    /// Which desks each role may call.
    pub may_call_desks: PerRole<Desks>,
    /// The terminals' software that is let in, by name, with its lowest version; all if none is
    /// named.
    pub software: BTreeMap<String, Version>,
    /// When calls may begin; always if none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
}

impl Default for TenantRules {
    fn default() -> Self {
        Self {
            listening: false,
            records_days: RECORDS_DAYS_DEFAULT,
            may_call: PerRole::default(),
            may_call_desks: PerRole::default(),
            software: BTreeMap::new(),
            hours: None,
        }
    }
}

/// Both.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantPolicy {
    /// What it may have.
    pub limits: TenantLimits,
    /// How it wants its calls.
    pub rules: TenantRules,
}

/// What a policy cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPolicy {
    /// A leg could not send a voice.
    #[error(
        "`leg_rate_max_kbps` must be 0 for no limit of its own, or at least \
         {LEG_RATE_MAX_KBPS_LEAST}: less does not carry a voice"
    )]
    Rate,
    /// Spans overlap, or are too many.
    #[error(
        "each day of `hours` has at most {SPANS_PER_DAY_MAX} opening times, in order, none within \
         another"
    )]
    Hours,
    /// Records would be kept for too long.
    #[error("`records_days` must be from 0 to {RECORDS_DAYS_MAX}")]
    Records,
    /// Too many desks.
    #[error("`may_call_desks` names at most {DESKS_NAMED_MAX} desks for a role: give \"all\"")]
    Desks,
    /// Too much software, or an odd name.
    #[error(
        "`software` names at most {SOFTWARE_PER_TENANT_MAX} programs, with 1 to {NAME_BYTES_MAX} \
         printable characters each"
    )]
    Software,
}

impl TenantLimits {
    /// Whether they can be so.
    ///
    /// # Errors
    /// [`BadPolicy`] for what cannot.
    pub fn check(&self) -> Result<(), BadPolicy> {
        if (1..LEG_RATE_MAX_KBPS_LEAST).contains(&self.leg_rate_max_kbps) {
            return Err(BadPolicy::Rate);
        }
        Ok(())
    }
}

impl TenantRules {
    /// Whether they can be so.
    ///
    /// # Errors
    /// [`BadPolicy`] for what cannot.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let is_name = |name: &String| {
            let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
            fits && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        let all_named = self.software.keys().all(is_name);
        if self.software.len() > SOFTWARE_PER_TENANT_MAX || !all_named {
            return Err(BadPolicy::Software);
        }
        if self.records_days > RECORDS_DAYS_MAX {
            return Err(BadPolicy::Records);
        }
        let desks = Role::ALL.map(|role| self.may_call_desks.of(role).named());
        if desks.into_iter().any(|named| named > DESKS_NAMED_MAX) {
            return Err(BadPolicy::Desks);
        }
        let in_order = self.hours.as_ref().is_none_or(Hours::are_in_order);
        if in_order { Ok(()) } else { Err(BadPolicy::Hours) }
    }

    /// Whether terminals that say to run `software` are let in.
    pub fn lets_in(&self, software: &str) -> bool {
        let is_enough =
            |(name, version)| self.software.get(name).is_some_and(|least| *least <= version);
        self.software.is_empty() || name_and_version(software).is_some_and(is_enough)
    }

    /// Whether nothing of them was chosen.
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> TenantRules {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_policy_is_read_back_as_it_was_written() {
        let mut policy = TenantPolicy::default();
        policy.limits.lane = Lane::Seal;
        policy.rules = rules(
            "listening = true\nrecords_days = 30\n\
             [may_call]\nstore = [\"concierge\"]\n\
             [may_call_desks]\nstore = [\"sales\"]\n[software]\nours = \"1.2.0\"\n\
             [hours]\nzone = \"Asia/Tokyo\"\nmonday = [\"09:00-18:00\"]\n",
        );
        let text = toml::to_string(&policy).unwrap();
        assert_eq!(toml::from_str::<TenantPolicy>(&text).unwrap(), policy, "{text}");
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<TenantPolicy>(&json).unwrap(), policy, "{json}");
        assert_eq!(toml::from_str::<TenantPolicy>("").unwrap(), TenantPolicy::default());
    }

    #[test]
    fn what_a_policy_cannot_be_is_refused() {
        let usual = TenantLimits::default();
        assert_eq!(usual.check(), Ok(()));
        assert_eq!(TenantRules::default().check(), Ok(()));
        let slow = TenantLimits { leg_rate_max_kbps: LEG_RATE_MAX_KBPS_LEAST - 1, ..usual };
        assert_eq!(slow.check(), Err(BadPolicy::Rate));
        let many: String =
            (0..=SOFTWARE_PER_TENANT_MAX).map(|n| format!("p{n} = \"1.0.0\"\n")).collect();
        let desks: Vec<_> = (0..=DESKS_NAMED_MAX).map(|n| format!("\"d{n}\"")).collect();
        let desks = format!("[may_call_desks]\nstore = [{}]", desks.join(","));
        for (text, why) in [
            ("records_days = 4000", BadPolicy::Records),
            ("[software]\n\"\" = \"1.0.0\"", BadPolicy::Software),
            ("[software]\n\"a\\n\" = \"1.0.0\"", BadPolicy::Software),
            (&format!("[software]\n{many}"), BadPolicy::Software),
            (&desks, BadPolicy::Desks),
            (
                "[hours]\nzone = \"UTC\"\nmonday = [\"09:00-18:00\", \"17:00-19:00\"]",
                BadPolicy::Hours,
            ),
        ] {
            assert_eq!(rules(text).check(), Err(why), "{text}");
        }
        for bad in [
            "unknown = 1",
            "[may_call]\nnobody = []",
            "[may_call]\nstore = [\"nobody\"]",
            "[hours]\nmonday = []",
            "[hours]\nzone = \"Mars/Olympus\"",
            "[hours]\nzone = \"UTC\"\nmonday = [\"9-18\"]",
            "[software]\nours = \"1\"",
        ] {
            assert!(toml::from_str::<TenantRules>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn software_that_is_not_named_or_too_old_stays_out() {
        assert!(TenantRules::default().lets_in("anything"));
        let rules = rules("[software]\nours = \"1.2.0\"");
        for (software, may) in [
            ("ours 1.2.0", true),
            ("ours 2.0.0", true),
            ("ours 1.1.9", false),
            ("theirs 9.0.0", false),
            ("ours", false),
            ("", false),
        ] {
            assert_eq!(rules.lets_in(software), may, "{software:?}");
        }
    }
}
