//! `kakehashi-loadgen probe`: real calls from outside, again and again, and what is wrong by name.

use crate::probe::config::DEFAULTS;
use crate::probe::shown::{Last, shown};
use crate::probe::{Config, Prober, Round, Status, table};
use anyhow::{Context as _, Result};
use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// What to probe, and how often. Options go before the file, the file before the defaults.
#[derive(clap::Args)]
pub(super) struct ProbeArgs {
    /// Settings (TOML); --print-config prints one to begin with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the default settings, each with its meaning, and ends.
    #[arg(long)]
    print_config: bool,
    /// Makes one round, prints what came of it and ends: with 0 only if nothing is wrong.
    #[arg(long)]
    once: bool,
    /// Prints each round as one line of JSON in place of a table.
    #[arg(long)]
    json: bool,
    /// Control's nodes; separated by commas, or given several times.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    control: Vec<String>,
    /// The name their certificates must be made out to.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Certificates that may sign control's, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The tenant of both accounts.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Login ID of the terminal that calls.
    #[arg(long, value_name = "LOGIN")]
    caller: Option<String>,
    /// File with its password.
    #[arg(long, value_name = "FILE")]
    caller_password_file: Option<PathBuf>,
    /// Login ID of the terminal that is called.
    #[arg(long, value_name = "LOGIN")]
    callee: Option<String>,
    /// File with its password.
    #[arg(long, value_name = "FILE")]
    callee_password_file: Option<PathBuf>,
    /// Folder that remembers which devices the two are.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How many relays must be there; without it, those that the file names.
    #[arg(long, value_name = "COUNT")]
    relays: Option<usize>,
    /// Seconds from the beginning of a round to that of the next.
    #[arg(long, value_name = "SECONDS")]
    interval_s: Option<u64>,
    /// Seconds for which voice flows over each relay.
    #[arg(long, value_name = "SECONDS")]
    talk_s: Option<u64>,
    /// Shows metrics for Prometheus there, as plain HTTP.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "once")]
    metrics: Option<SocketAddr>,
    /// File that gets the last rounds as JSON after each.
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
}

impl ProbeArgs {
    /// The settings: file and defaults, with the options of the command line over them.
    fn config(&self) -> Result<Config> {
        let read = self.config.as_deref().map(Config::read).transpose()?;
        let mut config = read.unwrap_or_default();
        if !self.control.is_empty() {
            config.control.clone_from(&self.control);
        }
        let over = |option: &Option<String>, setting: &mut String| {
            if let Some(value) = option {
                setting.clone_from(value);
            }
        };
        over(&self.server_name, &mut config.server_name);
        over(&self.tenant, &mut config.tenant);
        over(&self.caller, &mut config.caller.login);
        over(&self.callee, &mut config.callee.login);
        config.metrics.listen = self.metrics.or(config.metrics.listen);
        let over = |option: &Option<PathBuf>, setting: &mut PathBuf| {
            if let Some(value) = option {
                setting.clone_from(value);
            }
        };
        over(&self.ca, &mut config.ca);
        over(&self.caller_password_file, &mut config.caller.password_file);
        over(&self.callee_password_file, &mut config.callee.password_file);
        over(&self.state, &mut config.state);
        over(&self.status, &mut config.status);
        config.relays_expected = self.relays.unwrap_or(config.relays_expected);
        config.interval_s = self.interval_s.unwrap_or(config.interval_s);
        config.talk_s = self.talk_s.unwrap_or(config.talk_s);
        config.check().context("the settings have a mistake")?;
        Ok(config)
    }
}

/// Probes once, or for ever.
pub(super) async fn run(args: ProbeArgs) -> Result<ExitCode> {
    if args.print_config {
        print!("{DEFAULTS}");
        return Ok(ExitCode::SUCCESS);
    }
    let config = args.config()?;
    let mut teller = Teller::new(&config, args.json);
    if args.once {
        let round = Prober::new(config, false).round().await;
        let ok = round.ok;
        teller.tell(round)?;
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if let Some(listener) = config.metrics.bind()? {
        eprintln!("metrics: http://{}/metrics", listener.address());
        tokio::spawn(listener.serve(shown(&teller.show.subscribe())));
    }
    let mut ticks = interval(Duration::from_secs(config.interval_s));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut prober = Prober::new(config, true);
    loop {
        ticks.tick().await;
        if let Err(error) = teller.tell(prober.round().await) {
            // The next round is told nevertheless, and so are the metrics.
            eprintln!("kakehashi-loadgen probe: {error:#}");
        }
    }
}

/// Tells what came of each round.
struct Teller {
    status: Status,
    file: PathBuf,
    json: bool,
    show: watch::Sender<Arc<Last>>,
}

impl Teller {
    fn new(config: &Config, json: bool) -> Self {
        let (show, _) = watch::channel(Arc::default());
        let status = Status::new(config.interval_s);
        Self { status, file: config.status.clone(), json, show }
    }

    fn tell(&mut self, round: Round) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(&round)?);
        } else {
            print!("{}", table::text(&round));
        }
        self.status.push(round.clone());
        let status = serde_json::to_string(&self.status)?;
        self.show.send_replace(Arc::new(Last { round: Some(round), status }));
        if self.file.as_os_str().is_empty() { Ok(()) } else { self.status.write(&self.file) }
    }
}
