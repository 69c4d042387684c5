//! The command line of `kakehashi-loadgen`.

use crate::leg::LegClient;
use crate::signed_in;
use crate::steady::{self, Rate};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use core::time::Duration;
use kakehashi_terminal::program::read_password_file;
use kakehashi_terminal::{Settings, Timing};
use kakehashi_wire::id::DeviceId;
use std::path::{Path, PathBuf};

/// Sends a steady stream of authentic packets through a relay and counts what arrives.
///
/// It signs two accounts in, sets up a call between them, sends from the first to the second at
/// the rate asked for, opens every packet that arrives, and prints packets sent, received and
/// lost. Exit code 0 means that none was lost.
#[derive(Parser)]
#[command(name = "kakehashi-loadgen", version, max_term_width = 100)]
pub struct Args {
    /// Control's address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4433")]
    control: String,
    /// The name control's certificate is made out to.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// Certificates that may sign control's, PEM.
    #[arg(long, value_name = "FILE", default_value = "kakehashi-data/ca.pem")]
    ca: PathBuf,
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

/// Runs the program.
///
/// # Errors
/// If the call cannot be set up, a socket fails, or a packet is lost.
pub async fn run(args: Args) -> Result<()> {
    let ca_pem = std::fs::read(&args.ca)
        .with_context(|| format!("cannot read the CA certificate {}", args.ca.display()))?;
    let settings = |login: &str, password: &Path| -> Result<Settings> {
        Ok(Settings {
            control: args.control.clone(),
            server_name: args.server_name.clone(),
            ca_pem: ca_pem.clone(),
            tenant: args.tenant.clone(),
            login: login.to_owned(),
            password: read_password_file(password)?,
            device: DeviceId(u64::from(std::process::id())),
            software: concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
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
