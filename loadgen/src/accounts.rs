//! Accounts for a load: from a list, or made by the operator's program as they are needed.

use crate::local_relay::write_private;
use anyhow::{Context, Result, bail, ensure};
use kakehashi_terminal::program::read_password_file;
use kakehashi_terminal::{DeviceSecret, Settings, Timing};
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::Password;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Accounts by number, at one control.
pub struct Roster {
    control: Control,
    accounts: Accounts,
    made: Option<Made>,
}

struct Made {
    password: Password,
    existing: Vec<String>,
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

impl Roster {
    /// Accounts from there; none is made before it is asked for.
    pub fn new(control: Control, accounts: Accounts) -> Self {
        Self { control, accounts, made: None }
    }

    /// How many there can be.
    pub fn accounts_max(&self) -> usize {
        match &self.accounts {
            Accounts::Listed(accounts) => accounts.len(),
            Accounts::Made { .. } => usize::MAX,
        }
    }

    /// How account `number` signs in; it is made if need be.
    ///
    /// # Errors
    /// If there are not so many, or it cannot be made.
    pub async fn settings(&mut self, number: usize) -> Result<Settings> {
        let account = match &self.accounts {
            Accounts::Listed(accounts) => accounts.get(number).cloned().with_context(|| {
                format!("the list has {} accounts: two are needed a call", accounts.len())
            })?,
            Accounts::Made { .. } => self.make(number).await?,
        };
        Ok(Settings {
            control: vec![self.control.address.clone()],
            server_name: Some(self.control.server_name.clone()),
            ca_pem: self.control.ca_pem.clone(),
            tenant: account.tenant,
            login: account.login,
            password: account.password,
            device: DeviceId(u64::from(std::process::id()) << 32 | number as u64),
            device_secret: DeviceSecret::from_seed(rand::random()),
            software: concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: None,
            timing: Timing::default(),
        })
    }

    /// Makes the desk `name` of accounts made here, or gives it these `agents`. Nobody wraps up.
    ///
    /// # Errors
    /// If accounts are listed, or the platform refuses.
    pub fn desk(&self, name: &str, agents: &[String]) -> Result<()> {
        let operator = self.operator()?;
        let tenant = operator.tenant;
        let desks = operator.run(&["desk", "list", tenant])?;
        let there = desks.lines().skip(1).any(|desk| first_word(desk) == Some(name));
        let verb = if there { "set" } else { "add" };
        let agents = agents.join(",");
        operator.run(&["desk", verb, tenant, name, "--agents", &agents, "--wrap-up", "0"])?;
        Ok(())
    }

    /// Runs an operator's command where accounts are made; gives what it printed.
    ///
    /// # Errors
    /// If accounts are listed, or the platform refuses.
    pub fn operate(&self, arguments: &[&str]) -> Result<String> {
        self.operator()?.run(arguments)
    }

    fn operator(&self) -> Result<Operator<'_>> {
        let Accounts::Made { kakehashi, data, tenant } = &self.accounts else {
            bail!("accounts are listed");
        };
        Ok(Operator { kakehashi, data, tenant })
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
                operator.run(&[
                    "account",
                    "add",
                    tenant,
                    &login,
                    "--permanent",
                    "--password-file",
                    file,
                ])
            })?;
        }
        Ok(LoadAccount { tenant: tenant.clone(), login, password: made.password.clone() })
    }
}

fn first_word(line: &str) -> Option<&str> {
    line.split_ascii_whitespace().next()
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
        if !tenants.lines().any(|tenant| first_word(tenant) == Some(self.tenant)) {
            self.run(&["tenant", "add", self.tenant])?;
        }
        let rows = self.run(&["account", "list", self.tenant])?;
        let logins = rows.lines().skip(1).filter_map(first_word);
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
