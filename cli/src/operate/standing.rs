//! Suspending and letting in again: tenants, accounts, devices.

use super::{Door, ODD_ANSWER};
use crate::args::{AccountArgs, TenantArgs, WhoArgs};
use anyhow::{Context, Result, bail, ensure};
use kakehashi_control::accounts::{Account, Standing, Subject};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_wire::id::DeviceId;
use std::io::{BufRead, Write};
use std::process::ExitCode;

/// What is done to somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Suspend,
    Reactivate,
}

impl Act {
    fn request(self, subject: Subject) -> Request {
        match self {
            Self::Suspend => Request::Suspend { subject },
            Self::Reactivate => Request::Reactivate { subject },
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Reactivate => "active",
        }
    }
}

/// Does it to a whole tenant.
pub(super) fn tenant(args: &TenantArgs, act: Act, name: &str) -> Result<ExitCode> {
    let subject = Subject::Tenant { tenant: name.to_owned() };
    tell(&mut Door::open(&args.data)?, act, subject)?;
    if args.json {
        println!("{}", serde_json::json!({ "tenant": name, "standing": act.done() }));
    } else {
        println!("{name}  {}", act.done());
    }
    Ok(ExitCode::SUCCESS)
}

/// Does it to an account or a device of it, or to all accounts that standard input names.
pub(super) fn account(args: &AccountArgs, act: Act, who: &WhoArgs) -> Result<ExitCode> {
    let mut door = Door::open(&args.data)?;
    let (Some(tenant), Some(login)) = (&who.tenant, &who.login) else {
        return each_line(&mut door, act);
    };
    let (tenant, login) = (tenant.clone(), login.clone());
    let named = login.clone();
    let subject = match who.device {
        Some(device) => Subject::Device { tenant, login, device },
        None => Subject::Account { tenant, login },
    };
    tell(&mut door, act, subject)?;
    if args.json {
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
fn each_line(door: &mut Door, act: Act) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut all_done = true;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read standard input")?;
        let done = subject(&line).and_then(|subject| tell(door, act, subject));
        all_done &= done.is_ok();
        match done {
            Ok(()) => writeln!(out, "done"),
            Err(error) => writeln!(out, "failed: {error:#}"),
        }
        .and_then(|()| out.flush())
        .context("cannot write to standard output")?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn subject(line: &str) -> Result<Subject> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [tenant, login] = words[..] else { bail!("give tenant and login ID in each line") };
    Ok(Subject::Account { tenant: tenant.to_owned(), login: login.to_owned() })
}

fn tell(door: &mut Door, act: Act, subject: Subject) -> Result<()> {
    let answer = door.ask(act.request(subject))?;
    ensure!(matches!(answer, Answer::Done {}), ODD_ANSWER);
    Ok(())
}

/// How an account stands, in words for a list.
pub(super) fn words(account: &Account) -> String {
    let devices: Vec<_> = account.suspended_devices.iter().map(|it| it.device).collect();
    match (account.standing, &devices[..]) {
        (Standing::Suspended { .. }, _) => String::from("suspended"),
        (Standing::Active, []) => String::from("active"),
        (Standing::Active, devices) => {
            let names: Vec<String> = devices.iter().map(DeviceId::to_string).collect();
            format!("active, suspended on {}", names.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_one_account() {
        let account = Subject::Account { tenant: "ginza".into(), login: "store-1".into() };
        assert_eq!(subject(" ginza\tstore-1 ").unwrap(), account);
        for bad in ["", "ginza", "ginza store-1 store-2"] {
            assert!(subject(bad).is_err(), "{bad:?}");
        }
    }
}
