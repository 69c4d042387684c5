//! How `kakehashi doctor` is asked.

use super::item::Part;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// What is to be looked at.
#[derive(ClapArgs)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    /// For what. Without it: for the host, and for each part whose settings are at
    /// /etc/kakehashi/relay.toml or control.toml, or in kakehashi-data as `kakehashi up` has them.
    #[arg(value_enum)]
    pub(crate) part: Option<Part>,
    /// The settings of the part that is named. Without it those where they usually are, or the
    /// defaults.
    #[arg(long, value_name = "FILE", requires = "part")]
    pub(crate) config: Option<PathBuf>,
    /// The NIC that terminals are reached through, in place of `xdp.interface` or the one of the
    /// default route.
    #[arg(long, value_name = "NIC")]
    pub(crate) interface: Option<String>,
    /// Control's API, for `clock-skew`, such as `https://control.example:4435`.
    #[arg(id = "doctor-api", long = "api", value_name = "URL", requires = "doctor-ca")]
    pub(crate) api: Option<String>,
    /// The authority whose certificate the API has to show, PEM.
    #[arg(id = "doctor-ca", long = "ca", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Prints an array of JSON objects, one for each item.
    #[arg(long)]
    pub(crate) json: bool,
    /// Reads another machine: its files below this folder, and what its programs said below
    /// `commands/` there, a file for each command line. Nothing is tried then.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

const DOCTOR_HELP: &str = "\
It changes nothing. Each item has a state: ok; advice, if it could be better; wrong, if something
does not work or soon will not; unknown, with the reason, if it could not be read. Most can be read
by anybody; keys, sockets of others and nftables only by root.

With --json each object has `item`, `for` (whose business it is), `state`, `is` (null if unknown),
`should`, `why`, `fix` (what to type; null if nothing), `reason` (why it is unknown) and `declared`
(what `tuning/` says of it).

`tuning/host/tune` sets what is declared for a machine, and leads back.

Exit codes: 0 nothing is wrong, 1 something is, or the settings cannot be used, 2 not a command";
