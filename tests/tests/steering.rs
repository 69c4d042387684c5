//! `tuning/nic/steer`: on a virtual device, which has no filters, and on a NIC that is played: none
//! with filters is here.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::{Link, Medium};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tuning/nic/steer");

/// Plays `ethtool` for a NIC with filters: keeps its state in files beside itself.
const ETHTOOL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
case $1 in
  -k) printf 'ntuple-filters: %s\nrx-vlan-offload: %s\n' "$(cat ntuple)" "$(cat rxvlan)" ;;
  -K) echo "$4" >"$3" ;;
  -l) printf 'Pre-set maximums:\nRX: n/a\nCombined: 8\nCurrent hardware settings:\n'
      printf 'RX: n/a\nCombined: %s\n' "$(cat queues)" ;;
  -L) echo "$4" >queues ;;
  -n) for rule in rules/*; do
        [[ -e $rule ]] || continue
        printf 'Filter: %s\n\tDest port: %s mask: 0x0\n' "$(basename "$rule")" "$(cat "$rule")"
      done ;;
  -N) if [[ $3 == delete ]]; then rm "rules/$4"; else
        count=$(ls rules | wc -l)
        [[ $3 == flow-type && $5 == dst-port && $7 == action && $8 -lt $(cat queues) ]]
        echo "$6" >"rules/$((1000 + count))"
      fi ;;
  *) exit 9 ;;
esac
"#;

fn steer(arguments: &[&str], path: Option<&Path>) -> Output {
    let mut command = Command::new(SCRIPT);
    command.args(arguments);
    if let Some(folder) = path {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", folder.display()));
    }
    command.output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[test]
fn a_device_without_filters_is_left_as_it_is() {
    let link = Link::new(Medium::Veth, 0, 1).unwrap();
    let tested = link.subject.run(|| {
        let shown = steer(&["show", "kk0", "40000", "1"], None);
        assert!(shown.status.success());
        let shown = lines(&shown.stdout);
        assert!(shown.contains(&"receive queues: 1, needed: 1".to_owned()), "{shown:?}");
        for what in ["apply", "undo"] {
            let refused = steer(&[what, "kk0"], None);
            assert_eq!(refused.status.code(), Some(1));
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(said.contains("goes through the kernel"), "{said}");
        }
        let unknown = steer(&["show", "nowhere"], None);
        assert!(lines(&unknown.stderr)[0].contains("no interface `nowhere`"));
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn each_port_gets_its_queue_and_the_way_leads_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name);
    for (name, value) in [("ntuple", "off"), ("rxvlan", "on"), ("queues", "1")] {
        fs::write(state(name), value).unwrap();
    }
    fs::create_dir(state("rules")).unwrap();
    fs::write(state("ethtool"), ETHTOOL).unwrap();
    fs::set_permissions(state("ethtool"), Permissions::from_mode(0o755)).unwrap();
    let steer_for = |what: &str, shards: &str| {
        let output = steer(&[what, "lo", "40000", shards], Some(folder.path()));
        assert!(output.status.success(), "{:?}", lines(&output.stderr));
        lines(&output.stdout)
    };
    let steer = |what: &str| steer_for(what, "2");
    let wanted = [
        "ethtool -L lo combined 2",
        "ethtool -K lo ntuple on",
        "ethtool -K lo rxvlan off",
        "ethtool -N lo flow-type udp4 dst-port 40000 action 0",
        "ethtool -N lo flow-type udp6 dst-port 40000 action 0",
        "ethtool -N lo flow-type udp4 dst-port 40001 action 1",
        "ethtool -N lo flow-type udp6 dst-port 40001 action 1",
    ];
    let shown = steer("show");
    let to_do: Vec<_> = shown.iter().filter_map(|line| line.strip_prefix("to do: ")).collect();
    assert_eq!(to_do, wanted);
    assert!(fs::read_dir(state("rules")).unwrap().next().is_none(), "only shown");
    assert_eq!(steer("apply"), wanted);
    assert_eq!(steer("apply"), [""; 0], "nothing is left to do");
    assert!(steer("show").contains(&"filters for ports 40000 to 40001: 4, needed: 4".to_owned()));
    let grown = steer_for("apply", "3");
    assert_eq!(grown.len(), 3, "one queue and one port more: {grown:?}");
    assert_eq!(steer_for("undo", "3").len(), 6);
    assert_eq!(steer("undo"), [""; 0]);
}
