//! The node's settings: `control.toml`.

use crate::archive::ArchiveSettings;
use crate::capacity::nodes::NODES_MAX;
use crate::capacity::{
    CONNECTIONS_PER_ADDRESS_DEFAULT, GRACE_S_DEFAULT, GRACE_S_MOST, LEG_RATE_MAX_KBPS_DEFAULT,
    LEG_RATE_MAX_KBPS_LEAST, TOKEN_HOURS_DEFAULT, TOKEN_HOURS_MOST,
};
use crate::coordinator::Settings;
use crate::nodes::{NodeName, Peer};
use crate::policy::{Isolation, MediaFacts};
use crate::store::StoreSettings;
use kakehashi_log::traces;
use kakehashi_wire::secret::Suite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The store, in the data folder.
pub(crate) const STORE_FILE: &str = "store.redb";

/// The default settings with a comment for each: what `--print-config` prints.
pub const DOCUMENTED: &str = include_str!("control.toml");

/// All settings. Unknown ones are refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for the store and the internal certificate authority.
    pub data: PathBuf,
    /// Names and addresses terminals and relays may use for this node; its certificate has them.
    pub names: Vec<String>,
    /// Which messages are logged, in the syntax of `RUST_LOG`.
    pub log: String,
    /// Whether the log is JSON lines.
    pub log_json: bool,
    /// The gate for terminals.
    pub terminals: Terminals,
    /// The gate for relays.
    pub relays: Relays,
    /// The door for operators.
    pub api: ApiSettings,
    /// The pages for operators and for those who look after tenants.
    pub console: ConsoleSettings,
    /// Other nodes of the same cell.
    pub node: NodeSettings,
    /// How calls go.
    pub calls: CallSettings,
    /// How passwords are checked.
    pub sign_in: SignInSettings,
    /// What keeps the store.
    pub store: StoreSettings,
    /// Where what decides nothing any more is kept.
    pub archive: ArchiveSettings,
    /// Where its figures are shown.
    pub metrics: kakehashi_metrics::Settings,
    /// Where spans of calls are sent.
    pub traces: traces::Settings,
}

/// The gate for terminals.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terminals {
    /// Where terminals connect.
    pub listen: SocketAddr,
    /// Connections that one IPv4 address or IPv6 /64 may have.
    pub connections_per_address: u32,
    /// The operator's own certificate chain; empty for the internal authority's.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

/// The gate for relays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relays {
    /// Where relays connect.
    pub listen: SocketAddr,
    /// The operator's own certificate chain; empty for the internal authority's.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// The authority of the relays' certificates; empty for the internal one.
    pub ca: PathBuf,
    /// How often both sides say that they are alive, in milliseconds.
    pub heartbeat_ms: u32,
    /// Silence after which a relay is lost, in milliseconds.
    pub lost_after_ms: u32,
    /// How long a relay keeps a leg it no longer hears about, in seconds.
    pub leg_lifetime_s: u32,
}

/// The door for operators.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Where the HTTPS API is.
    pub listen: SocketAddr,
    /// The operator's own certificate chain; empty for the internal authority's.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

/// The pages for operators and for those who look after tenants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Where the console is.
    pub listen: SocketAddr,
    /// The operator's own certificate chain; empty for the internal authority's.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// What an outside probe writes; empty if there is none.
    pub probe_status: PathBuf,
}

/// Other nodes of the same cell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSettings {
    /// Where nodes connect.
    pub listen: SocketAddr,
    /// This node's name among them.
    pub name: NodeName,
    /// The others; none if this node is alone.
    pub peers: Vec<Peer>,
}

/// How calls go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallSettings {
    /// How long a call rings, in seconds.
    pub no_answer_s: u32,
    /// Cipher of all media.
    pub suite: SuiteName,
    /// Whether members of a call share keys.
    pub isolation: Isolation,
    /// What a leg may send, in kbit/s of UDP payload; 0 for no limit.
    pub leg_rate_max_kbps: u32,
}

/// The name of a cipher (RFC 7714).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SuiteName {
    /// 128-bit key.
    #[serde(rename = "AEAD_AES_128_GCM")]
    AeadAes128Gcm,
    /// 256-bit key.
    #[serde(rename = "AEAD_AES_256_GCM")]
    AeadAes256Gcm,
}

impl From<SuiteName> for Suite {
    fn from(from: SuiteName) -> Self {
        match from {
            SuiteName::AeadAes128Gcm => Self::AeadAes128Gcm,
            SuiteName::AeadAes256Gcm => Self::AeadAes256Gcm,
        }
    }
}

/// How passwords are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignInSettings {
    /// Password hashes at the same time; 0 for half of the cores.
    pub hash_jobs: u32,
    /// Sign-ins that may wait for one; 0 for about a second's worth.
    pub hash_queue: u32,
    /// How long a session is kept without a connection, in seconds; 0 for not at all.
    pub grace_s: u32,
    /// How long a resume token is good, in hours.
    pub token_hours: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "kakehashi-data/control".into(),
            names: ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec(),
            log: "info".into(),
            log_json: false,
            terminals: Terminals::default(),
            relays: Relays::default(),
            api: ApiSettings::default(),
            console: ConsoleSettings::default(),
            node: NodeSettings::default(),
            calls: CallSettings::default(),
            sign_in: SignInSettings::default(),
            store: StoreSettings::default(),
            archive: ArchiveSettings::default(),
            metrics: kakehashi_metrics::Settings::default(),
            traces: traces::Settings::default(),
        }
    }
}

impl Default for Terminals {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0; 8], 4433)),
            connections_per_address: CONNECTIONS_PER_ADDRESS_DEFAULT,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }
    }
}

impl Default for Relays {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4434)),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            ca: PathBuf::new(),
            heartbeat_ms: 200,
            lost_after_ms: 3000,
            leg_lifetime_s: 3600,
        }
    }
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4435)),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }
    }
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4443)),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            probe_status: PathBuf::new(),
        }
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4436)),
            name: NodeName::parse("one").expect("invariant: it is a name"),
            peers: Vec::new(),
        }
    }
}

impl NodeSettings {
    fn checks(&self) -> [(bool, &'static str, &'static str); 2] {
        let names: BTreeSet<_> = self.peers.iter().map(|peer| &peer.name).collect();
        let others = names.len() == self.peers.len() && !names.contains(&self.name);
        let few = self.peers.len() < NODES_MAX;
        [
            (others, "node.peers", "must name each other node once, and not this one"),
            (few, "node.peers", "must be at most 8"),
        ]
    }
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            no_answer_s: 45,
            suite: SuiteName::AeadAes128Gcm,
            isolation: Isolation::None,
            leg_rate_max_kbps: LEG_RATE_MAX_KBPS_DEFAULT,
        }
    }
}

impl SignInSettings {
    fn checks(self) -> [(bool, &'static str, &'static str); 2] {
        let hours = 1..=TOKEN_HOURS_MOST;
        [
            (self.grace_s <= GRACE_S_MOST, "sign_in.grace_s", "must be at most 600"),
            (hours.contains(&self.token_hours), "sign_in.token_hours", "must be from 1 to 720"),
        ]
    }
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self {
            hash_jobs: 0,
            hash_queue: 0,
            grace_s: GRACE_S_DEFAULT,
            token_hours: TOKEN_HOURS_DEFAULT,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file does not say what it should.
    #[error("{}: {what}\n`kakehashi-control --print-config` shows all settings", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A setting cannot be so.
    #[error("`{setting}` {problem}")]
    Value {
        /// Which.
        setting: &'static str,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], for the operator.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|error| match error {
            ConfigError::Parse { what, .. } => ConfigError::Parse { path: path.to_owned(), what },
            other => other,
        })
    }

    fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: PathBuf::new(),
            what: error.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// How long a resume token is good.
    pub(crate) fn token_life(&self) -> Duration {
        Duration::from_secs(u64::from(self.sign_in.token_hours) * 3600)
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first setting that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let pair = |certificate: &Path, key: &Path| {
            certificate.as_os_str().is_empty() == key.as_os_str().is_empty()
        };
        let beat = self.relays.heartbeat_ms;
        let both = "and its `key` belong together: set both or neither";
        let checks = [
            (pair(&self.terminals.certificate, &self.terminals.key), "terminals.certificate", both),
            (pair(&self.relays.certificate, &self.relays.key), "relays.certificate", both),
            (pair(&self.api.certificate, &self.api.key), "api.certificate", both),
            (pair(&self.console.certificate, &self.console.key), "console.certificate", both),
            (beat >= 10, "relays.heartbeat_ms", "must be at least 10"),
            (
                self.relays.lost_after_ms / 2 >= beat,
                "relays.lost_after_ms",
                "must be at least twice `relays.heartbeat_ms`",
            ),
            (
                (60..=86_400).contains(&self.relays.leg_lifetime_s),
                "relays.leg_lifetime_s",
                "must be from 60 to 86400",
            ),
            (
                (1..=3600).contains(&self.calls.no_answer_s),
                "calls.no_answer_s",
                "must be from 1 to 3600",
            ),
            (
                self.calls.leg_rate_max_kbps == 0
                    || self.calls.leg_rate_max_kbps >= LEG_RATE_MAX_KBPS_LEAST,
                "calls.leg_rate_max_kbps",
                "must be 0 for no limit, or at least 64: less does not carry a voice",
            ),
            (!self.names.is_empty(), "names", "must name this node"),
            (
                self.terminals.connections_per_address >= 1,
                "terminals.connections_per_address",
                "must be at least 1",
            ),
        ];
        let checks = checks.into_iter().chain(self.sign_in.checks()).chain(self.store.checks());
        let mut checks = checks.chain(self.node.checks()).chain(self.archive.checks());
        match checks.find(|(good, ..)| !good) {
            Some((_, setting, problem)) => Err(ConfigError::Value { setting, problem }),
            None => Ok(()),
        }
    }

    /// Where the `kakehashi` command on this machine reaches the API that listens at `bound`: by a
    /// name that its certificate has.
    pub fn api_url(&self, bound: SocketAddr) -> String {
        let ip = bound.ip().to_canonical();
        let is_local = ip.is_loopback() || ip.is_unspecified();
        let named = |name: &str| self.names.iter().any(|known| known == name);
        let (ip, port) = (ip.to_string(), bound.port());
        match self.names.first() {
            _ if is_local && named("localhost") => format!("https://localhost:{port}"),
            _ if named(&ip) => format!("https://{}", SocketAddr::new(bound.ip(), port)),
            Some(name) if name.contains(':') => format!("https://[{name}]:{port}"),
            Some(name) => format!("https://{name}:{port}"),
            None => format!("https://localhost:{port}"),
        }
    }

    /// The store's file, if it is one.
    pub fn store_file(&self) -> PathBuf {
        self.data.join(STORE_FILE)
    }

    /// The folder of the archive, unless the settings say where it is.
    pub fn archive_folder(&self) -> PathBuf {
        self.data.join("archive")
    }

    /// The folder of the internal certificate authority.
    pub fn pki(&self) -> PathBuf {
        self.data.join("pki")
    }

    /// What the core needs to know of it.
    pub fn core(&self) -> Settings {
        let calls = &self.calls;
        let media = MediaFacts {
            suite: calls.suite.into(),
            isolation: calls.isolation,
            leg_rate_max_kbps: calls.leg_rate_max_kbps,
        };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let (no_answer, grace) = (seconds(calls.no_answer_s), seconds(self.sign_in.grace_s));
        Settings { no_answer, grace, media }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_settings_are_the_defaults() {
        assert_eq!(Config::parse(DOCUMENTED).unwrap(), Config::default());
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_api_is_reached_by_a_name_of_the_certificate() {
        let url = |names: &[&str], bound: &str| {
            let names = names.iter().copied().map(String::from).collect();
            Config { names, ..Config::default() }.api_url(bound.parse().unwrap())
        };
        let both = ["localhost", "192.0.2.1"];
        assert_eq!(url(&both, "127.0.0.1:1"), "https://localhost:1");
        assert_eq!(url(&both, "[::]:1"), "https://localhost:1");
        assert_eq!(url(&both, "192.0.2.1:1"), "https://192.0.2.1:1");
        assert_eq!(url(&["a.example"], "127.0.0.1:1"), "https://a.example:1");
        assert_eq!(url(&["2001:db8::1"], "[2001:db8::1]:1"), "https://[2001:db8::1]:1");
        assert_eq!(url(&["2001:db8::1"], "127.0.0.1:1"), "https://[2001:db8::1]:1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("nonsense = 1", "nonsense"),
            ("[calls]\nsuite = \"ROT13\"", "suite"),
            ("[calls]\nno_answer_s = 0", "calls.no_answer_s"),
            ("[calls]\nisolation = \"per-call\"", "isolation"),
            ("[calls]\nleg_rate_max_kbps = 63", "calls.leg_rate_max_kbps"),
            ("[terminals]\nconnections_per_address = 0", "connections_per_address"),
            ("[terminals]\nkey = \"k.pem\"", "terminals.certificate"),
            ("[relays]\nlost_after_ms = 300", "relays.lost_after_ms"),
            ("[api]\ncertificate = \"c.pem\"", "api.certificate"),
            ("[console]\nkey = \"k.pem\"", "console.certificate"),
            ("[sign_in]\ngrace_s = 601", "sign_in.grace_s"),
            ("[sign_in]\ntoken_hours = 0", "sign_in.token_hours"),
            ("[store]\nengine = \"paper\"", "engine"),
            ("[store]\nengine = \"etcd\"", "store.etcd.endpoints"),
            ("[store.etcd]\nendpoints = [\"etcd-1:2379\"]", "store.etcd.endpoints"),
            ("[store.etcd]\nendpoints = [\"https://a:1\", \"http://b:1\"]", "store.etcd.endpoints"),
            ("[store.etcd]\nendpoints = [\"https://a:1\"]", "store.etcd.ca"),
            ("[store.etcd]\nkey = \"k.pem\"", "store.etcd.certificate"),
            ("[store.etcd]\nuser = \"kakehashi\"", "store.etcd.user"),
            ("[store.etcd]\nprefix = \"kakehashi\"", "store.etcd.prefix"),
            ("[metrics]\nlisten = \"4437\"", "metrics.listen"),
            ("[node]\npeers = [\"b\"]", "name@host:port"),
            ("[node]\npeers = [\"one@h:1\"]", "node.peers"),
            ("data = ", "data"),
        ];
        for (text, expected) in cases {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
