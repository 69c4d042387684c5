//! One run from beginning to end: puts a load on, watches the relay's processor and the queues,
//! says how far it is, and puts what came of it into figures.

use crate::cpu::{CpuTime, RelayCpu, socket_drops};
use crate::engine::{Engine, Load, Progress};
use crate::report::{Run, Step};
use anyhow::Result;
use core::time::Duration;
use std::sync::atomic::Ordering;

/// How every run of a program is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conductor {
    /// What the relay's processor time is read from, if it is on this machine.
    pub relay_cpu: Option<RelayCpu>,
    /// Legs of each call.
    pub legs_per_call: usize,
    /// The delay 99.9 % of the packets may have.
    pub bound: Option<Duration>,
    /// Whether to say how far it is.
    pub talks: bool,
}

impl Conductor {
    /// Puts `load` on.
    ///
    /// # Errors
    /// If a socket fails, or the relay's process is gone.
    pub fn run(&self, engine: &mut Engine, load: &Load) -> Result<Step> {
        let (ports, relay_ports) = (engine.ports(), engine.relay_ports());
        let drops = || (socket_drops(&ports), socket_drops(&relay_ports));
        let before = drops();
        let mut cpu: Vec<(Duration, CpuTime)> = Vec::with_capacity(load.intervals.count() + 1);
        let first = self.relay_cpu.as_ref().map(RelayCpu::read).transpose()?;
        cpu.extend(first.map(|time| (Duration::ZERO, time)));
        let (sent, received) = engine.drive(load, |progress, now| {
            let time = self.relay_cpu.as_ref().and_then(|relay| relay.read().ok());
            cpu.extend(time.map(|time| (now, time)));
            if self.talks {
                eprintln!("{}", line(load, progress, now));
            }
        })?;
        let after = drops();
        let drops = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        let run = Run {
            load,
            legs_per_call: self.legs_per_call,
            sent: &sent,
            received: &received,
            cpu: &cpu,
            drops,
            bound: self.bound,
        };
        Ok(Step::of(&run))
    }
}

/// How far a run is.
fn line(load: &Load, progress: &Progress, now: Duration) -> String {
    let expected = progress.expected.load(Ordering::Relaxed);
    let received = progress.received.load(Ordering::Relaxed);
    let due = Duration::from_nanos(progress.due_ns.load(Ordering::Relaxed));
    let behind = now.min(load.duration).saturating_sub(due);
    format!(
        "{:5.1} of {:.1} s  {} legs  {received} of {expected} packets arrived{}",
        now.as_secs_f64(),
        load.duration.as_secs_f64(),
        load.members,
        if behind > Duration::from_millis(50) {
            format!(", {} ms behind the schedule", behind.as_millis())
        } else {
            String::new()
        }
    )
}
