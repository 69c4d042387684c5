//! The settings of the program: command line over file over defaults.

use crate::capacity::CONFIG_FILE_BYTES_MAX;
use crate::congestion::RateLimits;
use crate::media::plain::PlainPort;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Every setting, under the same name on the command line and in the file.
#[derive(Clone, PartialEq, Eq, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Control's nodes, host and UDP port each, the nearest first; separated by commas, or given
    /// several times [default: 127.0.0.1:4433]
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        help_heading = "Account"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<String>,

    /// Name control's certificates must be made out to [default: the host of each --control]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,

    /// PEM file with the authority that signed control's certificate [default:
    /// kakehashi-data/ca.pem]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,

    /// The tenant's name
    #[arg(long, global = true, value_name = "NAME", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,

    /// The account's login ID
    #[arg(long, global = true, value_name = "LOGIN", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,

    /// File whose first line is the password; without it the environment's KAKEHASHI_PASSWORD is
    /// taken, or the password is asked for. It is never an argument: arguments can be read by
    /// everyone on the machine
    #[arg(long, global = true, value_name = "FILE", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,

    /// Folder that remembers which device this is, and its key [default: ~/.local/state/kakehashi]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,

    /// Device number in hexadecimal, instead of the remembered one
    #[arg(long, global = true, value_name = "HEX", help_heading = "Account")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,

    /// Ogg Opus file to send, or sample:speech, sample:reply
    #[arg(long, global = true, value_name = "FILE", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<PathBuf>,

    /// IVF file with VP8 or VP9 to send, or sample:store, sample:concierge, sample:vp9
    #[arg(long, global = true, value_name = "FILE", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<PathBuf>,

    /// Ogg Opus file to play, over and over, while a call waits at a desk that asks for it: like
    /// what arrives, to --rtp-out, and into --record as announcement-audio.opus; sample:speech and
    /// sample:reply are there to try it
    #[arg(long, global = true, value_name = "FILE", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<PathBuf>,

    /// Start the files again at their end
    #[arg(long = "loop", global = true, help_heading = "Media")]
    #[serde(rename = "loop", skip_serializing_if = "core::ops::Not::not")]
    pub repeat: bool,

    /// Record what arrives into this folder: LOGIN-audio.opus, LOGIN-video.ivf
    #[arg(long, global = true, value_name = "DIR", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PathBuf>,

    /// Send plain RTP that a local pipeline sends to this port: audio=5004, video=5006,
    /// screen=5008 (may be repeated)
    #[arg(long, global = true, value_name = "KIND=PORT", help_heading = "Media")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtp_in: Vec<PlainPort>,

    /// Pass what arrives on to this local port as plain RTP: audio=5014, video=5016 (may be
    /// repeated)
    #[arg(long, global = true, value_name = "KIND=PORT", help_heading = "Media")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtp_out: Vec<PlainPort>,

    /// Codec of video and screen that come over --rtp-in: vp8 or vp9 [default: vp8]
    #[arg(long, global = true, value_name = "CODEC", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_codec: Option<VideoCodec>,

    /// Send at least so many kbit/s, whatever the network carries [default: 64]
    #[arg(long, global = true, value_name = "KBIT", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_floor: Option<u32>,

    /// Send at most so many kbit/s, whatever the network carries [default: 20000]
    #[arg(long, global = true, value_name = "KBIT", help_heading = "Media")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_ceiling: Option<u32>,
}

/// A codec for plain RTP video.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// VP8, payload type of your choice.
    Vp8,
    /// VP9, payload type of your choice.
    Vp9,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or holds a key that does not exist.
    pub fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8(read_bounded(path, CONFIG_FILE_BYTES_MAX)?)
            .with_context(|| format!("{} is not text", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} has a mistake; see --print-config", path.display()))
    }

    /// What is given here, else what `file` gives.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        fn either<T>(own: Vec<T>, file: Vec<T>) -> Vec<T> {
            if own.is_empty() { file } else { own }
        }
        Self {
            control: either(self.control, file.control),
            server_name: self.server_name.or(file.server_name),
            ca: self.ca.or(file.ca),
            tenant: self.tenant.or(file.tenant),
            login: self.login.or(file.login),
            password_file: self.password_file.or(file.password_file),
            state: self.state.or(file.state),
            device: self.device.or(file.device),
            audio: self.audio.or(file.audio),
            video: self.video.or(file.video),
            announcement: self.announcement.or(file.announcement),
            repeat: self.repeat || file.repeat,
            record: self.record.or(file.record),
            rtp_in: either(self.rtp_in, file.rtp_in),
            rtp_out: either(self.rtp_out, file.rtp_out),
            rtp_codec: self.rtp_codec.or(file.rtp_codec),
            rate_floor: self.rate_floor.or(file.rate_floor),
            rate_ceiling: self.rate_ceiling.or(file.rate_ceiling),
        }
    }

    /// Fills in the defaults that do not depend on the user.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        if self.control.is_empty() {
            self.control.push("127.0.0.1:4433".to_owned());
        }
        self.ca.get_or_insert_with(|| "kakehashi-data/ca.pem".into());
        self.rtp_codec.get_or_insert(VideoCodec::Vp8);
        self
    }

    /// Between what the sending rate stays.
    pub fn rates(&self) -> RateLimits {
        let usual = RateLimits::default();
        let bits = |kbit: Option<u32>, usual| kbit.map_or(usual, |kbit| u64::from(kbit) * 1_000);
        RateLimits::between(
            bits(self.rate_floor, usual.floor),
            bits(self.rate_ceiling, usual.ceiling),
        )
    }

    /// The settings as a file.
    ///
    /// # Errors
    /// If a path is not text.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("a path is not valid UTF-8")
    }
}

/// The bytes of a file that must not be larger than `most`.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(bytes.len() as u64 <= most, "{} is larger than {most} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_file_reads_back_and_unknown_keys_are_fatal() {
        let text = "tenant = \"ginza\"\nloop = true\nrtp_in = [\"video=5006\"]\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.rtp_in.len(), 1);
        let printed = config.clone().with_defaults().to_toml().unwrap();
        assert_eq!(toml::from_str::<Config>(&printed).unwrap(), config.with_defaults());
        let mistake = toml::from_str::<Config>("passwort = 1").unwrap_err().to_string();
        assert!(mistake.contains("unknown field `passwort`"), "{mistake}");
        let slow: Config = toml::from_str("rate_ceiling = 300").unwrap();
        let (rates, usual) = (slow.rates(), RateLimits::default());
        assert_eq!((rates.floor, rates.start, rates.ceiling), (usual.floor, 300_000, 300_000));
        assert!(toml::from_str::<Config>("rtp_out = [\"audio=10.0.0.1:5\"]").is_err());
    }

    #[test]
    fn the_command_line_wins() {
        let nodes = |all: &[&str]| all.iter().copied().map(String::from).collect::<Vec<_>>();
        let file = Config {
            login: Some("a".into()),
            tenant: Some("t".into()),
            control: nodes(&["a:1"]),
            ..Config::default()
        };
        let line = Config {
            login: Some("b".into()),
            control: nodes(&["[2001:db8::1]:4433", "b.example:4433"]),
            ..Config::default()
        };
        let both = line.over(file).with_defaults();
        assert_eq!((both.login.as_deref(), both.tenant.as_deref()), (Some("b"), Some("t")));
        assert_eq!(both.control, nodes(&["[2001:db8::1]:4433", "b.example:4433"]));
        assert_eq!(Config::default().with_defaults().control, ["127.0.0.1:4433"]);
    }
}
