//! The relay's command line: what the program reads, and what man page and completions describe.

use clap::Parser;
use std::path::PathBuf;

/// Relays encrypted audio and video between terminals, as control orders.
///
/// A relay needs Linux 6.1 or newer with io_uring, a certificate that names its number, and the
/// address of control. It opens one UDP port for each shard. SIGTERM or Ctrl-C stops it.
///
/// Begin with: kakehashi-relay --print-config > relay.toml
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// Settings to run with.
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    pub config: Option<PathBuf>,
    /// Carries out the orders of this file and talks to no control: for measurements. The file
    /// holds encoded Orders messages, as `kakehashi-loadgen` writes them.
    #[arg(long, value_name = "FILE", conflicts_with = "print_config")]
    pub orders: Option<PathBuf>,
    /// Prints every setting with its default and what it means, and ends.
    #[arg(long, conflicts_with = "config")]
    pub print_config: bool,
}
