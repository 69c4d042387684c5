//! The operator's commands that a load gives again and again, each through a process that stays.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Suspends and activates accounts of the platform on this machine.
pub struct Operators {
    suspend: Mutex<Talk>,
    reactivate: Mutex<Talk>,
}

/// One process: a line in, a line out.
struct Talk {
    child: Child,
    /// Gone when the process is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Operators {
    /// Starts the processes.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn start(kakehashi: &Path, data: &Path) -> Result<Self> {
        let talk = |what| Talk::start(kakehashi, data, what).map(Mutex::new);
        Ok(Self { suspend: talk("suspend")?, reactivate: talk("reactivate")? })
    }

    /// Suspends an account; it is suspended when this returns.
    ///
    /// # Errors
    /// If the platform refuses, or does not answer.
    pub fn suspend(&self, tenant: &str, login: &str) -> Result<()> {
        ask(&self.suspend, tenant, login)
    }

    /// Activates an account again.
    ///
    /// # Errors
    /// If the platform refuses, or does not answer.
    pub fn reactivate(&self, tenant: &str, login: &str) -> Result<()> {
        ask(&self.reactivate, tenant, login)
    }
}

fn ask(talk: &Mutex<Talk>, tenant: &str, login: &str) -> Result<()> {
    let mut talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = talk.ask(&format!("{tenant} {login}"))?;
    ensure!(answer == "done", "{tenant} {login}: {answer}");
    Ok(())
}

impl Talk {
    fn start(kakehashi: &Path, data: &Path, what: &str) -> Result<Self> {
        let mut command = Command::new(kakehashi);
        command.args(["account", what, "--stdin", "--data"]).arg(data);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", kakehashi.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the process has no pipes");
        };
        Ok(Self { child, input: Some(input), output: BufReader::new(output) })
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let input = self.input.as_mut().context("the process was told to end")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).context("kakehashi is gone")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).context("kakehashi does not answer")?;
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It ends with its input.
        self.input = None;
        let _ = self.child.wait();
    }
}
