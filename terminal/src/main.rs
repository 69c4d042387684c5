//! `kakehashi-terminal`: the reference terminal as a program.

use kakehashi_terminal::program;
use std::process::ExitCode;

fn main() -> ExitCode {
    program::run(program::command_line())
}
