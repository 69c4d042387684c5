//! Processor time and queues as Linux counts them: the relay's, its core's, and our own sockets'.

use anyhow::{Context, Result, bail};
use core::time::Duration;
use std::fs;
use std::path::Path;

/// What the relay's processor time is read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayCpu {
    /// The relay's processes: more than one if calls are spread over relays.
    pub processes: Vec<u32>,
    /// The core its shard runs on, if that is all that runs there: then interrupts count as well.
    pub core: Option<usize>,
}

/// Processor time used so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuTime {
    /// By the relay's processes: user and system.
    pub process: Duration,
    /// On its core, if it has one for itself.
    pub core: Option<CoreTime>,
}

/// Processor time used on a core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreTime {
    /// By processes: user and system.
    pub processes: Duration,
    /// By everything: processes and interrupts.
    pub all: Duration,
}

impl RelayCpu {
    /// Reads it.
    ///
    /// # Errors
    /// If the process or the core is gone.
    pub fn read(&self) -> Result<CpuTime> {
        let process = self.processes.iter().map(|&pid| process_time(pid)).sum::<Result<Duration>>();
        let process = process.context("give the relay's process with --relay-pid")?;
        let core = self.core.map(|core| {
            let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
            core_time(&stat, core).with_context(|| format!("there is no core {core}"))
        });
        Ok(CpuTime { process, core: core.transpose()? })
    }
}

impl CpuTime {
    /// Used since `earlier`: by the core where it is known, else by the process.
    pub fn since(&self, earlier: &Self) -> Duration {
        match (self.core, earlier.core) {
            (Some(now), Some(then)) => now.all.saturating_sub(then.all),
            _ => self.process.saturating_sub(earlier.process),
        }
    }

    /// Used on the core since `earlier` by processes that are not the relay's.
    pub fn others_since(&self, earlier: &Self) -> Duration {
        let own = self.process.saturating_sub(earlier.process);
        let core = self.core.zip(earlier.core);
        core.map_or(Duration::ZERO, |(now, then)| {
            now.processes.saturating_sub(then.processes).saturating_sub(own)
        })
    }
}

/// User and system time of process `pid` so far.
///
/// # Errors
/// If there is no such process.
pub fn process_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
    Ok(from_ticks(process_ticks(&stat).with_context(|| format!("{path} is odd"))?))
}

fn from_ticks(ticks: u64) -> Duration {
    let hz = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / hz))
}

/// User and system ticks of a `/proc/PID/stat`; the program's name in it may hold anything.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// What a core in `/proc/stat` was used for: user, nice and system; irq and softirq.
fn core_time(stat: &str, core: usize) -> Option<CoreTime> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Option<Vec<u64>> =
        line.split_ascii_whitespace().skip(1).map(|field| field.parse().ok()).collect();
    let ticks = ticks?;
    let sum = |fields: &[usize]| fields.iter().map(|&at| ticks.get(at).copied()).sum();
    let (processes, interrupts): (Option<u64>, Option<u64>) = (sum(&[0, 1, 2]), sum(&[5, 6]));
    let (processes, interrupts) = (processes?, interrupts?);
    Some(CoreTime { processes: from_ticks(processes), all: from_ticks(processes + interrupts) })
}

/// A UDP socket of this network namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct UdpRow {
    port: u16,
    inode: u64,
    drops: u64,
}

/// The rows of a `/proc/net/udp` or `/proc/net/udp6`.
fn udp_rows(table: &str) -> Vec<UdpRow> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        Some(UdpRow {
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
            drops: fields.get(12)?.parse().ok()?,
        })
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn all_udp_rows() -> Vec<UdpRow> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(fs::read_to_string);
    tables.into_iter().flatten().flat_map(|table| udp_rows(&table)).collect()
}

/// Datagrams dropped so far because the queue of one of our sockets at `ports` was full.
pub fn socket_drops(ports: &[u16]) -> u64 {
    all_udp_rows().iter().filter(|row| ports.contains(&row.port)).map(|row| row.drops).sum()
}

/// The process that listens at UDP port `port` of this machine.
///
/// # Errors
/// If nobody listens there, or its owner hides its descriptors.
pub fn process_at(port: u16) -> Result<u32> {
    let inodes: Vec<String> = all_udp_rows()
        .iter()
        .filter(|row| row.port == port)
        .map(|row| format!("socket:[{}]", row.inode))
        .collect();
    if inodes.is_empty() {
        bail!("nobody on this machine listens at UDP port {port}");
    }
    let processes = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter()
        .find(|&pid| holds(pid, &inodes))
        .with_context(|| format!("the process at UDP port {port} cannot be told"))
}

fn holds(pid: u32, inodes: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target: std::path::PathBuf| inodes.iter().any(|inode| Path::new(inode) == target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_name_with_anything_in_it_does_not_confuse() {
        let stat = "42 (a) b (c 1 2 3) R 1 42 42 0 -1 4194304 5 6 7 8 150 75 0 0 20 0 3 0 100";
        assert_eq!(process_ticks(stat), Some(225));
        assert_eq!(process_ticks("42 (x) R 1"), None);
    }

    #[test]
    fn a_core_counts_with_its_interrupts() {
        let stat = "cpu  9 9 9 9 9 9 9\ncpu1 1 2 4 1000 1000 8 16 32 0 0\ncpu10 1 1 1 1 1 1 1\n";
        let time = |processes, all| {
            Some(CoreTime { processes: from_ticks(processes), all: from_ticks(all) })
        };
        assert_eq!(core_time(stat, 1), time(7, 31));
        assert_eq!(core_time(stat, 10), time(3, 5));
        assert_eq!(core_time(stat, 0), None);
    }

    #[test]
    fn what_others_use_on_the_core_is_told_apart() {
        let ms = Duration::from_millis;
        let at = |process, processes, all| CpuTime {
            process: ms(process),
            core: Some(CoreTime { processes: ms(processes), all: ms(all) }),
        };
        let (first, last) = (at(100, 500, 900), at(400, 1_000, 2_000));
        assert_eq!((last.since(&first), last.others_since(&first)), (ms(1_100), ms(200)));
        let alone = CpuTime { process: ms(500), core: None };
        assert_eq!((alone.since(&first), alone.others_since(&first)), (ms(400), ms(0)));
    }

    #[test]
    fn rows_of_sockets_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\
                     uid  timeout inode ref pointer drops\n\
                     80: 0100007F:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000  \
                     0        0 12345 2 0000000000000000 17\n";
        let row = UdpRow { port: 40_000, inode: 12_345, drops: 17 };
        assert_eq!(udp_rows(table), [row]);
        assert!(udp_rows("head\nnonsense\n").is_empty());
    }

    #[test]
    fn this_process_is_found_by_its_port_and_uses_time() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(process_at(port).unwrap(), std::process::id());
        assert_eq!(socket_drops(&[port]), 0);
        let cpu = RelayCpu { processes: vec![std::process::id()], core: None };
        let (first, second) = (cpu.read().unwrap(), cpu.read().unwrap());
        assert_eq!(second.core, None);
        assert!(second.process >= first.process);
        drop(socket);
        assert!(RelayCpu { processes: vec![u32::MAX], core: None }.read().is_err());
    }
}
