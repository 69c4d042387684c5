//! The platform's main job, as a newcomer starts it, in both lanes.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::{free_ports, program};
use std::process::{Command, Stdio};

/// Runs the demonstration, with more arguments, and checks how it ends and what it says.
fn demonstrate(more: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let (control, fleet, media) = free_ports(3);
    let output = Command::new(program("kakehashi"))
        .args(["up", "--demo", "--seconds", "6", "--data"])
        .arg(data.path())
        .args(["--control-port", &control.to_string()])
        .args(["--fleet-port", &fleet.to_string()])
        .args(["--api-port", &control.to_string()])
        .args(["--metrics-port", &fleet.to_string()])
        .args(["--console-port", &(media + 2).to_string()])
        .args(["--media-port", &media.to_string()])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for text in [
        "store-1 -> concierge-1",
        "concierge-1 -> store-1",
        "lost 0",
        "round trip",
        "recordings of store-1",
        "Every frame came through, both ways.",
    ] {
        assert!(printed.contains(text), "no `{text}` in what it printed");
    }
}

#[test]
fn the_demonstration_ends_well_and_says_so() {
    demonstrate(&[]);
}

/// Every packet is opened by the relay and sealed anew: no frame may differ for it.
#[test]
fn the_demonstration_ends_well_when_relays_seal_for_each_leg() {
    demonstrate(&["--isolation", "per-leg"]);
}
