//! Suspending and letting in again: tenants, accounts, devices.

use super::ODD_ANSWER;
use crate::args::{AccountArgs, TenantArgs, WhoArgs};
use crate::door::Door;
use anyhow::{Context, Result, bail};
use kakehashi_control::accounts::{Account, Standing, Subject, SuspendedDevice};
use kakehashi_control::admin::{Answer, MediaEnd, Request};
use std::fmt;
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
}

/// How somebody stands by then, and what became of its media as far as that is known.
enum Done {
    Suspended(Option<MediaEnd>),
    Active,
}

impl Done {
    fn json(&self, mut said: serde_json::Value) -> serde_json::Value {
        match self {
            Self::Active => said["standing"] = "active".into(),
            Self::Suspended(media) => {
                said["standing"] = "suspended".into();
                said["media"] = serde_json::json!(media);
            }
        }
        said
    }
}

impl fmt::Display for Done {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => out.write_str("active"),
            Self::Suspended(Some(media)) => write!(out, "suspended; {}", how_it_ended(media)),
            Self::Suspended(None) => out.write_str(
                "suspended; another node leads by now, and when media stopped is not known",
            ),
        }
    }
}

/// In words.
fn how_it_ended(media: &MediaEnd) -> String {
    let ordered = media.ordered.0;
    let mut said = match media.ended.map(|ended| ended.0) {
        _ if media.legs == 0 => String::from("it was in no call"),
        Some(ended) if ended >= ordered => {
            format!("media stopped {} ms after the order", ended - ordered)
        }
        Some(ended) => format!("media had stopped {} ms before the order", ordered - ended),
        None => String::from("no relay says that it sent on any media of it"),
    };
    if !media.silent.is_empty() {
        let names: Vec<String> = media.silent.iter().map(|relay| relay.0.to_string()).collect();
        let names = names.join(", ");
        said += &format!("; not confirmed by relay {names}: see `kakehashi relays`");
    }
    said
}

/// Does it to a whole tenant.
pub(super) fn tenant(args: &TenantArgs, act: Act<'_>, name: &str) -> Result<ExitCode> {
    let subject = Subject::Tenant { tenant: name.to_owned() };
    let done = tell(&mut Door::open(&args.ask.door)?, act, subject)?;
    if args.ask.json {
        println!("{}", done.json(serde_json::json!({ "tenant": name })));
    } else {
        println!("{name}  {done}");
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
    let done = tell(&mut door, act, subject)?;
    if args.ask.json {
        let device = who.device.map(|it| it.to_string());
        println!("{}", done.json(serde_json::json!({ "login": named, "device": device })));
        return Ok(ExitCode::SUCCESS);
    }
    match who.device {
        Some(device) => println!("{named} on device {device}  {done}"),
        None => println!("{named}  {done}"),
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
        let said = if json { line_json(&line, done).to_string() } else { line_text(done) };
        writeln!(out, "{said}")
            .and_then(|()| out.flush())
            .context("cannot write to standard output")?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line_text(done: Result<Done>) -> String {
    done.map_or_else(|error| format!("failed: {error:#}"), |_| "done".to_owned())
}

fn line_json(line: &str, done: Result<Done>) -> serde_json::Value {
    let (tenant, login) = named(line).ok().unzip();
    match done {
        Ok(done) => done.json(serde_json::json!({ "tenant": tenant, "login": login })),
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

fn tell(door: &mut Door, act: Act<'_>, subject: Subject) -> Result<Done> {
    match (act, door.ask(act.request(subject))?) {
        (Act::Suspend(_), Answer::Suspended { media }) => Ok(Done::Suspended(media)),
        (Act::Reactivate, Answer::Done {}) => Ok(Done::Active),
        _ => bail!(ODD_ANSWER),
    }
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
    use kakehashi_control::clock::UnixMs;
    use kakehashi_wire::id::RelayId;

    #[test]
    fn what_became_of_the_media_is_said_in_words() {
        let (ordered, relay) = (UnixMs(1_000), RelayId(3));
        let end = |legs, ended, silent| {
            let (confirmed, ended) = (Vec::new(), Option::map(ended, UnixMs));
            Done::Suspended(Some(MediaEnd { ordered, legs, ended, confirmed, silent })).to_string()
        };
        assert_eq!(end(0, None, vec![]), "suspended; it was in no call");
        assert_eq!(end(1, Some(1_012), vec![]), "suspended; media stopped 12 ms after the order");
        assert_eq!(
            end(2, Some(900), vec![relay]),
            "suspended; media had stopped 100 ms before the order; not confirmed by relay 3: see \
             `kakehashi relays`"
        );
        assert!(end(1, None, vec![]).ends_with("no relay says that it sent on any media of it"));
    }

    #[test]
    fn a_line_names_one_account() {
        assert_eq!(named(" ginza\tstore-1 ").unwrap(), ("ginza", "store-1"));
        for bad in ["", "ginza", "ginza store-1 store-2"] {
            let error = named(bad).map(drop);
            assert!(error.is_err(), "{bad:?}");
            let said = line_json(bad, error.map(|()| Done::Active));
            assert!(said["error"].is_string() && said["login"].is_null(), "{said}");
        }
    }
}
