//! What an outside probe has written: `kakehashi-loadgen probe --status FILE`. The file comes from
//! another program, so its size is bounded, and what is not known in it is passed over.

use crate::clock::UnixMs;
use serde::Deserialize;
use std::path::Path;
use tokio::io::AsyncReadExt;

/// The shape that is read.
const FORMAT: u32 = 1;

/// Rounds without news after which a probe is thought to stand still.
const SILENT_ROUNDS: u64 = 3;

/// The last rounds.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Probe {
    format: u32,
    interval_s: u64,
    /// The newest last.
    pub(super) rounds: Vec<Round>,
}

/// One round.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Round {
    pub(super) began_unix_s: u64,
    pub(super) took_ms: u64,
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) sign_ins: Vec<SignIn>,
    #[serde(default)]
    pub(super) setup_ms: Option<f64>,
    #[serde(default)]
    pub(super) relays: Vec<Relay>,
    #[serde(default)]
    pub(super) faults: Vec<Finding>,
}

/// One sign-in.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct SignIn {
    pub(super) control: String,
    pub(super) login: String,
    pub(super) ok: bool,
    pub(super) ms: Option<f64>,
}

/// One relay.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Relay {
    pub(super) relay: u32,
    pub(super) site: String,
    #[serde(default)]
    pub(super) address: Option<String>,
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) round_trip_ms: Option<f64>,
    #[serde(default)]
    pub(super) to_callee: Option<Way>,
    #[serde(default)]
    pub(super) to_caller: Option<Way>,
}

/// Voice in one direction.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Way {
    pub(super) loss_ratio: f64,
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) fault: String,
    pub(super) what: String,
    pub(super) next: String,
}

/// Why a file is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProbe {
    /// It cannot be read.
    #[error("{0}: check the path in `console.probe_status` and that control may read it")]
    Read(#[from] std::io::Error),
    /// It is longer than any probe writes.
    #[error("it is too long for the status of a probe: name the file that the probe writes")]
    Long,
    /// It is none.
    #[error("it is not what a probe writes: {0}")]
    Text(#[from] serde_json::Error),
    /// It is another program's.
    #[error("it has format {0}, this control reads {FORMAT}: use programs of the same release")]
    Format(u32),
}

impl Probe {
    /// Reads the file at `path`, of at most `most` bytes.
    ///
    /// # Errors
    /// [`NoProbe`].
    pub(super) async fn read(path: &Path, most: u64) -> Result<Self, NoProbe> {
        let file = tokio::fs::File::open(path).await?;
        let mut text = Vec::new();
        file.take(most + 1).read_to_end(&mut text).await?;
        if text.len() as u64 > most {
            return Err(NoProbe::Long);
        }
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, NoProbe> {
        let probe: Self = serde_json::from_slice(text)?;
        if probe.format == FORMAT { Ok(probe) } else { Err(NoProbe::Format(probe.format)) }
    }

    /// Whether the next rounds should have been long ago.
    pub(super) fn is_old(&self, now: UnixMs) -> bool {
        let last = self
            .rounds
            .last()
            .map_or(0, |round| round.began_unix_s.saturating_add(round.took_ms / 1000));
        let silence = self.interval_s.saturating_mul(SILENT_ROUNDS);
        !self.rounds.is_empty() && now.0 / 1000 > last.saturating_add(silence)
    }
}

impl Round {
    /// When it began.
    pub(super) fn began(&self) -> UnixMs {
        UnixMs(self.began_unix_s.saturating_mul(1000))
    }

    /// The slowest sign-in in milliseconds.
    pub(super) fn sign_in_ms(&self) -> Option<f64> {
        self.sign_ins.iter().filter_map(|it| it.ms).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "format": 1, "interval_s": 60, "rounds": [
        { "began_unix_s": 1000, "took_ms": 8200, "ok": false,
          "sign_ins": [ { "control": "a:4433", "login": "p", "ok": true, "ms": 61.5 } ],
          "setup_ms": 12.1, "new_in_a_later_release": [1],
          "relays": [ { "relay": 1, "site": "tokyo", "address": null, "ok": false,
            "seen_unix_s": 1, "round_trip_ms": 8.4,
            "to_callee": { "sent": 150, "received": 0, "loss_ratio": 1.0, "delay_ms": null } } ],
          "faults": [ { "fault": "one_way_audio", "what": "<b>", "next": "look" } ] } ] }"#;

    #[test]
    fn what_a_probe_writes_is_read_and_what_is_new_in_it_passed_over() {
        let probe = Probe::parse(TEXT.as_bytes()).unwrap();
        let round = &probe.rounds[0];
        assert_eq!((round.sign_in_ms(), round.began()), (Some(61.5), UnixMs(1_000_000)));
        assert_eq!(round.relays[0].to_callee.as_ref().unwrap().loss_ratio, 1.0);
        assert_eq!(round.relays[0].to_caller, None);
        assert!(!probe.is_old(UnixMs(1_188_000)) && probe.is_old(UnixMs(1_189_000)));
        assert!(!Probe { rounds: vec![], ..probe }.is_old(UnixMs(u64::MAX)));
    }

    #[tokio::test]
    async fn what_is_no_such_file_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        assert!(matches!(Probe::read(&path, 10).await, Err(NoProbe::Read(_))));
        std::fs::write(&path, TEXT).unwrap();
        assert!(matches!(Probe::read(&path, 10).await, Err(NoProbe::Long)));
        assert!(Probe::read(&path, TEXT.len() as u64).await.is_ok());
        let other = TEXT.replace("\"format\": 1", "\"format\": 2");
        assert!(matches!(Probe::parse(other.as_bytes()), Err(NoProbe::Format(2))));
        assert!(matches!(Probe::parse(b"[]"), Err(NoProbe::Text(_))));
    }
}
