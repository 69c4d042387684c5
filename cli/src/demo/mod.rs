//! `kakehashi up --demo`: two real terminals, one real call, checked frame for frame.

mod check;
mod live;
mod side;
mod summary;

use crate::platform::{Platform, make_private};
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_terminal::samples;
use kakehashi_wire::terminal;
use live::LiveView;
use side::{Role, Side};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::time::{Instant, interval, timeout};

/// How long sign-in, ringing and binding may take beside the call itself.
const AROUND_THE_CALL: Duration = Duration::from_secs(30);

/// How long the called terminal gets to sign in.
const SIGN_IN: Duration = Duration::from_secs(20);

/// What each side sends and is called.
const STORE: Role = Role {
    login: "store-1",
    display: "Store",
    account: terminal::Role::Store,
    speech: ("sample:speech", samples::SPEECH_OPUS),
    video: ("sample:store", samples::STORE_IVF),
};
const CONCIERGE: Role = Role {
    login: "concierge-1",
    display: "Concierge",
    account: terminal::Role::Concierge,
    speech: ("sample:reply", samples::REPLY_OPUS),
    video: ("sample:concierge", samples::CONCIERGE_IVF),
};

/// Adds a tenant and two accounts, lets them call each other for `seconds`, and checks what came
/// through.
pub(crate) async fn run(platform: &mut Platform, seconds: u32) -> Result<ExitCode> {
    // A data folder may see many demonstrations: each has a tenant and a folder of its own.
    let tenant = format!("demo-{:08x}", rand::random::<u32>());
    let folder = platform.layout.root().join(&tenant);
    make_private(&folder)?;
    platform.add_tenant(&tenant).await?;
    println!("Tenant `{tenant}`: {} calls {} for {seconds} s.\n", STORE.login, CONCIERGE.login);

    let mut concierge = start(platform, &tenant, &folder, CONCIERGE, Action::Wait).await?;
    timeout(SIGN_IN, concierge.until("signed_in"))
        .await
        .context("the called terminal did not sign in within 20 s")??;
    let action = Action::Call { login: CONCIERGE.login, seconds };
    let mut store = start(platform, &tenant, &folder, STORE, action).await?;
    let deadline = Instant::now() + AROUND_THE_CALL + Duration::from_secs(seconds.into());
    watch(&mut store, &mut concierge, seconds, deadline).await?;
    Ok(summary::conclude(&store, &concierge, &folder))
}

/// What a terminal is to do.
enum Action {
    /// Takes one call.
    Wait,
    /// Calls.
    Call {
        /// Whom.
        login: &'static str,
        /// How long.
        seconds: u32,
    },
}

async fn start(
    platform: &Platform,
    tenant: &str,
    folder: &std::path::Path,
    role: Role,
    action: Action,
) -> Result<Side> {
    let names = (role.login, role.display);
    let password = platform.add_account(tenant, names, role.account).await?;
    let place = side::Place {
        control: platform.ports.control().to_string(),
        ca: platform.layout.ca(),
        tenant: tenant.to_owned(),
        folder: folder.join(role.login),
        log: platform.layout.open_log(&format!("{tenant}-{}", role.login))?,
    };
    let arguments: Vec<String> = match action {
        Action::Wait => ["wait", "--calls", "1"].map(str::to_owned).to_vec(),
        Action::Call { login, seconds } => {
            ["call", login, "--seconds", &seconds.to_string()].map(str::to_owned).to_vec()
        }
    };
    Side::start(role, place, &password, &arguments)
}

/// Shows the call while it goes on, until both terminals have ended.
async fn watch(
    store: &mut Side,
    concierge: &mut Side,
    seconds: u32,
    deadline: Instant,
) -> Result<()> {
    let mut view = LiveView::new(seconds);
    let mut redraw = interval(Duration::from_secs(1));
    while store.is_running() || concierge.is_running() {
        tokio::select! {
            heard = store.hear(), if store.is_running() => heard?,
            heard = concierge.hear(), if concierge.is_running() => heard?,
            _ = redraw.tick() => view.show(store, concierge),
            () = tokio::time::sleep_until(deadline) => {
                anyhow::bail!("the call did not end in time: see the logs of both terminals");
            }
        }
    }
    view.finish();
    Ok(())
}

/// Where the files of a demonstration lie.
fn recordings(folder: &std::path::Path, role: &Role) -> PathBuf {
    folder.join(role.login).join("recordings")
}
