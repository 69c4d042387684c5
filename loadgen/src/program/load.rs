//! What `media` and `capacity` do alike: a place, an engine, runs, a report.

use super::common::{CpuArgs, MixArgs, bound};
use super::place::{Place, PlaceArgs};
use crate::conduct::Conductor;
use crate::cpu::RelayCpu;
use crate::engine::{Engine, Load};
use crate::measure::Intervals;
use crate::mix::Mix;
use crate::report::{Report, Setup, Step};
use anyhow::{Context, Result};
use core::time::Duration;

/// A measurement that is going on.
pub(super) struct Session {
    place: Place,
    engine: Option<Engine>,
    relay_cpu: Option<RelayCpu>,
    legs_per_call: usize,
    mix: Mix,
    seed: u64,
    p999_ms: Option<f64>,
    run: u32,
    steps: Vec<Step>,
    warnings: Vec<String>,
}

impl Session {
    pub(super) fn open(
        place: &PlaceArgs,
        mix: &MixArgs,
        cpu: &CpuArgs,
        calls_max: usize,
        p999_ms: Option<f64>,
    ) -> Result<Self> {
        bound(p999_ms)?;
        let legs_per_call = place.calls_of;
        let place = tokio::task::block_in_place(|| place.open(calls_max, mix, cpu))?;
        Ok(Self {
            place,
            engine: None,
            relay_cpu: None,
            legs_per_call,
            mix: mix.mix(),
            seed: mix.seed,
            p999_ms,
            run: 0,
            steps: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Calls there can be at most.
    pub(super) fn calls_max(&self) -> usize {
        self.place.calls_max()
    }

    /// Drives `calls` calls for `duration`; the step stays for the report.
    pub(super) async fn run(
        &mut self,
        cpu: &CpuArgs,
        calls: usize,
        duration: Duration,
        quiet: bool,
    ) -> Result<&Step> {
        self.place.fill(&mut self.engine, calls, self.legs_per_call, cpu.cores()).await?;
        let engine = self.engine.as_mut().context("no call could be set up")?;
        let (legs_per_call, bound) = (self.legs_per_call, bound(self.p999_ms)?);
        let relay = cpu.relay(self.place.own_pid(), &engine.relay_ports());
        let relay_cpu = relay.map_err(|why| format!("no CPU of the relay is told: {why:#}"));
        if let Err(why) = &relay_cpu
            && !self.warnings.contains(why)
        {
            self.warnings.push(why.clone());
        }
        self.relay_cpu = relay_cpu.ok();
        let relay_cpu = self.relay_cpu.clone();
        let conductor = Conductor { relay_cpu, legs_per_call, bound, talks: !quiet };
        self.run += 1;
        let interval = Duration::from_secs(1).min(duration);
        let load = Load {
            members: (calls * legs_per_call).min(engine.legs()),
            mix: self.mix,
            seed: self.seed,
            run: self.run,
            duration,
            intervals: Intervals::covering(duration, interval),
        };
        let step = tokio::task::block_in_place(|| conductor.run(engine, &load))?;
        self.place.check()?;
        self.steps.push(step);
        self.steps.last().context("it was just pushed")
    }

    /// Ends the calls and gives the report.
    pub(super) async fn close(mut self, kind: &'static str) -> Report {
        let setup = Setup {
            program: concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION")),
            calls_from: self.place.describe(),
            legs_per_call: self.legs_per_call,
            mix: self.mix,
            seed: self.seed,
            kernel: kernel(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            relay_cpu_from: self.relay_cpu.as_ref().map_or_else(
                || String::from("nothing"),
                |cpu| match cpu.core {
                    Some(core) => format!("core {core}, with its interrupts"),
                    None => format!("processes {:?}, without interrupts", cpu.processes),
                },
            ),
            p999_ms: self.p999_ms,
        };
        self.place.close(&mut self.warnings).await;
        Report { kind, setup, headline: None, steps: self.steps, warnings: self.warnings }
    }
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
