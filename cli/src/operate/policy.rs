//! `kakehashi tenant policy`: what a tenant may have, and how it wants its calls.

use super::ODD_ANSWER;
use crate::args::{AskArgs, PolicyArgs};
use crate::door::Door;
use anyhow::{Context, Result, bail};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::policy::TenantPolicy;
use std::process::ExitCode;
use toml::{Table, Value};

/// Shows the policy, after changing it if that was asked for.
pub(super) fn policy(ask: &AskArgs, args: &PolicyArgs) -> Result<ExitCode> {
    let mut door = Door::open(&ask.door)?;
    let tenant = || args.tenant.clone();
    let show = Request::TenantPolicy { tenant: tenant(), limits: None, rules: None };
    let before = asked(&mut door, show)?;
    let mut wished = match &args.file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{} is no policy", path.display()))?
        }
        None => Table::try_from(&before)?,
    };
    for setting in &args.set {
        set(&mut wished, setting)?;
    }
    let wished: TenantPolicy = wished.try_into().context("not a policy")?;
    let policy = if wished == before {
        before
    } else {
        // Who may change only one of both sends only that.
        let limits = (wished.limits != before.limits).then_some(wished.limits);
        let rules = (wished.rules != before.rules).then(|| Box::new(wished.rules));
        asked(&mut door, Request::TenantPolicy { tenant: tenant(), limits, rules })?
    };
    if ask.json {
        println!("{}", serde_json::to_string(&policy)?);
    } else {
        print!("{}", toml::to_string(&policy)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(door: &mut Door, request: Request) -> Result<TenantPolicy> {
    let Answer::TenantPolicy { policy } = door.ask(request)? else { bail!(ODD_ANSWER) };
    Ok(*policy)
}

/// `limits.calls=50`, or `rules.hours=` to have none.
fn set(policy: &mut Table, setting: &str) -> Result<()> {
    let bad = || format!("{setting:?} is no setting: give one such as limits.calls=50");
    let (path, text) = setting.split_once('=').with_context(bad)?;
    let (folders, last) = path.rsplit_once('.').with_context(bad)?;
    let mut table = policy;
    for name in folders.split('.') {
        let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().with_context(bad)?;
    }
    if text.is_empty() {
        table.remove(last);
    } else {
        // Words need no quotes here.
        let value = toml::from_str::<Table>(&format!("value = {text}"));
        let value = value.ok().and_then(|mut it| it.remove("value"));
        table.insert(last.to_owned(), value.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_set_and_taken_away() {
        let mut policy = Table::try_from(TenantPolicy::default()).unwrap();
        for setting in [
            "limits.calls=50",
            "limits.lane=seal",
            "rules.listening=true",
            "rules.may_call.tenant-admin=[\"store\"]",
            "rules.hours.zone=Asia/Tokyo",
            "rules.hours.monday=[\"09:00-18:00\"]",
        ] {
            set(&mut policy, setting).unwrap();
        }
        let read: TenantPolicy = policy.clone().try_into().unwrap();
        assert_eq!(read.limits.calls, 50);
        assert!(read.rules.listening && read.rules.hours.is_some());
        set(&mut policy, "rules.hours=").unwrap();
        let read: TenantPolicy = policy.clone().try_into().unwrap();
        assert_eq!(read.rules.hours, None);
        for bad in ["", "limits", "limits.calls", "calls=5", "limits.calls.more=5"] {
            assert!(set(&mut policy.clone(), bad).is_err(), "{bad:?}");
        }
        for bad in ["limits.cals=5", "limits.calls=many", "rules.may_call.store=[\"boss\"]"] {
            let mut policy = policy.clone();
            set(&mut policy, bad).unwrap();
            assert!(policy.try_into::<TenantPolicy>().is_err(), "{bad:?}");
        }
    }
}
