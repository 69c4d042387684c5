//! The control node as a program.

use anyhow::Context;
use clap::Parser;
use kakehashi_control::config::{Config, DOCUMENTED};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Control node of Kakehashi: signs terminals in, connects calls, tells relays what to carry.
///
/// Without --config it runs with defaults, keeping its data in ./kakehashi-data/control.
/// Tenants and accounts are added with `kakehashi tenant add` and `kakehashi account add` while
/// it runs. Relays need the certificates in <data>/pki.
#[derive(Parser)]
#[command(name = "kakehashi-control", version)]
struct Arguments {
    /// Settings to use; --print-config shows what can be set.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints all settings with their defaults, as a file to start from, and exits.
    #[arg(long)]
    print_config: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{DOCUMENTED}");
        return Ok(());
    }
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    start_log(&config)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot hear SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear SIGINT")?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(kakehashi_control::node::run(config, stop).await?)
    })
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("`log = \"{}\"` is no filter; try \"info\"", config.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.log_json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}
