//! Options that more than one command has, and what they become.

use crate::accounts::{Accounts, Control, Roster};
use crate::cpu::{RelayCpu, process_at};
use crate::engine::Cores;
use crate::local_relay::program_beside;
use crate::mix::Mix;
use crate::report::{Report, html, json, text};
use anyhow::{Context, Result};
use clap::ValueEnum;
use core::time::Duration;
use serde::Serialize;
use std::path::PathBuf;

/// Where control is.
#[derive(clap::Args)]
pub(super) struct ControlArgs {
    /// Control's address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4433")]
    pub(super) control: String,
    /// The name control's certificate is made out to.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(super) server_name: String,
    /// Certificates that may sign control's, PEM.
    #[arg(long, value_name = "FILE", default_value = "kakehashi-data/ca.pem")]
    pub(super) ca: PathBuf,
}

impl ControlArgs {
    pub(super) fn read(&self) -> Result<Control> {
        let ca_pem = std::fs::read(&self.ca).with_context(|| {
            format!(
                "cannot read the CA certificate {}: name it with --ca, or start a platform with \
                 `kakehashi up`, or measure a relay alone with --start-relay",
                self.ca.display()
            )
        })?;
        let (address, server_name) = (self.control.clone(), self.server_name.clone());
        Ok(Control { address, server_name, ca_pem })
    }

    /// Control's port.
    pub(super) fn port(&self) -> Result<u16> {
        let port = self.control.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.context("control's address ends with its port")
    }

    /// Control's process, if it is on this machine.
    pub(super) fn process(&self) -> Result<u32> {
        process_at(self.port()?)
    }
}

/// Where accounts are made.
#[derive(clap::Args)]
pub(super) struct MadeArgs {
    /// Without a list, the data folder of `kakehashi up` on this machine: accounts are made as
    /// needed and stay.
    #[arg(long, value_name = "DIR", default_value = "kakehashi-data")]
    pub(super) data: PathBuf,
    /// The tenant to make them in.
    #[arg(long, value_name = "NAME", default_value = "loadgen")]
    pub(super) tenant: String,
    /// The operator's program; the `kakehashi` beside this one if not given.
    #[arg(long, value_name = "PROGRAM")]
    kakehashi: Option<PathBuf>,
}

impl MadeArgs {
    /// The operator's program.
    pub(super) fn kakehashi(&self) -> Result<PathBuf> {
        self.kakehashi.clone().map_or_else(|| program_beside("kakehashi"), Ok)
    }

    pub(super) fn accounts(&self) -> Result<Accounts> {
        let (data, tenant) = (self.data.clone(), self.tenant.clone());
        Ok(Accounts::Made { kakehashi: self.kakehashi()?, data, tenant })
    }
}

/// The platform that is measured, and what is said of it.
#[derive(clap::Args)]
pub(super) struct PlatformArgs {
    /// Where control is: for commands that look at its process, on this machine.
    #[command(flatten)]
    pub(super) control: ControlArgs,
    /// Where accounts are made.
    #[command(flatten)]
    pub(super) made: MadeArgs,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Says nothing while it runs.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl PlatformArgs {
    /// The accounts to measure with.
    pub(super) fn roster(&self) -> Result<Roster> {
        Ok(Roster::new(self.control.read()?, self.made.accounts()?))
    }

    /// Writes `report` as JSON, if that was asked for.
    pub(super) fn write(&self, report: &impl Serialize) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(report)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What legs send.
#[derive(clap::Args)]
#[command(next_help_heading = "What legs send")]
pub(super) struct MixArgs {
    /// A mix to begin with; the options below change it.
    #[arg(long, value_enum, default_value_t = Preset::Meeting)]
    mix: Preset,
    /// Legs with a camera, in percent: 30 frames/s in trains, a key frame every 3 s.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    camera_percent: Option<u8>,
    /// Bit rate of a camera in kbit/s.
    #[arg(long, value_name = "KBPS", value_parser = clap::value_parser!(u32).range(..=50_000))]
    camera_kbps: Option<u32>,
    /// Legs that share a screen, in percent: a burst of 40 to 120 kB every few seconds.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    screen_percent: Option<u8>,
    /// Part of the time in which a voice is silent, in percent: 2.5 instead of 50 packets/s.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    silence_percent: Option<u8>,
    /// Mean time in seconds after which a leg falls silent, to bind and begin anew 2 s later. 0:
    /// never.
    #[arg(long, value_name = "SECONDS")]
    leave_after: Option<u32>,
    /// What everything is drawn from: the same seed gives the same load.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

/// Mixes with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Preset {
    /// Everyone speaks all the time: 50 packets/s of 160 B.
    Voice,
    /// Everyone has a camera of 1,500 kbit/s and speaks all the time.
    Video,
    /// Two thirds have a camera, one in twenty shares a screen, voices are silent half of the time.
    Meeting,
    /// Nobody speaks, everyone has a camera of 4,000 kbit/s: mostly full packets in long trains.
    Trains,
}

impl MixArgs {
    pub(super) fn mix(&self) -> Mix {
        let (voice, camera, screen, silence, kbps) = match self.mix {
            Preset::Voice => (100, 0, 0, 0, 1_500),
            Preset::Video => (100, 100, 0, 0, 1_500),
            Preset::Meeting => (100, 66, 5, 50, 1_500),
            Preset::Trains => (0, 100, 0, 0, 4_000),
        };
        Mix {
            voice_percent: voice,
            camera_percent: self.camera_percent.unwrap_or(camera),
            screen_percent: self.screen_percent.unwrap_or(screen),
            silence_percent: self.silence_percent.unwrap_or(silence),
            camera_kbps: self.camera_kbps.unwrap_or(kbps),
            leave_after_s: self.leave_after.unwrap_or(0),
        }
    }
}

/// Cores and processes.
#[derive(clap::Args)]
#[command(next_help_heading = "Processors")]
pub(super) struct CpuArgs {
    /// Pins the generator's thread to this core.
    #[arg(long, value_name = "CORE")]
    generator_core: Option<usize>,
    /// Pins the sink's thread to this core.
    #[arg(long, value_name = "CORE")]
    sink_core: Option<usize>,
    /// The relay's process, if it cannot be found through its port.
    #[arg(long, value_name = "PID")]
    relay_pid: Option<u32>,
    /// The core the relay's one shard has for itself: its user, system and interrupt time is
    /// taken for the relay's. With --start-relay, the shard is pinned to it.
    #[arg(long, value_name = "CORE")]
    pub(super) relay_core: Option<usize>,
}

impl CpuArgs {
    pub(super) fn cores(&self) -> Cores {
        Cores { generator: self.generator_core, sink: self.sink_core }
    }

    /// What the processor time of the relay at these ports is read from.
    pub(super) fn relay(&self, own_pid: Option<u32>, relay_ports: &[u16]) -> Result<RelayCpu> {
        let mut processes = match self.relay_pid.or(own_pid) {
            Some(pid) => vec![pid],
            None => {
                let found = relay_ports.iter().map(|&port| process_at(port));
                found.collect::<Result<_>>().context("give the relay's process with --relay-pid")?
            }
        };
        processes.sort_unstable();
        processes.dedup();
        let cpu = RelayCpu { processes, core: self.relay_core };
        cpu.read().map(|_| cpu)
    }
}

/// Where a report goes.
#[derive(clap::Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Says nothing while it runs.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl ReportArgs {
    /// Prints and writes a report.
    pub(super) fn give(&self, report: &Report) -> Result<()> {
        print!("{}", text::render(report));
        let write = |path: &PathBuf, text: String| {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, json::render(report)?)?;
        }
        if let Some(path) = &self.html {
            write(path, html::render(report))?;
        }
        Ok(())
    }
}

/// A bound on the delay in milliseconds, as a time.
pub(super) fn bound(p999_ms: Option<f64>) -> Result<Option<Duration>> {
    let time = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).context("--p999-ms is no time");
    p999_ms.map(time).transpose()
}
