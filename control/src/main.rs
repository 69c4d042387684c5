//! The control node as a program.

use clap::Parser;
use kakehashi_control::config::DOCUMENTED;
use kakehashi_control::program;
use std::path::PathBuf;
use std::process::ExitCode;

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

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kakehashi-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.print_config {
        print!("{DOCUMENTED}");
        return Ok(());
    }
    Ok(program::run_file(arguments.config.as_deref())?)
}
