//! The kernel, and what it lets a process have.

use super::item::Seen;
use super::machine::{Read, Unread};
use super::scene::Scene;
use super::wanted;
use kakehashi_relay::capacity::{files, locked_bytes};

/// The oldest kernel that a relay runs on.
const OLDEST: (u32, u32) = (6, 1);

/// Open files that a control node needs: an operator's connection each, and the rest.
const CONTROL_FILES: u64 = 1_024;

/// The kernel's version.
pub(super) fn version(scene: &Scene<'_>) -> Seen {
    let should = format!("Linux {}.{} or newer", OLDEST.0, OLDEST.1);
    Seen::of(scene.machine.text("/proc/sys/kernel/osrelease"), &should.clone(), |release| {
        let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            return Seen::unknown(format!("it calls itself {release}"), should);
        };
        let is_old = (major, minor) < OLDEST;
        let seen = Seen::ok(release, should);
        if is_old { seen.wrong("apt-get install linux-image-amd64 && reboot") } else { seen }
    })
}

/// Whether the kernel's switch lets io_uring be used.
pub(super) fn io_uring_switch(scene: &Scene<'_>) -> Seen {
    let name = "kernel.io_uring_disabled";
    let (path, should) = ("/proc/sys/kernel/io_uring_disabled", wanted::value(name));
    if !scene.machine.has(path) && scene.machine.has("/proc/sys/kernel/osrelease") {
        return Seen::ok("no such switch: Linux before 6.6 has none", should);
    }
    Seen::of(scene.machine.number(path), should, |value| {
        let seen = Seen::ok(value.to_string(), should);
        match value {
            0 => seen,
            // With the relay's group in kernel.io_uring_group it is even better: `io-uring` tells.
            1 => seen.advice(format!("sysctl -w {name}=0")),
            _ => seen.wrong(format!("sysctl -w {name}=0")),
        }
    })
}

/// Whether a ring can be made.
pub(super) fn io_uring(scene: &Scene<'_>) -> Seen {
    let should = "a ring can be made";
    Seen::of(scene.probes.io_uring(), should, |tried| match tried {
        Ok(()) => Seen::ok("one was made", should),
        Err(why) => Seen::ok("refused", should).wrong(why),
    })
}

/// A limit of a relay's process: of one that runs, or of this shell.
struct Limit {
    /// None if there is none.
    value: Option<u64>,
    whose: String,
    /// Whether it is of a program of ours, and not of the shell it may never start in.
    is_ours: bool,
}

impl Limit {
    /// Whether it will do.
    fn judge(&self, needed: u64, seen: Seen, fix: &str) -> Seen {
        match self.value {
            Some(value) if value < needed && self.is_ours => seen.wrong(fix),
            Some(value) if value < needed => seen.advice(fix),
            _ => seen,
        }
    }
}

/// The soft limit called `name`, of the process of `programs` with the lowest, or of this one.
fn limit(scene: &Scene<'_>, programs: &[&str], name: &str) -> Read<Limit> {
    let mut found = Vec::new();
    for program in programs {
        for pid in scene.machine.processes(program) {
            let value = limit_of(scene, &pid, name)?;
            let whose = format!("{program}, process {pid}");
            found.push(Limit { value, whose, is_ours: true });
        }
    }
    let lowest = found.into_iter().min_by_key(|limit| limit.value.unwrap_or(u64::MAX));
    lowest.map_or_else(
        || {
            let value = limit_of(scene, "self", name)?;
            let whose = "this shell; none of ours runs".to_owned();
            Ok(Limit { value, whose, is_ours: false })
        },
        Ok,
    )
}

fn limit_of(scene: &Scene<'_>, pid: &str, name: &str) -> Read<Option<u64>> {
    let path = format!("/proc/{pid}/limits");
    let text = scene.machine.text(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    match word {
        Some("unlimited") => Ok(None),
        Some(number) => number.parse().map(Some).map_err(|_| Unread(format!("{path}: {number}"))),
        None => Err(Unread(format!("{path} does not have it"))),
    }
}

/// What a relay may lock of memory.
pub(super) fn locked_memory(scene: &Scene<'_>) -> Seen {
    let needed = locked_bytes(scene.relay.shards, scene.is_over_nic());
    let should = format!("{} KiB or more for {} shards", needed >> 10, scene.relay.shards);
    let programs = ["kakehashi-relay"];
    Seen::of(limit(scene, &programs, "Max locked memory"), &should, |limit| {
        let kib = limit.value.map(|bytes| format!("{} KiB", bytes >> 10));
        let kib = kib.unwrap_or_else(|| "unlimited".to_owned());
        let seen = Seen::ok(format!("{kib} ({})", limit.whose), &should);
        limit.judge(needed, seen, "LimitMEMLOCK=infinity in its unit; by hand: ulimit -l unlimited")
    })
}

/// What our programs may have open.
pub(super) fn open_files(scene: &Scene<'_>) -> Seen {
    let needed = files(scene.relay.shards).max(CONTROL_FILES);
    let should = format!("{needed} or more");
    let programs = ["kakehashi-relay", "kakehashi-control"];
    Seen::of(limit(scene, &programs, "Max open files"), &should, |limit| {
        let count = limit.value.map_or_else(|| "unlimited".to_owned(), |it| it.to_string());
        let seen = Seen::ok(format!("{count} ({})", limit.whose), &should);
        limit.judge(needed, seen, "LimitNOFILE=65536 in its unit; by hand: ulimit -n 65536")
    })
}

/// Whether the kernel gives large pages to whoever asks.
pub(super) fn huge_pages(scene: &Scene<'_>) -> Seen {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let wished = wanted::value(&format!("sys {path}"));
    let should = format!("{wished}, or always");
    Seen::of(scene.machine.text(path), &should, |text| {
        let chosen = text.split(['[', ']']).nth(1).unwrap_or(&text).to_owned();
        let is_well = chosen == wished || chosen == "always";
        let seen = Seen::ok(chosen, should.clone());
        if is_well { seen } else { seen.advice(format!("echo {wished} > {path}")) }
    })
}
