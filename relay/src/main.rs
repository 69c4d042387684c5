//! The relay's command line.

use clap::Parser;
use kakehashi_relay::config::DEFAULTS;
use kakehashi_relay::program::run_file;
use std::path::PathBuf;
use std::process::ExitCode;

/// Relays encrypted audio and video between terminals, as control orders.
///
/// A relay needs Linux 6.1 or newer with io_uring, a certificate that names its number, and the
/// address of control. It opens one UDP port for each shard. SIGTERM or Ctrl-C stops it.
///
/// Begin with: kakehashi-relay --print-config > relay.toml
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Settings to run with.
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Carries out the orders of this file and talks to no control: for measurements. The file
    /// holds encoded Orders messages, as `kakehashi-loadgen` writes them.
    #[arg(long, value_name = "FILE", conflicts_with = "print_config")]
    orders: Option<PathBuf>,
    /// Prints every setting with its default and what it means, and ends.
    #[arg(long, conflicts_with = "config")]
    print_config: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(file) = args.config else {
        print!("{DEFAULTS}");
        return ExitCode::SUCCESS;
    };
    match run_file(&file, args.orders.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kakehashi-relay: {error}");
            ExitCode::FAILURE
        }
    }
}
