//! What becomes different with another policy, and what that means for people.

use super::super::words::Words;
use super::form::{typed_desks, typed_hours, typed_software};
use crate::policy::{Lane, Protection, Roles, TenantLimits, TenantPolicy, TenantRules};
use kakehashi_wire::terminal::Role;

/// A setting that becomes different.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) setting: String,
    pub(super) old: String,
    pub(super) new: String,
    /// What it means.
    pub(super) meaning: &'static str,
    /// It cannot be taken back.
    pub(super) is_final: bool,
}

impl Change {
    fn new(setting: impl Into<String>, old: String, new: String, meaning: &'static str) -> Self {
        Self { setting: setting.into(), old, new, meaning, is_final: false }
    }
}

/// All that becomes different, in the order of the form.
pub(super) fn changes(
    before: &TenantPolicy,
    after: &TenantPolicy,
    words: &'static Words,
) -> Vec<Change> {
    let mut changes = of_limits(&before.limits, &after.limits, words);
    changes.extend(of_rules(&before.rules, &after.rules, words));
    changes.retain(|change| change.old != change.new);
    changes
}

fn of_limits(before: &TenantLimits, after: &TenantLimits, words: &'static Words) -> Vec<Change> {
    let count = |setting: &str, old: u32, new: u32, fewer| {
        let meaning = if new > old { words.m_more } else { fewer };
        Change::new(setting, old.to_string(), new.to_string(), meaning)
    };
    let rate = |rate: u32| match rate {
        0 => words.unlimited.to_owned(),
        rate => rate.to_string(),
    };
    let lane = |lane| match lane {
        Lane::Pass => (words.lane_pass, words.m_pass),
        Lane::Seal => (words.lane_seal, words.m_seal),
    };
    let protection = |protection| match protection {
        Protection::Standard => (words.protection_standard, words.m_standard),
        Protection::Hitless => (words.protection_hitless, words.m_hitless),
    };
    let choice = |setting, old: (&str, _), new: (&str, &'static str)| {
        Change::new(setting, old.0.to_owned(), new.0.to_owned(), new.1)
    };
    let rates = (rate(before.leg_rate_max_kbps), rate(after.leg_rate_max_kbps));
    vec![
        count(words.p_accounts, before.accounts, after.accounts, words.m_fewer_accounts),
        count(words.p_terminals, before.terminals, after.terminals, words.m_fewer_terminals),
        count(words.p_calls, before.calls, after.calls, words.m_fewer_calls),
        Change::new(words.p_rate, rates.0, rates.1, words.m_rate),
        choice(words.p_lane, lane(before.lane), lane(after.lane)),
        choice(words.p_protection, protection(before.protection), protection(after.protection)),
    ]
}

fn of_rules(before: &TenantRules, after: &TenantRules, words: &'static Words) -> Vec<Change> {
    let listening = |on| if on { words.yes } else { words.no }.to_owned();
    let heard = if after.listening { words.m_listening_on } else { words.m_listening_off };
    let days = |days: u32| match days {
        0 => words.no_end.to_owned(),
        days => days.to_string(),
    };
    let is_shorter = after.records_days > 0
        && (before.records_days == 0 || after.records_days < before.records_days);
    let kept = if is_shorter { words.m_records_shorter } else { words.m_records_longer };
    let records = (days(before.records_days), days(after.records_days));
    let records = Change::new(words.p_records, records.0, records.1, kept);
    let mut changes = vec![
        Change::new(
            words.p_listening,
            listening(before.listening),
            listening(after.listening),
            heard,
        ),
        Change { is_final: is_shorter, ..records },
    ];
    for role in Role::ALL {
        let called = |of: &TenantRules| roles(of.may_call.of(role), words);
        let setting = format!("{}: {}", words.p_may_call, words.role_of(&role));
        changes.push(Change::new(setting, called(before), called(after), words.m_may_call));
    }
    for role in Role::ALL {
        let called = |of: &TenantRules| typed_desks(of.may_call_desks.of(role));
        let setting = format!("{}: {}", words.p_desks, words.role_of(&role));
        changes.push(Change::new(setting, called(before), called(after), words.m_desks));
    }
    let software = |of: &TenantRules| match of.software.is_empty() {
        true => words.any.to_owned(),
        false => typed_software(&of.software),
    };
    let let_in = if after.software.is_empty() { words.m_software_all } else { words.m_software };
    changes.push(Change::new(words.p_software, software(before), software(after), let_in));
    let hours = |of: &TenantRules| match &of.hours {
        None => words.always.to_owned(),
        Some(hours) => typed_hours(Some(hours)),
    };
    let open = if after.hours.is_none() { words.m_hours_always } else { words.m_hours };
    changes.push(Change::new(words.p_hours, hours(before), hours(after), open));
    changes
}

fn roles(roles: &Roles, words: &Words) -> String {
    let named = Role::ALL.iter().filter(|role| roles.include(**role));
    let named: Vec<_> = named.map(|role| words.role_of(role)).collect();
    if named.is_empty() { words.none.to_owned() } else { named.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::super::words::{EN, JA};
    use super::*;

    fn policy(text: &str) -> TenantPolicy {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_change_is_said_with_what_it_means_and_nothing_else_is() {
        let usual = TenantPolicy::default();
        assert_eq!(changes(&usual, &usual, &EN), []);
        for (text, meaning) in [
            ("limits.accounts = 1", EN.m_fewer_accounts),
            ("limits.accounts = 4000000", EN.m_more),
            ("limits.terminals = 1", EN.m_fewer_terminals),
            ("limits.calls = 1", EN.m_fewer_calls),
            ("limits.leg_rate_max_kbps = 900", EN.m_rate),
            ("limits.lane = \"seal\"", EN.m_seal),
            ("limits.protection = \"hitless\"", EN.m_hitless),
            ("rules.listening = true", EN.m_listening_on),
            ("rules.may_call.store = [\"concierge\"]", EN.m_may_call),
            ("rules.may_call_desks.concierge = []", EN.m_desks),
            ("rules.software.ours = \"1.0.0\"", EN.m_software),
            ("rules.hours.zone = \"UTC\"", EN.m_hours),
        ] {
            let other = policy(text);
            let there = changes(&usual, &other, &EN);
            let [change] = &there[..] else { panic!("{text}: {there:?}") };
            assert_eq!((change.meaning, change.is_final), (meaning, false), "{text}");
            let [back] = &changes(&other, &usual, &JA)[..] else { panic!("{text}") };
            assert!(!back.meaning.is_ascii(), "{text}");
        }
    }

    #[test]
    fn only_a_shorter_time_for_records_is_final() {
        let kept = |days: u32| policy(&format!("rules.records_days = {days}"));
        for (old, new, is_final) in [(30, 7, true), (0, 7, true), (7, 30, false), (30, 0, false)] {
            let [change] = &changes(&kept(old), &kept(new), &EN)[..] else { panic!("{old} {new}") };
            assert_eq!(change.is_final, is_final, "{old} {new}");
            let says_so = change.meaning == EN.m_records_shorter;
            assert_eq!(says_so, is_final, "{old} {new}");
        }
    }
}
