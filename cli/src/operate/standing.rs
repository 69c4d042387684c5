//! Suspending and letting in again: tenants, accounts, devices.

use super::ODD_ANSWER;
use crate::args::{AccountArgs, TenantArgs, WhoArgs};
use crate::door::Door;
use anyhow::{Context, Result, bail, ensure};
use kakehashi_control::accounts::{Account, Standing, Subject, SuspendedDevice};
use kakehashi_control::admin::{Answer, Request};
use std::io::{BufRead, Write};
use std::process::ExitCode;

/// What is done to somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act<'a> {
    /// With the reason, if one is given.
    Suspend(Option<&'a str>),
    Reactivate,
}

impl Act<'_> {
    fn request(self, subject: Subject) -> Request {
        match self {
            Self::Suspend(reason) => {
                Request::Suspend { subject, reason: reason.map(str::to_owned) }
            }
            Self::Reactivate => Request::Reactivate { subject },
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Suspend(_) => "suspended",
            Self::Reactivate => "active",
        }
    }
}

/// Does it to a whole tenant.
pub(super) fn tenant(args: &TenantArgs, act: Act<'_>, name: &str) -> Result<ExitCode> {
    let subject = Subject::Tenant { tenant: name.to_owned() };
    tell(&mut Door::open(&args.ask.door)?, act, subject)?;
    if args.ask.json {
        println!("{}", serde_json::json!({ "tenant": name, "standing": act.done() }));
    } else {
        println!("{name}  {}", act.done());
    }
    Ok(ExitCode::SUCCESS)
}

/// Does it to an account or a device of it, or to all accounts that standard input names.
pub(super) fn account(args: &AccountArgs, act: Act<'_>, who: &WhoArgs) -> Result<ExitCode> {
    let mut door = Door::open(&args.ask.door)?;
    let (Some(tenant), Some(login)) = (&who.tenant, &who.login) else {
        return each_line(&mut door, act, args.ask.json);
    };
    let (tenant, login) = (tenant.clone(), login.clone());
    let named = login.clone();
    let subject = match who.device {
        Some(device) => Subject::Device { tenant, login, device },
        None => Subject::Account { tenant, login },
    };
    tell(&mut door, act, subject)?;
    if args.ask.json {
        let (device, standing) = (who.device.map(|it| it.to_string()), act.done());
        let said = serde_json::json!({ "login": named, "device": device, "standing": standing });
        println!("{said}");
        return Ok(ExitCode::SUCCESS);
    }
    match who.device {
        Some(device) => println!("{named} on device {device}  {}", act.done()),
        None => println!("{named}  {}", act.done()),
    }
    Ok(ExitCode::SUCCESS)
}

/// One account a line of standard input; one line of answer for each, when it is done.
fn each_line(door: &mut Door, act: Act<'_>, json: bool) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut all_done = true;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read standard input")?;
        let done = named(&line).and_then(|(tenant, login)| {
            let (tenant, login) = (tenant.to_owned(), login.to_owned());
            tell(door, act, Subject::Account { tenant, login })
        });
        all_done &= done.is_ok();
        let said = if json { line_json(&line, act, done).to_string() } else { line_text(done) };
        writeln!(out, "{said}")
            .and_then(|()| out.flush())
            .context("cannot write to standard output")?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line_text(done: Result<()>) -> String {
    done.map_or_else(|error| format!("failed: {error:#}"), |()| "done".to_owned())
}

fn line_json(line: &str, act: Act<'_>, done: Result<()>) -> serde_json::Value {
    let (tenant, login) = named(line).ok().unzip();
    match done {
        Ok(()) => serde_json::json!({ "tenant": tenant, "login": login, "standing": act.done() }),
        Err(error) => {
            let error = format!("{error:#}");
            serde_json::json!({ "tenant": tenant, "login": login, "error": error })
        }
    }
}

/// Tenant and login ID.
fn named(line: &str) -> Result<(&str, &str)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [tenant, login] = words[..] else { bail!("give tenant and login ID in each line") };
    Ok((tenant, login))
}

fn tell(door: &mut Door, act: Act<'_>, subject: Subject) -> Result<()> {
    let answer = door.ask(act.request(subject))?;
    ensure!(matches!(answer, Answer::Done {}), ODD_ANSWER);
    Ok(())
}

/// How an account stands, in words for a list.
pub(super) fn words(account: &Account) -> String {
    let named = |it: &SuspendedDevice| with_reason(it.device.to_string(), it.reason.as_deref());
    match (&account.standing, &account.suspended_devices[..]) {
        (Standing::Active, devices @ [_, ..]) => {
            let names: Vec<String> = devices.iter().map(named).collect();
            format!("active, suspended on {}", names.join(" "))
        }
        (standing, _) => whole(standing),
    }
}

/// How an account or a tenant stands as a whole.
pub(super) fn whole(standing: &Standing) -> String {
    match standing {
        Standing::Active => String::from("active"),
        Standing::Suspended { reason, .. } => {
            with_reason(String::from("suspended"), reason.as_deref())
        }
    }
}

fn with_reason(what: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{what} ({reason})"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_one_account() {
        assert_eq!(named(" ginza\tstore-1 ").unwrap(), ("ginza", "store-1"));
        for bad in ["", "ginza", "ginza store-1 store-2"] {
            let error = named(bad).map(drop);
            assert!(error.is_err(), "{bad:?}");
            let said = line_json(bad, Act::Suspend(None), error);
            assert!(said["error"].is_string() && said["login"].is_null(), "{said}");
        }
    }
}
