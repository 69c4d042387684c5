//! Many calls through control, set up one after the other as terminals would: sign-ins are dear on
//! purpose, and a crowd of them would measure the password hash.

use crate::local_relay::write_private;
use crate::member::Member;
use crate::signed_in::{self, LiveCall};
use anyhow::{Context, Result, bail, ensure};
use core::time::Duration;
use kakehashi_terminal::program::read_password_file;
use kakehashi_terminal::{Event, Events, Settings, Terminal, Timing};
use kakehashi_wire::id::{CallId, DeviceId};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::CallEnd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Characters of the password the load's accounts share: hexadecimal, 128 bits.
const PASSWORD_BYTES: usize = 16;

/// Name of its file in the platform's data folder.
const PASSWORD_FILE: &str = "loadgen-password";

/// Where control is, and whom it believes.
#[derive(Clone)]
pub struct Control {
    /// `HOST:PORT`.
    pub address: String,
    /// The name its certificate is made out to.
    pub server_name: String,
    /// Certificates that may sign it, PEM.
    pub ca_pem: Vec<u8>,
}

/// An account to sign in with.
#[derive(Clone)]
pub struct LoadAccount {
    tenant: String,
    login: String,
    password: Password,
}

/// Where accounts come from.
pub enum Accounts {
    /// From a list, two for each call.
    Listed(Vec<LoadAccount>),
    /// Made as needed, by the operator's program on the machine of the platform.
    Made {
        /// That program.
        kakehashi: PathBuf,
        /// The platform's data folder.
        data: PathBuf,
        /// The tenant to make them in.
        tenant: String,
    },
}

/// Calls that go on.
pub struct RealCalls {
    control: Control,
    accounts: Accounts,
    made: Option<Made>,
    live: Vec<Held>,
    broken: Arc<AtomicU64>,
}

struct Made {
    password: Password,
    existing: Vec<String>,
}

struct Held {
    call: CallId,
    caller: Terminal,
    callee: Terminal,
    watchers: [JoinHandle<()>; 2],
}

impl Accounts {
    /// Accounts of a file: a line each with tenant, login ID and password, separated by white
    /// space.
    ///
    /// # Errors
    /// If the file cannot be read or a line has another form.
    pub fn listed(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the accounts in {}", path.display()))?;
        let text = zeroize::Zeroizing::new(text);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let accounts = lines.map(|(at, line)| {
            account(line).with_context(|| {
                format!("{} line {}: give tenant, login ID and password", path.display(), at + 1)
            })
        });
        Ok(Self::Listed(accounts.collect::<Result<_>>()?))
    }
}

fn account(line: &str) -> Option<LoadAccount> {
    let mut words = line.split_ascii_whitespace();
    let (tenant, login) = (words.next()?.to_owned(), words.next()?.to_owned());
    let password = Password::new(words.next()?.to_owned());
    words.next().is_none().then_some(LoadAccount { tenant, login, password })
}

impl RealCalls {
    /// None yet.
    pub fn new(control: Control, accounts: Accounts) -> Self {
        let broken = Arc::new(AtomicU64::new(0));
        Self { control, accounts, made: None, live: Vec::new(), broken }
    }

    /// How many calls the accounts suffice for at most.
    pub fn calls_max(&self) -> usize {
        match &self.accounts {
            Accounts::Listed(accounts) => accounts.len() / 2,
            Accounts::Made { .. } => usize::MAX,
        }
    }

    /// Calls that ended although nobody hung up.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// Sets calls up until there are `calls`; gives the members of the new ones.
    ///
    /// # Errors
    /// If an account cannot be made or signed in, or a call cannot be set up.
    pub async fn grow(&mut self, calls: usize) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        while self.live.len() < calls {
            let number = self.live.len();
            let caller = self.settings(2 * number).await?;
            let callee = self.settings(2 * number + 1).await?;
            let call = signed_in::call_with(caller, callee, offers());
            let call = call.await.with_context(|| format!("call {} fails", number + 1))?;
            members.push(Member::of_call(number, &call.caller.ready)?);
            members.push(Member::of_call(number, &call.callee.ready)?);
            self.live.push(self.hold(call));
            if (number + 1).is_multiple_of(10) || number + 1 == calls {
                eprintln!("{} of {calls} calls set up", number + 1);
            }
        }
        Ok(members)
    }

    /// Hangs all calls up and signs everyone out.
    pub async fn end(self) {
        for held in self.live {
            // A call that has ended already needs no end.
            let _ = held.caller.hang_up(held.call).await;
            for terminal in [held.caller, held.callee] {
                let _ = terminal.sign_out().await;
            }
            for watcher in held.watchers {
                let _ = timeout(FAREWELL, watcher).await;
            }
        }
    }

    fn hold(&self, call: LiveCall) -> Held {
        let (caller, callee) = (call.caller, call.callee);
        let watch = |events| tokio::spawn(watch(events, Arc::clone(&self.broken)));
        Held {
            call: caller.ready.call,
            caller: caller.terminal,
            callee: callee.terminal,
            watchers: [watch(caller.events), watch(callee.events)],
        }
    }

    async fn settings(&mut self, number: usize) -> Result<Settings> {
        let account = match &self.accounts {
            Accounts::Listed(accounts) => accounts.get(number).cloned().with_context(|| {
                format!("the list has {} accounts: two are needed a call", accounts.len())
            })?,
            Accounts::Made { .. } => self.make(number).await?,
        };
        Ok(Settings {
            control: self.control.address.clone(),
            server_name: self.control.server_name.clone(),
            ca_pem: self.control.ca_pem.clone(),
            tenant: account.tenant,
            login: account.login,
            password: account.password,
            device: DeviceId(u64::from(std::process::id()) << 32 | number as u64),
            software: concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
        })
    }

    async fn make(&mut self, number: usize) -> Result<LoadAccount> {
        let Accounts::Made { kakehashi, data, tenant } = &self.accounts else {
            bail!("accounts are listed");
        };
        let operator = Operator { kakehashi, data, tenant };
        if self.made.is_none() {
            self.made = Some(tokio::task::block_in_place(|| operator.prepare())?);
        }
        let made = self.made.as_ref().context("it was prepared")?;
        let login = format!("load-{number:05}");
        if !made.existing.contains(&login) {
            let file = operator.password_file();
            tokio::task::block_in_place(|| {
                let file = file.to_str().context("the data folder's name is no text")?;
                operator.run(&["account", "add", tenant, &login, "--password-file", file])
            })?;
        }
        Ok(LoadAccount { tenant: tenant.clone(), login, password: made.password.clone() })
    }
}

/// What every leg of the load may send.
fn offers() -> Vec<StreamOffer> {
    vec![
        StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus },
        StreamOffer { kind: StreamKind::Camera, codec: Codec::Vp8 },
        StreamOffer { kind: StreamKind::Screen, codec: Codec::Vp8 },
    ]
}

/// Takes a side's events, so that its session goes on, and notices a call that breaks.
async fn watch(mut events: Events, broken: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Ended { reason, .. } if reason != CallEnd::HungUp) {
            broken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The operator's program, which speaks to the platform of this machine.
struct Operator<'a> {
    kakehashi: &'a Path,
    data: &'a Path,
    tenant: &'a str,
}

impl Operator<'_> {
    fn password_file(&self) -> PathBuf {
        self.data.join(PASSWORD_FILE)
    }

    /// Makes the tenant unless it is there, and finds out which accounts are.
    fn prepare(&self) -> Result<Made> {
        let tenants = self.run(&["tenant", "list"])?;
        if !tenants.lines().any(|tenant| tenant == self.tenant) {
            self.run(&["tenant", "add", self.tenant])?;
        }
        let rows = self.run(&["account", "list", self.tenant])?;
        let logins = rows.lines().skip(1).filter_map(|row| row.split_ascii_whitespace().next());
        let existing: Vec<String> = logins.map(str::to_owned).collect();
        let file = self.password_file();
        if !file.exists() {
            ensure!(
                existing.is_empty(),
                "the tenant {} has accounts, but their password is not in {}: use another tenant \
                 (--tenant)",
                self.tenant,
                file.display()
            );
            let random: [u8; PASSWORD_BYTES] = rand::random();
            let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(&file, text.as_bytes())?;
        }
        Ok(Made { password: read_password_file(&file)?, existing })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(self.kakehashi)
            .args(arguments)
            .arg("--data")
            .arg(self.data)
            .output()
            .with_context(|| format!("cannot start {}", self.kakehashi.display()))?;
        ensure!(
            output.status.success(),
            "kakehashi {} fails: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).context("kakehashi wrote no text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        std::fs::write(&path, "ginza store-1 correct-horse\n\n ginza\tdesk-1  battery-staple \n")
            .unwrap();
        let Accounts::Listed(accounts) = Accounts::listed(&path).unwrap() else {
            panic!("they are listed");
        };
        let logins: Vec<_> = accounts.iter().map(|account| account.login.as_str()).collect();
        assert_eq!(logins, ["store-1", "desk-1"]);
        assert_eq!(accounts[1].password.expose(), "battery-staple");
        std::fs::write(&path, "ginza store-1 a\nginza store-2\n").unwrap();
        let error = format!("{:#}", Accounts::listed(&path).err().unwrap());
        assert!(error.contains("line 2"), "{error}");
    }
}
