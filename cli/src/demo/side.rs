//! One terminal of the demonstration: a process of its own, heard through its JSON lines.

use crate::platform::{PARENT_VARIABLE, make_private};
use anyhow::{Context, Result, bail};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal;
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Who a side is and what it sends.
#[derive(Clone, Copy)]
pub(super) struct Role {
    /// Login ID.
    pub(super) login: &'static str,
    /// Name shown to others.
    pub(super) display: &'static str,
    /// What its account is for.
    pub(super) account: terminal::Role,
    /// Speech: what to give as its file, and its content.
    pub(super) speech: (&'static str, &'static [u8]),
    /// Camera: what to give as its file, and its content.
    pub(super) video: (&'static str, &'static [u8]),
}

/// Where a side finds what it needs.
pub(super) struct Place {
    /// Control's address.
    pub(super) control: String,
    /// The authority's certificate.
    pub(super) ca: PathBuf,
    /// The tenant.
    pub(super) tenant: String,
    /// This side's own folder.
    pub(super) folder: PathBuf,
    /// Where its log goes.
    pub(super) log: File,
}

/// A running terminal and what it has said.
pub(super) struct Side {
    /// Who it is.
    pub(super) role: Role,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ended: Option<ExitStatus>,
    /// Its last word on the call's media while it went on.
    pub(super) progress: Option<Value>,
    /// Its last word on the call's media at the end.
    pub(super) summary: Option<Value>,
}

impl Side {
    /// Starts `kakehashi terminal` with `arguments`.
    pub(super) fn start(
        role: Role,
        place: Place,
        password: &Password,
        arguments: &[String],
    ) -> Result<Self> {
        make_private(&place.folder)?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command
            .args(["terminal", "--json", "--control", &place.control])
            .args(["--server-name", "localhost", "--tenant", &place.tenant])
            .args(["--login", role.login])
            .arg("--ca")
            .arg(&place.ca)
            .arg("--state")
            .arg(place.folder.join("state"))
            .args(arguments)
            .args(["--audio", role.speech.0, "--video", role.video.0, "--loop", "--record"])
            .arg(place.folder.join("recordings"))
            .env("KAKEHASHI_PASSWORD", password.expose())
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(place.log)
            .kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a terminal")?;
        let output = child.stdout.take().context("the terminal's output is piped")?;
        let lines = BufReader::new(output).lines();
        Ok(Self { role, child, lines, ended: None, progress: None, summary: None })
    }

    /// Whether it has not ended yet.
    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it ended well.
    pub(super) fn ended_well(&self) -> bool {
        self.ended.is_some_and(|status| status.success())
    }

    /// Hears its next line, or its end.
    pub(super) async fn hear(&mut self) -> Result<()> {
        self.next_event().await.map(drop)
    }

    /// Waits for an event of this name.
    pub(super) async fn until(&mut self, name: &str) -> Result<()> {
        while let Some(event) = self.next_event().await? {
            if event == name {
                return Ok(());
            }
        }
        bail!("{} ended before `{name}`: see its log in the data folder", self.role.login)
    }

    /// The name of its next event; `None` when it has ended.
    async fn next_event(&mut self) -> Result<Option<String>> {
        let Some(line) = self.lines.next_line().await.context("cannot hear a terminal")? else {
            let status = self.child.wait().await.context("cannot watch a terminal")?;
            self.ended = Some(status);
            return Ok(None);
        };
        let event: Value = serde_json::from_str(&line)
            .with_context(|| format!("{} said what is not JSON", self.role.login))?;
        let name = event["event"].as_str().unwrap_or_default().to_owned();
        match name.as_str() {
            "progress" => self.progress = Some(event["media"].clone()),
            "summary" => self.summary = Some(event["media"].clone()),
            _ => {}
        }
        Ok(Some(name))
    }
}
