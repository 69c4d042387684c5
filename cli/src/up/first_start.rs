//! The first start: a tenant with two accounts, whose passwords are shown once.

use crate::platform::Platform;
use anyhow::{Result, bail};
use kakehashi_control::accounts::OPERATORS;
use kakehashi_control::admin::{Answer, Request};
use kakehashi_wire::terminal::Role;

/// The tenant a first start makes.
const TENANT: &str = "home";

/// The first operator's login ID.
const OPERATOR: &str = "operator";

/// Its accounts: login ID, name shown to others, and role.
const ACCOUNTS: [(&str, &str, Role); 2] =
    [("concierge-1", "Concierge", Role::Concierge), ("store-1", "Store", Role::Store)];

/// Makes what is missing of the first tenant and its accounts, and says how to sign in.
pub(super) async fn greet(platform: &Platform) -> Result<()> {
    let Answer::Tenants { rows } = platform.ask(Request::TenantList {}).await? else {
        bail!("control answered something else than its tenants");
    };
    if !rows.iter().any(|tenant| tenant.name == TENANT) {
        platform.add_tenant(TENANT).await?;
    }
    let request = Request::AccountList { tenant: TENANT.to_owned() };
    let Answer::Accounts { rows } = platform.ask(request).await? else {
        bail!("control answered something else than its accounts");
    };
    let missing: Vec<_> = ACCOUNTS
        .into_iter()
        .filter(|(login, ..)| !rows.iter().any(|account| account.login == *login))
        .collect();
    if !missing.is_empty() {
        println!("First start: accounts of the tenant `{TENANT}` with their passwords, which are");
        println!("shown this once; the platform keeps only hashes:\n");
        for (login, display, role) in missing {
            let password = platform.add_account(TENANT, (login, display), role).await?;
            println!("  {login:<12} {}", password.expose());
        }
        println!();
    }
    greet_operator(platform).await?;
    say_how_to_sign_in(platform);
    Ok(())
}

/// Makes the console's first operator, and shows the password this once.
async fn greet_operator(platform: &Platform) -> Result<()> {
    let request = Request::AccountList { tenant: OPERATORS.to_owned() };
    let Answer::Accounts { rows } = platform.ask(request).await? else {
        bail!("control answered something else than its operators");
    };
    if rows.is_empty() {
        let names = (OPERATOR, "Operator");
        let password = platform.add_account(OPERATORS, names, Role::TenantAdmin).await?;
        println!("The console's first operator, who leaves the tenant empty at the sign-in:\n");
        println!("  {OPERATOR:<12} {}\n", password.expose());
    }
    Ok(())
}

/// Prints two commands that work as they stand: this program is a terminal too.
fn say_how_to_sign_in(platform: &Platform) {
    let program = std::env::current_exe().unwrap_or_else(|_| "kakehashi".into());
    let (control, ca) = (platform.ports.control(), platform.layout.ca());
    println!("To sign in, in two other shells (each asks for the password):\n");
    for (login, action) in [
        ("concierge-1", "wait --audio sample:reply --video sample:concierge"),
        ("store-1", "call concierge-1 --audio sample:speech --video sample:store"),
    ] {
        println!("  {} terminal --control {control} \\", program.display());
        println!("    --ca {} \\", ca.display());
        println!("    --tenant {TENANT} --login {login} {action}\n");
    }
}
