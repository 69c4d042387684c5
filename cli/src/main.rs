//! `kakehashi` as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    kakehashi::run()
}
