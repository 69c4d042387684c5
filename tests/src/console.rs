//! The console in a real browser: scripts of `tests/console` that drive Chromium, and their checks.

use crate::children::{Lines, Program};
use crate::platform::{Account, Platform};
use crate::python;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

/// How long a script gets to its next word; generous, for loaded machines.
const SOON: Duration = Duration::from_secs(120);

/// How long a script gets for all it does.
const AT_LAST: Duration = Duration::from_secs(600);

/// A script that runs.
pub struct Script {
    program: Program,
    input: ChildStdin,
    lines: Lines,
}

/// What a script is told of a platform: where its console is, and who signs in there, by names that
/// the script knows them by.
pub fn told(platform: &Platform, people: &[(&str, &Account)]) -> Map<String, Value> {
    let person = |(name, account): &(&str, &Account)| {
        let Account { tenant, login, password } = account;
        let person = json!({"tenant": tenant, "login": login, "password": password});
        ((*name).to_owned(), person)
    };
    let people: Map<_, _> = people.iter().map(person).collect();
    let told = json!({
        "console": platform.console(),
        "ca": platform.data().join("ca.pem"),
        "tenant": crate::platform::TENANT,
        "people": people,
    });
    told.as_object().cloned().unwrap_or_default()
}

impl Script {
    /// Starts a script, told what it needs to know.
    ///
    /// # Panics
    /// If it cannot be started; if there is no Chromium, with what to type.
    pub fn start(name: &str, told: Map<String, Value>) -> Self {
        let browser = std::env::var("KAKEHASHI_CHROMIUM");
        let browser = browser.unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
        assert!(
            Path::new(&browser).exists(),
            "{browser} is not there: apt-get install chromium fonts-noto-cjk"
        );
        let mut command = python::console_script(name);
        command.env("KAKEHASHI_CHROMIUM", browser);
        let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let lines = Lines::of(program.stdout.take().expect("its output is piped"));
        let input = program.stdin.take().expect("its input is piped");
        let mut script = Self { program, input, lines };
        script.write(&Value::Object(told).to_string());
        script
    }

    fn write(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the script reads what it is told");
    }

    /// Waits until the script says that `word` may be looked at.
    pub fn until(&self, word: &str) {
        self.lines.until(&format!("now {word}"), SOON);
    }

    /// Tells the script that it was.
    pub fn go_on(&mut self) {
        self.write("done");
    }

    /// Waits for the end of the script.
    ///
    /// # Panics
    /// If a check failed, if one of `expected` was not made, or if the script ended otherwise than
    /// well.
    pub fn end(mut self, expected: &[&str]) {
        self.lines.until_end(AT_LAST);
        let said = self.lines.so_far();
        println!("{said}");
        let ended = self.program.wait().expect("the script is a child of this test");
        let failed: Vec<_> = said.lines().filter(|line| line.starts_with("FAILED ")).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(ended.success(), "the script ended with {ended}");
        for name in expected {
            let line = format!("ok {name}");
            assert!(said.lines().any(|said| said == line), "`{name}` was not checked");
        }
    }
}
