//! A policy as the fields of a form, and back.

use super::super::fields::Fields;
use super::super::words::Words;
use crate::policy::{
    Desks, Hours, Lane, PerRole, Protection, Roles, TenantLimits, TenantPolicy, TenantRules,
    Version,
};
use kakehashi_wire::terminal::Role;
use std::collections::{BTreeMap, BTreeSet};

/// A form that is no policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bad {
    /// In the language of the page.
    pub(super) text: String,
    /// The same as every door says it.
    pub(super) detail: String,
}

impl Bad {
    fn of(what: &str, field: &str, detail: impl Into<String>) -> Self {
        Self { text: format!("{what} {field}"), detail: detail.into() }
    }
}

/// Reads the policy that a form wishes for. Without the fields of limits, those `before` stay.
pub(super) fn read(
    fields: &Fields,
    before: &TenantPolicy,
    words: &Words,
) -> Result<TenantPolicy, Bad> {
    let limits = match fields.get("accounts") {
        "" => before.limits,
        _ => limits(fields, words)?,
    };
    let policy = TenantPolicy { limits, rules: rules(fields, words)? };
    let checked = policy.limits.check().and_then(|()| policy.rules.check());
    checked.map_err(|bad| Bad { text: words.refused_wrong.to_owned(), detail: bad.to_string() })?;
    Ok(policy)
}

fn limits(fields: &Fields, words: &Words) -> Result<TenantLimits, Bad> {
    Ok(TenantLimits {
        accounts: number(fields, "accounts", words, words.p_accounts)?,
        terminals: number(fields, "terminals", words, words.p_terminals)?,
        calls: number(fields, "calls", words, words.p_calls)?,
        leg_rate_max_kbps: number(fields, "rate", words, words.p_rate)?,
        lane: lane(fields),
        protection: protection(fields),
    })
}

fn lane(fields: &Fields) -> Lane {
    if fields.get("lane") == "seal" { Lane::Seal } else { Lane::Pass }
}

fn protection(fields: &Fields) -> Protection {
    match fields.get("protection") {
        "hitless" => Protection::Hitless,
        _ => Protection::Standard,
    }
}

/// Which roles are ticked for each.
fn may_call(fields: &Fields) -> PerRole<Roles> {
    let role = |of: Role| {
        let named = fields.all(&format!("may-call-{}", of.name()));
        let ticked: Vec<Role> = named.iter().filter_map(|name| Role::named(name)).collect();
        Roles::from(&ticked[..])
    };
    PerRole {
        store: role(Role::Store),
        concierge: role(Role::Concierge),
        supervisor: role(Role::Supervisor),
        tenant_admin: role(Role::TenantAdmin),
    }
}

/// As much of a form as is a policy, with what there was `before` for the rest: a form that is
/// refused is shown again as it was filled in.
pub(super) fn kept(fields: &Fields, before: &TenantPolicy) -> TenantPolicy {
    let number = |name, usual| fields.number(name).unwrap_or(usual);
    let TenantPolicy { limits, rules } = before;
    let typed = TenantLimits {
        accounts: number("accounts", limits.accounts),
        terminals: number("terminals", limits.terminals),
        calls: number("calls", limits.calls),
        leg_rate_max_kbps: number("rate", limits.leg_rate_max_kbps),
        lane: lane(fields),
        protection: protection(fields),
    };
    TenantPolicy {
        limits: if fields.get("accounts").is_empty() { *limits } else { typed },
        rules: TenantRules {
            listening: fields.is_ticked("listening"),
            records_days: number("records-days", rules.records_days),
            may_call: may_call(fields),
            ..rules.clone()
        },
    }
}

fn rules(fields: &Fields, words: &Words) -> Result<TenantRules, Bad> {
    let of_role = |of: Role| desks(&fields.text(&format!("desks-{}", of.name())), words);
    Ok(TenantRules {
        listening: fields.is_ticked("listening"),
        records_days: number(fields, "records-days", words, words.p_records)?,
        may_call: may_call(fields),
        may_call_desks: PerRole {
            store: of_role(Role::Store)?,
            concierge: of_role(Role::Concierge)?,
            supervisor: of_role(Role::Supervisor)?,
            tenant_admin: of_role(Role::TenantAdmin)?,
        },
        software: software(fields.get("software"), words)?,
        hours: hours(fields.get("hours"), words)?,
    })
}

fn number(fields: &Fields, name: &str, words: &Words, label: &str) -> Result<u32, Bad> {
    fields.number(name).ok_or_else(|| Bad::of(words.bad_number, label, fields.text(name)))
}

/// `all`, or names with commas between.
fn desks(text: &str, words: &Words) -> Result<Desks, Bad> {
    if text == "all" {
        return Ok(Desks::All);
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    let read = serde_json::from_value(names.into());
    read.map_err(|error| Bad::of(words.bad_text, words.p_desks, error.to_string()))
}

/// A name and a version on each line.
fn software(text: &str, words: &Words) -> Result<BTreeMap<String, Version>, Bad> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, version) = line.rsplit_once(char::is_whitespace)?;
        Some((name.trim().to_owned(), Version::parse(version)?))
    };
    let read = |line| pair(line).ok_or_else(|| Bad::of(words.bad_text, words.p_software, line));
    lines.map(read).collect()
}

fn hours(text: &str, words: &Words) -> Result<Option<Hours>, Bad> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let read = toml::from_str(text).map(Some);
    read.map_err(|error| Bad::of(words.bad_text, words.p_hours, error.message()))
}

/// Desks as they are typed.
pub(super) fn typed_desks(desks: &Desks) -> String {
    match desks {
        Desks::All => "all".to_owned(),
        Desks::Named(names) => joined(names),
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Software as it is typed.
pub(super) fn typed_software(software: &BTreeMap<String, Version>) -> String {
    software.iter().map(|(name, version)| format!("{name} {version}\n")).collect()
}

/// Hours as they are typed.
pub(super) fn typed_hours(hours: Option<&Hours>) -> String {
    hours.and_then(|hours| toml::to_string(hours).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::super::words::EN;
    use super::*;

    /// The form of a policy, as the page makes it.
    fn form(policy: &TenantPolicy) -> Fields {
        let TenantPolicy { limits, rules } = policy;
        let numbers = [
            ("accounts", limits.accounts),
            ("terminals", limits.terminals),
            ("calls", limits.calls),
            ("rate", limits.leg_rate_max_kbps),
            ("records-days", rules.records_days),
        ];
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, number) in numbers {
            text.append_pair(name, &number.to_string());
        }
        if limits.lane == Lane::Seal {
            text.append_pair("lane", "seal");
        }
        for role in Role::ALL {
            for other in Role::ALL.into_iter().filter(|it| rules.may_call.of(role).include(*it)) {
                text.append_pair(&format!("may-call-{}", role.name()), other.name());
            }
            let desks = typed_desks(rules.may_call_desks.of(role));
            text.append_pair(&format!("desks-{}", role.name()), &desks);
        }
        text.append_pair("software", &typed_software(&rules.software));
        text.append_pair("hours", &typed_hours(rules.hours.as_ref()));
        Fields::parse(text.finish().as_bytes())
    }

    fn policy() -> TenantPolicy {
        let text = "[limits]\ncalls = 7\nlane = \"seal\"\n[rules]\nrecords_days = 3\n\
            [rules.may_call]\nstore = [\"concierge\"]\nconcierge = []\n\
            [rules.may_call_desks]\nstore = [\"repairs\", \"sales\"]\nconcierge = []\n\
            [rules.software]\n\"our terminal\" = \"1.2.3\"\n\
            [rules.hours]\nzone = \"Asia/Tokyo\"\nmonday = [\"09:00-18:00\"]\n";
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_form_says_the_policy_it_was_made_of() {
        for policy in [policy(), TenantPolicy::default()] {
            let usual = TenantPolicy::default();
            assert_eq!(read(&form(&policy), &usual, &EN), Ok(policy));
        }
        let rules = Fields::parse(b"records-days=5");
        let read = read(&rules, &policy(), &EN).unwrap();
        assert_eq!((read.limits, read.rules.records_days), (policy().limits, 5));
        assert!(!read.rules.may_call.of(Role::Store).include(Role::Concierge));
    }

    #[test]
    fn a_form_that_is_refused_keeps_what_was_typed() {
        let form = Fields::parse(b"accounts=9&calls=x&lane=seal&listening=on&records-days=");
        let (kept, before) = (kept(&form, &policy()), policy());
        assert_eq!((kept.limits.accounts, kept.limits.calls), (9, before.limits.calls));
        assert_eq!((kept.limits.lane, kept.rules.listening), (Lane::Seal, true));
        assert_eq!(kept.rules.records_days, before.rules.records_days);
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_field() {
        let before = TenantPolicy::default();
        for (text, word) in [
            ("records-days=many", EN.p_records),
            ("records-days=-1", EN.p_records),
            ("accounts=1e3&records-days=1", EN.p_accounts),
            ("records-days=1&software=ours", EN.p_software),
            ("records-days=1&software=ours+1", EN.p_software),
            ("records-days=1&hours=zone%3D%22Mars%22", EN.p_hours),
            ("records-days=1&desks-store=a%20b", EN.p_desks),
            ("records-days=999999", EN.refused_wrong),
        ] {
            let bad = read(&Fields::parse(text.as_bytes()), &before, &EN).unwrap_err();
            assert!(bad.text.contains(word), "{text}: {bad:?}");
        }
    }
}
