//! The arguments of `kakehashi up`.

use super::DATA;
use clap::Args as ClapArgs;
use kakehashi_control::capacity::LEG_RATE_MAX_KBPS_DEFAULT;
use std::net::IpAddr;
use std::path::PathBuf;

/// How calls go: some of control's settings, which `kakehashi-control --print-config` explains.
#[derive(ClapArgs, Clone)]
pub(crate) struct CallSettingsArgs {
    /// Whether members of a call share keys ("none"), or relays seal anew for each of them.
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = ["none", "per-leg"])]
    pub(crate) isolation: String,
    /// What one terminal may send into a call, in kbit/s; relays drop what is over. 0: no limit.
    #[arg(long, value_name = "KBPS", default_value_t = LEG_RATE_MAX_KBPS_DEFAULT)]
    pub(crate) leg_rate_max_kbps: u32,
}

/// How media comes and goes: some of a relay's settings, which `kakehashi-relay --print-config`
/// explains.
#[derive(ClapArgs, Clone)]
pub(crate) struct IoArgs {
    /// Through the kernel ("uring"), past it over the NIC's own queues ("xdp", as root), or past it
    /// if that is possible ("auto"). A NIC is one relay's: the first has it, and the others go
    /// through the kernel.
    #[arg(long, value_name = "HOW", default_value = "uring",
          value_parser = ["uring", "xdp", "auto"])]
    pub(crate) io: String,
    /// The NIC that terminals are reached through; the one that has --address if none is named.
    #[arg(long, value_name = "NIC", default_value = "")]
    pub(crate) interface: String,
    /// Whether the NIC drops media unless it comes from where control sees a terminal in a call.
    #[arg(long)]
    pub(crate) signed_in_only: bool,
    /// The table of nftables, family inet, whose sets of terminals' addresses the first relay
    /// keeps.
    #[arg(long, value_name = "TABLE", default_value = "")]
    pub(crate) firewall: String,
}

/// What the parts of a platform log, below `logs` in its data folder.
#[derive(Clone, ClapArgs)]
pub(crate) struct LogArgs {
    /// What is logged: `debug` also tells what each terminal and each relay hears of a call.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// Logs a JSON object a line, whose field `event` names what happened.
    #[arg(long)]
    pub(crate) log_json: bool,
    /// OpenTelemetry collector that relays and control send spans of calls to, over HTTP:
    /// `http://127.0.0.1:4318/v1/traces`. Needs a build with the feature "otel".
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    pub(crate) traces: String,
}

/// How to run the platform.
#[derive(ClapArgs)]
pub(crate) struct UpArgs {
    /// Folder of the store, certificates, logs and the operator's token.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Address to listen at, and the one terminals are told to use. Use an address of this
    /// machine that the terminals reach.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// UDP port at which terminals find control.
    #[arg(long, value_name = "PORT", default_value_t = 4433)]
    pub(crate) control_port: u16,
    /// UDP port at which relays find control; only ever on the loopback address.
    #[arg(long, value_name = "PORT", default_value_t = 4434)]
    pub(crate) fleet_port: u16,
    /// TCP port of the HTTPS API for operators; only ever on the loopback address.
    #[arg(long, value_name = "PORT", default_value_t = 4435)]
    pub(crate) api_port: u16,
    /// TCP port of the console, for browsers; only ever on the loopback address.
    #[arg(long, value_name = "PORT", default_value_t = 4443)]
    pub(crate) console_port: u16,
    /// TCP port at which control shows its figures to a Prometheus server, http://.../metrics; each
    /// relay takes one after it. Only ever on the loopback address. 0: figures are not shown.
    #[arg(long, value_name = "PORT", default_value_t = 4437)]
    pub(crate) metrics_port: u16,
    /// First UDP port for media; each shard of each relay takes one, in sequence.
    #[arg(long, value_name = "PORT", default_value_t = 40_000)]
    pub(crate) media_port: u16,
    /// Relays. Each call has two of them: with a third it gets another for one that is lost.
    #[arg(long, value_name = "COUNT", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    pub(crate) relays: u16,
    /// Shards (pinned threads) of each relay.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: u16,
    /// How media comes and goes.
    #[command(flatten)]
    pub(crate) io: IoArgs,
    /// How calls go.
    #[command(flatten)]
    pub(crate) calls: CallSettingsArgs,
    /// What the parts log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Adds a tenant with two accounts, lets two real terminals call each other with the sample
    /// speech and video, checks the recordings frame for frame, and ends. Exit code 0 means that
    /// all media came through.
    #[arg(long)]
    pub(crate) demo: bool,
    /// How long the demonstration's call lasts, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "demo",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
}
