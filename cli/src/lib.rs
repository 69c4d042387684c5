//! `kakehashi`: the whole platform on one machine, and the operator's commands.
//!
//! A library only so that what describes the program (man pages, completions) reads the same
//! definitions as the program itself.

mod args;
mod demo;
mod doctor;
mod door;
mod operate;
mod part;
mod platform;
mod up;

use args::{Args, Command, RelayArgs};
use std::process::ExitCode;

/// What `kakehashi` can be asked to do, for whatever describes it.
pub fn command() -> clap::Command {
    Args::described()
}

/// Runs the program.
pub fn run() -> ExitCode {
    let outcome = match Args::of_command_line().command {
        Command::Up(args) => up::run(&args),
        Command::Tenant(args) => operate::tenant(&args),
        Command::Account(args) => operate::account(&args),
        Command::Operator(args) => operate::operator(&args),
        Command::Desk(args) => operate::desk(&args),
        Command::Sessions(args) => operate::sessions(&args),
        Command::Call(args) => operate::call(&args),
        Command::Calls(args) => operate::calls(&args),
        Command::Relays(args) => operate::relays(&args),
        Command::Audit(args) => operate::audit(&args),
        Command::Store(args) => operate::store(&args),
        Command::Pki(args) => operate::pki(&args),
        Command::Control(args) => part::control(&args),
        Command::Relay(args) => relay(&args),
        Command::Terminal(args) => part::terminal(*args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kakehashi: {error:#}");
            ExitCode::from(door::exit_code(&error))
        }
    }
}

/// `kakehashi relay`: the part, or what is done with one.
fn relay(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.part) {
        (Some(command), _) => operate::relay(command),
        (None, Some(part)) => part::relay(part),
        (None, None) => anyhow::bail!("give --config FILE, or drain or undrain: see --help"),
    }
}
