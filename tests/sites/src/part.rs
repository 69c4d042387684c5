//! One process of the platform: started in its network, and done to it what a drill asks.

use crate::clock::now;
use crate::network::Network;
use crate::wall::WallClock;
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// How long a part gets to end in good order.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How a part is started.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Where it works, and where its log is.
    pub(crate) folder: PathBuf,
}

/// One process.
pub(crate) struct Part {
    name: String,
    site: u8,
    network: Network,
    recipe: Recipe,
    /// None if it is the machine's.
    clock: Option<Arc<WallClock>>,
    child: Option<Child>,
}

impl Part {
    /// A part of a site that does not run yet, and its network.
    pub(crate) fn new(name: String, (site, network): (u8, Network), recipe: Recipe) -> Self {
        Self { name, site, network, recipe, clock: None, child: None }
    }

    /// Its name: `relay-11`, `node-1`, `etcd-1`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its site, from 1.
    pub(crate) fn site(&self) -> u8 {
        self.site
    }

    /// Where it runs.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Its log.
    pub(crate) fn log(&self) -> PathBuf {
        log_of(&self.recipe.folder, &self.name)
    }

    /// Starts it; its log goes on where it ended.
    ///
    /// # Errors
    /// If it runs, or cannot be started.
    pub(crate) fn start(&mut self) -> Result<()> {
        ensure!(!self.runs(), "{} runs already", self.name);
        let (recipe, name, clock) = (self.recipe.clone(), self.name.clone(), self.clock.clone());
        let child = self.network.inside(move || spawn(&recipe, &name, clock.as_deref()))?;
        self.child = Some(child.with_context(|| format!("cannot start {}", self.name))?);
        Ok(())
    }

    /// Gives it a wall clock of its own, from its next start on.
    ///
    /// # Errors
    /// As [`WallClock::right`].
    pub(crate) fn give_clock(&mut self) -> Result<()> {
        let file = self.recipe.folder.join(format!("{}.clock", self.name));
        self.clock = Some(Arc::new(WallClock::right(file)?));
        Ok(())
    }

    /// Whether it was given one.
    pub(crate) fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Lets its clock be so many seconds fast; slow if they are negative.
    ///
    /// # Errors
    /// If it has none.
    pub(crate) fn set_clock(&self, seconds: i32) -> Result<()> {
        let clock = self.clock.as_ref();
        clock.with_context(|| format!("{} has no clock of its own", self.name))?.set(seconds)
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it at once, without a word.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(())
    }

    /// Lets it stand still until it is told to go on.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it does not run, or does not end in time; then it is killed.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = now() + STOP_DEADLINE;
        while self.runs() {
            if now() > deadline {
                self.kill()?;
                anyhow::bail!("{} did not end within {STOP_DEADLINE:?}: it was killed", self.name);
            }
            kakehashi_tests::children::pause(Duration::from_millis(5));
        }
        self.child = None;
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref();
        let pid = child.and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        ensure!(self.runs(), "{} has ended by itself: see {}", self.name, self.log().display());
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn log_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

fn spawn(recipe: &Recipe, name: &str, clock: Option<&WallClock>) -> Result<Child> {
    let path = log_of(&recipe.folder, name);
    let log = OpenOptions::new().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("cannot open {}", path.display()))?;
    let errors = log.try_clone().context("cannot share the log")?;
    Command::new(&recipe.program)
        .args(&recipe.arguments)
        .envs(clock.map(WallClock::environment).into_iter().flatten())
        // A part ends with the test bed, even if that is killed.
        .env("KAKEHASHI_PARENT", std::process::id().to_string())
        .current_dir(&recipe.folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot run {}", recipe.program.display()))
}
