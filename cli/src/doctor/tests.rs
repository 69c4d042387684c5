//! Machines that are played: a good one, a bad one, and one of which nothing can be read.

use super::item::{Part, Seen, State};
use super::machine::{Machine, Read, Unread};
use super::scene::{Probes, Scene, Store};
use super::{Row, examine, table, wanted};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::Config as Control;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::Pki;
use kakehashi_control::store::Engine;
use kakehashi_relay::capacity::{files, locked_bytes};
use kakehashi_relay::config::{Config as Relay, IoChoice};
use kakehashi_relay::host::{Finding, Judgement, NIC_ITEMS};
use kakehashi_wire::id::RelayId;
use kakehashi_wire::limits::SHARDS_PER_RELAY_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

const ALL: [Part; 3] = [Part::Host, Part::Relay, Part::Control];

/// What the probes of a played machine find.
#[derive(Clone)]
struct Played {
    ring: Result<(), String>,
    nic: Judgement,
    free: u64,
    store: Store,
    skew_ms: i64,
}

const GIB: u64 = 1 << 30;

impl Played {
    fn good() -> Self {
        let store = Store::Opens(7);
        Self { ring: Ok(()), nic: Judgement::Good, free: 9 * GIB, store, skew_ms: -40 }
    }

    fn bad() -> Self {
        let ring = Err("sysctl -w kernel.io_uring_disabled=0".to_owned());
        let store = Store::Broken("restore it from a backup".to_owned());
        Self { ring, nic: Judgement::Missing, free: GIB / 8, store, skew_ms: 90_000 }
    }
}

impl Probes for Played {
    fn io_uring(&self) -> Read<Result<(), String>> {
        Ok(self.ring.clone())
    }

    fn nic(&self, _: &Relay) -> Read<Vec<Finding>> {
        let fix = if self.nic == Judgement::Good { "" } else { "do this" };
        let of = |item| Finding {
            item,
            judgement: self.nic,
            is: "so".to_owned(),
            should: "so",
            fix: fix.to_owned(),
        };
        Ok(NIC_ITEMS.map(of).to_vec())
    }

    fn space(&self, _: &Path) -> Read<(u64, u64)> {
        Ok((self.free, 20 * GIB))
    }

    fn store(&self, _: &Control) -> Read<Store> {
        Ok(self.store.clone())
    }

    fn skew_ms(&self, _: Option<&Control>) -> Read<i64> {
        Ok(self.skew_ms)
    }
}

/// A machine in a folder, and what runs on it.
struct Stage {
    folder: TempDir,
    relay: Relay,
    control: Control,
}

impl Stage {
    /// With a relay of two shards over a NIC's queues, and a control node, both with certificates.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = UnixMs::now();
        let pki = Pki::open_or_create(&folder.path().join("data/pki"), now, Entropy::system());
        let pki = pki.unwrap();
        let mut control = Control { data: "/data".into(), ..Control::default() };
        control.names = vec!["a.example".to_owned()];
        pki.issue_server(&control.names, now).unwrap();
        pki.issue_relay(RelayId(1), now).unwrap();
        let mut relay = Relay { shards: 2, io: IoChoice::Xdp, ..Relay::default() };
        relay.ca_file = "/data/pki/ca.pem".into();
        relay.certificate_file = "/data/pki/relay-1.pem".into();
        relay.key_file = "/data/pki/relay-1.key".into();
        relay.firewall.table = "kakehashi".into();
        let stage = Self { folder, relay, control };
        files.iter().for_each(|(path, text)| stage.write(path, text));
        stage
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A process that has something open.
    fn process(&self, pid: &str, name: &str, target: &str) {
        self.write(&format!("/proc/{pid}/comm"), name);
        let fds = self.folder.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&fds).unwrap();
        symlink(target, fds.join("9")).unwrap();
    }

    fn seen(&self, probes: &Played) -> BTreeMap<&'static str, Seen> {
        let machine = Machine::played(self.folder.path());
        let (relay, control) = (&self.relay, &self.control);
        let now = UnixMs::now();
        let (probes, has_control): (&dyn Probes, _) = (probes, true);
        let scene = Scene { machine: &machine, probes, relay, control, has_control, now };
        let found = examine(&scene, &ALL);
        found.into_iter().map(|(item, seen)| (item.name, seen)).collect()
    }
}

const LIMITS: &str = "Max open files 65536 65536 files\nMax locked memory unlimited bytes\n";

const UDP: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
  1: 00000000:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2 0 0\n";

fn good() -> Stage {
    let stage = Stage::new(&[
        ("/proc/sys/kernel/osrelease", "6.12.9-amd64\n"),
        ("/proc/sys/kernel/io_uring_disabled", "0\n"),
        ("/proc/self/limits", LIMITS),
        ("/proc/self/comm", "kakehashi\n"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        ("/proc/sys/net/core/rmem_max", "4194304\n"),
        ("/proc/sys/net/core/wmem_max", "8388608\n"),
        ("/proc/sys/net/core/netdev_max_backlog", "8192\n"),
        ("/proc/sys/net/ipv4/ip_local_reserved_ports", "8080,40000-40063\n"),
        ("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "8192\n"),
        ("/proc/net/route", "Iface\tDestination\neth0\t00000000\t0102\n"),
        ("/proc/net/udp", UDP),
        ("/proc/net/tcp", "  sl\n"),
        ("/commands/ethtool -k eth0", FEATURES),
        ("/commands/ethtool -g eth0", RINGS),
        ("/commands/nft list table inet kakehashi", "set terminals_v4 {\n}\nset terminals_v6 {\n"),
        ("/commands/chronyc -n -c tracking", TRACKING),
        ("/sys/class/net/eth0/queues/rx-0/x", ""),
        ("/sys/class/net/eth0/queues/rx-1/x", ""),
        ("/sys/class/net/eth0/device/msi_irqs/40", "msix\n"),
        ("/sys/class/net/eth0/device/msi_irqs/41", "msix\n"),
        ("/proc/irq/40/smp_affinity_list", "0\n"),
        ("/proc/irq/41/smp_affinity_list", "0-1\n"),
        ("/sys/devices/system/cpu/online", "0-3\n"),
        ("/sys/devices/system/cpu/isolated", "2-3\n"),
        ("/sys/devices/system/cpu/smt/active", "0\n"),
        ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
        ("/var/lib/x", ""),
    ]);
    stage.process("77", "kakehashi-relay", "socket:[4711]");
    stage.write("/proc/77/limits", LIMITS);
    stage
}

const FEATURES: &str = "Features for eth0:\nrx-checksumming: on\ntx-checksumming: on\n\
                        \ttx-checksum-ipv4: off [fixed]\ngeneric-receive-offload: on\n\
                        generic-segmentation-offload: on\n";

const RINGS: &str = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nTX:\t\t1024\n\
                     Current hardware settings:\nRX:\t\t2048\nTX:\t\t1024\n";

const TRACKING: &str = "A,192.0.2.9,3,1700000000.1,0.000012,0.1,0.1,1,0,0.1,0.1,0.1,64.2,Normal\n";

#[test]
fn a_good_machine_is_well_in_every_item() {
    let seen = good().seen(&Played::good());
    assert_eq!(seen.len(), table::all().count());
    for (name, seen) in seen {
        assert_eq!(seen.state, State::Ok, "{name}: {seen:?}");
        assert!(!seen.is.is_empty() && !seen.should.is_empty() && seen.fix.is_empty(), "{name}");
    }
}

/// The same machine, and everything about it is as it should not be.
fn bad() -> Stage {
    let mut stage = good();
    let limits = "Max open files 100 100 files\nMax locked memory 65536 65536 bytes\n";
    for (path, text) in [
        ("/proc/sys/kernel/osrelease", "5.10.0-28-amd64"),
        ("/proc/sys/kernel/io_uring_disabled", "2"),
        ("/proc/77/limits", limits),
        ("/proc/88/comm", "irqbalance"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]"),
        ("/proc/sys/net/core/rmem_max", "212992"),
        ("/proc/sys/net/core/wmem_max", "212992"),
        ("/proc/sys/net/core/netdev_max_backlog", "1000"),
        ("/proc/sys/net/ipv4/ip_local_reserved_ports", "8080"),
        ("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024"),
        ("/proc/net/tcp", &UDP.replace("9C40", "1153").replace(" 07 ", " 0A ")),
        ("/proc/net/udp6", &UDP.replace("9C40", "9C41").replace("4711", "4712")),
        ("/commands/ethtool -k eth0", &FEATURES.replace("offload: on", "offload: off")),
        ("/commands/ethtool -g eth0", &RINGS.replace("2048", "256")),
        ("/commands/nft list table inet kakehashi", "set terminals_v6 {\n"),
        ("/commands/chronyc -n -c tracking", &TRACKING.replace("Normal", "Not synchronised")),
        ("/proc/irq/41/smp_affinity_list", "0-3"),
        ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
        ("/sys/devices/system/cpu/smt/active", "1"),
        ("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "2-3"),
        ("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "2-3"),
        ("/sys/devices/system/cpu/isolated", "1"),
    ] {
        stage.write(path, text);
    }
    fs::remove_dir_all(stage.folder.path().join("sys/class/net/eth0/queues/rx-1")).unwrap();
    stage.process("99", "dnsmasq", "socket:[4712]");
    stage.process("98", "nginx", "socket:[4711]");
    fs::remove_file(stage.folder.path().join("proc/77/fd/9")).unwrap();
    (stage.relay.relay_id, stage.relay.shards, stage.relay.cores) = (2, 3, vec![2, 3]);
    stage.control.names = vec!["b.example".to_owned()];
    stage
}

#[test]
fn on_a_bad_machine_every_item_says_what_to_type() {
    let mut stage = bad();
    let seen = stage.seen(&Played::bad());
    for (name, seen) in &seen {
        assert_ne!(seen.state, State::Ok, "{name}: {seen:?}");
        assert_ne!(seen.state, State::Unknown, "{name}: {seen:?}");
        assert!(!seen.fix.is_empty(), "{name}: {seen:?}");
    }
    for (name, fix) in [
        ("receive-queue", "sysctl -w net.core.rmem_max=4194304"),
        ("reserved-ports", "sysctl -w net.ipv4.ip_local_reserved_ports=8080,40000-40063"),
        ("nic-offloads", "generic-receive-offload on generic-segmentation-offload on"),
        ("nic-queues", "ethtool -L eth0 combined 3"),
        ("nic-rings", "ethtool -G eth0 rx 2048"),
        ("nic-interrupts", "echo 1 > /proc/irq/41/smp_affinity_list"),
        ("huge-pages", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
        ("relay-certificate", "pki --config control.toml relay 2"),
        ("relay-ports", "ss -ulpn"),
        ("control-ports", "ss -tlpn 'sport = :4435'"),
    ] {
        assert!(seen[name].fix.contains(fix), "{name}: {}", seen[name].fix);
    }
    let wrong: BTreeSet<_> =
        seen.iter().filter(|(_, seen)| seen.state == State::Wrong).map(|(name, _)| *name).collect();
    for name in ["kernel", "io-uring", "locked-memory", "store", "relay-ports", "xdp-nic"] {
        assert!(wrong.contains(name), "{name}: {wrong:?}");
    }
    // Without such a wish, what a NIC cannot do by itself is no fault.
    stage.relay.io = IoChoice::Uring;
    assert_eq!(stage.seen(&Played::bad())["xdp-nic"].state, State::Advice);
}

/// Tries everything in vain.
struct Blind;

impl Probes for Blind {
    fn io_uring(&self) -> Read<Result<(), String>> {
        Err(Unread("no".into()))
    }

    fn nic(&self, _: &Relay) -> Read<Vec<Finding>> {
        Err(Unread("no".into()))
    }

    fn space(&self, _: &Path) -> Read<(u64, u64)> {
        Err(Unread("no".into()))
    }

    fn store(&self, _: &Control) -> Read<Store> {
        Err(Unread("no".into()))
    }

    fn skew_ms(&self, _: Option<&Control>) -> Read<i64> {
        Err(Unread("no".into()))
    }
}

#[test]
fn of_a_machine_that_cannot_be_read_nothing_is_said_to_be_well() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::played(folder.path());
    let (mut relay, control) = (Relay::default(), Control::default());
    relay.firewall.table = "kakehashi".into();
    let (has_control, now) = (true, UnixMs::now());
    let (relay, control, probes): (_, _, &dyn Probes) = (&relay, &control, &Blind);
    let scene = Scene { machine: &machine, probes, relay, control, has_control, now };
    for (item, seen) in examine(&scene, &ALL) {
        // That a certificate is not where the settings say is known.
        if ["relay-certificate", "control-certificates"].contains(&item.name) {
            continue;
        }
        assert_eq!(seen.state, State::Unknown, "{}: {seen:?}", item.name);
        assert!(!seen.is.is_empty(), "{} does not say why", item.name);
        let row = serde_json::to_value(Row::of(&item, &seen)).unwrap();
        assert!(row["is"].is_null() && row["reason"] == seen.is.as_str(), "{row}");
    }
}

#[test]
fn whose_socket_it_is_that_only_root_sees_is_unknown() {
    let stage = good();
    fs::remove_file(stage.folder.path().join("proc/77/fd/9")).unwrap();
    let seen = stage.seen(&Played::good());
    assert_eq!(seen["relay-ports"].state, State::Unknown);
    assert!(seen["relay-ports"].is.contains("40000"), "{:?}", seen["relay-ports"]);
}

#[test]
fn a_store_in_use_is_well_if_a_node_uses_it_and_a_cluster_needs_more_than_half() {
    let mut stage = good();
    let of = |stage: &Stage, store| stage.seen(&Played { store, ..Played::good() })["store"].state;
    stage.process("5", "kakehashi-contr", "/other/store.redb");
    assert_eq!(of(&stage, Store::Locked), State::Unknown, "nobody is seen to have it");
    stage.process("6", "kakehashi-contr", "/data/store.redb");
    assert_eq!(of(&stage, Store::Locked), State::Ok);
    fs::write(stage.folder.path().join("proc/6/comm"), "tar").unwrap();
    assert_eq!(of(&stage, Store::Locked), State::Wrong);
    stage.control.store.engine = Engine::Etcd;
    let cluster = |gone: usize, bytes| Store::Cluster {
        members: 3,
        problems: vec!["gone".to_owned(); gone],
        bytes,
    };
    assert_eq!(of(&stage, cluster(0, GIB)), State::Ok);
    assert_eq!(of(&stage, cluster(0, 2 * GIB)), State::Advice);
    assert_eq!(of(&stage, cluster(1, 0)), State::Advice);
    assert_eq!(of(&stage, cluster(2, 0)), State::Wrong);
}

#[test]
fn each_part_is_told_what_is_its_business() {
    let names = |part| {
        let items = table::all().filter(move |item| item.of.contains(&part));
        items.map(|item| item.name).collect::<BTreeSet<_>>()
    };
    assert!(!names(Part::Control).contains("io-uring"));
    assert!(!names(Part::Host).contains("relay-certificate"));
    assert!(names(Part::Relay).is_superset(&BTreeSet::from([
        "io-uring",
        "relay-ports",
        "xdp-mtu"
    ])));
    let all: Vec<_> = table::all().map(|item| item.name).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "no name twice");
}

#[test]
fn what_is_declared_is_looked_at_and_the_other_way_round() {
    let declared = wanted::settings().map(|(name, _)| name);
    let declared = declared.chain(wanted::sysctls().map(|(name, _)| name.to_owned()));
    let declared: BTreeSet<_> = declared.collect();
    let looked = table::all().flat_map(|item| item.declared);
    let looked: BTreeSet<_> = looked.map(|name| (*name).to_owned()).collect();
    assert_eq!(declared, looked);
}

#[test]
fn the_declared_limits_are_enough_for_the_largest_relay() {
    let shards = u16::try_from(SHARDS_PER_RELAY_MAX).unwrap();
    let tuning = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tuning");
    let limits = fs::read_to_string(tuning.join("limits.d/60-kakehashi.conf")).unwrap();
    let unit = fs::read_to_string(tuning.join("systemd/kakehashi-relay.service")).unwrap();
    let after = |text: &str, what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().to_owned()
    };
    for (nofile, memlock) in [
        (after(&limits, "kakehashi-relay - nofile"), after(&limits, "kakehashi-relay - memlock")),
        (after(&unit, "LimitNOFILE="), after(&unit, "LimitMEMLOCK=")),
    ] {
        assert!(nofile.parse::<u64>().unwrap() >= files(shards));
        assert!(["unlimited", "infinity"].contains(&memlock.as_str()), "{memlock}");
    }
    assert!(locked_bytes(shards, true) > locked_bytes(1, true));
}
