//! The operator's commands, asked of the running control over its HTTPS API.

mod audit;
mod calls;
mod desk;
mod operator;
mod pki;
mod policy;
mod relay;
mod standing;
mod store;
mod table;
mod time;

pub(crate) use audit::audit;
pub(crate) use calls::{call, calls};
pub(crate) use desk::desk;
pub(crate) use operator::operator;
pub(crate) use pki::{PkiArgs, pki};
pub(crate) use relay::relay;
pub(crate) use store::{StoreArgs, store};

use crate::args::{AccountArgs, AccountCommand, AskArgs, TenantArgs, TenantCommand};
use crate::door::Door;
use anyhow::{Result, bail, ensure};
use kakehashi_control::accounts::Standing;
use kakehashi_control::admin::{Answer, RelayRow, Request};
use kakehashi_terminal::program::read_password_file;
use standing::Act;
use std::process::ExitCode;

/// `kakehashi tenant ...`
pub(crate) fn tenant(args: &TenantArgs) -> Result<ExitCode> {
    let request = match &args.command {
        TenantCommand::Add { name } => Request::TenantAdd { name: name.clone(), accounts: None },
        TenantCommand::List => Request::TenantList {},
        TenantCommand::Policy(policy) => return policy::policy(&args.ask, policy),
        TenantCommand::Suspend { name, reason } => {
            return standing::tenant(args, Act::Suspend(reason.as_deref()), name);
        }
        TenantCommand::Reactivate { name } => {
            return standing::tenant(args, Act::Reactivate, name);
        }
    };
    let Answer::Tenants { rows } = ask(&args.ask, request)? else { bail!(ODD_ANSWER) };
    for tenant in rows {
        if args.ask.json {
            println!("{}", serde_json::to_string(&tenant)?);
            continue;
        }
        match &tenant.standing {
            Standing::Active => println!("{}", tenant.name),
            suspended => println!("{}  {}", tenant.name, standing::whole(suspended)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `kakehashi account ...`
pub(crate) fn account(args: &AccountArgs) -> Result<ExitCode> {
    match &args.command {
        AccountCommand::Add { tenant, login, display, password_file, permanent, role } => {
            let password = password_file.as_deref().map(read_password_file).transpose()?;
            let request = Request::AccountAdd {
                tenant: tenant.clone(),
                login: login.clone(),
                display: display.clone(),
                password,
                permanent: *permanent,
                role: *role,
            };
            print_added(&args.ask, ask(&args.ask, request)?, *permanent)?;
        }
        AccountCommand::Password { tenant, login, password_file, permanent } => {
            let password = password_file.as_deref().map(read_password_file).transpose()?;
            let (tenant, login, permanent) = (tenant.clone(), login.clone(), *permanent);
            let request = Request::AccountPassword { tenant, login, password, permanent };
            print_added(&args.ask, ask(&args.ask, request)?, permanent)?;
        }
        AccountCommand::Role { tenant, login, role } => {
            let (tenant, named) = (tenant.clone(), login.clone());
            let request = Request::AccountRole { tenant, login: named, role: *role };
            ensure!(matches!(ask(&args.ask, request)?, Answer::Done {}), ODD_ANSWER);
            if args.ask.json {
                println!("{}", serde_json::json!({ "login": login, "role": role.name() }));
            } else {
                println!("{login}  {}", role.name());
            }
        }
        AccountCommand::List { tenant } => {
            let request = Request::AccountList { tenant: tenant.clone() };
            let Answer::Accounts { rows } = ask(&args.ask, request)? else { bail!(ODD_ANSWER) };
            if args.ask.json {
                for row in rows {
                    println!("{}", serde_json::to_string(&row)?);
                }
                return Ok(ExitCode::SUCCESS);
            }
            let rows = rows.into_iter().map(|account| {
                let standing = standing::words(&account);
                let role = account.role.name().to_owned();
                [account.login, account.display, role, standing]
            });
            table::print(["login", "display", "role", "standing"], rows);
        }
        AccountCommand::Suspend { who, reason } => {
            return standing::account(args, Act::Suspend(reason.as_deref()), who);
        }
        AccountCommand::Reactivate(who) => {
            return standing::account(args, Act::Reactivate, who);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `kakehashi sessions`
pub(crate) fn sessions(args: &AskArgs) -> Result<ExitCode> {
    let request = Request::Sessions { tenant: args.door.one_tenant() };
    let Answer::Sessions { rows } = ask(args, request)? else { bail!(ODD_ANSWER) };
    if args.json {
        for row in rows {
            println!("{}", serde_json::to_string(&row)?);
        }
    } else {
        let rows = rows.into_iter().map(|row| {
            let (device, state) = (row.device.to_string(), row.state.name().to_owned());
            [row.tenant_name, row.login, device, state, row.desks.join(" ")]
        });
        table::print(["tenant", "login", "device", "state", "desks"], rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_added(args: &AskArgs, answer: Answer, permanent: bool) -> Result<()> {
    let Answer::AccountAdded { account, password } = answer else { bail!(ODD_ANSWER) };
    if args.json {
        let (login, password) = (&account.login, password.as_ref().map(|it| it.expose()));
        let one_time = !permanent;
        println!(
            "{}",
            serde_json::json!({ "login": login, "password": password, "one_time": one_time })
        );
        return Ok(());
    }
    let kind = if permanent { "password" } else { "one-time password" };
    match password {
        Some(password) => {
            println!("{}  {kind}, shown this once: {}", account.login, password.expose());
        }
        None => println!("{}", account.login),
    }
    Ok(())
}

/// `kakehashi relays`
pub(crate) fn relays(args: &AskArgs) -> Result<ExitCode> {
    let Answer::Relays { rows } = ask(args, Request::Relays {})? else { bail!(ODD_ANSWER) };
    for row in rows {
        if args.json {
            println!("{}", relay_json(&row));
        } else {
            print_relay(&row);
        }
    }
    Ok(ExitCode::SUCCESS)
}

const ODD_ANSWER: &str =
    "control answered something else than was asked: use the `kakehashi` of the same release";

/// Asks one thing.
fn ask(args: &AskArgs, request: Request) -> Result<Answer> {
    Door::open(&args.door)?.ask(request)
}

fn relay_json(row: &RelayRow) -> serde_json::Value {
    let counters: serde_json::Map<_, _> =
        row.counters.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    serde_json::json!({
        "relay": row.id.0,
        "connected": row.connected,
        "drained": row.drained,
        "site": row.site,
        "addresses": row.addresses,
        "legs": row.legs,
        "certificate_until": row.certificate_until,
        "counters": counters,
    })
}

fn print_relay(row: &RelayRow) {
    let state = match (row.connected, row.drained) {
        (true, false) => "connected",
        (true, true) => "drained",
        (false, false) => "away",
        (false, true) => "away, drained",
    };
    let addresses: Vec<_> = row.addresses.iter().map(ToString::to_string).collect();
    let site = if row.site.is_empty() { String::new() } else { format!("  at {}", row.site) };
    println!("relay {}{site}  {state}  {}  {} legs", row.id.0, addresses.join(" "), row.legs);
    for (name, value) in row.counters.iter().filter(|(_, value)| *value > 0) {
        println!("  {name:<28} {value:>14}");
    }
}
