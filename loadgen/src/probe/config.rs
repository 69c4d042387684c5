//! Settings of the probe: one TOML file, each key documented in `default.toml`.

use crate::capacity::{NODES_MAX, RELAYS_MAX, SETTINGS_BYTES_MAX, TALK_S_MAX};
use anyhow::{Context as _, Result, ensure};
use core::time::Duration;
use kakehashi_terminal::program::{read_password_file, remembered_device};
use kakehashi_terminal::{Settings, Timing};
use kakehashi_wire::id::RelayId;
use serde::Deserialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The default settings with a comment for each: what `--print-config` prints.
pub const DEFAULTS: &str = include_str!("default.toml");

/// The site of a relay that the settings do not name.
pub const UNKNOWN_SITE: &str = "unknown";

/// Bytes of a site's name.
const SITE_BYTES_MAX: usize = 64;

/// Settings of the probe.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Doors of control's nodes, `host:port` each.
    pub control: Vec<String>,
    /// Name in their certificates; empty for the host of each.
    pub server_name: String,
    /// The public authority (PEM).
    pub ca: PathBuf,
    /// The tenant of both accounts.
    pub tenant: String,
    /// Folder that remembers which devices the terminals are.
    pub state: PathBuf,
    /// Seconds from the beginning of a round to that of the next.
    pub interval_s: u64,
    /// Seconds for which voice flows over each relay.
    pub talk_s: u64,
    /// How many relays must be there; 0 for those of `relays`.
    pub relays_expected: usize,
    /// Seconds for which a relay may be given to no call.
    pub relay_missing_after_s: u64,
    /// File that gets the last rounds; empty for none.
    pub status: PathBuf,
    /// The terminal that calls.
    pub caller: Account,
    /// The terminal that is called.
    pub callee: Account,
    /// From where on things are faults.
    pub limits: Limits,
    /// Metrics for Prometheus.
    pub metrics: kakehashi_metrics::Settings,
    /// The relays that must be there.
    pub relays: Vec<KnownRelay>,
}

/// An account of the probe.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its login ID.
    pub login: String,
    /// File whose first line is its password.
    pub password_file: PathBuf,
}

/// From where on things are faults.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Milliseconds of a sign-in.
    pub sign_in_ms: u64,
    /// Milliseconds of a call's set-up.
    pub setup_ms: u64,
    /// Percent of the packets of one direction.
    pub loss_percent: f64,
    /// Milliseconds from one terminal to the other, of half of the packets at most.
    pub delay_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sign_in_ms: 3_000, setup_ms: 1_000, loss_percent: 1.0, delay_ms: 150 }
    }
}

/// A relay that must be there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownRelay {
    /// Its number, as in its settings.
    pub id: u32,
    /// Its site.
    #[serde(default = "unknown_site")]
    pub site: String,
}

fn unknown_site() -> String {
    UNKNOWN_SITE.to_owned()
}

impl Default for Config {
    fn default() -> Self {
        let account = |login: &str| Account {
            login: login.to_owned(),
            password_file: format!("kakehashi-data/{login}.password").into(),
        };
        Self {
            control: vec!["127.0.0.1:4433".to_owned()],
            server_name: "localhost".to_owned(),
            ca: "kakehashi-data/ca.pem".into(),
            tenant: "probe".to_owned(),
            state: "kakehashi-data/probe".into(),
            interval_s: 60,
            talk_s: 3,
            relays_expected: 0,
            relay_missing_after_s: 150,
            status: PathBuf::new(),
            caller: account("probe-1"),
            callee: account("probe-2"),
            limits: Limits::default(),
            metrics: kakehashi_metrics::Settings::default(),
            relays: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or holds a key that does not exist.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bounded(path)?;
        let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| {
            format!("{} has a mistake; see kakehashi-loadgen probe --print-config", path.display())
        })
    }

    /// Checks what no single key can say.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn check(&self) -> Result<()> {
        let (nodes, relays) = (self.control.len(), self.relays.len());
        ensure!((1..=NODES_MAX).contains(&nodes), "control: name 1 to {NODES_MAX} nodes");
        ensure!(relays <= RELAYS_MAX, "relays: name at most {RELAYS_MAX}");
        ensure!(
            self.relays_expected <= RELAYS_MAX,
            "relays_expected: at most {RELAYS_MAX} relays are told apart"
        );
        let mut doors = self.control.clone();
        doors.sort_unstable();
        doors.dedup();
        ensure!(doors.len() == nodes, "control: name each node once");
        let mut numbers: Vec<u32> = self.relays.iter().map(|relay| relay.id).collect();
        numbers.sort_unstable();
        numbers.dedup();
        ensure!(numbers.len() == relays, "relays: each number may be there once");
        ensure!(
            self.relays.iter().all(|relay| (1..=SITE_BYTES_MAX).contains(&relay.site.len())),
            "relays: a site's name has 1 to {SITE_BYTES_MAX} bytes"
        );
        ensure!((1..=TALK_S_MAX).contains(&self.talk_s), "talk_s: 1 to {TALK_S_MAX}");
        ensure!(self.interval_s > 0, "interval_s: at least 1");
        ensure!(self.caller.login != self.callee.login, "caller and callee: two accounts");
        let loss = self.limits.loss_percent;
        ensure!((0.0..100.0).contains(&loss), "limits.loss_percent: 0 to less than 100");
        Ok(())
    }

    /// The site of a relay.
    pub fn site(&self, relay: RelayId) -> &str {
        let known = self.relays.iter().find(|known| known.id == relay.0);
        known.map_or(UNKNOWN_SITE, |known| &known.site)
    }

    /// How many relays must be there at least.
    pub fn relays_wanted(&self) -> usize {
        self.relays_expected.max(self.relays.len())
    }

    /// For how long voice flows over each relay.
    pub(super) fn talk(&self) -> Duration {
        Duration::from_secs(self.talk_s)
    }

    /// How `account` signs in through the door of `node` alone. Files are read anew each time, so
    /// that what was renewed counts from the next round on.
    ///
    /// # Errors
    /// If one of the files cannot be used.
    pub(super) fn settings(&self, account: &Account, node: &str) -> Result<Settings> {
        let ca_pem = read_bounded(&self.ca).context("ca tells whom to trust")?;
        let (device, device_secret) = remembered_device(&self.state.join(&account.login))?;
        let server_name = (!self.server_name.is_empty()).then(|| self.server_name.clone());
        Ok(Settings {
            control: vec![node.to_owned()],
            server_name,
            ca_pem,
            tenant: self.tenant.clone(),
            login: account.login.clone(),
            password: read_password_file(&account.password_file)?,
            device,
            device_secret,
            software: concat!("kakehashi-probe ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: None,
            timing: Timing::default(),
        })
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(SETTINGS_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
    let fits = bytes.len() as u64 <= SETTINGS_BYTES_MAX;
    ensure!(fits, "{} is larger than {SETTINGS_BYTES_MAX} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_settings_are_the_defaults_and_unknown_keys_are_fatal() {
        let printed: Config = toml::from_str(DEFAULTS).unwrap();
        assert_eq!(printed, Config::default());
        assert!(printed.check().is_ok());
        assert!(toml::from_str::<Config>("intervall_s = 1").is_err());
        assert!(toml::from_str::<Config>("[limits]\nsetup_s = 1").is_err());
        assert!(toml::from_str::<Config>("[metrics]\nlisten = \"9464\"").is_err());
    }

    #[test]
    fn each_mistake_is_named() {
        let mistake = |text: &str| {
            let config: Config = toml::from_str(text).unwrap();
            config.check().unwrap_err().to_string()
        };
        assert!(mistake("control = []").starts_with("control"));
        assert!(mistake("control = [\"a:1\", \"a:1\"]").contains("each node once"));
        assert!(mistake("talk_s = 0").starts_with("talk_s"));
        assert!(mistake("relays = [{id = 1}, {id = 1, site = \"a\"}]").starts_with("relays"));
        assert!(mistake("relays_expected = 65").starts_with("relays_expected"));
        assert!(mistake("[limits]\nloss_percent = 100.0").starts_with("limits.loss_percent"));
        let same = "[caller]\nlogin = \"a\"\npassword_file = \"a\"\n\
                    [callee]\nlogin = \"a\"\npassword_file = \"a\"\n";
        assert!(mistake(same).starts_with("caller"));
    }

    #[test]
    fn relays_have_the_sites_they_are_given() {
        let text = "relays = [{id = 7, site = \"osaka\"}, {id = 8}]\nrelays_expected = 1";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.site(RelayId(7)), "osaka");
        assert_eq!(config.site(RelayId(8)), UNKNOWN_SITE);
        assert_eq!(config.site(RelayId(9)), UNKNOWN_SITE);
        assert_eq!(config.relays_wanted(), 2);
    }
}
