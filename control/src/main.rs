//! The control node as a program.

use clap::Parser;
use kakehashi_control::args::Args;
use kakehashi_control::config::DOCUMENTED;
use kakehashi_control::program;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kakehashi-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Args) -> anyhow::Result<()> {
    if arguments.print_config {
        print!("{DOCUMENTED}");
        return Ok(());
    }
    Ok(program::run_file(arguments.config.as_deref())?)
}
