//! `kakehashi-terminal`: the reference terminal as a program.

use clap::Parser;
use kakehashi_terminal::program;
use std::process::ExitCode;

// Without a documentation comment of its own, so that the help begins with that of `Args`.
#[derive(Parser)]
#[command(name = "kakehashi-terminal", version, arg_required_else_help = true)]
#[command(max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    args: program::Args,
}

fn main() -> ExitCode {
    program::run(CommandLine::parse().args)
}
