//! The relay as a program.

use clap::Parser;
use kakehashi_relay::args::Args;
use kakehashi_relay::config::DEFAULTS;
use kakehashi_relay::program::run_file;
use std::process::ExitCode;

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
