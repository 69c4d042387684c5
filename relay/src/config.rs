//! Settings of a relay: one TOML file, each key documented here and in `default.toml`.

use crate::capacity::xdp::BUSY_POLL_US_MAX;
use crate::capacity::{CONTROL_NODES_MAX, GATHER_US_MAX, LEGS_PER_SHARD_MAX, TRAIN_PACKETS_MAX};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kakehashi_log::traces;
use kakehashi_srtp::Provider;
use kakehashi_wire::limits::{NAME_BYTES_MAX, SHARDS_PER_RELAY_MAX};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The defaults, with a comment for each key: what `--print-config` prints.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Settings of a relay.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The relay's number. Its certificate must name the same one.
    pub relay_id: u32,
    /// The data centre the relay is in.
    pub site: String,
    /// Address its media ports listen on; `::` takes IPv6 and IPv4.
    pub listen_ip: IpAddr,
    /// Address terminals reach it at.
    pub advertise_ip: IpAddr,
    /// UDP port of shard 0; shard N listens on the Nth port after it.
    pub first_port: u16,
    /// How packets come and go.
    pub io: IoChoice,
    /// Pinned threads, each with its own port and legs.
    pub shards: u16,
    /// Cores for the shards, in their order; empty for every core this process may use.
    pub cores: Vec<usize>,
    /// Legs one shard holds at most.
    pub legs_per_shard_max: u32,
    /// Packets of one stream that leave in one send at most.
    pub train_packets_max: u16,
    /// Microseconds a shard that waits gathers what arrives before it looks.
    pub gather_us: u64,
    /// The authority that signed control's certificate and the relay's own (PEM).
    pub ca_file: PathBuf,
    /// The relay's certificate (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
    /// AES-GCM implementation.
    pub provider: ProviderChoice,
    /// What to log.
    pub log_level: String,
    /// How to log.
    pub log_format: LogFormat,
    /// What packets go through past the kernel.
    pub xdp: Xdp,
    /// The machine's own packet filter.
    pub firewall: FirewallTable,
    /// Whose orders it takes.
    pub control: ControlNodes,
    /// Where its figures are shown.
    pub metrics: kakehashi_metrics::Settings,
    /// Where spans of calls are sent.
    pub traces: traces::Settings,
}

/// How packets come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoChoice {
    /// Past the kernel if that is possible, through it otherwise.
    Auto,
    /// Through the kernel, with io_uring.
    Uring,
    /// Past the kernel, with AF_XDP.
    Xdp,
}

/// What packets go through past the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Xdp {
    /// The NIC; empty for the one that has `listen_ip`.
    pub interface: String,
    /// Where the program that sorts packets runs.
    pub mode: XdpMode,
    /// Microseconds for which the kernel polls a queue in the relay's own calls.
    pub busy_poll_us: u32,
    /// Whether media is dropped in the driver unless a terminal with a leg is seen at its source.
    pub signed_in_only: bool,
}

impl Default for Xdp {
    fn default() -> Self {
        Self {
            interface: String::new(),
            mode: XdpMode::Auto,
            busy_poll_us: 0,
            signed_in_only: false,
        }
    }
}

/// What the relay keeps of the machine's packet filter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FirewallTable {
    /// The table of nftables, family inet, whose sets it keeps; empty for none.
    pub table: String,
}

/// Where the program that sorts packets runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// In the driver if it can, behind it otherwise.
    Auto,
    /// In the driver.
    Driver,
    /// Behind it: any device can, and it costs more.
    Generic,
}

/// The nodes of control.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlNodes {
    /// Where each node of the cell listens for relays: `host:port`. There is a link to each.
    pub nodes: Vec<String>,
    /// Name in the nodes' certificates; empty for the host that each is named by above.
    pub name: String,
}

impl Default for ControlNodes {
    fn default() -> Self {
        Self { nodes: vec!["127.0.0.1:4434".into()], name: String::new() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            relay_id: 1,
            site: String::new(),
            listen_ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            advertise_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            first_port: 40_000,
            io: IoChoice::Uring,
            shards: 1,
            cores: Vec::new(),
            legs_per_shard_max: 20_000,
            train_packets_max: 16,
            gather_us: 0,
            ca_file: "ca.pem".into(),
            certificate_file: "relay.pem".into(),
            key_file: "relay.key".into(),
            provider: ProviderChoice::Auto,
            log_level: "info".into(),
            log_format: LogFormat::Text,
            xdp: Xdp::default(),
            firewall: FirewallTable::default(),
            control: ControlNodes::default(),
            metrics: kakehashi_metrics::Settings::default(),
            traces: traces::Settings::default(),
        }
    }
}

/// Which AES-GCM implementation a relay uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderChoice {
    /// Whichever a measurement at start finds faster.
    Auto,
    /// Our own, for VAES and VPCLMULQDQ on 512 bits; AWS-LC on a processor without them.
    Vaes,
    /// RustCrypto's.
    AesGcm,
    /// AWS-LC.
    AwsLcRs,
}

impl ProviderChoice {
    /// The implementation that was named, `None` for a choice by measurement.
    pub fn named(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Vaes => Some(Provider::Vaes),
            Self::AesGcm => Some(Provider::AesGcm),
            Self::AwsLcRs => Some(Provider::AwsLcRs),
        }
    }
}

/// How a relay logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}; `kakehashi-relay --print-config` prints one to begin with")]
    Unreadable(PathBuf, std::io::Error),
    /// The file is not TOML, or has a key or value that is not known.
    #[error("{file}:{line}: {message}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line of the fault.
        line: usize,
        /// What is wrong, and the line itself.
        message: String,
    },
    /// A value makes no sense.
    #[error("`{key}` {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// File, line and key of what is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable(path.to_owned(), error))?;
        let config = Self::parse(&text, path)?;
        config.check()?;
        Ok(config)
    }

    /// Reads settings out of `text`; `path` is named in errors.
    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let source = text.lines().nth(line - 1).unwrap_or_default().trim();
            ConfigError::Malformed {
                file: path.to_owned(),
                line,
                message: format!("{} in `{source}`", error.message()),
            }
        })
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |key, problem: String| Err(ConfigError::Value { key, problem });
        if self.shards == 0 || usize::from(self.shards) > SHARDS_PER_RELAY_MAX {
            return bad("shards", format!("must be 1 to {SHARDS_PER_RELAY_MAX}"));
        }
        if self.first_port == 0 || self.first_port.checked_add(self.shards - 1).is_none() {
            let last = u32::from(u16::MAX) - u32::from(self.shards) + 1;
            return bad("first_port", format!("must be 1 to {last} for {} shards", self.shards));
        }
        if self.advertise_ip.is_unspecified() {
            return bad("advertise_ip", "must be an address terminals can send to".into());
        }
        let legs = usize::try_from(self.legs_per_shard_max).unwrap_or(usize::MAX);
        if legs == 0 || legs > LEGS_PER_SHARD_MAX {
            return bad("legs_per_shard_max", format!("must be 1 to {LEGS_PER_SHARD_MAX}"));
        }
        let longest = u16::try_from(TRAIN_PACKETS_MAX).unwrap_or(u16::MAX);
        if !(1..=longest).contains(&self.train_packets_max) {
            return bad("train_packets_max", format!("must be 1 to {longest}"));
        }
        if self.xdp.busy_poll_us > BUSY_POLL_US_MAX {
            return bad("xdp.busy_poll_us", format!("must be 0 to {BUSY_POLL_US_MAX}"));
        }
        if self.xdp.signed_in_only && self.io == IoChoice::Uring {
            return bad("xdp.signed_in_only", "needs `io = \"xdp\"`, or \"auto\"".into());
        }
        if self.firewall.table.len() > NAME_BYTES_MAX {
            return bad("firewall.table", format!("must be at most {NAME_BYTES_MAX} bytes"));
        }
        if self.gather_us > GATHER_US_MAX {
            return bad("gather_us", format!("must be 0 to {GATHER_US_MAX}"));
        }
        if self.site.len() > NAME_BYTES_MAX {
            return bad("site", format!("must be at most {NAME_BYTES_MAX} bytes"));
        }
        let nodes = &self.control.nodes;
        if !(1..=CONTROL_NODES_MAX).contains(&nodes.len()) {
            return bad("control.nodes", format!("must name 1 to {CONTROL_NODES_MAX} nodes"));
        }
        for (nth, node) in nodes.iter().enumerate() {
            let port = node.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                return bad("control.nodes", format!("must be host:port, which `{node}` is not"));
            }
            if nodes[..nth].contains(node) {
                return bad("control.nodes", format!("must not name `{node}` twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text, Path::new("relay.toml"))
            .and_then(|config| config.check())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let printed = Config::parse(DEFAULTS, Path::new("-")).unwrap();
        assert_eq!(printed, Config::default());
        printed.check().unwrap();
        assert_eq!(Config::parse("", Path::new("-")).unwrap(), Config::default());
    }

    #[test]
    fn every_printed_key_has_a_comment() {
        let lines: Vec<_> = DEFAULTS.lines().collect();
        let mut keys = 0;
        for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ")) {
            if !pair[1].starts_with('#') {
                assert!(pair[0].starts_with("# "), "{}", pair[1]);
                keys += 1;
            }
        }
        let fields = format!("{:?}", Config::default());
        assert_eq!(keys, 26, "{fields}");
    }

    #[test]
    fn faults_name_file_line_and_key() {
        let cases = [
            ("shards = 1\nshard = 2\n", "relay.toml:2: unknown field `shard`", "shard = 2"),
            ("\n\nfirst_port = 70000\n", "relay.toml:3: ", "first_port = 70000"),
            ("listen_ip = \"here\"\n", "relay.toml:1: ", "listen_ip"),
            ("provider = \"openssl\"\n", "relay.toml:1: unknown variant `openssl`", "auto"),
            ("relay_id = \n", "relay.toml:1: ", "relay_id"),
            ("[metrics]\nlisten = \"4438\"\n", "relay.toml:2: `metrics.listen` must", "4438"),
        ];
        for (text, start, part) in cases {
            let refusal = refusal(text);
            assert!(refusal.starts_with(start) && refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn senseless_values_say_what_would_be_right() {
        let cases = [
            ("shards = 0", "`shards` must be 1 to 256"),
            ("shards = 9\nfirst_port = 65530", "`first_port` must be 1 to 65527 for 9 shards"),
            ("advertise_ip = \"0.0.0.0\"", "`advertise_ip` must be an address"),
            ("legs_per_shard_max = 1000000", "`legs_per_shard_max` must be 1 to 100000"),
            ("train_packets_max = 0", "`train_packets_max` must be 1 to 128"),
            ("gather_us = 5000", "`gather_us` must be 0 to 1000"),
            ("[xdp]\nbusy_poll_us = 5000", "`xdp.busy_poll_us` must be 0 to 1000"),
            ("[xdp]\nsigned_in_only = true", "`xdp.signed_in_only` needs `io = \"xdp\"`"),
            ("[control]\nnodes = []", "`control.nodes` must name 1 to 16"),
            ("[control]\nnodes = [\"a\"]", "`control.nodes` must be host:port, which `a` is not"),
            ("[control]\nnodes = [\"a:1\", \"a:1\"]", "`control.nodes` must not name `a:1`"),
            (&format!("site = \"{}\"", "x".repeat(129)), "`site` must be at most 128 bytes"),
        ];
        for (text, wanted) in cases {
            assert!(refusal(text).starts_with(wanted), "{}", refusal(text));
        }
    }

    #[test]
    fn an_unreadable_file_says_how_to_get_one() {
        let text = Config::read(Path::new("/nowhere/relay.toml")).unwrap_err().to_string();
        assert!(text.contains("/nowhere/relay.toml") && text.contains("--print-config"), "{text}");
    }
}
