//! `kakehashi operator`: people who look after the platform, by name, in the console.

use super::{ODD_ANSWER, ask, print_added, standing, table};
use crate::args::{OperatorArgs, OperatorCommand};
use anyhow::{Result, bail, ensure};
use kakehashi_control::accounts::{Account, OPERATORS};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_wire::terminal::Role;
use std::process::ExitCode;

/// `kakehashi operator ...`
pub(crate) fn operator(args: &OperatorArgs) -> Result<ExitCode> {
    let tenant = || OPERATORS.to_owned();
    match &args.command {
        OperatorCommand::Add { name, observer } => {
            let request = Request::AccountAdd {
                tenant: tenant(),
                login: name.clone(),
                display: None,
                password: None,
                permanent: false,
                role: if *observer { Role::Supervisor } else { Role::TenantAdmin },
            };
            print_added(&args.ask, ask(&args.ask, request)?, false)?;
        }
        OperatorCommand::Reset { name } => {
            let request = Request::SecondReset { tenant: tenant(), login: name.clone() };
            ensure!(matches!(ask(&args.ask, request)?, Answer::Done {}), ODD_ANSWER);
            let (tenant, login) = (tenant(), name.clone());
            let request =
                Request::AccountPassword { tenant, login, password: None, permanent: false };
            print_added(&args.ask, ask(&args.ask, request)?, false)?;
        }
        OperatorCommand::List => {
            let request = Request::AccountList { tenant: tenant() };
            let Answer::Accounts { rows } = ask(&args.ask, request)? else { bail!(ODD_ANSWER) };
            if args.ask.json {
                for row in rows {
                    println!("{}", serde_json::to_string(&row)?);
                }
                return Ok(ExitCode::SUCCESS);
            }
            table::print(["operator", "rank", "standing"], rows.iter().map(cells));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(account: &Account) -> [String; 3] {
    let rank = if account.role == Role::TenantAdmin { "operator" } else { "observer" };
    [account.login.clone(), rank.to_owned(), standing::words(account)]
}
