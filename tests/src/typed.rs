//! The terminal program as somebody uses it who types commands.

use crate::children::{Lines, Program, pause};
use crate::platform::{Account, Platform};
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

/// How long anything may take that is waited for; generous, for loaded machines.
const SOON: Duration = Duration::from_secs(30);

/// How often it is looked.
const STEP: Duration = Duration::from_millis(20);

/// A running program, its standard input and what it says.
pub struct Typed {
    program: Program,
    keys: ChildStdin,
    said: Lines,
}

impl Typed {
    /// Starts `kakehashi-terminal` with these arguments, and waits until it has signed in.
    pub fn start(platform: &Platform, account: &Account, arguments: &[&str]) -> Self {
        let mut command = platform.terminal(account);
        command.arg("--json").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Program::start(&mut command);
        let keys = program.stdin.take().expect("piped");
        let said = Lines::of(program.stdout.take().expect("piped"));
        said.until(r#""event":"presence""#, SOON);
        Self { program, keys, said }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        writeln!(self.keys, "{line}").expect("it reads what is typed");
    }

    /// Waits until it has said `text`; the line.
    pub fn says(&self, text: &str) -> String {
        self.said.until(text, SOON)
    }

    /// Waits until it has said `text` so many times.
    pub fn says_times(&self, text: &str, times: usize) {
        let mut waited = Duration::ZERO;
        while self.said.so_far().matches(text).count() < times {
            assert!(waited < SOON, "`{text}` {times} times:\n{}", self.said.so_far());
            pause(STEP);
            waited += STEP;
        }
    }

    /// Waits for its end.
    pub fn ends_well(mut self) {
        assert!(self.program.wait().expect("it ends").success(), "{}", self.said.so_far());
    }
}
