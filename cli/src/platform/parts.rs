//! The running platform: one control node and its relays as processes of their own.

use super::children::Part;
use super::configs::{self, Ports};
use super::layout::{CONTROL, Layout};
use crate::args::{CallSettingsArgs, IoArgs, LogArgs, UpArgs};
use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_control::admin::{Answer, RelayRow, Request};
use kakehashi_control::api::client;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::Pki;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use std::process::ExitCode;
use tokio::time::{Instant, sleep};

/// How long the parts get to become ready.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How often the parts are looked after.
const WATCH: Duration = Duration::from_millis(200);

/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(50);

/// The parts, in the order they start in.
pub(crate) struct Platform {
    /// The data folder.
    pub(crate) layout: Layout,
    /// Where everything listens.
    pub(crate) ports: Ports,
    calls: CallSettingsArgs,
    io: IoArgs,
    log: LogArgs,
    parts: Vec<Part>,
}

impl Platform {
    /// A platform none of whose parts runs yet.
    pub(crate) fn new(args: &UpArgs) -> Result<Self> {
        let layout = Layout::open(&args.data)?;
        let (ports, calls) = (Ports::of(args)?, args.calls.clone());
        let (io, log) = (args.io.clone(), args.log.clone());
        Ok(Self { layout, ports, calls, io, log, parts: Vec::new() })
    }

    /// Starts all parts and waits until the relays have reported to control.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let text = configs::control(&self.layout, &self.ports, (&self.calls, &self.log));
        let config = self.layout.write_config(CONTROL, &text)?;
        self.parts.push(Part::start(&self.layout, CONTROL, "control", config)?);
        self.until_ready("control", |_| true).await?;
        self.start_relays()?;
        let ports = self.ports;
        self.until_ready("the relays", |relays| {
            ports.relays().all(|id| relays.iter().any(|row| row.id == id && row.connected))
        })
        .await
    }

    fn start_relays(&mut self) -> Result<()> {
        let now = UnixMs::now();
        let pki = Pki::open_or_create(&self.layout.pki(), now, Entropy::system())?;
        let ca = self.layout.ca();
        std::fs::copy(pki.root_path(), &ca)
            .with_context(|| format!("cannot write {}", ca.display()))?;
        for relay in self.ports.relays() {
            pki.issue_relay(relay, now)?;
            let name = configs::relay_name(relay);
            let text = configs::relay(&pki, &self.ports, (&self.io, &self.log), relay);
            let config = self.layout.write_config(&name, &text)?;
            self.parts.push(Part::start(&self.layout, &name, "relay", config)?);
        }
        Ok(())
    }

    /// Asks control for its relays until `ready` likes the answer.
    async fn until_ready(&mut self, what: &str, ready: impl Fn(&[RelayRow]) -> bool) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            for part in &mut self.parts {
                if part.ended()?.is_some() {
                    bail!("{} did not start:\n  {}", part.name, part.last_words(&self.layout));
                }
            }
            if let Ok(Answer::Relays { rows }) = self.ask(Request::Relays {}).await
                && ready(&rows)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let logs = self.layout.logs();
                bail!("{what} did not become ready in 30 s: see the logs in {}", logs.display());
            }
            sleep(POLL).await;
        }
    }

    /// Asks control something, as its operator.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer> {
        Ok(client::request(&self.layout.control(), request).await?)
    }

    /// Adds a tenant.
    pub(crate) async fn add_tenant(&self, name: &str) -> Result<()> {
        let request = Request::TenantAdd { name: name.to_owned(), accounts: None };
        self.ask(request).await.map(drop)
    }

    /// Adds an account; gives the password that control made for it. It is for good: whoever starts
    /// the platform on this machine is its operator and its first user.
    pub(crate) async fn add_account(
        &self,
        tenant: &str,
        (login, display): (&str, &str),
        role: Role,
    ) -> Result<Password> {
        let request = Request::AccountAdd {
            tenant: tenant.to_owned(),
            login: login.to_owned(),
            display: Some(display.to_owned()),
            password: None,
            permanent: true,
            role,
        };
        match self.ask(request).await? {
            Answer::AccountAdded { password: Some(password), .. } => Ok(password),
            _ => bail!("control added the account without a password"),
        }
    }

    /// Says where everything is.
    pub(crate) fn announce(&self) {
        println!("Kakehashi is up.\n");
        println!("  control   {} (QUIC, for terminals)", self.ports.control());
        for relay in self.ports.relays() {
            println!("  {}   {} (SRTP)", configs::relay_name(relay), self.ports.media_range(relay));
        }
        println!("  api       https://localhost:{} (for operators)", self.ports.api().port());
        println!(
            "  console   https://localhost:{} (for browsers; its authority is {})",
            self.ports.console().port(),
            self.layout.ca().display(),
        );
        if let Some(control) = self.ports.control_metrics() {
            println!("  figures   http://{control}/metrics (of control, for Prometheus)");
        }
        for relay in self.ports.relays() {
            if let Some(address) = self.ports.relay_metrics(relay) {
                println!(
                    "            http://{address}/metrics (of {})",
                    configs::relay_name(relay)
                );
            }
        }
        println!("  data      {}\n", self.layout.root().display());
    }

    /// Watches the parts and starts again what dies. Never returns on its own.
    pub(crate) async fn keep(&mut self) -> Result<ExitCode> {
        loop {
            sleep(WATCH).await;
            self.layout.shorten_logs()?;
            for part in &mut self.parts {
                if let Some(status) = part.ended()? {
                    eprintln!("{} ended ({status}); starting it again", part.name);
                    part.restart(&self.layout).await?;
                }
            }
        }
    }

    /// Stops the parts, relays first, so that control can still record what they report.
    pub(crate) async fn stop(&mut self) {
        for part in self.parts.iter_mut().rev() {
            part.stop().await;
        }
    }
}
