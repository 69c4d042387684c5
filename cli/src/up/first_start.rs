//! The first start: a tenant with two accounts, whose passwords are shown once.

use super::platform::Platform;
use anyhow::{Result, bail};
use kakehashi_control::admin::{Answer, Request};

/// The tenant a first start makes.
const TENANT: &str = "home";

/// Its accounts: login ID and name shown to others.
const ACCOUNTS: [(&str, &str); 2] = [("concierge-1", "Concierge"), ("store-1", "Store")];

/// Makes the first tenant if there is none, and says how to sign in.
pub(super) async fn greet(platform: &Platform) -> Result<()> {
    let Answer::Tenants { rows } = platform.ask(Request::TenantList {}).await? else {
        bail!("control answered something else than its tenants");
    };
    if rows.is_empty() {
        platform.add_tenant(TENANT).await?;
        println!("First start: made the tenant `{TENANT}` with two accounts.");
        println!("Their passwords are shown this once; the platform keeps only hashes:\n");
        for (login, display) in ACCOUNTS {
            let password = platform.add_account(TENANT, login, display).await?;
            println!("  {login:<12} {}", password.expose());
        }
        println!();
    }
    let ca = platform.layout.ca();
    let place = format!("--control {} --ca {}", platform.ports.control(), ca.display());
    println!("To sign in, in two other shells (each asks for the password):\n");
    println!("  kakehashi-terminal {place} --tenant {TENANT} --login concierge-1 wait");
    println!("  kakehashi-terminal {place} --tenant {TENANT} --login store-1 call concierge-1\n");
    Ok(())
}
