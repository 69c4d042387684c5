//! What a subject costs: CPU time of its process, and of its core.
//!
//! The scheduler knows the run time of each thread to the nanosecond, and what the kernel does for
//! a packet runs in the sender's thread, softirq included. The core's own counters sample at each
//! tick instead, so over seconds they wander by several per cent. Therefore the process's time is
//! what ratios are made of, with that of the core's softirq thread, and the core's stands beside
//! it: far apart, they would tell of work that escaped.

use anyhow::{Context, Result};
use core::time::Duration;
use rustix::param::clock_ticks_per_second;
use std::fs;

/// CPU time used so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuTime {
    /// By all threads of the process, by the thread of its core that takes over softirqs, and by
    /// those that receive from its device.
    pub process: Duration,
    /// The part of it of those that receive from its device.
    pub receiving: Duration,
    /// By anything on the core, as the tick samples it: user, system, irq and softirq.
    pub core: Duration,
}

/// Where to read the CPU time of one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuProbe {
    process: u32,
    /// Of the kernel: what takes over softirqs.
    softirqs: Vec<u32>,
    /// Of the kernel: what receives from the subject's device.
    receiving: Vec<u32>,
    core: usize,
}

impl CpuProbe {
    /// Watches a process that is pinned to `core`, and the kernel's threads that receive for it.
    pub fn new(process: u32, core: usize, receiving: &[u32]) -> Self {
        let softirqs = processes(|name| name == format!("ksoftirqd/{core}"));
        Self { process, softirqs, receiving: receiving.to_vec(), core }
    }

    /// Whether its device has threads of its own to receive.
    pub fn knows_receiving(&self) -> bool {
        !self.receiving.is_empty()
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn read(&self) -> Result<CpuTime> {
        let process = run_time(self.process).context("the subject has ended; see its log")?;
        let of = |threads: &[u32]| threads.iter().map(|it| run_time(*it)).sum::<Result<Duration>>();
        let receiving = of(&self.receiving)?;
        let process = process + of(&self.softirqs)? + receiving;
        let stat = fs::read_to_string("/proc/stat")?;
        let ticks = core_ticks(&stat, self.core).context("/proc/stat lacks the subject's core")?;
        let core = Duration::from_nanos(ticks * (1_000_000_000 / clock_ticks_per_second()));
        Ok(CpuTime { process, receiving, core })
    }
}

/// Sum over the threads of a process.
fn run_time(process: u32) -> Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end while we look.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanos += first_number(&text).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanos))
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Busy ticks of a core in the text of `/proc/stat`: all but idle, iowait, steal and guests.
fn core_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core} ");
    let fields = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<u64> = fields.split_whitespace().map_while(|it| it.parse().ok()).collect();
    let &[user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + irq + softirq)
}

/// Processes, and threads of the kernel, by name.
pub(crate) fn processes(is_wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let number = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        is_wanted(comm.trim_end()).then_some(number)
    };
    fs::read_dir("/proc").map_or_else(|_| vec![], |all| all.flatten().filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_work() {
        let stat = "cpu  9 9 9 9 9 9 9\ncpu1 1 2 4 1000 1000 8 16 1000 0 0\ncpu11 7 7 7 7 7 7 7\n";
        assert_eq!(core_ticks(stat, 1), Some(31));
        assert_eq!(core_ticks(stat, 2), None);
        assert_eq!(core_ticks("cpu1 1 2\n", 1), None);
    }

    #[test]
    fn the_own_process_has_used_time() {
        let probe = CpuProbe::new(std::process::id(), 0, &[]);
        let before = probe.read().unwrap();
        let mut sum = 0_u64;
        while probe.read().unwrap().process <= before.process {
            sum = core::hint::black_box(sum.wrapping_add(1));
        }
        assert!(probe.read().unwrap().core >= before.core);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(CpuProbe::new(u32::MAX, 0, &[]).read().is_err());
    }
}
