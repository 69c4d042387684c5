//! Has a virtual Ethernet device served as a NIC is whose queue's interrupt is on one core.
//!
//! Left alone, what a veth receives is worked on by the core that sent it. With threads of its own
//! ("Threaded NAPI" in `Documentation/networking/napi.rst`) it is worked on by the core of these:
//! programs of XDP, coalescing, IP and UDP. They run before other threads, as interrupts do, and
//! at intervals, as a NIC with moderation interrupts: a timer of their own core has them look. Were
//! each woken from the other core, the scheduler would count to it what passes from that core's
//! wish to its own start, which between virtual cores is far more than the work.

use crate::cpu::processes;
use crate::medium::say;
use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::HashSet;

/// From one look at a queue to the next, in nanoseconds: what Intel's drivers have by default.
const MODERATION_NANOS: u32 = 50_000;

/// Looks that may find nothing before it takes a packet, from the other core, to begin again.
const IDLE_LOOKS: u32 = 20;

/// Before all threads without real-time priority.
const PRIORITY: u32 = 50;

/// Lets the kernel's threads of a device that is up run on `core`; gives them.
///
/// # Errors
/// If the kernel has no such threads.
pub fn serve(namespace: &str, device: &str, core: usize) -> Result<Vec<u32>> {
    let prefix = format!("napi/{device}-");
    let named = || processes(|name| name.starts_with(&prefix)).into_iter().collect::<HashSet<_>>();
    let before = named();
    let inside = |command: &[&str]| say("ip", &[&["netns", "exec", namespace], command].concat());
    // Without a program of XDP, a veth has a queue of its own only for coalescing, which NICs have
    // on as well, and hands it packets only if the other side sends none for TCP to be cut.
    inside(&["ethtool", "-K", device, "gro", "on", "tso", "off"])?;
    let settings = [
        ("gro_flush_timeout", MODERATION_NANOS),
        ("napi_defer_hard_irqs", IDLE_LOOKS),
        ("threaded", 1),
    ];
    for (setting, value) in settings {
        let write = format!("echo {value} >/sys/class/net/{device}/{setting}");
        inside(&["sh", "-c", &write])?;
    }
    let threads: Vec<u32> = named().difference(&before).copied().collect();
    ensure!(!threads.is_empty(), "the kernel has no threads for {device}");
    let mut cores = CpuSet::new();
    cores.set(core);
    for thread in &threads {
        let number = Pid::from_raw(i32::try_from(*thread)?).context("a thread has a number")?;
        sched_setaffinity(Some(number), &cores)?;
        say("chrt", &["--fifo", "--pid", &PRIORITY.to_string(), &thread.to_string()])?;
    }
    Ok(threads)
}
