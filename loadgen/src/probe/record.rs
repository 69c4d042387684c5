//! What a round found, as the status file and `--json` say it: the shape is a promise, and a new
//! `format` says when it changes.
//!
//! ```json
//! { "format": 1, "interval_s": 60, "rounds": [
//!   { "began_unix_s": 1764536400, "took_ms": 8200, "ok": false,
//!     "sign_ins": [ { "control": "a.example:4433", "login": "probe-1", "ok": true, "ms": 61.5 } ],
//!     "setup_ms": 12.1,
//!     "relays": [ { "relay": 1, "site": "tokyo", "address": "203.0.113.10:40000", "ok": false,
//!       "seen_unix_s": 1764536400, "round_trip_ms": 8.4,
//!       "to_callee": { "sent": 150, "received": 0, "loss_ratio": 1.0, "delay_ms": null },
//!       "to_caller": { "sent": 150, "received": 150, "loss_ratio": 0.0, "delay_ms": 4.6 } } ],
//!     "faults": [ { "fault": "one_way_audio", "what": "...", "next": "..." } ] } ] }
//! ```
//!
//! Rounds are in the order of time, the newest last. `setup_ms` is that of the slowest call and
//! `null` if there was none. A relay that had no turn has no address and no figures; it is as `ok`
//! as it was last, but for one that is missing and a round without any call.

use super::fault::Finding;
use super::voice::Heard;
use crate::capacity::ROUNDS_KEPT;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The shape of the status file.
pub const FORMAT: u32 = 1;

/// The last rounds of a probe.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// [`FORMAT`].
    pub format: u32,
    /// Seconds from the beginning of a round to that of the next: whoever finds the last round
    /// older than a few of them knows that the probe stands still.
    pub interval_s: u64,
    /// The rounds, the newest last.
    pub rounds: VecDeque<Round>,
}

/// One round.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// When it began, in seconds since 1970.
    pub began_unix_s: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Each sign-in.
    pub sign_ins: Vec<SignIn>,
    /// The slowest set-up of a call, in milliseconds.
    pub setup_ms: Option<f64>,
    /// Each relay, by number.
    pub relays: Vec<Relay>,
    /// What is wrong.
    pub faults: Vec<Finding>,
}

/// One sign-in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignIn {
    /// The door, as the settings name it.
    pub control: String,
    /// Whose.
    pub login: String,
    /// Whether it succeeded, and in time.
    pub ok: bool,
    /// How long it took, in milliseconds; none if it failed.
    pub ms: Option<f64>,
}

/// One relay.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Relay {
    /// Its number.
    pub relay: u32,
    /// Its site.
    pub site: String,
    /// Where its shard listened; none if it was given to no call.
    pub address: Option<String>,
    /// Whether the last call over it went well, and it is not missing.
    pub ok: bool,
    /// When it was last given to a call, in seconds since 1970; none if never since the start.
    pub seen_unix_s: Option<u64>,
    /// Round trip to it in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// From the caller to the called side.
    pub to_callee: Option<Way>,
    /// From the called side to the caller.
    pub to_caller: Option<Way>,
}

/// Voice in one direction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Way {
    /// Packets that left.
    pub sent: u64,
    /// Packets that came as they were.
    pub received: u64,
    /// The share that did not, 0 to 1.
    pub loss_ratio: f64,
    /// Milliseconds that half of them were under way at most; none if none came.
    pub delay_ms: Option<f64>,
}

impl From<Heard> for Way {
    fn from(heard: Heard) -> Self {
        let delay_ms = heard.delay.map(|delay| delay.as_secs_f64() * 1e3);
        let (sent, received) = (heard.sent, heard.received);
        Self { sent, received, loss_ratio: heard.loss(), delay_ms }
    }
}

impl Round {
    /// The slowest sign-in, in milliseconds.
    pub fn sign_in_ms(&self) -> Option<f64> {
        self.sign_ins.iter().filter_map(|it| it.ms).max_by(f64::total_cmp)
    }
}

impl Status {
    /// No round yet.
    pub fn new(interval_s: u64) -> Self {
        Self { format: FORMAT, interval_s, rounds: VecDeque::with_capacity(ROUNDS_KEPT) }
    }

    /// Takes a round in; the oldest goes if there is no room.
    pub fn push(&mut self, round: Round) {
        if self.rounds.len() == ROUNDS_KEPT {
            self.rounds.pop_front();
        }
        self.rounds.push_back(round);
    }

    /// Writes the file in one step: whoever reads it sees the rounds before or those of now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let text = serde_json::to_string(self).context("the status is no JSON")? + "\n";
        let cannot = || format!("cannot write {}: check the folder and its rights", path.display());
        std::fs::write(&beside, text).with_context(cannot)?;
        std::fs::rename(&beside, path).with_context(cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fault::Fault;

    #[test]
    fn the_documented_example_reads() {
        let example = include_str!("record.rs");
        let lines = example.lines().filter_map(|line| line.strip_prefix("//! "));
        let json: String = lines
            .skip_while(|line| !line.contains("```json"))
            .skip(1)
            .take_while(|line| *line != "```")
            .collect();
        let status: Status = serde_json::from_str(&json).unwrap();
        assert_eq!(status.format, FORMAT);
        let round = &status.rounds[0];
        assert_eq!(round.faults[0].fault, Fault::OneWayAudio);
        assert_eq!(round.sign_in_ms(), Some(61.5));
        assert_eq!(round.relays[0].to_caller.as_ref().unwrap().received, 150);
        let written = serde_json::to_value(&status).unwrap();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(written, read, "it names every key");
    }

    #[test]
    fn the_file_holds_the_last_rounds_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        let mut status = Status::new(60);
        for began_unix_s in 0..ROUNDS_KEPT as u64 + 3 {
            status.push(Round { began_unix_s, ..Round::default() });
            status.write(&path).unwrap();
        }
        let read: Status = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, status);
        assert_eq!((read.rounds.len(), read.rounds[0].began_unix_s), (ROUNDS_KEPT, 3));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(status.write(&folder.path().join("no/such/folder")).is_err());
    }
}
