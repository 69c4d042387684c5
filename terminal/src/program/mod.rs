//! The command line of the reference terminal, for `kakehashi-terminal` and `kakehashi terminal`.

mod announcement;
mod command_line;
mod device;
mod known;
mod password;
mod runner;
mod streams;
mod voice;

pub use command_line::{command, command_line};
pub use device::remembered_device;
pub use password::{find_password, first_line, read_password_file};

use crate::capacity::CONFIG_FILE_BYTES_MAX;
use crate::config::{Config, read_bounded};
use crate::session::{Settings, Terminal, Timing, authorities};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use kakehashi_log::traces::{Sender, Settings as Traces};
use kakehashi_log::{self as log, Format, NotStarted};
use runner::{Goal, Runner};
use std::path::PathBuf;
use std::process::ExitCode;
use voice::{Note, Voice};

/// Signs a terminal in, waits for calls or makes one, and exchanges its media.
///
/// Media comes from files (Ogg Opus, IVF with VP8 or VP9) or from a local pipeline over plain RTP,
/// and goes into files or to local ports. At the end the program prints packets, loss, jitter and
/// round-trip time.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Wait for calls, answer with a sample, record what arrives:
    kakehashi-terminal --tenant ginza --login concierge-1 \\
        --audio sample:reply --video sample:concierge --loop --record ./recordings wait
  Call for ten seconds:
    kakehashi-terminal --tenant ginza --login store-1 --audio sample:speech \\
        --video sample:store --loop call concierge-1 --seconds 10
  Call whoever is free at the desk `reception`:
    kakehashi-terminal --tenant ginza --login store-1 --audio sample:speech call desk:reception
  Send a camera with GStreamer:
    gst-launch-1.0 v4l2src ! videoconvert ! vp8enc deadline=1 ! rtpvp8pay ! \\
        udpsink host=127.0.0.1 port=5006
    kakehashi-terminal ... --rtp-in video=5006 call concierge-1

While it waits or is in a call, it takes commands on standard input, one a line:
    hold, resume, mute, unmute, share, unshare, layer none|low|high [LOGIN],
    add LOGIN, transfer LOGIN, away, back, missed, seen, call LOGIN, answer,
    reject, hangup, help, quit

The password comes from --password-file, from KAKEHASHI_PASSWORD, or is asked for.
A one-time password is changed at the first sign-in: the new one comes from
KAKEHASHI_NEW_PASSWORD, or is asked for.
KAKEHASHI_LOG (such as info, or kakehashi_terminal=debug) makes the program tell more.
Built with the feature otel, it sends spans of its calls to the OpenTelemetry
collector that KAKEHASHI_TRACES names.")]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub config: Config,

    /// TOML file with the same settings (`server_name = "control.example"`); the command line wins
    #[arg(long = "config", global = true, value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Print the settings in effect as such a file, and end
    #[arg(long, global = true)]
    pub print_config: bool,

    /// Print one JSON object a line instead of sentences
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Option<TerminalCommand>,
}

/// What the terminal is to do.
#[derive(Clone, Debug, Subcommand)]
pub enum TerminalCommand {
    /// Shows who is there and takes calls that come in
    Wait {
        /// Decline every call
        #[arg(long)]
        reject: bool,
        /// Let calls ring until `answer` or `reject` is typed
        #[arg(long, conflicts_with = "reject")]
        ask: bool,
        /// End after this many calls
        #[arg(long, value_name = "N")]
        calls: Option<u32>,
    },
    /// Calls someone of the same tenant, or a desk
    Call {
        /// Login ID to call, or a desk's name behind `desk:`
        #[arg(value_name = "LOGIN")]
        callee: String,
        /// Hang up after this many seconds of media; without it when the files end, or at Ctrl-C
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    },
    /// Shows who of the tenant is there, and ends
    Presence,
    /// Changes the account's password, and ends
    Password {
        /// File whose first line is the new password; without it the environment's
        /// KAKEHASHI_NEW_PASSWORD is taken, or the new password is asked for
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
}

/// Runs the terminal; prints why if it cannot.
pub fn run(args: Args) -> ExitCode {
    let voice = if args.json { Voice::Json } else { Voice::Human };
    match try_run(args, voice) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = format!("{error:#}");
            if matches!(voice, Voice::Json) {
                voice.say(&Note::Trouble { why: &why });
            }
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: Args, voice: Voice) -> Result<()> {
    let file = args.config_file.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let config = args.config.over(file).with_defaults();
    if args.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    let goal =
        match args.command.context("say what to do: wait, call LOGIN, presence or password")? {
            TerminalCommand::Wait { reject, ask, calls } => Goal::Wait { reject, ask, calls },
            TerminalCommand::Call { callee, seconds } => Goal::Call { login: callee, seconds },
            TerminalCommand::Presence => Goal::Presence,
            TerminalCommand::Password { new_password_file } => Goal::Password { new_password_file },
        };
    let _log = log_to_stderr("terminal")?;
    let settings = settings(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let password = settings.password.clone();
        let (terminal, events) = Terminal::start(settings)?;
        Runner::new(terminal, events, voice, (config, password), goal).run().await
    })
}

fn settings(config: &Config) -> Result<Settings> {
    let tenant = config.tenant.clone().context("give the tenant's name with --tenant")?;
    let login = config.login.clone().context("give the account's login ID with --login")?;
    let ca = config.ca.clone().unwrap_or_default();
    let ca_pem = read_bounded(&ca, CONFIG_FILE_BYTES_MAX)
        .context("the CA file tells whom to trust; give control's ca.pem with --ca FILE")?;
    authorities(&ca_pem).with_context(|| ca.display().to_string())?;
    let folder = config.state.clone().map_or_else(device::default_folder, Ok)?;
    let (remembered, device_secret) = remembered_device(&folder)?;
    let device = match &config.device {
        Some(text) => device::parse(text).context("--device")?,
        None => remembered,
    };
    Ok(Settings {
        control: config.control.clone(),
        server_name: config.server_name.clone(),
        ca_pem,
        tenant,
        password: password::find(config.password_file.as_deref(), &login)?,
        login,
        device,
        device_secret,
        software: concat!("kakehashi-terminal ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: None,
        timing: Timing::default(),
    })
}

/// Logs of what `KAKEHASHI_LOG` names go to standard error, warnings if it names nothing; spans of
/// calls go to the collector that `KAKEHASHI_TRACES` names, if it names one. A program around this
/// one may have set that up already.
///
/// # Errors
/// If nothing can be sent to that collector.
pub fn log_to_stderr(program: &'static str) -> Result<log::Running> {
    let filter = std::env::var("KAKEHASHI_LOG");
    let filter = filter.as_deref().unwrap_or("warn");
    let traces = Traces { collector: std::env::var("KAKEHASHI_TRACES").unwrap_or_default() };
    let sender = Sender { program, instance: std::process::id().to_string() };
    let start = |filter| log::start((filter, Format::Text), &traces, &sender);
    start(filter)
        .or_else(|error| match error {
            NotStarted::Filter(_) => start("warn"),
            NotStarted::Traces(_) => Err(error),
        })
        .context("KAKEHASHI_TRACES")
}
