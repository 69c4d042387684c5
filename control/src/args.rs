//! Control's command line: what the program reads, and what man page and completions describe.

use clap::Parser;
use std::path::PathBuf;

/// Control node of Kakehashi: signs terminals in, connects calls, tells relays what to carry.
///
/// Without --config it runs with defaults, keeping its data in ./kakehashi-data/control.
/// Tenants and accounts are added with `kakehashi tenant add` and `kakehashi account add` while
/// it runs. Relays need certificates of its authority: `kakehashi pki relay` makes them.
#[derive(Parser)]
#[command(name = "kakehashi-control", version)]
pub struct Args {
    /// Settings to use; --print-config shows what can be set.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints all settings with their defaults, as a file to start from, and exits.
    #[arg(long)]
    pub print_config: bool,
}
