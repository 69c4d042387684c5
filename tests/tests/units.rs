//! The units of `tuning/systemd`, as systemd itself reads and rates them.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tuning/systemd");

/// Ten times what `systemd-analyze security` may say at most, drop-ins included: 0 is best.
const EXPOSURE_MOST: [(&str, &str); 3] = [
    ("kakehashi-relay.service", "24"),
    ("kakehashi-control.service", "13"),
    ("kakehashi-tune.service", "52"),
];

fn analyze(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    // The colon at the end stands for the usual places.
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()));
    command.args(arguments).current_dir(folder).output().expect("systemd-analyze is installed")
}

/// The units in a folder of their own, with programs that are there.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                let arguments = command.split_once(' ').map_or("", |(_, arguments)| arguments);
                format!("ExecStart=/bin/true {arguments}\n")
            }
            None => format!("{line}\n"),
        });
        fs::write(target, lines.collect::<String>()).unwrap();
    }
}

#[test]
fn systemd_understands_every_line() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(UNITS), folder.path());
    let names = EXPOSURE_MOST.map(|(unit, _)| unit);
    let output = analyze(&[&["verify", "--man=no"], &names[..]].concat(), folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Of units that are not ours it may say what it likes.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("kakehashi")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");

    let unit = folder.path().join(names[0]);
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("Type=notify", "Type=whatever")).unwrap();
    let output = analyze(&["verify", "--man=no", names[0]], folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("service type"), "and notices what it does not understand: {said}");
}

#[test]
fn services_reach_no_more_than_they_need() {
    let folder = Path::new(UNITS);
    for (unit, most) in EXPOSURE_MOST {
        let path = folder.join(unit);
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", &threshold, path.to_str().unwrap()];
        let output = analyze(&arguments, folder);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let overall = said.lines().find(|line| line.contains("Overall")).unwrap_or(&said);
        assert!(output.status.success(), "{unit}: {overall}");
    }
}
