//! Where things are kept: the store, and the room for it.

use super::item::Seen;
use super::network::is_ours;
use super::scene::{Scene, Store};
use kakehashi_control::store::Engine;

const MIB: u64 = 1 << 20;

/// Free bytes below which logs, the store and archives soon have no room, and have none.
const FREE_BYTES: u64 = 1_024 * MIB;
const FREE_BYTES_LEAST: u64 = 256 * MIB;

/// Bytes that a member of etcd keeps unless it is told otherwise, and a warning before.
const MEMBER_BYTES: u64 = 2_048 * MIB;
const MEMBER_BYTES_WARN: u64 = MEMBER_BYTES / 4 * 3;

/// Whether the store can be used.
pub(super) fn health(scene: &Scene<'_>) -> Seen {
    let should = match scene.control.store.engine {
        Engine::Embedded => "opens, or in use by the node that runs",
        Engine::Etcd => "every member well, with one leader",
    };
    Seen::of(scene.probes.store(scene.control), should, |found| match found {
        Store::None => Seen::ok("none yet: the first start makes it", should),
        Store::Opens(0) => Seen::ok("its node was killed: the next start mends it", should),
        Store::Opens(revision) => Seen::ok(format!("opens, at revision {revision}"), should),
        Store::Locked => locked(scene, should),
        Store::Broken(why) => Seen::ok("cannot be used", should).wrong(why),
        Store::Cluster { members, problems, bytes } => {
            let well = members.saturating_sub(problems.len());
            let is = format!("{well} of {members} members well; {} MiB", bytes / MIB);
            let seen = Seen::ok(is, should);
            let why = problems.join("; ");
            let look = format!("etcdctl endpoint status --cluster; etcdctl alarm list ({why})");
            match problems.is_empty() {
                false if well * 2 <= members => seen.wrong(look),
                false => seen.advice(look),
                true if bytes >= MEMBER_BYTES_WARN => seen.advice("etcdctl defrag --cluster"),
                true => seen,
            }
        }
    })
}

/// Somebody has the file open: that is as it should be if it is a node.
fn locked(scene: &Scene<'_>, should: &str) -> Seen {
    let file = scene.control.store_file();
    let at = if scene.machine.is_played() { Ok(file) } else { file.canonicalize() };
    let at = at.map(|path| path.display().to_string());
    let Some((name, pid)) = at.as_ref().ok().and_then(|path| scene.machine.holder(path)) else {
        return Seen::unknown("it is in use, and only root sees by whom", should);
    };
    let seen = Seen::ok(format!("in use by {name}, process {pid}"), should);
    let fix = format!("kill {pid}: it is no node of ours that has it open");
    if is_ours(&name) { seen } else { seen.wrong(fix) }
}

/// Whether there is room.
pub(super) fn room(scene: &Scene<'_>) -> Seen {
    let should = format!("{} MiB free, or more", FREE_BYTES / MIB);
    let data = scene.control.data.as_path();
    let wished = [data, "/var/lib".as_ref(), "/".as_ref()];
    let wished = if scene.has_control { &wished[..] } else { &wished[1..] };
    let path = wished.iter().find(|path| scene.machine.has(&path.to_string_lossy()));
    let Some(path) = path else {
        return Seen::unknown("no folder to look at", should);
    };
    Seen::of(scene.probes.space(path), &should, |(free, all)| {
        let is = format!("{} of {} MiB at {}", free / MIB, all / MIB, path.display());
        let seen = Seen::ok(is, &should);
        let fix = format!("du -xh --max-depth=2 {} | sort -h | tail: free some", path.display());
        match free {
            _ if free >= FREE_BYTES => seen,
            _ if free >= FREE_BYTES_LEAST => seen.advice(fix),
            _ => seen.wrong(fix),
        }
    })
}
