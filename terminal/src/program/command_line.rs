//! The program's own command line: what it reads, and what man pages and completions describe.

use super::Args;
use clap::{CommandFactory, Parser};

// Without a documentation comment of its own, so that the help begins with that of `Args`.
#[derive(Parser)]
#[command(name = "kakehashi-terminal", version, arg_required_else_help = true)]
#[command(max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

/// What `kakehashi-terminal` can be asked to do, for whatever describes it.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// The command line of `kakehashi-terminal`, which ends the program if it is none.
pub fn command_line() -> Args {
    CommandLine::parse().args
}
