//! The parts of the platform as child processes: started, watched, started again, stopped.

use super::layout::Layout;
use anyhow::{Context, Result};
use core::time::Duration;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Tells a child whose parent it is, so that it ends with it even if the parent is killed.
pub(crate) const PARENT_VARIABLE: &str = "KAKEHASHI_PARENT";

/// How long a part gets to end in good order.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// First and longest pause before a part that died is started again.
const RESTART_PAUSE_LEAST: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MOST: Duration = Duration::from_secs(5);

/// A part that has lived so long starts again with the first pause.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// One part and its process.
pub(crate) struct Part {
    /// Its name: `control`, `relay-1`.
    pub(crate) name: String,
    /// `control` or `relay`: the command it is.
    kind: &'static str,
    config: PathBuf,
    child: Child,
    started: Instant,
    pause: Duration,
}

impl Part {
    /// Starts a part with its configuration; its log goes to the layout's log of that name.
    pub(crate) fn start(
        layout: &Layout,
        name: &str,
        kind: &'static str,
        config: PathBuf,
    ) -> Result<Self> {
        let child = spawn(layout, name, kind, &config)?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            config,
            child,
            started: Instant::now(),
            pause: RESTART_PAUSE_LEAST,
        })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot watch {}", self.name))
    }

    /// Starts it again after a pause that grows with every time.
    pub(crate) async fn restart(&mut self, layout: &Layout) -> Result<()> {
        if self.started.elapsed() > LONG_LIFE {
            self.pause = RESTART_PAUSE_LEAST;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RESTART_PAUSE_MOST);
        self.child = spawn(layout, &self.name, self.kind, &self.config)?;
        self.started = Instant::now();
        Ok(())
    }

    /// The last lines of its log, for a message about why it did not start.
    pub(crate) fn last_words(&self, layout: &Layout) -> String {
        let log = std::fs::read_to_string(layout.log(&self.name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n  ")
    }

    /// Asks it to end, and makes it end if it does not.
    pub(crate) async fn stop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

fn spawn(layout: &Layout, name: &str, kind: &str, config: &PathBuf) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let log = layout.open_log(name)?;
    Command::new(program)
        .arg(kind)
        .arg("--config")
        .arg(config)
        .env(PARENT_VARIABLE, std::process::id().to_string())
        // A manager of services hears of the whole platform, not of its parts.
        .env_remove("NOTIFY_SOCKET")
        .current_dir(layout.root())
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}
