//! `tuning/host/tune` on a machine that is played: it sets what is declared, leads back to what was
//! before to the byte, and `kakehashi doctor` has nothing to say of what it has set.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::{Link, Medium};
use kakehashi_tests::platform::program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tuning/host/tune");

/// Plays `ethtool` for a NIC that keeps its state in the machine's folder, in which `doctor` reads
/// what `ethtool` would have said.
const ETHTOOL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/../commands"
case $1 in
  -k | -g) cat "ethtool $1 $2" ;;
  -K) grep -q "^$3:" "ethtool -k $2"; sed -i "s/^$3: .*/$3: $4/" "ethtool -k $2" ;;
  -G) name=${3^^}; sed -i "/^Current/,\$s/^$name:.*/$name: $4/" "ethtool -g $2" ;;
  *) exit 9 ;;
esac
"#;

/// The same for the one service that there is.
const SYSTEMCTL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/../proc"
case $1 in
  is-enabled) [[ -e ../enabled ]] && echo enabled || { echo disabled; exit 1; } ;;
  is-active) [[ -e 50/comm ]] ;;
  disable) rm -rf 50 ../enabled ;;
  enable) mkdir -p 50; echo irqbalance >50/comm; touch ../enabled ;;
  *) exit 9 ;;
esac
"#;

const FEATURES: &str = "Features for eth0:\nrx-checksumming: on\ntx-checksumming: off [fixed]\n\
                        generic-receive-offload: off\ngeneric-segmentation-offload: on\n";

const RINGS: &str = "Ring parameters for eth0:\nPre-set maximums:\nRX: 4096\nTX: 1024\n\
                     Current hardware settings:\nRX: 256\nTX: 256\n";

/// A machine as it comes.
fn machine() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (path, text) in [
        ("proc/sys/net/core/rmem_max", "212992\n"),
        ("proc/sys/net/core/wmem_max", "16777216\n"),
        ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
        ("proc/sys/net/ipv4/ip_local_reserved_ports", "8080\n"),
        ("proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024\n"),
        ("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n"),
        ("proc/sys/kernel/io_uring_disabled", "2\n"),
        ("proc/self/comm", "kakehashi\n"),
        ("proc/50/comm", "irqbalance\n"),
        ("proc/irq/40/smp_affinity_list", "0-3\n"),
        ("proc/irq/41/smp_affinity_list", "3\n"),
        ("proc/irq/42/smp_affinity_list", "1\n"),
        ("proc/net/route", "Iface\tDestination\neth0\t00000000\n"),
        ("sys/class/net/eth0/device/msi_irqs/40", "msix\n"),
        ("sys/class/net/eth0/device/msi_irqs/41", "msix\n"),
        ("sys/class/net/eth0/device/msi_irqs/42", "msix\n"),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
        ("etc/security/limits.d/60-kakehashi.conf", "# the operator's own\n"),
        ("etc/sysctl.d/keep", ""),
        ("var/lib/keep", ""),
        ("enabled", ""),
        ("commands/ethtool -k eth0", FEATURES),
        ("commands/ethtool -g eth0", RINGS),
        ("bin/ethtool", ETHTOOL),
        ("bin/systemctl", SYSTEMCTL),
    ] {
        write(path, text);
    }
    for name in ["ethtool", "systemctl"] {
        let path = folder.path().join("bin").join(name);
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Every file of the machine.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn tune(root: &Path, arguments: &[&str]) -> Vec<String> {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(SCRIPT)
        .args(arguments)
        .arg("--root")
        .arg(root)
        .env("PATH", format!("{}/bin:{path}", root.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What `doctor` says of the machine: the state of each item.
fn states(root: &Path) -> BTreeMap<String, String> {
    let mut doctor = Command::new(program("kakehashi"));
    doctor.args(["doctor", "host", "--json", "--root"]).arg(root);
    let rows: Vec<Value> = serde_json::from_slice(&doctor.output().unwrap().stdout).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "item"), text(row, "state"))).collect()
}

const NIC: [&str; 4] = ["--nic", "eth0", "--shards", "2"];

#[test]
fn what_is_set_is_what_doctor_wants_and_the_way_leads_back_to_the_byte() {
    let folder = machine();
    let root = folder.path();
    let before = files(root);
    // One shard is assumed where there is no relay; it has the last core.
    let items = [
        "io-uring-switch",
        "huge-pages",
        "receive-queue",
        "backlog",
        "reserved-ports",
        "neighbours",
        "nic-offloads",
        "nic-rings",
        "nic-interrupts",
        "irqbalance",
        "cpu-governor",
    ];
    let states_before = states(root);
    for item in items {
        assert!(["advice", "wrong"].contains(&states_before[item].as_str()), "{item}");
    }
    let with = |what| [&[what], &NIC[..]].concat();
    let shown = tune(root, &with("show"));
    let to_do = shown.iter().filter(|line| line.starts_with("to do: ")).count();
    assert_eq!(files(root), before, "only shown");
    let applied = tune(root, &with("apply"));
    assert_eq!(applied.len(), to_do, "{applied:#?}");
    let after = states(root);
    for item in items {
        assert_eq!(after[item], "ok", "{item}");
    }
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap().trim().to_owned();
    assert_eq!(read("proc/sys/net/core/wmem_max"), "16777216", "no limit is lowered");
    assert_eq!(read("proc/sys/net/ipv4/ip_local_reserved_ports"), "8080,40000-40063");
    let irqs = [40, 41, 42].map(|irq| read(&format!("proc/irq/{irq}/smp_affinity_list")));
    assert_eq!(irqs, ["0", "1", "1"], "shards have the last two cores");

    // Once more, and for another NIC's sake: what was before is still known.
    assert_eq!(tune(root, &with("apply")), [""; 0]);
    fs::write(root.join("proc/sys/net/core/netdev_max_backlog"), "2000\n").unwrap();
    assert_eq!(tune(root, &["apply"]).len(), 1);
    assert_eq!(tune(root, &["undo"]).len(), to_do);
    let mut back = files(root);
    // A kernel shows the choice that was written in brackets; a file has what was written.
    let choice = root.join("sys/kernel/mm/transparent_hugepage/enabled").display().to_string();
    assert_eq!(back.insert(choice.clone(), before[&choice].clone()).unwrap(), "never\n");
    assert_eq!(back, before);
    assert_eq!(tune(root, &["undo"]), [""; 0], "nothing is left to lead back from");
}

#[test]
fn without_a_nic_none_is_touched_and_what_is_not_there_is_left_out() {
    let folder = machine();
    let root = folder.path();
    fs::remove_file(root.join("proc/sys/kernel/io_uring_disabled")).unwrap();
    fs::remove_dir_all(root.join("sys/devices/system/cpu/cpu0")).unwrap();
    let applied = tune(root, &["apply"]).join("\n");
    for not in ["eth0", "/proc/irq", "io_uring", "cpu0"] {
        assert!(!applied.contains(not), "{applied}");
    }
    assert_eq!(fs::read_to_string(root.join("commands/ethtool -g eth0")).unwrap(), RINGS);
    let own = fs::read_to_string(root.join("etc/security/limits.d/60-kakehashi.conf")).unwrap();
    assert!(own.contains("memlock unlimited"));
}

#[test]
fn a_device_of_the_kernel_is_set_and_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["sys/class/net/kk0", "sys/devices/system/cpu", "etc/sysctl.d"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    fs::write(root.join("sys/devices/system/cpu/online"), "0-1\n").unwrap();
    let ethtool = |arguments: &[&str]| {
        let output = Command::new("ethtool").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let name = "generic-receive-offload";
    let is = |value: &str| ethtool(&["-k", "kk0"]).contains(&format!("\n{name}: {value}\n"));
    let link = Link::new(Medium::Veth, 0, 1).unwrap();
    let tested = link.subject.run(|| {
        ethtool(&["-K", "kk0", "gro", "off"]);
        assert!(is("off"));
        let applied = tune(root, &["apply", "--nic", "kk0"]);
        assert!(applied.contains(&format!("kk0 {name}: off -> on")), "{applied:?}");
        assert!(is("on"));
        tune(root, &["undo"]);
        assert!(is("off"));
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn what_is_no_command_says_how_it_is_used() {
    for wrong in [&[][..], &["set"], &["apply", "--shards", "many"], &["show", "--nick", "eth0"]] {
        let output = Command::new(SCRIPT).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("show|apply|undo"));
    }
    let none = Command::new(SCRIPT).args(["show", "--nic", "nowhere"]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("no interface `nowhere`"));
}
