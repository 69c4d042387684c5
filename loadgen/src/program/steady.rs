//! `kakehashi-loadgen steady`: one stream of authentic packets through one real call.

use super::common::ControlArgs;
use crate::leg::LegClient;
use crate::signed_in;
use crate::steady::{self, Rate};
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use kakehashi_terminal::program::read_password_file;
use kakehashi_terminal::{DeviceSecret, Settings, Timing};
use kakehashi_wire::id::DeviceId;
use std::path::{Path, PathBuf};

/// What to send, and between whom.
#[derive(clap::Args)]
pub(super) struct SteadyArgs {
    /// Where control is.
    #[command(flatten)]
    control: ControlArgs,
    /// The tenant of both accounts.
    #[arg(long)]
    tenant: String,
    /// Login ID of the sending account.
    #[arg(long)]
    from: String,
    /// File with its password.
    #[arg(long, value_name = "FILE")]
    from_password_file: PathBuf,
    /// Login ID of the receiving account.
    #[arg(long)]
    to: String,
    /// File with its password.
    #[arg(long, value_name = "FILE")]
    to_password_file: PathBuf,
    /// Bursts a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    bursts_per_second: u32,
    /// Packets in a burst.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    burst: u32,
    /// Payload of a packet in bytes.
    #[arg(long, default_value_t = 1_100)]
    payload_bytes: usize,
    /// How long to send, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Signs in, calls, sends and counts.
pub(super) async fn run(args: SteadyArgs) -> Result<()> {
    let control = args.control.read()?;
    let settings = |login: &str, password: &Path| -> Result<Settings> {
        Ok(Settings {
            control: vec![control.address.clone()],
            server_name: Some(control.server_name.clone()),
            ca_pem: control.ca_pem.clone(),
            tenant: args.tenant.clone(),
            login: login.to_owned(),
            password: read_password_file(password)?,
            device: DeviceId(u64::from(std::process::id())),
            device_secret: DeviceSecret::from_seed(rand::random()),
            software: concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: None,
            timing: Timing::default(),
        })
    };
    let call = signed_in::call(
        settings(&args.from, &args.from_password_file)?,
        settings(&args.to, &args.to_password_file)?,
    )
    .await?;
    let rate = Rate {
        burst: args.burst,
        interval: Duration::from_secs(1) / args.bursts_per_second,
        payload_bytes: args.payload_bytes,
    };
    let duration = Duration::from_secs(args.seconds);
    let mut from = LegClient::new(&call.caller.ready)?;
    let mut to = LegClient::new(&call.callee.ready)?;
    let report = tokio::task::spawn_blocking(move || {
        from.bind()?;
        to.bind()?;
        steady::run(&mut from, &mut to, rate, duration)
    })
    .await
    .context("the load thread panicked")??;
    println!("{}", serde_json::to_string(&report)?);
    call.end().await?;
    ensure!(report.lost() == 0, "{} of {} packets lost", report.lost(), report.sent);
    Ok(())
}
